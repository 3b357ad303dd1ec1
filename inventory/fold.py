"""Observations to endpoints: pure, and indifferent to the order and number of times they arrive.

Each kind of fact has one slot, and the slot keeps the observation that is greatest in a total
order: conclusive before inconclusive, then newer, then surer, then by digest. Taking a maximum is
commutative, associative and idempotent, so the fold is too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from inventory.identity import applications, endpoint_id, workload_endpoint_id
from inventory.membership import membership
from inventory.model import (
    Certificate,
    Declared,
    Ended,
    Endpoint,
    Evidence,
    Exposed,
    Exposure,
    Identified,
    Listener,
    Membership,
    Observation,
    Owned,
    Placed,
    Posture,
    Postured,
    Questioned,
    Reached,
    Scheme,
    Workload,
)
from inventory.placement import by_workload

EVIDENCE_KEPT = 24

_Precedence = tuple[bool, bool, datetime, float, str]
F = TypeVar("F", Exposed, Identified, Postured, Questioned, Certificate, Owned, Reached, Declared)


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
    return tuple(
        _fold_application(listener, endpoint_id(listener, path), path, grouped[path]) for path in sorted(grouped)
    )


def fold_workload(workload: Workload, port: int, observations: Iterable[Observation]) -> tuple[Endpoint, ...]:
    """The endpoints of one port of a workload, by base path, from what was seen of it on all its listeners.

    All observations must be of one site. Returns nothing where no holder was ever placed. An endpoint
    shows the listener of a pod that was seen last; its name is that of the workload.
    """
    unique = {observation.id: observation for observation in observations}
    placed = [(o.fact.pod is not None, o.at, o.listener) for o in unique.values() if isinstance(o.fact, Placed)]
    if not placed:
        return ()
    if len({o.listener.site for o in unique.values()}) != 1:
        raise ValueError("a fold takes the observations of one site")
    newest = max((is_pod, at) for is_pod, at, _ in placed)
    listener = min((one for *when, one in placed if tuple(when) == newest), key=lambda one: (one.address, one.port))
    place = membership(workload, unique.values())
    grouped = applications(unique.values())
    found = []
    for path in sorted(grouped):
        name = workload_endpoint_id(listener.site, workload, port, path)
        found.append(_fold_application(listener, name, path, grouped[path], place))
    return tuple(found)


def _fold_application(
    listener: Listener, name: str, base_path: str, observations: list[Observation], place: Membership | None = None
) -> Endpoint:
    best = _Slots(observations)
    exposed, told, postured, owned = best.of(Exposed), best.of(Identified), best.of(Postured), best.of(Owned)
    certificate, questioned, declared = best.of(Certificate), best.of(Questioned), best.of(Declared)
    newest = max(observations, key=lambda o: (not isinstance(o.fact, Ended), o.at, o.id))
    scheme = exposed[1].scheme if exposed else Scheme.TCP
    url = f"{scheme}://{listener}{base_path if base_path != '/' else ''}"
    return Endpoint(
        id=name,
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
        **(_of_certificate(certificate[1]) if certificate else {}),
        exposures=_exposures(url, place, best.of(Reached)),
        cluster=place,
        owner=owned[1].owner if owned else None,
        first_seen=min(o.at for o in observations),
        last_seen=newest.at,
        evidence=_strongest(slot[0].evidence for slot in (told, postured, owned, declared, exposed) if slot),
        asked=questioned[1].requests if questioned else (),
    )


def _exposures(url: str, place: Membership | None, reached: tuple[Observation, Reached] | None) -> tuple[Exposure, ...]:
    ways = reached[1].exposures if reached else ()
    if place is None:
        return (Exposure(via="address", url=url), *ways)
    return (Exposure(via="pod", url=url), *ways) if place.pods else ways


def fold_all(
    wanted: Iterable[Listener],
    observations: Mapping[Listener, Iterable[Observation]],
    workloads: Iterable[str] = (),
) -> tuple[tuple[Endpoint, ...], frozenset[str]]:
    """The endpoints that some listeners have to do with, and the UIDs of the workloads among them.

    ``observations`` are those of the wanted listeners and of every other listener that their workloads
    had. ``workloads`` are the UIDs of those that ever had one of them, as far as that is known.
    """
    found: list[Endpoint] = []
    parts: dict[tuple[str, str, int], list[Observation]] = defaultdict(list)
    known: dict[str, Workload] = {}
    about = set(workloads)
    chosen = frozenset(wanted)
    for listener, seen in observations.items():
        for key, part in by_workload(seen).items():
            if key is not None:
                workload, port = key
                known[workload.uid] = workload
                parts[listener.site, workload.uid, port] += part
                if listener in chosen:
                    about.add(workload.uid)
            elif listener in chosen:
                found += fold(part)
    for (_, uid, port), part in parts.items():
        if uid in about:
            found += fold_workload(known[uid], port, part)
    return tuple(found), frozenset(about)


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
    "schema_digest",
}


def _of_certificate(fact: Certificate) -> dict[str, Any]:
    return {"certificate_names": fact.names, "tls_key": fact.key_digest, "tls_expires": fact.not_after}


class _Slots:
    """Of each kind of fact, the greatest observation."""

    def __init__(self, observations: Iterable[Observation]) -> None:
        self._best: dict[type[object], tuple[_Precedence, Observation]] = {}
        for one in observations:
            kind, rank = type(one.fact), _precedence(one)
            if kind not in self._best or rank > self._best[kind][0]:
                self._best[kind] = rank, one

    def of(self, kind: type[F]) -> tuple[Observation, F] | None:
        """The greatest observation of one kind of fact, with that fact; None where there is none."""
        found = self._best.get(kind)
        if found is None or not isinstance(found[1].fact, kind):
            return None
        return found[1], found[1].fact


def _precedence(observation: Observation) -> _Precedence:
    """The total order of a slot. An undecided posture never hides a decided one of the same application."""
    fact = observation.fact
    conclusive = not isinstance(fact, Identified) or fact.conclusive
    decided = not isinstance(fact, Postured) or fact.posture is not Posture.UNKNOWN
    confidence = fact.confidence if isinstance(fact, Identified) else 0.0
    return conclusive, decided, observation.at, confidence, observation.id


def _strongest(groups: Iterable[tuple[Evidence, ...]]) -> tuple[Evidence, ...]:
    everything = [evidence for group in groups for evidence in group]
    return tuple(sorted(everything, key=lambda e: (-abs(e.weight), e.signal)))[:EVIDENCE_KEPT]
