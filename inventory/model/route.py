"""Routes: the desired state of a name on the gateway, and what gateways and shadows report of it."""

import re
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from inventory.model.base import Moment, Slug, Value
from inventory.model.governance import Access
from inventory.model.serving import HealthCheck, Lane, Override, Sticky


class _Parts(NamedTuple):
    host: str
    port: int
    path: str
    tls: bool


@lru_cache(4096)
def _parts(url: str) -> _Parts:
    """What a URL says. Each is asked for many times while its route is compared and compiled."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return _Parts(parts.hostname or "", parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls)


def _backend_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"a backend is an http or https URL with a host, not {url!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a backend URL holds no user, password, query or fragment")
    _ = parts.port
    return url.rstrip("/")


BackendUrl = Annotated[str, AfterValidator(_backend_url)]


def _server(text: str) -> str:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or not parts.port or parts.netloc != text or parts.username:
        raise ValueError(f"a further server is HOST:PORT, not {text!r}")
    return text


Server = Annotated[str, AfterValidator(_server)]


class Backend(Value):
    """Where a share of a route's requests goes. ``weight`` is in percent of the live requests.

    ``servers`` are further servers of the same application, beside that of the URL. ``protocol`` is what they speak:
    gRPC needs ``http2``. ``authority_file`` is a file with the certificates (PEM) that must vouch for a server of
    https; without one, any certificate will do, as it did before the gateway.
    """

    name: Slug
    url: BackendUrl
    weight: int = Field(default=0, ge=0, le=100)
    endpoint: str | None = None
    servers: tuple[Server, ...] = ()
    protocol: Literal["http1", "http2"] = "http1"
    authority_file: str | None = None

    @property
    def host(self) -> str:
        """The host of the backend, an address or a name."""
        return _parts(self.url).host

    @property
    def port(self) -> int:
        """The port of the backend, by its scheme where the URL names none."""
        return _parts(self.url).port

    @property
    def base_path(self) -> str:
        """The path prefix that the backend expects, without a slash at the end; may be empty."""
        return _parts(self.url).path

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Host and port of every server, that of the URL first."""
        return tuple(
            (one.host, one.port) for one in (_parts(self.url), *(_parts(f"//{name}") for name in self.servers))
        )

    @property
    def tls(self) -> bool:
        """Whether the backend is spoken to by TLS."""
        return _parts(self.url).tls


class Budget(Value):
    """How much may be copied to a shadow. None sets no limit.

    Copies beyond ``in_flight`` at once are dropped and counted. A shadow that gets more requests or bytes a
    second than it may is switched off.
    """

    requests_per_second: float | None = Field(default=None, gt=0.0)
    bytes_per_second: float | None = Field(default=None, gt=0.0)
    in_flight: int = Field(default=64, ge=1, le=10_000)


class Samples(Value):
    """Which requests of a route are kept with their answers, to be replayed against another candidate.

    At most ``count`` of them, for ``days``; what is at the paths in ``redact`` is never written down.
    """

    count: int = Field(ge=1, le=10_000)
    days: float = Field(default=7.0, gt=0.0, le=90.0)
    redact: tuple[str, ...] = ()


Method = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,20}$")]

PathPattern = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~!$&'()+,;=:@%/*-]{0,500}$")]
"""A path as a request has it; ``*`` stands for one segment, ``**`` at the end for any further ones."""


class Shadow(Value):
    """A backend that gets a copy of a share of live requests; its answers reach no caller.

    ``percent`` is of the requests whose method is in ``methods`` and whose path is one of ``paths`` (any, where
    there are none): the ones declared free of side effects. Inference is a POST that changes nothing, so POST is
    in the default. ``baseline``: the backend is the primary itself, so that what differs is noise, from which
    rules can be learnt.
    """

    backend: Slug
    percent: float = Field(ge=0.0, le=100.0)
    methods: tuple[Method, ...] = ("GET", "HEAD", "POST")
    paths: tuple[PathPattern, ...] = ()
    max_body_bytes: int = Field(default=1_048_576, ge=0, le=16_777_216)
    budget: Budget = Field(default_factory=Budget)
    baseline: bool = False


class Rule(Value):
    """How what is at a place in two answers is compared, instead of value by value. Exactly one kind is given.

    ``relative`` and ``absolute`` are tolerances for the numbers there and below. ``top``: as many first labels
    must be the same ones, in any order; of a list of labels, of objects with a label and a score, or of an object
    that maps labels to scores. ``distance`` is the largest total variation between two probability vectors, 0 to
    1. ``cosine`` is the least cosine between two embeddings, row by row where there are several. ``similarity``
    is the least share of words that two texts have in common, in order, 0 to 1.
    """

    path: str
    relative: float | None = Field(default=None, ge=0.0)
    absolute: float | None = Field(default=None, ge=0.0)
    top: int | None = Field(default=None, ge=1, le=1000)
    distance: float | None = Field(default=None, ge=0.0, le=1.0)
    cosine: float | None = Field(default=None, ge=-1.0, le=1.0)
    similarity: float | None = Field(default=None, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        tolerance = self.relative is not None or self.absolute is not None
        kinds = [tolerance, *(one is not None for one in (self.top, self.distance, self.cosine, self.similarity))]
        if sum(kinds) != 1:
            raise ValueError(
                f"the rule for {self.path} needs exactly one kind: relative and absolute, top, distance, cosine "
                "or similarity"
            )
        return self


class Comparison(Value):
    """When two answers agree. Tolerances are for numbers; ``ignore`` holds JSON paths like ``$.took_ms``.

    ``unordered`` names lists whose order means nothing, ``rules`` how other places are compared. ``size_ratio``
    is by how much the larger body may be larger, where that matters.
    """

    relative: float = Field(default=1e-6, ge=0.0)
    absolute: float = Field(default=1e-9, ge=0.0)
    ignore: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    size_ratio: float | None = Field(default=None, ge=1.0)


def _own_path(path: str) -> str:
    if path and not _OWN_PATH.fullmatch(path):
        raise ValueError(
            f"a route's path is such as /models/iris, of small letters, digits and ._~- between slashes, not {path!r}"
        )
    if {".", ".."} & set(path.split("/")):
        raise ValueError(f"a route's path has no segment . or .., as {path!r} has")
    return path


_OWN_PATH = re.compile(r"(/[a-z0-9._~-]{1,100}){1,10}")


DESCRIPTOR_LIMIT = 131_072
"""Characters of a route's descriptor at most."""


class RouteSpec(Value):
    """The desired state of one name on the gateway.

    With a ``path``, such as ``/models/iris``, it is what lies below that on its hosts, which other paths may share;
    its application sees requests without it. Without one, it is the whole of its hosts.

    The weights of the backends add up to 100. ``endpoint`` is the inventory's id of what was adopted.
    ``timeout_seconds`` is how long an answer may stand still; 0 is for ever. ``retries`` is how often a request that
    never reached an application is sent again. ``lanes`` keep, for a sticky route of many backends, which part of
    the callers each has, so that only those move who must; without them, the parts lie in the backends' order.
    ``descriptor`` describes its gRPC services, so that answers are compared by their messages: a FileDescriptorSet,
    compressed (zlib), in base64. Empty: by status and size.
    ``access`` is what its callers are held to; None holds them to nothing, and records nothing.
    """

    name: Slug
    hosts: tuple[str, ...] = Field(min_length=1)
    path: Annotated[str, AfterValidator(_own_path)] = ""
    backends: tuple[Backend, ...] = Field(min_length=1)
    shadow: Shadow | None = None
    comparison: Comparison = Field(default_factory=Comparison)
    descriptor: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=DESCRIPTOR_LIMIT)] = ""
    samples: Samples | None = None
    timeout_seconds: float = Field(default=30.0, ge=0.0)
    retries: int = Field(default=2, ge=0, le=10)
    health: HealthCheck | None = None
    sticky: Sticky | None = None
    overrides: tuple[Override, ...] = ()
    lanes: tuple[Lane, ...] = ()
    access: Access | None = None
    endpoint: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [backend.name for backend in self.backends]
        if len(set(names)) != len(names):
            raise ValueError("two backends of a route cannot share a name")
        if sum(backend.weight for backend in self.backends) != 100:
            raise ValueError("the weights of a route's backends must add up to 100")
        if self.shadow and self.shadow.backend not in names:
            raise ValueError(f"the shadow {self.shadow.backend!r} is not a backend of the route")
        if self.shadow and not self.shadow.baseline and self.backend(self.shadow.backend).weight == 100:
            raise ValueError("a backend that has all live requests cannot be its own shadow")
        if missing := [one.backend for one in self.overrides if one.backend not in names]:
            raise ValueError(f"an override sends requests to {missing[0]!r}, which is not a backend of the route")
        if self.lanes and self.lanes_by_backend() != {b.name: b.weight for b in self.backends if b.weight}:
            raise ValueError("the lanes of a route must add up to the weights of its backends")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What callers use, without scheme and port: each host, with the path."""
        return tuple(f"{host}{self.path}" for host in self.hosts)

    def lanes_by_backend(self) -> dict[str, int]:
        """The percent of the callers that each backend has by the lanes; empty without lanes."""
        found: dict[str, int] = {}
        for lane in self.lanes:
            found[lane.backend] = found.get(lane.backend, 0) + lane.weight
        return found

    def backend(self, name: str) -> Backend:
        """The backend of that name. KeyError where there is none."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        raise KeyError(name)

    @property
    def primary(self) -> Backend:
        """The backend with the largest share; the first of equals."""
        return max(self.backends, key=lambda backend: backend.weight)


class Revision(Value):
    """One immutable version of a route. Undo is a new revision. ``spec`` None means removed.

    Revisions with one ``change`` were made together, and stand or fall together; empty where one stands alone.
    """

    route: Slug
    number: int = Field(ge=1)
    spec: RouteSpec | None
    at: Moment
    who: str
    why: str
    change: str = ""


class Refusal(Value):
    """Why a gateway does not serve what is desired of a route.

    ``number`` is of the revision that it refused; None where it leaves the route as it is without having tried.
    """

    error: str
    number: int | None = None


class GatewayStatus(Value):
    """What one gateway reports of itself.

    ``revisions`` maps a route to the revision it acknowledged, ``refused`` to what it refused last. ``restarts``
    counts the starts of its proxy after the first; ``unknown_hosts`` the requests for a name that no route has.
    ``machine`` has every address of the machine that it runs on.
    """

    id: str
    address: str
    healthy: bool
    heartbeat_at: Moment
    revisions: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, Refusal] = Field(default_factory=dict)
    restarts: int = Field(default=0, ge=0)
    unknown_hosts: int = Field(default=0, ge=0)
    machine: tuple[str, ...] = ()

    @property
    def errors(self) -> dict[str, str]:
        """Why routes are not served as desired, in words, by route."""
        return {route: refusal.error for route, refusal in self.refused.items()}

    def refusal_of(self, revision: Revision) -> str | None:
        """Why this revision is not served; None where nothing is known against it."""
        refusal = self.refused.get(revision.route)
        return refusal.error if refusal is not None and refusal.number in {None, revision.number} else None


class Traffic(Value):
    """Live requests of one backend of one route, counted since the route was made.

    ``failures`` are answers of 5xx that callers got, the gateway's own included; ``shadowed`` are copies. ``latency``
    counts answers by the upper bound, in milliseconds, of how long they took. ``in_flight`` is
    how many requests were under way when this was counted last.
    """

    route: Slug
    backend: Slug
    requests: int = 0
    failures: int = 0
    shadowed: int = 0
    in_flight: int = 0
    latency: dict[int, int] = Field(default_factory=dict)


class Sample(Traffic):
    """The same for a time of ``seconds`` that began at ``at``; ``in_flight`` is the most that was seen in it."""

    at: Moment
    seconds: float = Field(gt=0)


class Disagreement(Value):
    """One pair of answers that differ: a bounded example. ``path`` is the JSON path of the first difference.

    ``group`` is that path with ``[*]`` for places in lists; ``operation`` the request's method and path;
    ``paths`` every path that differs, the first few.
    """

    at: Moment
    request_id: str
    path: str
    primary: str
    shadow: str
    why: str
    group: str = ""
    operation: str = ""
    paths: tuple[str, ...] = ()


class ShadowEvidence(Value):
    """Paired answers of primary and shadow, counted for one pair of backends under one set of rules.

    A row whose primary is its shadow is the baseline: a backend compared with itself.

    Each of ``pairs`` has agreed, differed, or was ``incomparable`` (truncated, say): the agreement is of
    those that could be compared. ``lost`` are sampled requests of which one answer never came to be
    compared. ``lower_bound`` and ``upper_bound`` are one-sided confidence bounds of the agreement, 95% each,
    that hold however often one looks; None while nothing could be compared. Latencies are in milliseconds,
    and their histograms are buckets of ``router.shadow.sketch``. Errors are answers of 500 and above or
    none at all; ``new_errors`` are pairs where only the shadow failed. ``unread`` counts the pairs of gRPC answers
    that status and size decided although the route has a descriptor, by why their messages could not be read.
    ``paths`` counts disagreements by group, ``swaps`` which label became which there, and ``distances`` how far apart
    the two were at most, as a share: None where one difference could not be measured. ``revision`` is the latest that
    was seen, ``basis`` a digest of the backends' URLs, the rules and the descriptor: evidence of another basis starts
    anew. ``capture`` and ``cursor`` say which file was counted up to which byte, so that nothing counts twice.
    """

    route: Slug
    primary: Slug
    shadow: Slug
    pairs: int = Field(default=0, ge=0)
    agreed: int = Field(default=0, ge=0)
    incomparable: int = Field(default=0, ge=0)
    lost: int = Field(default=0, ge=0)
    lower_bound: float | None = None
    upper_bound: float | None = None
    primary_p50: float | None = None
    shadow_p50: float | None = None
    primary_p99: float | None = None
    shadow_p99: float | None = None
    updated_at: Moment
    disagreements: tuple[Disagreement, ...] = ()
    status_mismatches: int = Field(default=0, ge=0)
    primary_errors: int = Field(default=0, ge=0)
    shadow_errors: int = Field(default=0, ge=0)
    new_errors: int = Field(default=0, ge=0)
    incomparable_reasons: dict[str, int] = Field(default_factory=dict)
    lost_reasons: dict[str, int] = Field(default_factory=dict)
    unread: dict[str, int] = Field(default_factory=dict)
    paths: dict[str, int] = Field(default_factory=dict)
    swaps: dict[str, dict[str, int]] = Field(default_factory=dict)
    distances: dict[str, float | None] = Field(default_factory=dict)
    primary_latency: dict[int, int] = Field(default_factory=dict)
    shadow_latency: dict[int, int] = Field(default_factory=dict)
    revision: int | None = None
    basis: str = ""
    capture: str = ""
    cursor: int = Field(default=0, ge=0)

    @property
    def compared(self) -> int:
        """How many pairs could be compared."""
        return self.pairs - self.incomparable

    @property
    def agreement(self) -> float | None:
        """The share of the compared pairs that agreed; None while there are none."""
        return self.agreed / self.compared if self.compared else None
