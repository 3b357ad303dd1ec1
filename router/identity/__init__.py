"""Who callers are: issuers and their keys, our own tokens in exchange for theirs, and API keys as a bridge.

Cryptography is only here. The HTTP server and the fetching of keys are in ``router.io``.
"""
