"""Observations to endpoints: pure, and indifferent to the order and number of times they arrive.

Each kind of fact has one slot, and the slot keeps the observation that is greatest in a total
order: conclusive before inconclusive, then newer, then surer, then by digest. Taking a maximum is
commutative, associative and idempotent, so the fold is too.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from inventory.identity import applications, endpoint_id
from inventory.model import (
    Certificate,
    Endpoint,
    Evidence,
    Exposed,
    Exposure,
    Identified,
    Listener,
    Observation,
    Owned,
    Posture,
    Postured,
    Questioned,
    Scheme,
)

EVIDENCE_KEPT = 24

F = TypeVar("F", Exposed, Identified, Postured, Questioned, Certificate, Owned)


def fold(observations: Iterable[Observation]) -> tuple[Endpoint, ...]:
    """The endpoints of one listener, by base path. Presence, triage, routing and risk are not its part.

    All observations must be of the same listener. Returns nothing for no observations.
    """
    unique = {observation.id: observation for observation in observations}
    if not unique:
        return ()
    listeners = {observation.listener for observation in unique.values()}
    if len(listeners) != 1:
        raise ValueError("a fold takes the observations of one listener")
    (listener,) = listeners
    grouped = applications(unique.values())
    return tuple(_fold_application(listener, path, grouped[path]) for path in sorted(grouped))


def _fold_application(listener: Listener, base_path: str, observations: list[Observation]) -> Endpoint:
    exposed = _best(Exposed, observations)
    told = _best(Identified, observations)
    postured = _best(Postured, observations)
    owned = _best(Owned, observations)
    certificate = _best(Certificate, observations)
    questioned = _best(Questioned, observations)
    newest = max(observations, key=lambda o: (o.at, o.id))
    scheme = exposed[1].scheme if exposed else Scheme.TCP
    url = f"{scheme}://{listener}{base_path if base_path != '/' else ''}"
    return Endpoint(
        id=endpoint_id(listener, base_path),
        site=listener.site,
        scope=newest.scope,
        address=listener.address,
        port=listener.port,
        scheme=scheme,
        url=url,
        base_path=base_path,
        **(told[1].model_dump(include=_TOLD) if told else {}),
        posture=postured[1].posture if postured else Posture.UNKNOWN,
        posture_evidence=postured[1].decided_by if postured else None,
        certificate_names=certificate[1].names if certificate else (),
        exposures=(Exposure(via="address", url=url),),
        owner=owned[1].owner if owned else None,
        first_seen=min(o.at for o in observations),
        last_seen=newest.at,
        evidence=_strongest(slot[0].evidence for slot in (told, postured, owned, exposed) if slot),
        asked=questioned[1].requests if questioned else (),
    )


_TOLD = {
    "kind",
    "product",
    "version",
    "server",
    "title",
    "is_model_endpoint",
    "confidence",
    "inference_routes",
    "needs",
    "catch_all",
}


def _best(kind: type[F], observations: list[Observation]) -> tuple[Observation, F] | None:
    """The greatest observation of one kind of fact, with that fact; None where there is none."""
    found = [(o, o.fact) for o in observations if isinstance(o.fact, kind)]
    return max(found, key=lambda pair: _precedence(pair[0])) if found else None


def _precedence(observation: Observation) -> tuple[bool, bool, datetime, float, str]:
    """The total order of a slot. An undecided posture never hides a decided one of the same application."""
    fact = observation.fact
    conclusive = not isinstance(fact, Identified) or fact.conclusive
    decided = not isinstance(fact, Postured) or fact.posture is not Posture.UNKNOWN
    confidence = fact.confidence if isinstance(fact, Identified) else 0.0
    return conclusive, decided, observation.at, confidence, observation.id


def _strongest(groups: Iterable[tuple[Evidence, ...]]) -> tuple[Evidence, ...]:
    everything = [evidence for group in groups for evidence in group]
    return tuple(sorted(everything, key=lambda e: (-abs(e.weight), e.signal)))[:EVIDENCE_KEPT]
