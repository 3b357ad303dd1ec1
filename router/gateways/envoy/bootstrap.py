"""Pure: what an Envoy starts with. Everything about routes comes later, over delta ADS."""

from typing import Any, NamedTuple

from router.gateways.envoy import capture
from router.gateways.envoy.resources import (
    API,
    BODY_CLASSES,
    HOP_HEADER,
    INTERNAL_HEADERS,
    LIMIT_HEADER,
    MARKER_HEADER,
    REBASED,
    SHADOW_LISTENER,
    SHADOW_TIMEOUT,
)

LISTENER = "gnomon"

SHADOW_KIBIBYTES = 32_768
"""KiB a second of all shadows' answers that are read at most."""

# To wait for the first configuration at the start; after it, Envoy serves what it has (404 for every host).
_FIRST_FETCH = "15s"


class Start(NamedTuple):
    """What is particular to one Envoy. Paths are of sockets and files on its machine."""

    node: str
    address: str
    port: int
    xds_socket: str
    admin_socket: str
    capture_file: str


def bootstrap(start: Start) -> dict[str, Any]:
    """The bootstrap configuration, in its JSON form."""
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": _FIRST_FETCH}
    return {
        "node": {"id": start.node, "cluster": "gnomon"},
        "admin": {"address": {"pipe": {"path": start.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": "gnomon-xds",
                            "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                        }
                    }
                ],
            },
            "cds_config": source,
        },
        "static_resources": {
            "clusters": [_xds_cluster(start.xds_socket)],
            "listeners": [_edge(start, source), _hop(start)],
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": f"{API}.extensions.bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }


def _xds_cluster(socket: str) -> dict[str, Any]:
    return {
        "name": "gnomon-xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "gnomon-xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _edge(start: Start, source: dict[str, Any]) -> dict[str, Any]:
    """The listener that callers reach. Routes are found by the Host header without its port."""
    key = {"header_value_extractor": {"name": ":authority", "index": 0, "element_separator": ":"}}
    return {
        "name": LISTENER,
        "address": {"socket_address": {"address": start.address, "port_value": start.port}},
        # Otherwise another program could take the port too, and a share of the callers with it.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [
            {
                "filters": [
                    _http_manager(
                        {
                            "stat_prefix": "edge",
                            "use_remote_address": True,
                            # Nobody sets Envoy's own controls (x-envoy-*) or the request id: an empty list
                            # would trust every private address, one that cannot be a peer trusts none.
                            "internal_address_config": {
                                "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
                            },
                            # Callers do not name requests: the id joins both answers of a shadowed one.
                            "generate_request_id": True,
                            "preserve_external_request_id": False,
                            "always_set_request_id_in_response": True,
                            "early_header_mutation_extensions": [_unforged()],
                            "normalize_path": True,
                            "http_protocol_options": {"accept_http_10": True},
                            "upgrade_configs": [{"upgrade_type": "websocket"}],
                            "scoped_routes": {
                                "name": LISTENER,
                                "scope_key_builder": {"fragments": [key]},
                                "rds_config_source": source,
                                "scoped_rds": {"scoped_rds_config_source": source},
                            },
                            "http_filters": [capture.lua_filter("p"), _router()],
                            "access_log": [capture.access_log(start.capture_file, "p")],
                        }
                    )
                ]
            }
        ],
    }


def _hop(start: Start) -> dict[str, Any]:
    """The internal listener between a mirrored request and the shadow.

    It takes the whole request off the primary's hands before the shadow sees any of it: a shadow that does not
    read stalls nobody. Answers of all shadows together are read no faster than ``SHADOW_KIBIBYTES`` a second, so
    that one without end costs neither the processor nor the network what callers need.
    """
    buffering = "envoy.filters.http.buffer"
    routes = [
        {
            "match": {"prefix": "/", "headers": [{"name": LIMIT_HEADER, "string_match": {"exact": str(size)}}]},
            "route": {
                "cluster_header": HOP_HEADER,
                "timeout": SHADOW_TIMEOUT,
                "path_rewrite": REBASED,
            },
            "typed_per_filter_config": {
                buffering: {
                    "@type": f"{API}.extensions.filters.http.buffer.v3.BufferPerRoute",
                    "buffer": {"max_request_bytes": size},
                }
            },
        }
        for size in BODY_CLASSES
    ]
    removed = [header for header in INTERNAL_HEADERS if header != MARKER_HEADER]
    host = {"name": "hop", "domains": ["*"], "routes": routes, "request_headers_to_remove": removed}
    buffer_filter = {
        "name": buffering,
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": BODY_CLASSES[0],
        },
    }
    throttle = {
        "name": "envoy.filters.http.bandwidth_limit",
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit",
            "stat_prefix": "hop",
            "enable_mode": "RESPONSE",
            "limit_kbps": SHADOW_KIBIBYTES,
            "fill_interval": "0.05s",
        },
    }
    return {
        "name": SHADOW_LISTENER,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [
            {
                "filters": [
                    _http_manager(
                        {
                            "stat_prefix": "hop",
                            "generate_request_id": False,
                            "preserve_external_request_id": True,
                            "skip_xff_append": True,
                            "route_config": {"name": "hop", "virtual_hosts": [host]},
                            "http_filters": [buffer_filter, capture.lua_filter("s"), throttle, _router()],
                            "access_log": [capture.access_log(start.capture_file, "s")],
                        }
                    )
                ]
            }
        ],
    }


def _http_manager(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "codec_type": "AUTO",
            "server_header_transformation": "PASS_THROUGH",
            **options,
        },
    }


def _unforged() -> dict[str, Any]:
    """Before anything else reads a request: what only gnomon may say in it is taken out."""
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": f"{API}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove": header} for header in INTERNAL_HEADERS],
        },
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{API}.extensions.filters.http.router.v3.Router"},
    }
