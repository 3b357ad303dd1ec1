"""Pure: one revision of a route becomes named xDS resources.

A route is one RouteConfiguration, found by one scope a host; its backends are clusters. A cluster's name holds a
digest of what it is, so that a backend which moves is a new cluster beside the old one, never a cluster that changes
under a route which still counts on it.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from inventory.model import Backend, Override, Revision, RouteSpec, Shadow, Sticky
from router.gateways.envoy import access, callers, capture, hop, links, tables, upstream
from router.gateways.envoy.fixed import Fixed
from router.gateways.envoy.upstream import API
from router.governance import Held
from router.plan import claims_of, hosts_of
from router.shadow.records import ANSWER_LIMIT

INTERNAL_HEADERS = (capture.MARKER_HEADER, capture.ONWARD_HEADER, hop.LIMIT_HEADER, capture.PATH_HEADER)

REBASED = "%METADATA(CLUSTER:gnomon:base)%%PATH(NQ:PATH)%"
"""The path behind the base path of whichever backend was chosen, as a format that Envoy fills in."""

CREDENTIAL_HEADERS = (
    "authorization", "cookie", "proxy-authorization", "x-api-key", "api-key", "x-auth-token", "x-goog-api-key",
    "x-amz-security-token", "x-csrf-token", "x-xsrftoken", "x-forwarded-access-token", "x-ms-token-aad-access-token",
)  # fmt: skip
"""Never copied to a shadow, nor are requests that carry a key in their query sampled."""

_KEYS_IN_QUERY = r"(?i).*[?&]([a-z0-9_.-]*token|api[_-]?key|key|secret|password|sig|signature|x-amz-signature)=.*"

_STRAIGHT = 65_536
"""Bytes of the largest body whose copy goes straight to its shadow."""

_HEAD = 65_536
"""Bytes above those of the largest head that a request may have."""

_MOST_BUFFERED = 2**31

LIVE_REQUESTS = 100_000

_OTHER_HOST = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {"@type": f"{API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
}

_UPGRADE = Fixed({"name": "upgrade", "present_match": True})

UPGRADED_IDLE = "3600s"


class Resources(NamedTuple):
    """The resources of one revision, by type and name, in their JSON form."""

    clusters: dict[str, dict[str, Any]]
    routes: dict[str, dict[str, Any]]
    scopes: dict[str, dict[str, Any]]
    pieces: Mapping[str, list[dict[str, Any]]] = MappingProxyType({})
    """By host and path, the entries of a route that has a path: its part of the host's table."""


def resources(revision: Revision, held: Held | None = None) -> Resources:
    """Everything that Envoy needs to serve a revision. A removed route needs nothing.

    ``held`` is what callers are held to beside the specification; None knows nobody.
    """
    spec = revision.spec
    if spec is None:
        return Resources({}, {}, {})
    clusters = {backend.name: cluster(spec.name, backend, spec) for backend in spec.backends}
    found = list(clusters.values())
    shadow = _shadowed(spec)
    if shadow is not None:
        way = hop.cluster(spec.name, shadow.backend, _thresholds(shadow.budget.in_flight))
        found += [copy_cluster(spec, shadow), way]
    names = {backend: str(made["name"]) for backend, made in clusters.items()}
    clusters = {made["name"]: made for made in found}
    configuration = _route_configuration(revision, spec, names, held or Held())
    if spec.path:
        entries = _piece(spec, configuration["virtual_hosts"][0])
        return Resources(clusters, {}, {}, dict.fromkeys(claims_of(spec), entries))
    scopes = {host: _scope(host, spec.name) for host in hosts_of(spec)}
    return Resources(clusters, {spec.name: configuration}, scopes)


def _piece(spec: RouteSpec, host: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a route that has a path, for the table of a host that it shares."""
    removed = host.get("request_headers_to_remove")
    entries = [{**entry, "request_headers_to_remove": removed} if removed else entry for entry in host["routes"]]
    # Links of a page are relative to what is before the last slash: a browser is sent to where there is one.
    browser = [
        {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}},
        {"name": "accept", "string_match": {"contains": "text/html"}},
    ]
    told = {name: one for name, one in entries[-1].get("typed_per_filter_config", {}).items() if name != links.FILTER}
    slash = {
        "match": {"path": spec.path, "headers": browser},
        "redirect": {"path_redirect": f"{spec.path}/", "response_code": "TEMPORARY_REDIRECT"},
        "metadata": entries[-1]["metadata"],
        **({"typed_per_filter_config": told} if told else {}),
    }
    return [slash, *entries, tables.guard(spec.path)]


def cluster(route: str, backend: Backend, spec: RouteSpec | None = None) -> dict[str, Any]:
    """The cluster of a backend.

    Its servers are asked for their health where the route's specification is given and says so.
    """
    made = _to(route, backend, "", _thresholds(LIVE_REQUESTS), upstream.protocol(backend.protocol))
    if spec is not None and spec.health is not None:
        made["health_checks"] = [upstream.health(backend, spec.health, spec.hosts[0])]
    if _many(backend):
        made["outlier_detection"] = upstream.ejection()
    return _named(f"{route}/{backend.name}", made)


def copy_cluster(spec: RouteSpec, shadow: Shadow) -> dict[str, Any]:
    """The cluster of a shadow, apart from the live one, so that it cannot take its connections.

    A connection has room for all that may go straight and be under way on it: one that has none left would stop
    whoever is copied. It has no more, since it is as much as is read at once.
    """
    backend, in_flight = spec.backend(shadow.backend), shadow.budget.in_flight
    moved = any(backend.base_path for backend in spec.backends)
    # With no more connections than requests, a copy too many would wait for one of them instead of being dropped.
    budget = _thresholds(in_flight, 2 * in_flight)
    made = _to(spec.name, backend, "|shadow", budget, capture.protocol(backend.protocol, moved=moved))
    together = in_flight if backend.protocol == "http2" else 1
    made["per_connection_buffer_limit_bytes"] = min((_STRAIGHT + _HEAD) * together, _MOST_BUFFERED)
    made["per_connection_buffer_high_watermark_timeout"] = "0.5s"
    made["upstream_bind_config"] = upstream.narrow()
    return _named(f"{spec.name}/{backend.name}/shadow", made)


def _to(route: str, backend: Backend, role: str, budget: Fixed, spoken: Fixed) -> dict[str, Any]:
    """A cluster that leads to a backend, with a budget of requests under way."""
    looked_up = upstream.resolved(backend)
    made: dict[str, Any] = {
        "alt_stat_name": f"{route}|{backend.name}{role}",
        "type": "STRICT_DNS" if looked_up else "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": f"{route}/{backend.name}", "endpoints": upstream.endpoints(backend)},
        "circuit_breakers": budget,
        "metadata": {"filter_metadata": {"gnomon": _notes(backend)}},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": spoken},
    }
    if looked_up:
        made["dns_lookup_family"] = "V4_PREFERRED"
    if backend.tls:
        made["transport_socket"] = upstream.tls(backend)
    return made


def _named(stem: str, made: dict[str, Any]) -> dict[str, Any]:
    """The cluster with its name. It is put together in the same order always: its plain form is cheaper than JSON."""
    return {"name": f"{stem}@{hashlib.blake2b(repr(made).encode(), digest_size=6).hexdigest()}", **made}


def _many(backend: Backend) -> bool:
    """Whether there may be another server to send a request to."""
    return len(backend.places) > 1 or upstream.resolved(backend)


def sample_numerator(percent: float) -> int:
    """How many of a million requests a share in percent is, in whole hundreds.

    Envoy draws one random number a request, and takes it modulo a million for the sample and modulo 100 for the
    weights. Only whole hundreds hold as many requests of each weight as the live traffic does: any other number
    would sample the first arm of a split more than the last. The smallest share is 0.01 percent.
    """
    return 0 if percent <= 0 else max(100, round(percent * 100) * 100)


def _notes(backend: Backend) -> dict[str, str]:
    """What logs and path rewriting read of a cluster."""
    return {"backend": backend.name, "base": backend.base_path}


def _shadowed(spec: RouteSpec) -> Shadow | None:
    """The shadow, where a share of requests is really copied."""
    return spec.shadow if spec.shadow and spec.shadow.percent > 0 and spec.shadow.methods else None


def _route_configuration(
    revision: Revision, spec: RouteSpec, clusters: Mapping[str, str], held: Held
) -> dict[str, Any]:
    action = _action(spec, clusters)
    metadata = Fixed({"filter_metadata": {"gnomon": {"route": spec.name, "rev": revision.number}}})
    rest: dict[str, Any] = {"metadata": metadata}
    told = access.per_route(spec, held)
    if spec.path or any(links.needed(backend) for backend in spec.backends):
        told |= links.enable()
    if told:
        rest["typed_per_filter_config"] = told
    routes = [entry for override in spec.overrides for entry in _entries(*_overridden(spec, override, clusters), rest)]
    routes += [entry for base in _bases(spec) for entry in _entries(*_own_links(spec, base, clusters), rest)]
    upgraded, plain = _entries(_at(spec), action, rest)
    routes += [upgraded, plain]
    shadow = _shadowed(spec)
    if shadow is not None:
        kept = capture.enable(keep_requests=spec.samples is not None)
        told = {**rest.get("typed_per_filter_config", {}), **kept}
        named = {"name": capture.entry(spec.name, revision.number), "metadata": metadata}
        routes[-1:-1] = _sampled(spec, shadow, action, {**named, "typed_per_filter_config": told})
    return {
        "name": spec.name,
        "virtual_hosts": [{"name": spec.name, "domains": ["*"], "routes": routes, **_hidden(spec)}],
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
    }


def _hidden(spec: RouteSpec) -> dict[str, Any]:
    """What says who calls is for the gateway alone."""
    return {"request_headers_to_remove": [*callers.IDENTITY_HEADERS, *access.TOLD]} if spec.access is not None else {}


def _entries(match: dict[str, Any], action: dict[str, Any], rest: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The entries of one match: an upgraded connection may stand still for longer than an answer."""
    upgraded = {**match, "headers": [*match.get("headers", ()), _UPGRADE]}
    return (
        {"match": upgraded, "route": {**action, "idle_timeout": UPGRADED_IDLE}, **rest},
        {"match": match, "route": action, **rest},
    )


def _overridden(
    spec: RouteSpec, override: Override, clusters: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which requests one override takes, and where they go."""
    match = {**_at(spec), "headers": [{"name": override.header, "string_match": {"exact": override.value}}]}
    return match, _action(spec, clusters, only=override.backend)


def _bases(spec: RouteSpec) -> tuple[str, ...]:
    """The base paths of the backends that get live requests, the longest first."""
    return tuple(sorted({b.base_path for b in spec.backends if b.weight and b.base_path}, key=lambda one: -len(one)))


def _own_links(spec: RouteSpec, base: str, clusters: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Requests whose path has a base path in front already follow a link that the application made by itself.

    They go through as they are: to any backend where all have this base path, else to the one that has it.
    """
    live = [backend for backend in spec.backends if backend.weight]
    owner = next(backend.name for backend in live if backend.base_path == base)
    alike = all(backend.base_path == base for backend in live)
    action = _action(spec, clusters, only=None if alike else owner)
    action.pop("path_rewrite", None)
    return {"path_separated_prefix": f"{spec.path}{base}"}, action


def _action(spec: RouteSpec, clusters: Mapping[str, str], only: str | None = None) -> dict[str, Any]:
    """Where requests go: by the weights, or to one backend alone.

    There is no limit on a whole answer, which may stream: only on a stream that stands still.
    """
    shares = [(spec.backend(only), 100)] if only is not None else _shares(spec)
    live = [backend for backend, _ in shares]
    split: dict[str, Any] = {"clusters": [_share(spec, clusters, backend, weight) for backend, weight in shares]}
    sticky = spec.sticky if only is None else None
    if sticky is not None:
        split["use_hash_policy"] = True
    action: dict[str, Any] = {
        "weighted_clusters": Fixed(split),
        "timeout": "0s",
        "idle_timeout": _seconds(spec.timeout_seconds),
        "retry_policy": _retries(spec.retries, elsewhere=any(_many(backend) for backend in live)),
    }
    if sticky is not None:
        action["hash_policy"] = _hash_policy(sticky)
    if any(backend.base_path for backend in live):
        action["path_rewrite"] = REBASED
    return action


@lru_cache(64)
def _retries(most: int, *, elsewhere: bool) -> Fixed:
    """Which requests are sent again, and where: ``elsewhere`` if another server may be tried."""
    retries: dict[str, Any] = {
        # Only what never reached an application is sent again: no inference runs twice.
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": most,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
    if elsewhere:
        retries["retry_host_predicate"] = [_OTHER_HOST]
        retries["host_selection_retry_max_attempts"] = 3
    return Fixed(retries)


def _shares(spec: RouteSpec) -> list[tuple[Backend, int]]:
    if spec.sticky is not None and spec.lanes:
        return [(spec.backend(lane.backend), lane.weight) for lane in spec.lanes]
    return [(backend, backend.weight) for backend in spec.backends if backend.weight > 0]


def _share(spec: RouteSpec, clusters: Mapping[str, str], backend: Backend, weight: int) -> dict[str, Any]:
    made = {"name": clusters[backend.name], "weight": weight, **_host_rewrite(backend)}
    if not spec.path and not links.needed(backend):
        return made
    return {**made, "typed_per_filter_config": links.rewriting(backend, spec.path)}


def _at(spec: RouteSpec) -> dict[str, Any]:
    """How Envoy matches all that is a route's."""
    return {"path_separated_prefix": spec.path} if spec.path else {"prefix": "/"}


def _hash_policy(sticky: Sticky) -> list[dict[str, Any]]:
    """The first that a request has decides; Envoy's own hash of it is stable over restarts and machines."""
    policies: list[dict[str, Any]] = []
    if sticky.header is not None:
        policies.append({"header": {"header_name": sticky.header}, "terminal": True})
    if sticky.cookie is not None:
        policies.append({"cookie": {"name": sticky.cookie}, "terminal": True})
    if sticky.address:
        policies.append({"connection_properties": {"source_ip": True}, "terminal": True})
    return policies


def _seconds(seconds: float) -> str:
    """A duration in milliseconds' precision. 0 is no limit, so a limit never becomes 0."""
    return f"{max(seconds, 0.001):.3f}s" if seconds > 0 else "0s"


def _sample(spec: RouteSpec, shadow: Shadow) -> dict[str, Any]:
    """Which requests are copied. One draw decides on the mirror and on the capture of both answers."""
    numerator = sample_numerator(shadow.percent)
    return {
        **(_paths(spec.path, shadow.paths) if shadow.paths else _at(spec)),
        "headers": [
            {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(shadow.methods)}}},
            {"name": "upgrade", "present_match": False},
            {
                "name": "content-length",
                "range_match": {"start": shadow.max_body_bytes + 1, "end": 2**62},
                "invert_match": True,
                "treat_missing_header_as_empty": True,
            },
            {
                "name": ":path",
                "string_match": {"safe_regex": {"regex": _KEYS_IN_QUERY}},
                "invert_match": True,
            },
        ],
        "runtime_fraction": {
            "default_value": {"numerator": numerator, "denominator": "MILLION"},
            "runtime_key": switch_key(spec.name),
        },
    }


def _paths(below: str, patterns: tuple[str, ...]) -> dict[str, Any]:
    """How Envoy matches the declared paths: as a whole, with or without a slash at the end."""
    return {"safe_regex": {"regex": "|".join(f"{re.escape(below)}{_path_regex(one)}/?" for one in patterns)}}


def _path_regex(pattern: str) -> str:
    """One declared path as a regular expression of RE2."""
    stem, rest = (pattern[:-3], "(/.*)?") if pattern.endswith("/**") else (pattern.rstrip("/"), "")
    return "[^/]+".join(re.escape(part) for part in stem.split("*")) + rest


def switch_key(route: str) -> str:
    """The runtime key that overrides a route's share; 0 is the off switch that acts at once."""
    return f"gnomon.shadow.{route}"


def _sampled(
    spec: RouteSpec, shadow: Shadow, action: dict[str, Any], rest: dict[str, Any]
) -> tuple[dict[str, Any], ...]:
    """The entries of requests that are copied.

    Where a body is known to be small, the copy goes straight. One buffer's size is that of a shadow's answer and of
    what of a request is kept to be sent again.
    """
    match, copied = _sample(spec, shadow), str(copy_cluster(spec, shadow)["name"])
    small = {"name": "content-length", "range_match": {"start": 1, "end": _STRAIGHT + 1}}
    straight = {**action, "request_mirror_policies": [_mirror(spec, shadow, copied, {})]}
    more = hop.headers(copied, shadow.max_body_bytes)
    around = {**action, "request_mirror_policies": [_mirror(spec, shadow, hop.named(spec.name, shadow.backend), more)]}
    return (
        {
            "match": {**match, "headers": [*match["headers"], small]},
            "route": straight,
            "request_body_buffer_limit": ANSWER_LIMIT,
            **rest,
        },
        {"match": match, "route": around, **rest},
    )


def _mirror(spec: RouteSpec, shadow: Shadow, cluster: str, more: Mapping[str, str]) -> dict[str, Any]:
    backend = spec.backend(shadow.backend)
    headers = {capture.MARKER_HEADER: "1", **more}
    if any(backend.base_path for backend in spec.backends):
        # The copy is made after the primary's base path was put in front: the shadow has its own.
        headers[capture.PATH_HEADER] = backend.base_path.replace("%", "%%") + "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
    removed = [{"remove": name} for name in CREDENTIAL_HEADERS]
    added = [
        {
            "append": {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        }
        for name, value in headers.items()
    ]
    return {
        "cluster": cluster,
        **_host_rewrite(backend),
        "disable_shadow_host_suffix_append": True,
        "trace_sampled": False,
        "request_headers_mutations": [*removed, *added],
    }


def _scope(host: str, route: str) -> dict[str, Any]:
    return {"name": host, "route_configuration_name": route, "key": {"fragments": [{"string_key": host}]}}


@lru_cache(256)
def _thresholds(most: int, connections: int = 0) -> Fixed:
    one = {
        "max_connections": connections or most,
        "max_pending_requests": most,
        "max_requests": most,
        "max_retries": most,
    }
    return Fixed({"thresholds": [one]})


def _host_rewrite(backend: Backend) -> dict[str, str]:
    """The Host that a backend gets.

    One named by its host gets that name, as a server of many names needs. One named by its address keeps the
    caller's, so that links and redirects which it makes from Host lead back to the gateway.
    """
    return {} if upstream.is_address(backend.host) else {"host_rewrite_literal": upstream.authority(backend)}
