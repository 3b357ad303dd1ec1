"""The network edge of the scanner: sockets, TLS and HTTP parsing, all bounded.

No decision is taken here: what to ask and what an answer means is decided by pure modules in ``scanner``.
"""
