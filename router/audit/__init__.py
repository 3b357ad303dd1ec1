"""The record of calls as it comes about: the gateway's lines in, calls with both decisions out, batch by batch.

``lines`` reads what the gateway writes, ``decide`` says what each policy version makes of a call, ``limits`` which
candidate limits it would exceed: all pure. ``recorder`` does the reading and writing, beside the gateway and never in
the way of a call. How the record is kept is in ``inventory.store.calls``.
"""
