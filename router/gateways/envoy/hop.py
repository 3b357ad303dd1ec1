"""Pure: the way of those copies to their shadow that have a large body, one of unknown length, or none.

It is a listener inside of Envoy, which takes the whole request off the primary's hands before the shadow sees any of
it: a shadow that does not read stalls nobody, and what is too large to be copied is not. A copy whose body is known to
be small needs none of that, and goes straight to the shadow, at half of the cost. (Of a request without a body, Envoy
reads an answer of any size where the copy goes straight: here the answer has the buffer's.)
"""

from typing import Any

from router.gateways.envoy import capture
from router.gateways.envoy.upstream import API
from router.shadow.records import ANSWER_LIMIT

LISTENER = "gnomon-shadow"
LIMIT_HEADER = "x-gnomon-limit"

BODY_CLASSES = (65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
"""Bytes. At most the smallest of these that the route's own limit fits in is buffered."""

_BUFFER = "envoy.filters.http.buffer"


def headers(cluster: str, most: int) -> dict[str, str]:
    """What a copy says here: where it goes on to, and how large it may be."""
    return {capture.ONWARD_HEADER: cluster, LIMIT_HEADER: str(next(size for size in BODY_CLASSES if size >= most))}


def listener(capture_file: str) -> dict[str, Any]:
    """The listener. Of an answer, about ``ANSWER_LIMIT`` bytes are read, or the class of the request if it is more."""
    whole = {
        "name": _BUFFER,
        "typed_config": {"@type": f"{API}.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": ANSWER_LIMIT},
    }
    manager = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": "hop",
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "skip_xff_append": True,
        "route_config": {"name": "hop", "virtual_hosts": [_host()]},
        "http_filters": [whole, capture.router(capture_file)],
    }
    chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": LISTENER,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": ANSWER_LIMIT,
        "filter_chains": [{"filters": chain}],
    }


def _host() -> dict[str, Any]:
    """Where copies go on to, by how much of a body is taken: one buffer has the size of the request and the answer."""
    routes = [
        {
            "match": {"prefix": "/", "headers": [{"name": LIMIT_HEADER, "string_match": {"exact": str(size)}}]},
            "route": {"cluster_header": capture.ONWARD_HEADER, "timeout": "0s"},
            "typed_per_filter_config": {
                _BUFFER: {
                    "@type": f"{API}.extensions.filters.http.buffer.v3.BufferPerRoute",
                    "buffer": {"max_request_bytes": size},
                }
            },
        }
        for size in BODY_CLASSES
    ]
    removed = [capture.ONWARD_HEADER, LIMIT_HEADER]
    return {"name": "hop", "domains": ["*"], "routes": routes, "request_headers_to_remove": removed}


def named(route: str, backend: str) -> str:
    """The name of the cluster by which a route's copies come here."""
    return f"{route}/{backend}/hop"


def cluster(route: str, backend: str, budget: dict[str, Any]) -> dict[str, Any]:
    """The way to the listener, with a budget of its own of copies under way."""
    name = named(route, backend)
    destination = {"envoy_internal_address": {"server_listener_name": LISTENER}}
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
        "circuit_breakers": budget,
    }
