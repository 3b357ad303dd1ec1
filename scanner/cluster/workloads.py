"""Which workload each pod belongs to, and on which ports it may listen. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory.model import Workload
from scanner.cluster.objects import Container, Meta, PlainObject, PodObject, Reference
from scanner.cluster.resources import BY_KIND, OWNER_KINDS
from scanner.cluster.signs import SIDECARS
from scanner.cluster.world import PLATFORMS, World

SETTLED = timedelta(minutes=1)
"""The age from which an owner that cannot be found is no more, rather than not known yet."""

_LONGEST_CHAIN = 8


@dataclass(frozen=True, slots=True)
class Running:
    """A workload and its pods that may listen. ``ports`` says of each how it is known.

    ``meta`` is of the workload where that was read, else of its first pod. ``gone`` is an owner that is
    named and is no more, ``declares`` the object of a platform that owns the workload.
    """

    workload: Workload
    meta: Meta
    pods: tuple[PodObject, ...]
    ports: Mapping[int, str]
    gone: Reference | None = None
    declares: PlainObject | None = None

    @property
    def first(self) -> PodObject:
        """The pod that speaks for the others: a ready one where there is one."""
        return min(self.pods, key=lambda pod: (not pod.ready, pod.meta.name))

    @property
    def ready(self) -> bool:
        """Whether any pod is ready."""
        return any(pod.ready for pod in self.pods)


def running(world: World, now: datetime) -> list[Running]:
    """The workloads that have pods with an address, by namespace, kind and name."""
    owners = world.owners()
    grouped: dict[str, list[PodObject]] = defaultdict(list)
    tops: dict[str, tuple[Workload, Meta, Reference | None, PlainObject | None]] = {}
    for pod in world.all(PodObject):
        if pod.runs:
            top = _top(pod, owners, world, now)
            tops.setdefault(top[0].uid, top)
            grouped[top[0].uid].append(pod)
    found = []
    for uid, pods in grouped.items():
        workload, meta, gone, declares = tops[uid]
        pods.sort(key=lambda pod: pod.meta.name)
        found.append(Running(workload, meta, tuple(pods), _ports(pods), gone, declares))
    return sorted(found, key=lambda one: (one.workload.namespace, one.workload.kind, one.workload.name))


def own_containers(pod: PodObject) -> Iterator[Container]:
    """The containers of a pod without those of meshes and proxies; all of them where nothing else is there."""
    own = [one for one in pod.containers if not SIDECARS.search(one.image.lower())]
    yield from own or pod.containers


def _top(
    pod: PodObject, owners: Mapping[str, PlainObject], world: World, now: datetime
) -> tuple[Workload, Meta, Reference | None, PlainObject | None]:
    """The last owner that keeps pods running, the one that is missing above it, and the platform's object above it."""
    meta, kind = pod.meta, "Pod"
    for _ in range(_LONGEST_CHAIN):
        reference = next((one for one in meta.owners if one.controller), None)
        if reference is None:
            return _workload(world, kind, meta), meta, None, None
        owner = owners.get(reference.uid)
        if owner is None:
            if _was_read(reference.kind, meta.namespace, world) and not _is_new(meta, now):
                return _workload(world, kind, meta), meta, reference, None
            if kind == "Pod":
                # A controller of a kind that is not read: its pods have its name and UID in common all the same.
                named = Meta(meta.namespace, reference.name, reference.uid, meta.labels, meta.annotations)
                return _workload(world, reference.kind, named), named, None, None
            return _workload(world, kind, meta), meta, None, None
        if owner.kind in PLATFORMS:
            return _workload(world, kind, meta), meta, None, owner
        meta, kind = owner.meta, owner.kind
    return _workload(world, kind, meta), meta, None, None


def _is_new(meta: Meta, now: datetime) -> bool:
    """Whether its owner may only not have been heard of yet: watches of two kinds have no order between them."""
    return meta.created_at is not None and now - meta.created_at < SETTLED


def _was_read(kind: str, namespace: str, world: World) -> bool:
    """Whether an owner of the kind would be known if it were there."""
    resource = BY_KIND.get(kind)
    known = kind in OWNER_KINDS or kind in PLATFORMS
    return known and resource is not None and not world.is_hole(resource, namespace)


def _workload(world: World, kind: str, meta: Meta) -> Workload:
    return Workload(cluster=world.cluster, namespace=meta.namespace, kind=kind, name=meta.name, uid=meta.uid)


def _ports(pods: Iterable[PodObject]) -> dict[int, str]:
    """The ports that the pods' own specifications tell of, with the surest word for each."""
    found: dict[int, str] = {}
    for pod in pods:
        for container in own_containers(pod):
            for name, number in container.ports:
                found.setdefault(number, f"container {container.name} declares it" + (f" as {name}" if name else ""))
            for _, port in container.probes:
                asked = port_number(pod, port)
                if asked is not None:
                    found.setdefault(asked, f"a probe of container {container.name} asks it")
            for shown in container.shown:
                if shown.port is not None:
                    found.setdefault(shown.port, f"the command line of container {container.name} names it")
    return found


def image_behind(pod: PodObject, port: int) -> str | None:
    """The image of the container that declares a port, or of the only one there is; None where that is unclear."""
    own = list(own_containers(pod))
    declaring = [one for one in own if any(number == port for _, number in one.ports)] or own
    return declaring[0].image or None if len(declaring) == 1 else None


def port_number(pod: PodObject, port: int | str | None) -> int | None:
    """The number of a pod's port that is given by number or name."""
    if isinstance(port, int):
        return port
    return next((number for one in pod.containers for name, number in one.ports if name and name == port), None)
