"""Evidence from mirrored requests: both answers joined, compared, counted, and saved with bounds that hold.

The chain is records -> pair -> compare -> evidence. All of it is pure and can be replayed from a list of
captured lines (``evidence.replay``); ``monitor`` is the only module that reads files, writes the store or
knows the time. What a rollout makes of the evidence is decided in ``router.gates``; how a gateway is made
to mirror and to capture is written in ``router.gateways``.
"""
