"""Our own signing keys: which one signs at a moment, which are published, and what is to be done about them. Pure.

A key is published before it signs, so that whoever keeps our keys for a while has it when the first token comes, and
stays published until every token that it signed has expired. So at no moment is a token of ours signed by a key that
a verifier, who looks once in ``AHEAD``, does not know.

Sources: RFC 7518, 3.4 (ES256); RFC 7638 (thumbprints as key ids); NIST SP 800-57 part 1, 5.3.6 (cryptoperiods).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from pydantic import Field

from inventory.model import Moment, Value

ALGORITHM: Final = "ES256"
PERIOD: Final = timedelta(days=7)
"""How long one key signs."""

AHEAD: Final = timedelta(hours=1)
"""How long a key is published before it signs."""

REMAINS: Final = timedelta(minutes=30)
"""How long a key is published after it signed last: the life of a token, the clocks' differences, and as much again."""


class SigningKey(Value):
    """One key pair as it is kept. ``jwk`` is the private key (RFC 7517): it never leaves its file and this process."""

    format: int = 1
    kid: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")
    made_at: Moment
    signs_from: Moment
    jwk: dict[str, str] = Field(repr=False)


class Turn(NamedTuple):
    """What is to be done: make a key that signs from that moment, if one is due, and forget those of these ids."""

    make: datetime | None
    forget: frozenset[str]


def signer_at(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key that signs at a moment: the last one whose time has come. None where there is no key.

    Where the clock was set back and no key's time has come, the first one signs: it is published.
    """
    ordered = _ordered(keys)
    begun = [key for key in ordered if key.signs_from <= now]
    return begun[-1] if begun else next(iter(ordered), None)


def next_turn(keys: Sequence[SigningKey], now: datetime) -> Turn:
    """What is to be done at a moment. Doing it twice, or only half of it, does no harm.

    The first key signs at once. A later one is made when the newest has signed for a period, less the time that the
    new one is published ahead. A key is forgotten once its successor has signed for as long as a token is valid.
    """
    ordered = _ordered(keys)
    if not ordered:
        return Turn(now, frozenset())
    due = ordered[-1].signs_from + PERIOD - AHEAD <= now
    over = {key.kid for key, successor in pairwise(ordered) if successor.signs_from + REMAINS <= now}
    return Turn(now + AHEAD if due else None, frozenset(over))


def public_jwks(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """The JWK Set (RFC 7517, section 5) of all keys that are published: the public members, the next signer last."""
    return {
        "keys": [
            {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}
            | {"kid": key.kid, "use": "sig", "alg": ALGORITHM}
            for key in _ordered(keys)
        ]
    }


def fresh_key(now: datetime, signs_from: datetime) -> SigningKey:
    """A new key pair on P-256, with its thumbprint as id."""
    from joserfc.jwk import ECKey

    made = ECKey.generate_key("P-256")
    members = made.as_dict(private=True)
    jwk = {name: str(members[name]) for name in ("kty", "crv", "x", "y", "d")}
    return SigningKey(kid=made.thumbprint(), made_at=now, signs_from=signs_from, jwk=jwk)


def _ordered(keys: Sequence[SigningKey]) -> list[SigningKey]:
    return sorted(keys, key=lambda key: (key.signs_from, key.kid))
