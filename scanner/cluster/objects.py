"""What is kept of an API server's objects: small values, without secrets. Pure.

Values of environment variables are never looked at, command lines are reduced to what they show
(``scanner.cluster.signs``), annotations to the few that say something. A field of another type than
the API's is as if it were absent: the server may be broken or hostile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scanner.cluster.signs import Shown, shown_by_command
from scanner.exchange import clean

Json = Mapping[str, Any]
_MOST = 4096
_LONGEST = 253
_SAYING = (
    "owner", "team", "contact", "maintainer", "email", "slack", "meta.helm.sh/", "argocd.argoproj.io/",
    "serving.kserve.io/", "seldon", "notebooks.kubeflow.org/", "prometheus.io/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reference:
    """An owner reference."""

    kind: str
    name: str
    uid: str
    controller: bool


@dataclass(frozen=True, slots=True)
class Meta:
    """What every object says of itself. ``deleted_at`` is when it was marked for deletion."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[Reference, ...] = ()
    created_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """One container: ``ports`` as (name, number), ``probes`` as (path, port), names of its environment."""

    name: str
    image: str
    ports: tuple[tuple[str, int], ...] = ()
    shown: tuple[Shown, ...] = ()
    environment: tuple[str, ...] = ()
    probes: tuple[tuple[str, int | str], ...] = ()


@dataclass(frozen=True, slots=True)
class PodObject:
    """A pod. ``address`` is empty until it has one; ``host`` is the address of its node."""

    meta: Meta
    address: str = ""
    host: str = ""
    phase: str = ""
    ready: bool = False
    started_at: datetime | None = None
    containers: tuple[Container, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether something may listen there: it has an address, and has not ended."""
        return bool(self.address) and self.phase not in {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service: ``target`` is a number or the name of a container's port."""

    name: str
    port: int
    target: int | str
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceObject:
    """A Service. ``outside`` are the addresses and names of its load balancer."""

    meta: Meta
    selector: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    ports: tuple[ServicePort, ...] = ()
    outside: tuple[str, ...] = ()
    type_: str = "ClusterIP"


@dataclass(frozen=True, slots=True)
class SliceObject:
    """An EndpointSlice: the Service it is of, and the UIDs and addresses behind it."""

    meta: Meta
    service: str
    pods: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlainObject:
    """Any other object, of which its metadata is enough. ``kind`` is its kind."""

    meta: Meta
    kind: str


def text(value: Any) -> str:
    """A short string, cleaned for a terminal; empty for anything else."""
    return clean(value, _LONGEST) if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """A port number; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535 else None


def table(value: Any) -> Json:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> Iterator[Json]:
    """The objects in a list."""
    yield from (one for one in value[:_MOST] if isinstance(one, dict)) if isinstance(value, list) else ()


def words(value: Any) -> Mapping[str, str]:
    """A mapping of strings, such as labels."""
    return {text(k): text(v) for k, v in list(table(value).items())[:_MOST] if isinstance(v, str)}


def moment(value: Any) -> datetime | None:
    """A moment as the API writes it."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def read_meta(item: Json) -> Meta:
    """The metadata of an object. ValueError where it has neither name nor UID."""
    said = table(item.get("metadata"))
    name, uid = text(said.get("name")), text(said.get("uid"))
    if not name or not uid:
        raise ValueError("an object without a name or a UID")
    notes = words(said.get("annotations"))
    return Meta(
        namespace=text(said.get("namespace")),
        name=name,
        uid=uid,
        labels=words(said.get("labels")),
        annotations={k: v for k, v in notes.items() if any(part in k.lower() for part in _SAYING)},
        owners=tuple(
            Reference(text(one.get("kind")), text(one.get("name")), text(one.get("uid")), one.get("controller") is True)
            for one in rows(said.get("ownerReferences"))
        ),
        created_at=moment(said.get("creationTimestamp")),
        deleted_at=moment(said.get("deletionTimestamp")),
    )


def read_pod(item: Json) -> PodObject:
    """A pod. ValueError for an object that is none."""
    spec, status = table(item.get("spec")), table(item.get("status"))
    conditions = {text(one.get("type")): one.get("status") for one in rows(status.get("conditions"))}
    # Sidecars that are init containers which go on running listen like any other container.
    lasting = (one for one in rows(spec.get("initContainers")) if one.get("restartPolicy") == "Always")
    return PodObject(
        meta=read_meta(item),
        address=text(status.get("podIP")),
        host=text(status.get("hostIP")),
        phase=text(status.get("phase")),
        ready=conditions.get("Ready") == "True",
        started_at=moment(status.get("startTime")),
        containers=tuple(_container(one) for one in (*rows(spec.get("containers")), *lasting)),
    )


def _container(item: Json) -> Container:
    ports = tuple(
        (text(one.get("name")), number)
        for one in rows(item.get("ports"))
        if (number := whole(one.get("containerPort"))) and one.get("protocol", "TCP") == "TCP"
    )
    command = [part for key in ("command", "args") if isinstance(item.get(key), list) for part in item[key]]
    return Container(
        name=text(item.get("name")),
        image=text(item.get("image")),
        ports=ports,
        shown=shown_by_command(part for part in command[:_MOST] if isinstance(part, str)),
        environment=tuple(text(one.get("name")) for one in rows(item.get("env"))),
        probes=tuple(_probes(item)),
    )


def _probes(item: Json) -> Iterator[tuple[str, int | str]]:
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        asked = table(table(item.get(name)).get("httpGet"))
        port = whole(asked.get("port")) or text(asked.get("port"))
        if port:
            yield text(asked.get("path")) or "/", port


def read_service(item: Json) -> ServiceObject:
    """A Service. ValueError for an object that is none."""
    spec = table(item.get("spec"))
    balancer = table(table(item.get("status")).get("loadBalancer"))
    address = text(spec.get("clusterIP"))
    return ServiceObject(
        meta=read_meta(item),
        selector=words(spec.get("selector")),
        address="" if address == "None" else address,
        ports=tuple(_service_ports(spec)),
        outside=tuple(
            filter(None, (text(one.get("ip")) or text(one.get("hostname")) for one in rows(balancer.get("ingress"))))
        ),
        type_=text(spec.get("type")) or "ClusterIP",
    )


def _service_ports(spec: Json) -> Iterator[ServicePort]:
    for one in rows(spec.get("ports")):
        port = whole(one.get("port"))
        if port and one.get("protocol", "TCP") == "TCP":
            target = whole(one.get("targetPort")) or text(one.get("targetPort")) or port
            yield ServicePort(text(one.get("name")), port, target, whole(one.get("nodePort")))


def read_slice(item: Json) -> SliceObject:
    """An EndpointSlice. ValueError for an object that is none."""
    meta = read_meta(item)
    found = list(rows(item.get("endpoints")))
    addresses = (one for entry in found for one in entry.get("addresses") or () if isinstance(one, str))
    return SliceObject(
        meta=meta,
        service=meta.labels.get("kubernetes.io/service-name", ""),
        pods=frozenset(filter(None, (text(table(entry.get("targetRef")).get("uid")) for entry in found))),
        addresses=frozenset(addresses),
    )
