"""Pure edits of a route: what a person asks for becomes the next desired state, or one sentence that says why not."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from pydantic import ValidationError

from inventory.model import Access, Backend, Endpoint, Lane, RateLimit, Revision, RouteSpec, Scheme, Shadow, Sticky
from router.errors import RouteError

ORIGIN = "origin"
"""The backend that was adopted: where callers went before the gateway."""

REPLACEMENT = "replacement"
"""The backend that is meant to take over."""

ROLLBACK_AUTHOR = "gnomon"
ROLLED_BACK = "rolled back: the gateway refused"
"""Who takes back a revision that a gateway refused, and how the reason begins."""

ADOPTED_TIMEOUT = 300.0
"""Seconds. An adopted application had no limit before: the gateway's only ends what hangs."""


def adopt(
    endpoint: Endpoint,
    *,
    name: str,
    domain: str,
    to: str | None = None,
    to_endpoint: str | None = None,
    shadow_percent: float | None = None,
    hosts: Sequence[str] = (),
    path: str = "",
    sticky: Sticky | None = None,
) -> RouteSpec:
    """The route that puts an endpoint behind the gateway as NAME.DOMAIN, with every request still going to it.

    ``to`` is the URL of a replacement, which starts without live requests; ``to_endpoint`` is its id where the
    inventory knows it. ``shadow_percent`` is the share of requests that the replacement gets a copy of. ``hosts``
    are further names of the route; ``sticky`` tells its callers apart. With a ``path``, it is served below that on
    ``hosts``, or on DOMAIN itself, instead of by a host of its own. What was observed of the endpoint decides on
    base path, TLS and protocol. RouteError where it does not speak HTTP, or where there is a shadow without a
    replacement.
    """
    if endpoint.scheme not in {Scheme.HTTP, Scheme.HTTPS, Scheme.GRPC}:
        raise RouteError(
            f"{endpoint.url} speaks {endpoint.scheme.value}: only endpoints of http, https and gRPC can be adopted"
        )
    if shadow_percent and to is None:
        raise RouteError("a shadow needs a replacement to send copies to: name its URL with --to")
    speaks = {"protocol": "http2" if endpoint.scheme is Scheme.GRPC or "grpc" in endpoint.needs else "http1"}
    origin = {"name": ORIGIN, "url": origin_url(endpoint), "weight": 100, "endpoint": endpoint.id}
    backends = [origin | speaks]
    if to is not None:
        backends.append({"name": REPLACEMENT, "url": to, "weight": 0, "endpoint": to_endpoint} | speaks)
    return _valid(
        {
            "name": name,
            "hosts": _hosts(f"{name}.{domain}", domain, hosts, path),
            "path": path.rstrip("/"),
            "sticky": sticky,
            "backends": backends,
            "shadow": {"backend": REPLACEMENT, "percent": shadow_percent, "paths": declared(endpoint)}
            if shadow_percent
            else None,
            "timeout_seconds": ADOPTED_TIMEOUT,
            "endpoint": endpoint.id,
        }
    )


def _hosts(own: str, domain: str, further: Sequence[str], path: str) -> tuple[str, ...]:
    """The hosts of a route: one of its own, with further ones; for a path, those that are named, or the domain."""
    given = (further or (domain,)) if path else (own, *further)
    return tuple(host.lower() for host in given)


def origin_url(endpoint: Endpoint) -> str:
    """Where the endpoint's application is, with its base path and without query or trailing slash."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    scheme = "https" if endpoint.scheme is Scheme.HTTPS else "http"
    return f"{scheme}://{host}:{endpoint.port}{endpoint.base_path}".rstrip("/")


def shift(spec: RouteSpec, weights: Mapping[str, int]) -> RouteSpec:
    """The route with these weights, in percent of the live requests; the other backends keep theirs.

    A shadow whose backend now gets every request is dropped: there is nothing left to compare it with.
    RouteError where a backend is unknown or where the weights do not add up to 100.
    """
    for backend in weights:
        known(spec, backend)
    outside = {backend: weight for backend, weight in weights.items() if not 0 <= weight <= 100}
    if outside:
        backend, weight = next(iter(outside.items()))
        raise RouteError(f"a weight is from 0 to 100 percent, and {backend} was given {weight}")
    after = {backend.name: weights.get(backend.name, backend.weight) for backend in spec.backends}
    if sum(after.values()) != 100:
        listed = ", ".join(f"{backend}={weight}" for backend, weight in after.items())
        raise RouteError(f"the weights of {spec.name} must add up to 100, and {listed} add up to {sum(after.values())}")
    shadow = spec.shadow if spec.shadow and after[spec.shadow.backend] < 100 else None
    backends = tuple(backend.model_copy(update={"weight": after[backend.name]}) for backend in spec.backends)
    lanes = moved(spec, after) if spec.sticky is not None and len(spec.backends) > 2 else ()
    return _edited(spec, backends=backends, shadow=shadow, lanes=lanes)


def moved(spec: RouteSpec, weights: Mapping[str, int]) -> tuple[Lane, ...]:
    """The lanes of a sticky route under new weights.

    A backend whose weight falls gives up just that share of its callers, to those whose weight rises; nobody else
    moves. Weights name every backend and add up to 100.
    """
    lanes = spec.lanes or tuple(Lane(backend=one.name, weight=one.weight) for one in spec.backends if one.weight)
    slots = [lane.backend for lane in lanes for _ in range(lane.weight)]
    free: list[int] = []
    for backend in weights:
        own = [place for place, owner in enumerate(slots) if owner == backend]
        free += own[weights[backend] :]
    places = iter(sorted(free))
    for backend, weight in weights.items():
        for _ in range(weight - slots.count(backend)):
            slots[next(places)] = backend
    return tuple(Lane(backend=backend, weight=len(list(run))) for backend, run in groupby(slots))


def stick(spec: RouteSpec, sticky: Sticky | None) -> RouteSpec:
    """The route with what tells its callers apart; None lets each request go anywhere."""
    return _edited(spec, sticky=sticky, lanes=())


def shadow(spec: RouteSpec, backend: str, percent: float, settings: Mapping[str, object] | None = None) -> RouteSpec:
    """The route with this share of its requests copied to a backend; 0 percent ends the copying.

    What the shadow was told beside its share (methods, paths, budget …) is kept, but for what ``settings`` say.
    RouteError where the backend is unknown, has every live request, or where the share is not a percentage.
    """
    known(spec, backend)
    if not 0 <= percent <= 100:
        raise RouteError(f"a share is from 0 to 100 percent, not {percent:g}")
    if percent == 0:
        return _edited(spec, shadow=None)
    if spec.backend(backend).weight == 100:
        raise RouteError(f"{backend} has every live request of {spec.name}: it cannot be its own shadow")
    before = spec.shadow or Shadow(backend=backend, percent=percent)
    told = {"backend": backend, "percent": float(percent), "baseline": False, **(settings or {})}
    return _edited(spec, shadow={**before.model_dump(), **told})


def hold(spec: RouteSpec, told: Mapping[str, object] | None) -> RouteSpec:
    """The route with its callers held to what they were, but for what is told; None holds them to nothing.

    The keys are fields of ``Access``. RouteError where a value cannot be.
    """
    if told is None:
        return _edited(spec, access=None)
    before = spec.access or Access()
    return _edited(spec, access={**before.model_dump(), **told})


def parse_limit(text: str, *, candidate: bool) -> RateLimit:
    """``principal=60/1m`` as a limit: for each principal or team, or for the route; in s, m, h or d.

    ``principal=60/1m,shared`` is counted together over all gateways. RouteError where it is not one.
    """
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise RouteError(f"{text!r} is not a limit like principal=60/1m: principal, team or route, and s, m, h or d")
    by, requests, count, unit, shared = found.groups()
    seconds = int(count or 1) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]
    try:
        return RateLimit.model_validate(
            {
                "by": by,
                "requests": int(requests),
                "seconds": seconds,
                "candidate": candidate,
                "shared": bool(shared),
            }
        )
    except ValidationError as error:
        raise RouteError(f"{text!r}: {error.errors()[0]['msg']}") from error


def limited(limits: Iterable[RateLimit], more: Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    """Limits, with each of the further ones in place of that of its kind."""
    kinds = {(limit.by, limit.candidate): limit for limit in (*limits, *more)}
    return tuple(kinds.values())


def baseline(spec: RouteSpec, percent: float) -> RouteSpec:
    """The route with this share of its requests copied to the primary itself, to learn what differs by chance."""
    before = spec.shadow or Shadow(backend=spec.primary.name, percent=percent)
    told = {"backend": spec.primary.name, "percent": float(percent), "baseline": True}
    return _edited(spec, shadow={**before.model_dump(), **told})


def declared(endpoint: Endpoint) -> tuple[str, ...]:
    """The paths of an endpoint that are known to run a model and nothing else, as patterns for its shadow."""
    paths = {re.sub(r"\{[^}/]*\}|<[^>/]*>", "*", route.path.partition("?")[0]) for route in endpoint.inference_routes}
    return tuple(sorted(path for path in paths if _PATTERN.fullmatch(path)))


def earlier(route: str, history: Sequence[Revision], number: int | None = None) -> RouteSpec | None:
    """What a route was at a revision; None where there was no such route then. The history is newest first.

    Without a number: the newest revision that desires something else than the latest, and was not refused.
    RouteError where there is none.
    """
    if number is None:
        refused = {one.number - 1 for one in history if one.who == ROLLBACK_AUTHOR and ROLLED_BACK in one.why}
        others = (one for one in history[1:] if one.spec != history[0].spec and one.number not in refused)
        found = next(others, None)
    else:
        found = next((one for one in history if one.number == number), None)
    if found is None or (found.spec is None and number is not None):
        which = "no earlier revision" if number is None else f"no revision {number}"
        raise RouteError(f"route {route!r} has {which} to go back to: `gnomon route {route}` lists them")
    return found.spec


def parse_sticky(words: Iterable[str]) -> Sticky | None:
    """``["header:x-user", "cookie:session", "address"]`` as what tells callers apart; None for none."""
    found: dict[str, object] = {}
    for word in words:
        kind, _, name = word.partition(":")
        if kind not in {"header", "cookie", "address"} or bool(name) == (kind == "address"):
            raise RouteError(f"{word!r} is not header:NAME, cookie:NAME or address")
        found[kind] = name or True
    try:
        return Sticky.model_validate(found) if found else None
    except ValidationError as error:
        raise RouteError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def parse_weights(words: Iterable[str]) -> dict[str, int]:
    """``["origin=90", "replacement=10"]`` as weights. RouteError names the word that cannot be read."""
    weights: dict[str, int] = {}
    for word in words:
        backend, equals, weight = word.partition("=")
        if not (backend and equals and weight.isascii() and weight.isdecimal()):
            raise RouteError(f"{word!r} is not BACKEND=WEIGHT with a weight in whole percent, like origin=90")
        if backend in weights:
            raise RouteError(f"{backend} was given two weights")
        weights[backend] = int(weight)
    if not weights:
        raise RouteError("no weights were given: write BACKEND=WEIGHT for each backend that changes")
    return weights


def known(spec: RouteSpec, backend: str) -> Backend:
    """The backend of that name. RouteError, with the names that there are, where there is none."""
    try:
        return spec.backend(backend)
    except KeyError:
        names = ", ".join(known.name for known in spec.backends)
        raise RouteError(f"{spec.name} has no backend {backend!r}; its backends are {names}") from None


_LIMIT = re.compile(r"(principal|team|route)=([0-9]{1,9})/([0-9]{0,5})([smhd])(,shared)?")
_PATTERN = re.compile(r"/[A-Za-z0-9._~!$&'()+,;=:@%/*-]{0,500}")


def _edited(spec: RouteSpec, **changes: object) -> RouteSpec:
    return _valid({**{name: getattr(spec, name) for name in RouteSpec.model_fields}, **changes})


def _valid(fields: Mapping[str, object]) -> RouteSpec:
    try:
        return RouteSpec.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        raise RouteError(f"{where}: {what}" if where else what) from error
