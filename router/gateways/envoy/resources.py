"""Pure: one revision of a route becomes named xDS resources.

A route is one RouteConfiguration, found by one scope a host; its backends are clusters. A cluster's name holds a
digest of what it is, so that a backend which moves is a new cluster beside the old one, never a cluster that changes
under a route which still counts on it.
"""

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from inventory.model import Backend, Revision, RouteSpec, Shadow
from router.gateways.envoy import capture
from router.plan import hosts_of

API = "type.googleapis.com/envoy"
SHADOW_LISTENER = "gnomon-shadow"
HOP_HEADER = "x-gnomon-hop"
LIMIT_HEADER = "x-gnomon-limit"
MARKER_HEADER = "x-gnomon-shadow"
INTERNAL_HEADERS = (MARKER_HEADER, HOP_HEADER, LIMIT_HEADER, capture.PATH_HEADER, capture.REVISION_HEADER)

REBASED = "%METADATA(CLUSTER:gnomon:base)%%PATH(NQ:PATH)%"
"""The path behind the base path of whichever backend was chosen, as a format that Envoy fills in."""

CREDENTIAL_HEADERS = (
    "authorization", "cookie", "proxy-authorization", "x-api-key", "api-key", "x-auth-token", "x-goog-api-key",
    "x-amz-security-token", "x-csrf-token", "x-xsrftoken", "x-forwarded-access-token", "x-ms-token-aad-access-token",
)  # fmt: skip
"""Never copied to a shadow, nor are requests that carry a key in their query sampled."""

_KEYS_IN_QUERY = r"(?i).*[?&]([a-z0-9_.-]*token|api[_-]?key|key|secret|password|sig|signature|x-amz-signature)=.*"

BODY_CLASSES = (65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
"""Bytes. The hop to a shadow buffers at most the smallest of these that the route's own limit fits in."""

LIVE_REQUESTS = 100_000

SHADOW_TIMEOUT = "60s"
UPGRADED_IDLE = "3600s"

# Below the shortest keep-alive that common servers have (gunicorn 2 s, uvicorn and node 5 s): a connection that
# the server is about to close is not used for a request that could then not be repeated.
_UPSTREAM_IDLE = "1.5s"


class Resources(NamedTuple):
    """The resources of one revision, by type and name, in their JSON form."""

    clusters: dict[str, dict[str, Any]]
    routes: dict[str, dict[str, Any]]
    scopes: dict[str, dict[str, Any]]


def resources(revision: Revision) -> Resources:
    """Everything that Envoy needs to serve a revision. A removed route needs nothing."""
    spec = revision.spec
    if spec is None:
        return Resources({}, {}, {})
    clusters = {backend.name: cluster(spec.name, backend) for backend in spec.backends}
    found = list(clusters.values())
    if _shadowed(spec) is not None and spec.shadow is not None:
        copied = spec.backend(spec.shadow.backend)
        in_flight = spec.shadow.budget.in_flight
        found += [cluster(spec.name, copied, role="shadow", most=in_flight), _hop(spec.name, copied.name, in_flight)]
    names = {backend: str(made["name"]) for backend, made in clusters.items()}
    scopes = {host: _scope(host, spec.name) for host in hosts_of(spec)}
    configuration = _route_configuration(revision, spec, names)
    return Resources({made["name"]: made for made in found}, {spec.name: configuration}, scopes)


def cluster(route: str, backend: Backend, role: str = "live", most: int = LIVE_REQUESTS) -> dict[str, Any]:
    """The cluster of a backend, with so many requests under way at most.

    The shadow's is apart from the live one, so that it cannot take its connections.
    """
    address = _address(backend.host)
    made: dict[str, Any] = {
        "alt_stat_name": f"{route}|{backend.name}" + ("" if role == "live" else f"|{role}"),
        "type": "STATIC" if address else "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": f"{route}/{backend.name}",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(backend)}}]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(most)]},
        "metadata": {"filter_metadata": {"gnomon": _notes(route, backend)}},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _protocol()},
    }
    if not address:
        made["dns_lookup_family"] = "V4_PREFERRED"
    if role == "shadow":
        made["per_connection_buffer_high_watermark_timeout"] = "0.5s"
    if backend.tls:
        made["transport_socket"] = _tls(None if address else backend.host)
    digest = hashlib.blake2b(json.dumps(made, sort_keys=True).encode(), digest_size=6).hexdigest()
    suffix = "" if role == "live" else f"/{role}"
    return {"name": f"{route}/{backend.name}{suffix}@{digest}", **made}


def sample_numerator(percent: float) -> int:
    """How many of a million requests a share in percent is, in whole hundreds.

    Envoy draws one random number a request, and takes it modulo a million for the sample and modulo 100 for the
    weights. Only whole hundreds hold as many requests of each weight as the live traffic does: any other number
    would sample the first arm of a split more than the last. The smallest share is 0.01 percent.
    """
    return 0 if percent <= 0 else max(100, round(percent * 100) * 100)


def _notes(route: str, backend: Backend) -> dict[str, str]:
    """What logs and path rewriting read of a cluster."""
    return {"route": route, "backend": backend.name, "base": backend.base_path}


def _shadowed(spec: RouteSpec) -> Shadow | None:
    """The shadow, where a share of requests is really copied."""
    return spec.shadow if spec.shadow and spec.shadow.percent > 0 and spec.shadow.methods else None


def _route_configuration(revision: Revision, spec: RouteSpec, clusters: Mapping[str, str]) -> dict[str, Any]:
    action = _action(spec, clusters)
    metadata = {"filter_metadata": {"gnomon": {"route": spec.name, "rev": revision.number}}}
    plain = {"match": {"prefix": "/"}, "route": action, "metadata": metadata}
    upgraded = {
        "match": {"prefix": "/", "headers": [{"name": "upgrade", "present_match": True}]},
        "route": {**action, "idle_timeout": UPGRADED_IDLE},
        "metadata": metadata,
    }
    routes = [upgraded, plain]
    shadow = _shadowed(spec)
    if shadow is not None:
        made = cluster(spec.name, spec.backend(shadow.backend), role="shadow", most=shadow.budget.in_flight)
        shadow_cluster = str(made["name"])
        sampled = {
            "match": _sample(spec.name, shadow),
            "route": {
                **action,
                "request_mirror_policies": [_mirror(spec, shadow, revision.number, shadow_cluster)],
            },
            "metadata": metadata,
            "typed_per_filter_config": capture.enable_lua(),
        }
        routes.insert(1, sampled)
    return {
        "name": spec.name,
        "virtual_hosts": [{"name": spec.name, "domains": ["*"], "routes": routes}],
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
    }


def _action(spec: RouteSpec, clusters: Mapping[str, str]) -> dict[str, Any]:
    """Where requests go. No limit on a whole answer, which may stream: only on a stream that stands still."""
    live = [backend for backend in spec.backends if backend.weight > 0]
    action: dict[str, Any] = {
        "weighted_clusters": {
            "clusters": [
                {"name": clusters[backend.name], "weight": backend.weight, **_host_rewrite(backend)} for backend in live
            ]
        },
        "timeout": "0s",
        "idle_timeout": _seconds(spec.timeout_seconds),
        # Only what never reached an application is sent again: no inference runs twice.
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
    }
    if any(backend.base_path for backend in live):
        action["path_rewrite"] = REBASED
    return action


def _seconds(seconds: float) -> str:
    """A duration in milliseconds' precision. 0 is no limit, so a limit never becomes 0."""
    return f"{max(seconds, 0.001):.3f}s" if seconds > 0 else "0s"


def _sample(route: str, shadow: Shadow) -> dict[str, Any]:
    """Which requests are copied. One draw decides on the mirror and on the capture of both answers."""
    numerator = sample_numerator(shadow.percent)
    return {
        **_paths(shadow.paths),
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
            "runtime_key": switch_key(route),
        },
    }


def _paths(patterns: tuple[str, ...]) -> dict[str, Any]:
    """How Envoy matches the declared paths: as a whole, with or without a slash at the end."""
    if not patterns:
        return {"prefix": "/"}
    return {"safe_regex": {"regex": "|".join(f"{_path_regex(pattern)}/?" for pattern in patterns)}}


def _path_regex(pattern: str) -> str:
    """One declared path as a regular expression of RE2."""
    stem, rest = (pattern[:-3], "(/.*)?") if pattern.endswith("/**") else (pattern.rstrip("/"), "")
    return "[^/]+".join(re.escape(part) for part in stem.split("*")) + rest


def switch_key(route: str) -> str:
    """The runtime key that overrides a route's share; 0 is the off switch that acts at once."""
    return f"gnomon.shadow.{route}"


def _mirror(spec: RouteSpec, shadow: Shadow, number: int, shadow_cluster: str) -> dict[str, Any]:
    limit = next(size for size in BODY_CLASSES if size >= shadow.max_body_bytes)
    headers = {
        MARKER_HEADER: "1",
        HOP_HEADER: shadow_cluster,
        LIMIT_HEADER: str(limit),
        capture.REVISION_HEADER: str(number),
        # The copy is made after the primary's base path was put in front: the shadow has its own.
        capture.PATH_HEADER: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    }
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
        "cluster": _hop_name(spec.name, shadow.backend),
        **_host_rewrite(spec.backend(shadow.backend)),
        "disable_shadow_host_suffix_append": True,
        "trace_sampled": False,
        "request_headers_mutations": [*removed, *added],
    }


def _hop_name(route: str, backend: str) -> str:
    return f"{route}/{backend}/hop"


def _hop(route: str, backend: str, most: int) -> dict[str, Any]:
    """The way to the internal listener that isolates a shadow, with a budget of its own."""
    name = _hop_name(route, backend)
    destination = {"envoy_internal_address": {"server_listener_name": SHADOW_LISTENER}}
    return {
        "name": name,
        "alt_stat_name": f"{route}|{backend}|hop",
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_high_watermark_timeout": "0.5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": destination}}]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(most)]},
    }


def _scope(host: str, route: str) -> dict[str, Any]:
    return {"name": host, "route_configuration_name": route, "key": {"fragments": [{"string_key": host}]}}


def _thresholds(most: int) -> dict[str, int]:
    return {"max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": most}


def _address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _socket(backend: Backend) -> dict[str, Any]:
    return {"socket_address": {"address": backend.host, "port_value": backend.port}}


def _protocol() -> dict[str, Any]:
    return {
        "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
        "explicit_http_config": {"http_protocol_options": {}},
    }


def _host_rewrite(backend: Backend) -> dict[str, str]:
    """The Host that a backend gets.

    One named by its host gets that name, as a server of many names needs. One named by its address keeps the
    caller's, so that links and redirects which it makes from Host lead back to the gateway.
    """
    if _address(backend.host):
        return {}
    default = backend.port == (443 if backend.tls else 80)
    return {"host_rewrite_literal": backend.host if default else f"{backend.host}:{backend.port}"}


def _tls(name: str | None) -> dict[str, Any]:
    """TLS to the backend, without proof of who it is: an adopted server has a certificate of its own making.

    Callers who went to it directly had no proof either; a trusted set of certificates would refuse it.
    """
    context: dict[str, Any] = {
        "@type": f"{API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": {"trust_chain_verification": "ACCEPT_UNTRUSTED"}},
    }
    if name is not None:
        context["sni"] = name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
