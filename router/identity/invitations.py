"""Pure: the token by which a gateway of another machine joins.

It holds a secret, of which only a digest is kept, and the fingerprint of our authority, so that whoever joins knows
whom it speaks to before it says the secret.
"""

import base64
import binascii
import hashlib
import secrets
from typing import Final, NamedTuple

PREFIX: Final = "gnomon-join-"
_SECRET: Final = 16
_FINGERPRINT: Final = 32


class Token(NamedTuple):
    """A secret, and the SHA-256 of the authority's certificate in DER."""

    secret: bytes
    fingerprint: bytes


def fresh(fingerprint: bytes) -> Token:
    """A new token for the authority of that fingerprint."""
    return Token(secrets.token_bytes(_SECRET), fingerprint)


def text_of(token: Token) -> str:
    """The token as people carry it."""
    return PREFIX + base64.urlsafe_b64encode(token.secret + token.fingerprint).decode("ascii").rstrip("=")


def read(text: str) -> Token:
    """The token of a text. ValueError, in words, for one that is none."""
    body = text.strip().removeprefix(PREFIX)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.strip().startswith(PREFIX) or len(raw) != _SECRET + _FINGERPRINT:
        raise ValueError(
            f"a token to join begins with {PREFIX} and is copied whole: `gnomon gateway --invite` makes one"
        )
    return Token(raw[:_SECRET], raw[_SECRET:])


def digest(secret: bytes) -> str:
    """What is kept of a secret: it is random and long, so that a digest without salt gives nothing away."""
    return hashlib.sha256(b"gnomon join\0" + secret).hexdigest()
