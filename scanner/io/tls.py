"""TLS over bytes, sans-I/O: what comes from the wire goes in, what must go to the wire comes out.

Identification reads certificates and trusts none of them: whatever is shown is taken.
"""

import contextlib
import ssl
from functools import lru_cache

_CHUNK = 64 * 1024


class TlsSession:
    """One client session. ``name`` is said in SNI where it is not empty.

    ``handshake`` and ``decrypt`` raise ssl.SSLError where the peer does not speak TLS as it should. After each
    call ``outgoing`` has to be sent.
    """

    def __init__(self, name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = _context().wrap_bio(self._incoming, self._outgoing, server_hostname=name or None)
        self.established = False

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate in DER."""
        return self._session.getpeercert(binary_form=True)

    def outgoing(self) -> bytes:
        """The bytes for the wire, each once."""
        return self._outgoing.read()

    def handshake(self, data: bytes | memoryview = b"") -> bool:
        """Go on with the handshake. Whether it is done."""
        if data:
            self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._session.do_handshake()
            self.established = True
        return self.established

    def encrypt(self, data: bytes) -> None:
        """Put something on its way to the peer."""
        self._session.write(data)

    def decrypt(self, data: bytes | memoryview = b"") -> tuple[bytes, bool]:
        """What the peer said with these bytes, and whether it closed the session with them."""
        if data:
            self._incoming.write(data)
        said = bytearray()
        while True:
            try:
                piece = self._session.read(_CHUNK)
            except ssl.SSLWantReadError:
                return bytes(said), False
            except ssl.SSLZeroReturnError:
                return bytes(said), True
            if not piece:
                return bytes(said), True
            said += piece


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["http/1.1"])
    return context
