"""From a cluster as it is known to the facts about each port of each workload. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from inventory.model import (
    Declared,
    Evidence,
    Exposure,
    Fact,
    Identified,
    Kind,
    Listener,
    Placed,
    Reached,
    Workload,
)
from scanner.cluster.candidates import Candidate, weigh
from scanner.cluster.exposures import exposures
from scanner.cluster.links import Dangling, Key, Links, link
from scanner.cluster.objects import PodObject, ServiceObject
from scanner.cluster.owners import owner_of
from scanner.cluster.promises import Promise, promises
from scanner.cluster.proxy import Door
from scanner.cluster.routing import Gateway
from scanner.cluster.standing import Judge, ghost
from scanner.cluster.workloads import Running, image_behind
from scanner.cluster.world import World


@dataclass(frozen=True)
class Said:
    """One fact about a listener (an address and port), with its evidence."""

    address: str
    port: int
    fact: Fact
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Sighting:
    """One port of one workload, and all that the cluster says of it.

    ``doors`` are where it can be asked through the API server's proxy, the best first. ``ready`` is False
    where no pod would answer.
    """

    workload: Workload
    port: int
    candidate: Candidate
    declared: Declared
    said: tuple[Said, ...]
    first: PodObject | None = None
    doors: tuple[Door, ...] = ()
    ready: bool = False

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.workload.uid, self.port


class Survey:
    """The sightings of a cluster at a moment. ``answered`` are ports whose own addresses answered here."""

    def __init__(self, world: World, now: datetime, answered: Iterable[Key] = ()) -> None:
        self._links = link(world, now)
        self._now = now
        self._judge = Judge(self._links, now, answered)
        self._gateways = {(one.meta.namespace, one.meta.name): one for one in world.all(Gateway)}
        self._namespaces = {one.meta.name: one for one in world.plain("Namespace")}
        self._alone = _listeners_of_services(self._links)

    def sightings(self) -> list[Sighting]:
        """Every port of every workload, and every ghost."""
        found = [
            self._sighting(one, port)
            for one in self._links.workloads
            for port in sorted(self._links.ports[one.workload.uid])
        ]
        return [*found, *self._ghosts()]

    def promises(self) -> list[Promise]:
        """Everything that is supposed to run."""
        return promises(self._links)

    def _sighting(self, one: Running, port: int) -> Sighting:
        candidate = weigh(one, port)
        declared = self._judge.judge(one, port)
        first = one.first
        at = first.address
        said = [Said(pod.address, port, self._placed(one, port, pod)) for pod in one.pods]
        said += self._services(one, port)
        said.append(Said(at, port, Reached(exposures=self._exposures(one, port))))
        said.append(Said(at, port, declared))
        owned = owner_of(one, self._namespaces.get(one.workload.namespace))
        if owned is not None:
            said.append(Said(at, port, owned[0], owned[1]))
        if candidate.is_likely:
            said.append(Said(at, port, _supposed(candidate), candidate.evidence))
        return Sighting(
            one.workload, port, candidate, declared, tuple(said), first, tuple(self._doors(one, port)), ready=one.ready
        )

    def _placed(self, one: Running, port: int, pod: PodObject) -> Placed:
        since = min(pod.started_at or pod.meta.created_at or self._now, self._now)
        return Placed(
            workload=one.workload,
            port=port,
            pod=pod.meta.name,
            holder=pod.meta.uid,
            since=since,
            image=image_behind(pod, port),
        )

    def _services(self, one: Running, port: int) -> Iterator[Said]:
        """The listeners of Services that lead to this workload alone: whoever is met there, it is this one."""
        for address, number, service in self._alone[one.workload.uid, port]:
            since = min(service.meta.created_at or self._now, self._now)
            yield Said(address, number, Placed(workload=one.workload, port=port, holder=service.meta.uid, since=since))

    def _exposures(self, one: Running, port: int) -> tuple[Exposure, ...]:
        return tuple(exposures(one, port, self._links, self._gateways))

    def _doors(self, one: Running, port: int) -> Iterator[Door]:
        """The Service that leads to this port alone, and the pod that speaks for the others.

        A Service needs the lesser permission, so it comes first. But the proxy knows a Service's addresses from
        its Endpoints, which one without a selector may not have: there the pod itself is surer.
        """
        alone = [
            (service, Door(service.meta.namespace, service.meta.name, part.name or str(part.port)))
            for service, part in self._links.services.get((one.workload.uid, port), [])
            if self._links.leads_alone(service, part)
        ]
        yield from [door for service, door in alone if service.selector][:1]
        yield Door(one.workload.namespace, one.first.meta.name, str(port), "pods")
        yield from [door for service, door in alone if not service.selector][:1]

    def _ghosts(self) -> Iterator[Sighting]:
        seen: set[tuple[str, int]] = set()
        for one in self._links.dangling:
            thing = one.service or one.declared
            key = (thing.meta.uid, one.port)
            if key in seen:
                continue
            seen.add(key)
            workload = self._declaring(one)
            place = Placed(workload=workload, port=one.port, holder=thing.meta.uid, since=self._now)
            declared = ghost(one)
            said = (Said(one.address, one.port, place), Said(one.address, one.port, declared))
            yield Sighting(workload, one.port, Candidate(0.0, ()), declared, said)

    def _declaring(self, one: Dangling) -> Workload:
        thing = one.service or one.declared
        kind = "Service" if one.service else one.declared.kind
        cluster = self._links.world.cluster
        return Workload(
            cluster=cluster, namespace=thing.meta.namespace, kind=kind, name=thing.meta.name, uid=thing.meta.uid
        )


def _listeners_of_services(links: Links) -> dict[Key, list[tuple[str, int, ServiceObject]]]:
    """Addresses and ports of Services that lead to one port of one workload only, by what they lead to."""
    found: dict[tuple[str, int], tuple[Key, ServiceObject] | None] = {}
    hosts = {one.workload.uid: sorted({pod.host for pod in one.pods if pod.host}) for one in links.workloads}
    for key, pairs in links.services.items():
        for service, port in pairs:
            alone = links.leads_alone(service, port)
            places = [(address, port.port) for address in (service.address, *service.outside) if _is_address(address)]
            places += [(host, port.node_port) for host in hosts[key[0]] if port.node_port is not None]
            for place in places:
                found[place] = (key, service) if alone and place not in found else None
    by_key: dict[Key, list[tuple[str, int, ServiceObject]]] = defaultdict(list)
    for (address, number), what in sorted(found.items(), key=lambda item: item[0]):
        if what is not None:
            by_key[what[0]].append((address, number, what[1]))
    return by_key


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _supposed(candidate: Candidate) -> Identified:
    """What the specification alone lets suppose. It never stands against an answer on the wire."""
    kind = candidate.kind or Kind.MODEL_ENDPOINT
    return Identified(
        kind=kind,
        product=candidate.product,
        is_model_endpoint=kind is Kind.MODEL_ENDPOINT,
        confidence=round(candidate.probability, 3),
        conclusive=False,
    )


def listener_of(said: Said, site: str) -> Listener:
    """The listener that a fact is about, in a site."""
    return Listener(site=site, address=said.address, port=said.port)
