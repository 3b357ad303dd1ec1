"""What is kept of the objects that lead requests somewhere: gateways, routes, pools, policies. Pure.

Every kind of route becomes the same value, a ``Route``: from gateways and hosts to backends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scanner.cluster.objects import Json, Meta, read_meta, rows, table, text, whole, words

_LOCAL = (".svc.cluster.local", ".svc")


@dataclass(frozen=True, slots=True)
class Target:
    """What a route leads to. ``port`` None: whatever port that has."""

    kind: str
    namespace: str
    name: str
    port: int | str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for ``hosts`` and ``paths`` that go to ``backends``.

    ``gateways`` are (kind, namespace, name) of what serves it. ``refused`` says in words why no gateway
    serves it as it is; empty where one does, or none said anything.
    """

    meta: Meta
    kind: str
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    tls: bool = False
    gateways: tuple[tuple[str, str, str], ...] = ()
    backends: tuple[Target, ...] = ()
    outside: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway: ``listeners`` as (host, port, whether by TLS), the addresses that it was given."""

    meta: Meta
    listeners: tuple[tuple[str, int, bool], ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A ReferenceGrant: who may refer to what in its own namespace.

    ``sources`` are (kind, namespace), ``targets`` (kind, name), where an empty name is every one.
    """

    meta: Meta
    sources: frozenset[tuple[str, str]] = frozenset()
    targets: frozenset[tuple[str, str]] = frozenset()

    def allows(self, route: Route, target: Target) -> bool:
        """Whether it lets a route refer to a target in another namespace."""
        return (
            target.namespace == self.meta.namespace
            and (route.kind, route.meta.namespace) in self.sources
            and bool({(target.kind, ""), (target.kind, target.name)} & self.targets)
        )


@dataclass(frozen=True, slots=True)
class Pool:
    """An InferencePool: the pods that it selects, and their ports."""

    meta: Meta
    selector: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector. It matches nothing where it holds a requirement that cannot be read."""

    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[tuple[str, str, frozenset[str]], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return not self.labels and not self.expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is selected."""
        if any(labels.get(key) != value for key, value in self.labels.items()):
            return False
        return all(_holds(labels.get(key), operator, values) for key, operator, values in self.expressions)


def _holds(value: str | None, operator: str, values: frozenset[str]) -> bool:
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    return operator == "DoesNotExist" and value is None


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is let in: selected pods of selected namespaces, or a block of addresses. None: of any."""

    pods: Selector | None = None
    namespaces: Selector | None = None
    block: str | None = None


@dataclass(frozen=True, slots=True)
class Ingress:
    """One rule of a policy. No ports: every port. ``peers`` None: everybody."""

    ports: tuple[tuple[int | str, int | None], ...] = ()
    peers: tuple[Peer, ...] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy, as far as it is about what comes in."""

    meta: Meta
    pods: Selector
    incoming: bool
    rules: tuple[Ingress, ...] = ()


def read_selector(value: Any) -> Selector:
    """A label selector as the API writes it."""
    said = table(value)
    expressions = tuple(
        (text(one.get("key")), text(one.get("operator")), frozenset(text(v) for v in one.get("values") or ()))
        for one in rows(said.get("matchExpressions"))
    )
    return Selector(words(said.get("matchLabels")), expressions)


def read_gateway(item: Json) -> Gateway:
    """A Gateway. ValueError for an object that is none."""
    listeners = tuple(
        (text(one.get("hostname")), whole(one.get("port")) or 80, text(one.get("protocol")) in {"HTTPS", "TLS"})
        for one in rows(table(item.get("spec")).get("listeners"))
    )
    given = rows(table(item.get("status")).get("addresses"))
    return Gateway(read_meta(item), listeners, tuple(filter(None, (text(one.get("value")) for one in given))))


def read_gateway_route(item: Json, kind: str) -> Route:
    """An HTTPRoute or GRPCRoute. ValueError for an object that is none."""
    meta, spec = read_meta(item), table(item.get("spec"))
    rules = list(rows(spec.get("rules")))
    matches = [match for rule in rules for match in rows(rule.get("matches"))]
    return Route(
        meta=meta,
        kind=kind,
        hosts=_texts(spec.get("hostnames")),
        paths=_unique(text(table(match.get("path")).get("value")) for match in matches),
        gateways=tuple(
            (text(one.get("kind")) or "Gateway", text(one.get("namespace")) or meta.namespace, text(one.get("name")))
            for one in rows(spec.get("parentRefs"))
        ),
        backends=tuple(target for rule in rules for target in _backend_refs(rule, meta.namespace)),
        refused=_refused(item),
    )


def read_grant(item: Json) -> Grant:
    """A ReferenceGrant. ValueError for an object that is none."""
    spec = table(item.get("spec"))
    return Grant(
        read_meta(item),
        frozenset((text(one.get("kind")), text(one.get("namespace"))) for one in rows(spec.get("from"))),
        frozenset((text(one.get("kind")), text(one.get("name"))) for one in rows(spec.get("to"))),
    )


def _backend_refs(rule: Json, namespace: str) -> Iterator[Target]:
    """Where a rule leads. A backend of weight 0 gets no request, and a mirror's answers reach nobody."""
    for one in rows(rule.get("backendRefs")):
        if one.get("weight", 1) != 0:
            kind, where = text(one.get("kind")) or "Service", text(one.get("namespace")) or namespace
            yield Target(kind, where, text(one.get("name")), whole(one.get("port")))


def _refused(item: Json) -> str:
    """Why every gateway that said something refuses the route, or cannot find its backends."""
    reasons = []
    for parent in rows(table(item.get("status")).get("parents")):
        bad = [
            text(one.get("reason")) or text(one.get("type"))
            for one in rows(parent.get("conditions"))
            if one.get("type") in {"Accepted", "ResolvedRefs"} and one.get("status") == "False"
        ]
        if not bad:
            return ""
        reasons += bad
    return ", ".join(dict.fromkeys(reasons))


def read_ingress(item: Json) -> Route:
    """An Ingress. ValueError for an object that is none."""
    meta, spec = read_meta(item), table(item.get("spec"))
    rules = list(rows(spec.get("rules")))
    paths = [path for rule in rules for path in rows(table(rule.get("http")).get("paths"))]
    backends = [*(path.get("backend") for path in paths), spec.get("defaultBackend")]
    balancer = table(table(item.get("status")).get("loadBalancer"))
    return Route(
        meta=meta,
        kind="Ingress",
        hosts=_unique(text(rule.get("host")) for rule in rules),
        paths=_unique(text(path.get("path")) for path in paths),
        tls=bool(spec.get("tls")),
        gateways=(("IngressClass", "", text(spec.get("ingressClassName")) or "default"),),
        backends=tuple(target for one in backends for target in _ingress_backend(table(one), meta.namespace)),
        outside=_unique(text(one.get("ip")) or text(one.get("hostname")) for one in rows(balancer.get("ingress"))),
    )


def _ingress_backend(backend: Json, namespace: str) -> Iterator[Target]:
    service = table(backend.get("service"))
    port = table(service.get("port"))
    if name := text(service.get("name")):
        yield Target("Service", namespace, name, whole(port.get("number")) or text(port.get("name")) or None)


def read_virtual_service(item: Json) -> Route:
    """An Istio VirtualService. ValueError for an object that is none."""
    meta, spec = read_meta(item), table(item.get("spec"))
    rules = [rule for key in ("http", "tls", "tcp") for rule in rows(spec.get(key))]
    matches = [match for rule in rules for match in rows(rule.get("match"))]
    prefixes = (text(value) for match in matches for value in table(match.get("uri")).values())
    return Route(
        meta=meta,
        kind="VirtualService",
        hosts=tuple(host for host in _texts(spec.get("hosts")) if "." in host),
        paths=_unique(prefixes),
        gateways=tuple(_istio_gateway(name, meta.namespace) for name in _texts(spec.get("gateways")) or ("mesh",)),
        backends=tuple(
            target
            for rule in rules
            for way in rows(rule.get("route"))
            if way.get("weight", 100) != 0
            for target in _destination(table(way.get("destination")), meta.namespace)
        ),
    )


def _istio_gateway(name: str, namespace: str) -> tuple[str, str, str]:
    where, slash, rest = name.partition("/")
    if name == "mesh":
        return "Mesh", "", "mesh"
    return ("Istio Gateway", where, rest) if slash else ("Istio Gateway", namespace, name)


def _destination(destination: Json, namespace: str) -> Iterator[Target]:
    host = text(destination.get("host"))
    for ending in _LOCAL:
        host = host.removesuffix(ending)
    name, _, where = host.partition(".")
    if name and "." not in where:
        yield Target("Service", where or namespace, name, whole(table(destination.get("port")).get("number")))


def read_pool(item: Json) -> Pool:
    """An InferencePool, of either group. ValueError for an object that is none."""
    spec = table(item.get("spec"))
    selector = table(spec.get("selector"))
    ports = [whole(one.get("number")) for one in rows(spec.get("targetPorts"))] + [whole(spec.get("targetPortNumber"))]
    labels = words(selector.get("matchLabels")) if "matchLabels" in selector else words(selector)
    return Pool(read_meta(item), labels, tuple(port for port in ports if port))


def read_policy(item: Json) -> Policy:
    """A NetworkPolicy. ValueError for an object that is none."""
    spec = table(item.get("spec"))
    types = spec.get("policyTypes")
    return Policy(
        meta=read_meta(item),
        pods=read_selector(spec.get("podSelector")),
        incoming="Ingress" in types if isinstance(types, list) else True,
        rules=tuple(_rule(one) for one in rows(spec.get("ingress"))),
    )


def _rule(rule: Json) -> Ingress:
    ports = tuple(
        (whole(one.get("port")) or text(one.get("port")), whole(one.get("endPort")))
        for one in rows(rule.get("ports"))
        if one.get("protocol", "TCP") == "TCP"
    )
    if rule.get("ports") and not ports:
        # Only other protocols: it lets nobody in by TCP.
        return Ingress(peers=())
    peers = tuple(_peer(one) for one in rows(rule.get("from"))) if rule.get("from") else None
    return Ingress(tuple((port, end) for port, end in ports if port), peers)


def _peer(peer: Json) -> Peer:
    return Peer(
        pods=read_selector(peer["podSelector"]) if "podSelector" in peer else None,
        namespaces=read_selector(peer["namespaceSelector"]) if "namespaceSelector" in peer else None,
        block=text(table(peer.get("ipBlock")).get("cidr")) or None,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return _unique(text(one) for one in value[:256]) if isinstance(value, list) else ()


def _unique(found: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in found if one))
