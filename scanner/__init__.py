"""How endpoints are found: plans of probes, harmless questions, and what their answers prove.

What lives here: pure decisions (``identify``, ``classify``, ``belief``, ``openapi``, ``ledger``), the
signatures they read (``signatures/``), the sources that know of listeners (``sources/``) and the network
code at the edge (``io/``). What doesn't: what is known for good (``inventory``), the gateway
(``router``), and anything a person looks at (``tui``).
"""
