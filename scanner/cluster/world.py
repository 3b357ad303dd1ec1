"""Everything that is known of one cluster at one moment, and how events change it. Pure but for itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from scanner.cluster.objects import (
    Json,
    PlainObject,
    PodObject,
    ServiceObject,
    SliceObject,
    read_meta,
    read_pod,
    read_service,
    read_slice,
)
from scanner.cluster.platforms import reader_of
from scanner.cluster.resources import OWNER_KINDS, PODS, Hole, Resource
from scanner.cluster.routing import (
    Gateway,
    Grant,
    Policy,
    Pool,
    Route,
    read_gateway,
    read_gateway_route,
    read_grant,
    read_ingress,
    read_policy,
    read_pool,
    read_virtual_service,
)

Thing = PodObject | ServiceObject | SliceObject | PlainObject | Gateway | Route | Pool | Policy | Grant
T = TypeVar("T", bound=Thing)

PLATFORMS = ("InferenceService", "Model", "SeldonDeployment", "Notebook")
"""Kinds that declare models or notebooks, and have pods run for them."""

_READERS: dict[str, Callable[[Json], Thing]] = {
    "Pod": read_pod,
    "Service": read_service,
    "EndpointSlice": read_slice,
    "Gateway": read_gateway,
    "HTTPRoute": lambda item: read_gateway_route(item, "HTTPRoute"),
    "GRPCRoute": lambda item: read_gateway_route(item, "GRPCRoute"),
    "ReferenceGrant": read_grant,
    "Ingress": read_ingress,
    "VirtualService": read_virtual_service,
    "InferencePool": read_pool,
    "NetworkPolicy": read_policy,
    **{kind: reader_of(kind) for kind in PLATFORMS},
}


def read(resource: Resource, item: Json) -> Thing:
    """What is kept of an object of the resource. ValueError where it is none."""
    reader = _READERS.get(resource.kind)
    return reader(item) if reader is not None else PlainObject(read_meta(item), resource.kind)


@dataclass
class World:
    """One cluster. ``cluster`` is the UID of kube-system, or what stands for it.

    ``things`` are by resource and UID. ``namespaces`` are those that are looked at; with ``any_namespace``
    that is every one in which something is. ``holes`` is what was not read of them, ``absent`` the
    resources that the cluster does not serve; ``unreadable`` counts objects that made no sense.
    """

    cluster: str
    any_namespace: bool = True
    namespaces: set[str] = field(default_factory=set)
    things: dict[Resource, dict[str, Thing]] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    absent: set[Resource] = field(default_factory=set)
    unreadable: int = 0

    def read(self, resource: Resource, item: Json) -> Thing | None:
        """What is kept of an object. None where it makes no sense or is in no namespace that is looked at."""
        try:
            thing = read(resource, item)
        except (ValueError, TypeError, AttributeError, KeyError):
            # A broken or hostile server may send anything: one object less is better than none.
            self.unreadable += 1
            return None
        return thing if self._is_looked_at(resource, thing) else None

    def _is_looked_at(self, resource: Resource, thing: Thing) -> bool:
        if not resource.namespaced or resource.leads or self.any_namespace:
            return True
        return thing.meta.namespace in self.namespaces

    def put(self, resource: Resource, item: Json) -> Thing | None:
        """Take in an object that is new or changed. What is kept of it."""
        thing = self.read(resource, item)
        if thing is not None:
            self._keep(resource, thing)
        return thing

    def _keep(self, resource: Resource, thing: Thing) -> None:
        if self.any_namespace and resource.namespaced:
            self.namespaces.add(thing.meta.namespace)
        self.things.setdefault(resource, {})[thing.meta.uid] = thing

    def snapshot(self) -> "World":
        """The same at this moment: later changes do not show in it."""
        return World(
            self.cluster,
            self.any_namespace,
            set(self.namespaces),
            {resource: dict(known) for resource, known in self.things.items()},
            list(self.holes),
            set(self.absent),
            self.unreadable,
        )

    def drop(self, resource: Resource, uid: str) -> Thing | None:
        """Forget an object that was deleted. What it was."""
        return self.things.get(resource, {}).pop(uid, None)

    def install(self, resource: Resource, namespace: str | None, things: Iterable[Thing]) -> None:
        """Take in a whole list: what is not in it any more is gone."""
        known = self.things.setdefault(resource, {})
        for uid in [uid for uid, one in known.items() if namespace is None or one.meta.namespace == namespace]:
            del known[uid]
        for thing in things:
            self._keep(resource, thing)

    def forget(self, namespace: str) -> None:
        """Forget a namespace that is no more, with what was in it and what was not read of it."""
        self.namespaces.discard(namespace)
        self.holes = [hole for hole in self.holes if hole.namespace != namespace]
        for known in self.things.values():
            for uid in [uid for uid, one in known.items() if one.meta.namespace == namespace]:
                del known[uid]

    def all(self, kind: type[T]) -> list[T]:
        """Every object of a kind of value."""
        return [one for things in self.things.values() for one in things.values() if isinstance(one, kind)]

    def plain(self, *kinds: str) -> list[PlainObject]:
        """Every object of some kinds of which only metadata is kept."""
        return [one for one in self.all(PlainObject) if one.kind in kinds]

    def is_hole(self, resource: Resource, namespace: str) -> bool:
        """Whether the resource was not read in the namespace."""
        return any(hole.resource == resource and hole.namespace in {None, namespace} for hole in self.holes)

    def holes_that_lead(self, namespace: str) -> list[Hole]:
        """What was not read that may lead to a workload of the namespace.

        Routes of other namespaces may lead here too, but for Ingresses and what platforms declare.
        """
        at_home = {"Ingress", "InferencePool", *PLATFORMS}
        return [
            hole
            for hole in self.holes
            if hole.resource.leads and (hole.namespace in {None, namespace} or hole.resource.kind not in at_home)
        ]

    @property
    def read_namespaces(self) -> set[str]:
        """The namespaces whose pods were read to the end: only of them it is known what does not run."""
        return {name for name in self.namespaces if not self.is_hole(PODS, name)}

    def owners(self) -> dict[str, PlainObject]:
        """What keeps pods running, and what declares models, by UID."""
        return {one.meta.uid: one for one in self.plain(*OWNER_KINDS, *PLATFORMS)}
