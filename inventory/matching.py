"""Whether two endpoints are one application: pure, by tiers, each answer with its reasons.

| tier | what is equal | answer |
|---|---|---|
| fingerprint | TLS key and OpenAPI description, and the old place was missed by a complete scan | the same: it moved |
| fingerprint | one of the two, or both while the old place still answers | proposed |
| place | the listener and the OpenAPI description, under another base path, and the old path was missed | the same |
| place | the listener, product and kind, under another base path, and the old path was missed | proposed |

The strongest tier is not here: what the API server of a cluster says belongs to one workload, by its UID, is
one endpoint before it comes to matching (``placement``), and its word is not second-guessed.

A proposal changes nothing until a person confirms it. An address is an identity only within its site, and
nothing here reaches across sites. What more than one endpoint could be is proposed, never decided; what
more than ``MOST`` could be (a product's stock description, a certificate on every host) tells nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from inventory.model import Endpoint, Place, Presence

MOST: Final = 3


class Tier(StrEnum):
    """By what two endpoints are told to be one, the strongest first."""

    FINGERPRINT = "fingerprint"
    PLACE = "place"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Match:
    """That a newcomer is, or may be, the endpoint of id ``endpoint``. ``certain`` needs no person."""

    endpoint: str
    tier: Tier
    certain: bool
    reasons: tuple[str, ...]


def match(newcomer: Endpoint, candidates: Sequence[Endpoint]) -> tuple[Match, ...]:
    """Which of the candidates the newcomer is: one certain match, or proposals, the strongest tier first.

    Candidates are older than the newcomer, or as old with a smaller id.
    """
    found = [one for one in (_compare(newcomer, c) for c in candidates if c.id != newcomer.id) if one]
    found.sort(key=lambda one: (list(Tier).index(one.tier), not one.certain, one.endpoint))
    if not found:
        return ()
    strongest = [one for one in found if (one.tier, one.certain) == (found[0].tier, found[0].certain)]
    if len(strongest) > MOST:
        return ()
    if len(strongest) == 1:
        return (strongest[0],)
    several = f"one of {len(strongest)} endpoints that it could be"
    return tuple(Match(one.endpoint, one.tier, False, (*one.reasons, several)) for one in strongest)


def _compare(new: Endpoint, old: Endpoint) -> Match | None:
    if new.site != old.site or new.cluster is not None or old.cluster is not None:
        return None
    missed = old.presence in {Presence.STALE, Presence.GONE} and old.last_seen <= new.last_seen
    if (new.address, new.port) == (old.address, old.port):
        return _by_path(new, old) if missed else None
    return _by_fingerprint(new, old, missed=missed)


def _by_fingerprint(new: Endpoint, old: Endpoint, *, missed: bool) -> Match | None:
    reasons = []
    if new.tls_key and new.tls_key == old.tls_key:
        reasons.append(f"both hold the private key of one certificate ({new.tls_key[:12]})")
    if new.schema_digest and new.schema_digest == old.schema_digest:
        reasons.append(f"both describe the same API ({new.schema_digest[:12]})")
    if not reasons or new.product != old.product:
        return None
    certain = missed and len(reasons) == 2
    reasons.append(f"{old.url} was not seen again" if missed else f"{old.url} still answers")
    return Match(old.id, Tier.FINGERPRINT, certain, tuple(reasons))


def _by_path(new: Endpoint, old: Endpoint) -> Match | None:
    if new.base_path == old.base_path or (new.product, new.kind) != (old.product, old.kind) or new.kind is None:
        return None
    where = f"the same listener, {old.base_path} was not seen again"
    if new.schema_digest and new.schema_digest == old.schema_digest:
        return Match(old.id, Tier.PLACE, True, (where, f"both describe the same API ({new.schema_digest[:12]})"))
    return Match(old.id, Tier.PLACE, False, (where, f"both are {new.product or new.kind}"))


def join(endpoint_id: str, places: Sequence[Endpoint]) -> Endpoint:
    """One endpoint of the folds of its places: what the place says that was seen last, and where else it answers.

    Commutative and idempotent: the places are ordered by when they were seen, then by id. A place where
    nothing was identified never hides one where something was.
    """
    ordered = sorted(places, key=lambda one: (one.kind is not None, one.last_seen, one.id), reverse=True)
    latest, *others = ordered
    exposures = dict.fromkeys(way for one in ordered if one.last_seen == latest.last_seen for way in one.exposures)
    return latest.model_copy(
        update={
            "id": endpoint_id,
            "first_seen": min(one.first_seen for one in ordered),
            "last_seen": max(one.last_seen for one in ordered),
            "exposures": tuple(exposures),
            "owner": next((one.owner for one in ordered if one.owner), None),
            "places": tuple(_place(one) for one in others),
        }
    )


def _place(one: Endpoint) -> Place:
    return Place(
        id=one.id, site=one.site, address=one.address, port=one.port, base_path=one.base_path, url=one.url,
        first_seen=one.first_seen, last_seen=one.last_seen,
    )  # fmt: skip
