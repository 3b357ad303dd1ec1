"""Who leads to whom in a cluster: Services to pods, routes to Services, platforms to what runs for them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from inventory.model import Hop
from scanner.cluster.objects import PlainObject, PodObject, ServiceObject, ServicePort, SliceObject
from scanner.cluster.resources import BY_KIND
from scanner.cluster.routing import Gateway, Grant, Pool, Route, Target
from scanner.cluster.workloads import Running, port_number, running
from scanner.cluster.world import PLATFORMS, World

Key = tuple[str, int]
"""A port of a workload: the workload's UID, and the port's number."""

PLATFORM_LABELS = {
    "InferenceService": "serving.kserve.io/inferenceservice",
    "SeldonDeployment": "seldon-deployment-id",
    "Notebook": "notebook-name",
}


@dataclass(frozen=True, slots=True)
class Lead:
    """One way in which something managed leads to a port of a workload: what it is, and the path to there."""

    by: str
    path: tuple[Hop, ...]
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Dangling:
    """Something declared that leads to nothing that runs. ``address`` is a cluster address or a name."""

    declared: Route | PlainObject
    namespace: str
    address: str
    port: int
    why: str
    path: tuple[Hop, ...]
    service: ServiceObject | None = None


@dataclass
class Links:
    """The world with its joins made. Make it by ``link``.

    ``ungranted`` are routes of other namespaces that name a port and are not known to be let in. ``runs_for``
    has the UIDs of the workloads that run for a platform's object or a pool, by the UID of that.
    """

    world: World
    workloads: list[Running]
    services: dict[Key, list[tuple[ServiceObject, ServicePort]]] = field(default_factory=lambda: defaultdict(list))
    leads: dict[Key, list[Lead]] = field(default_factory=lambda: defaultdict(list))
    ungranted: dict[Key, list[Lead]] = field(default_factory=lambda: defaultdict(list))
    dangling: list[Dangling] = field(default_factory=list)
    of_service: dict[tuple[str, str, int], set[Key]] = field(default_factory=lambda: defaultdict(set))
    ports: dict[str, dict[int, str]] = field(default_factory=dict)
    declared: dict[tuple[str, str, str], PlainObject] = field(default_factory=dict)
    runs_for: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def leads_alone(self, service: ServiceObject, port: ServicePort) -> bool:
        """Whether a port of a Service leads to one port of one workload: who is met there can be nobody else."""
        return len(self.of_service[service.meta.namespace, service.meta.name, port.port]) == 1


def link(world: World, now: datetime) -> Links:
    """Join everything that is known of a cluster at a moment."""
    links = Links(world, running(world, now))
    pods = _PodIndex(links.workloads)
    for one in links.workloads:
        links.ports[one.workload.uid] = dict(one.ports)
    _link_services(links, pods)
    _link_routes(links, pods)
    _link_pools(links, pods)
    _link_platforms(links)
    return links


class _PodIndex:
    """Pods by their labels, so that a selector does not look at each."""

    def __init__(self, workloads: Iterable[Running]) -> None:
        self.owner: dict[str, Running] = {}
        self._pods: dict[str, PodObject] = {}
        self._by_label: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self.by_address: dict[str, str] = {}
        for one in workloads:
            for pod in one.pods:
                uid = pod.meta.uid
                self.owner[uid], self._pods[uid] = one, pod
                self.by_address[pod.address] = uid
                for key, value in pod.meta.labels.items():
                    self._by_label[pod.meta.namespace, key, value].add(uid)

    def selected(self, namespace: str, selector: Mapping[str, str]) -> list[PodObject]:
        """The pods of a namespace with all of some labels. An empty selector selects nothing, as in a Service."""
        sets = [self._by_label.get((namespace, key, value), set()) for key, value in selector.items()]
        if not sets:
            return []
        return [self._pods[uid] for uid in sorted(set.intersection(*sorted(sets, key=len)))]

    def known(self, uids: Iterable[str]) -> list[PodObject]:
        """Those of some pods that run."""
        return [self._pods[uid] for uid in sorted(set(uids)) if uid in self._pods]


def _link_services(links: Links, pods: _PodIndex) -> None:
    behind: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in links.world.all(SliceObject):
        found = one.pods | {uid for address in one.addresses if (uid := pods.by_address.get(address))}
        behind[one.meta.namespace, one.service] |= found
    for service in links.world.all(ServiceObject):
        meta = service.meta
        # Without a selector somebody else wrote the slices; with one, the pods themselves are surer.
        chosen = pods.selected(meta.namespace, service.selector) or pods.known(behind[meta.namespace, meta.name])
        for port in service.ports:
            for pod in chosen:
                number = port_number(pod, port.target)
                owner = pods.owner[pod.meta.uid]
                if number is None:
                    continue
                key = (owner.workload.uid, number)
                if key not in links.of_service[meta.namespace, meta.name, port.port]:
                    links.of_service[meta.namespace, meta.name, port.port].add(key)
                    links.services[key].append((service, port))
                    links.ports[key[0]].setdefault(number, f"Service {meta.name} leads to it")


def _link_routes(links: Links, pods: _PodIndex) -> None:
    services = {(one.meta.namespace, one.meta.name): one for one in links.world.all(ServiceObject)}
    pools = {(one.meta.namespace, one.meta.name): one for one in links.world.all(Pool)}
    gateways = {(one.meta.namespace, one.meta.name) for one in links.world.all(Gateway)}
    grants = links.world.all(Grant)
    for route in links.world.all(Route):
        if route.refused:
            continue
        before = _hops_to(route, gateways)
        for target in dict.fromkeys(route.backends):
            granted = not _needs_grant(route, target) or any(grant.allows(route, target) for grant in grants)
            leads = links.leads if granted else links.ungranted
            if target.kind == "InferencePool":
                _lead_to_pool(links, leads, pods, pools.get((target.namespace, target.name)), route, before)
            elif target.kind == "Service":
                service = services.get((target.namespace, target.name))
                _lead_to_service(links, leads, service, target, route, before)


def _needs_grant(route: Route, target: Target) -> bool:
    """Whether the namespace of a target has to let a route in: so it is with the routes of the Gateway API."""
    return route.kind in {"HTTPRoute", "GRPCRoute"} and target.namespace != route.meta.namespace


def _hops_to(route: Route, gateways: set[tuple[str, str]]) -> tuple[Hop, ...]:
    """From the route's gateways to the route itself."""
    hops = []
    for kind, namespace, name in route.gateways[:1]:
        there = kind != "Gateway" or (namespace, name) in gateways
        hops.append(Hop(kind=kind, namespace=namespace, name=name, leads="serves" if there else "is not known, serves"))
    leads = "routes " + ", ".join(route.hosts[:3] or ("any host",)) + " to"
    return (*hops, Hop(kind=route.kind, namespace=route.meta.namespace, name=route.meta.name, leads=leads))


def _lead_to_service(
    links: Links,
    found: dict[Key, list[Lead]],
    service: ServiceObject | None,
    target: Target,
    route: Route,
    before: tuple[Hop, ...],
) -> None:
    def path(leads: str) -> tuple[Hop, ...]:
        return (*before, Hop(kind="Service", namespace=target.namespace, name=target.name, leads=leads))

    if service is None:
        why = f"Service {target.namespace}/{target.name} does not exist"
        _dangle(links, route, target, why, path("does not exist"), None)
        return
    ports = [one for one in service.ports if target.port is None or target.port in {one.port, one.name}]
    keys = [key for port in ports for key in sorted(links.of_service[target.namespace, target.name, port.port])]
    for key in keys:
        found[key].append(Lead(f"{route.kind} {route.meta.namespace}/{route.meta.name}", path("selects"), route))
    if not keys:
        why = f"no pod runs behind Service {target.namespace}/{target.name}"
        _dangle(links, route, target, why, path("selects no pod that runs"), service)


def _dangle(
    links: Links, route: Route, target: Target, why: str, path: tuple[Hop, ...], service: ServiceObject | None
) -> None:
    """A route that leads nowhere, where that can be known."""
    if target.namespace not in links.world.read_namespaces:
        return
    if service is None and any(
        hole.resource.kind == "Service" and hole.namespace in {None, target.namespace} for hole in links.world.holes
    ):
        return
    external = service is not None and (service.type_ == "ExternalName" or not service.selector)
    if external:
        return
    port = target.port if isinstance(target.port, int) else next((p.port for p in service.ports), 80) if service else 80
    address = service.address if service and service.address else f"{target.name}.{target.namespace}.svc"
    links.dangling.append(Dangling(route, target.namespace, address, port, why, path, service))


def _lead_to_pool(
    links: Links,
    found: dict[Key, list[Lead]],
    pods: _PodIndex,
    pool: Pool | None,
    route: Route,
    before: tuple[Hop, ...],
) -> None:
    if pool is None:
        return
    hop = Hop(kind="InferencePool", namespace=pool.meta.namespace, name=pool.meta.name, leads="selects")
    seen: set[Key] = set()
    for pod in pods.selected(pool.meta.namespace, pool.selector):
        uid = pods.owner[pod.meta.uid].workload.uid
        for port in pool.ports:
            links.ports[uid].setdefault(port, f"InferencePool {pool.meta.name} leads to it")
            if (uid, port) not in seen:
                seen.add((uid, port))
                found[uid, port].append(
                    Lead(f"{route.kind} {route.meta.namespace}/{route.meta.name}", (*before, hop), route)
                )


def _link_pools(links: Links, pods: _PodIndex) -> None:
    for pool in links.world.all(Pool):
        for pod in pods.selected(pool.meta.namespace, pool.selector):
            links.runs_for[pool.meta.uid].add(pods.owner[pod.meta.uid].workload.uid)


def _link_platforms(links: Links) -> None:
    declared = links.world.plain(*PLATFORMS)
    links.declared = {(one.kind, one.meta.namespace, one.meta.name): one for one in declared}
    models = [one for one in declared if one.kind == "Model"]
    used: set[str] = set()
    for one in links.workloads:
        for thing, how in _declared_by(one, links.declared, models):
            used.add(thing.meta.uid)
            links.runs_for[thing.meta.uid].add(one.workload.uid)
            hop = Hop(kind=thing.kind, namespace=thing.meta.namespace, name=thing.meta.name, leads=how)
            lead = Lead(f"{thing.kind} {thing.meta.namespace}/{thing.meta.name}", (hop,))
            for port in links.ports[one.workload.uid]:
                links.leads[one.workload.uid, port].append(lead)
    for thing in declared:
        if thing.meta.uid not in used and thing.meta.namespace in links.world.read_namespaces:
            where = f"{thing.meta.name}.{thing.meta.namespace}.svc"
            hop = Hop(kind=thing.kind, namespace=thing.meta.namespace, name=thing.meta.name, leads="has no pod")
            why = f"{thing.kind} {thing.meta.namespace}/{thing.meta.name} is declared, and no pod runs for it"
            links.dangling.append(Dangling(thing, thing.meta.namespace, where, 80, why, (hop,)))


def _declared_by(
    one: Running, by_name: Mapping[tuple[str, str, str], PlainObject], models: list[PlainObject]
) -> Iterator[tuple[PlainObject, str]]:
    """The platforms' objects that a workload runs for, and how that is known."""
    found: dict[str, tuple[PlainObject, str]] = {}
    if one.declares is not None:
        found[one.declares.meta.uid] = (one.declares, "owns")
    labels = one.first.meta.labels
    for kind, label in PLATFORM_LABELS.items():
        thing = by_name.get((kind, one.workload.namespace, labels.get(label, "")))
        if thing is not None:
            found.setdefault(thing.meta.uid, (thing, "is named by the label of"))
    if "seldon-server-name" in labels:
        for model in models:
            if model.meta.namespace == one.workload.namespace:
                found.setdefault(model.meta.uid, (model, "is served by"))
    yield from found.values()


def missing_platform(one: Running, links: Links) -> str | None:
    """What a workload's labels say it runs for, where that can be read and is no more."""
    for kind, label in PLATFORM_LABELS.items():
        name = one.first.meta.labels.get(label)
        if name is None or (kind, one.workload.namespace, name) in links.declared:
            continue
        resource = BY_KIND[kind]
        if resource not in links.world.absent and not links.world.is_hole(resource, one.workload.namespace):
            return f"{kind} {one.workload.namespace}/{name}"
    return None
