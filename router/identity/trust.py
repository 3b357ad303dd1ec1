"""Pure: what a gateway is told of the issuers whose tokens it believes, ours among them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from inventory.model import Issuer
from router.governance import Trusted

AUDIENCE: Final = "gnomon"
"""The audience of our own tokens."""

OWN: Final = "gnomon"


class Held(Protocol):
    """An issuer with the public keys that were last fetched of it, a JWK Set; empty before."""

    @property
    def issuer(self) -> Issuer:
        """The issuer."""

    @property
    def keys(self) -> Mapping[str, Any]:
        """Its keys."""


def trusted(held: Sequence[Held], own_url: str | None, own_keys: Mapping[str, Any] | None) -> tuple[Trusted, ...]:
    """Ours first, where there are any, then every issuer whose keys are known."""
    found = [_theirs(one.issuer, one.keys) for one in held if one.keys.get("keys")]
    if own_url and own_keys and own_keys.get("keys"):
        found.insert(
            0,
            Trusted(
                name=OWN,
                issuer=own_url,
                audiences=(AUDIENCE,),
                keys=json.dumps(own_keys, sort_keys=True),
                team="attributes.team",
                own=True,
            ),
        )
    return tuple(found)


def _theirs(issuer: Issuer, keys: Mapping[str, Any]) -> Trusted:
    usable = [one for key in keys["keys"] for one in _copies(key, issuer)]
    return Trusted(
        name=issuer.name,
        issuer=issuer.url,
        audiences=issuer.audiences,
        keys=json.dumps({"keys": usable}, sort_keys=True),
        subject=issuer.subject,
        team=issuer.attributes.get("team"),
        leeway_seconds=issuer.leeway_seconds,
        requires=issuer.requires,
    )


def _copies(key: Mapping[str, Any], issuer: Issuer) -> list[dict[str, Any]]:
    """A key, once for each algorithm by which the issuer may use it: a gateway believes a key by no other."""
    from router.identity.issuers import algorithms_of

    return [{**key, "alg": one} for one in sorted(algorithms_of(key) & set(issuer.algorithms))]
