"""Pure: what an Envoy starts with. Everything about routes comes later, over delta ADS."""

from typing import Any, NamedTuple

from router.gateways.envoy import access, callers, calls, capture, hop, links
from router.gateways.envoy.resources import INTERNAL_HEADERS
from router.gateways.envoy.upstream import API, is_address
from router.governance import Governance

LISTENER = "gnomon"
CERTIFICATE = "gnomon-edge"
MEMBER = "gnomon-member"

BUCKETS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10000,
           30000, 60000, 300000)  # fmt: skip
"""Upper bounds, in milliseconds, of the buckets in which Envoy counts how long answers took."""

UNCOUNTED = (
    r"cluster\..*\|.*\.(lb_.*|membership_.*|update_.*|assignment_.*|circuit_breakers\..*|version|warming_state"
    r"|max_host_weight|default\.total_match_count)"
)
"""What Envoy keeps of each backend, asked or not, and nobody here reads.

It is forty values a backend. Among ten thousand routes, Envoy's main thread needs seconds to go through them each time
it is asked for any, and takes in no change meanwhile.
"""

UNCOUNTED_BELOW = "http.edge.rds."
"""The same of how each route arrived: twelve values a route, one of them a histogram that is merged each second."""

# To wait for the first configuration at the start; after it, Envoy serves what it has (404 for every host).
_FIRST_FETCH = "180s"


class Control(NamedTuple):
    """Where the gnomon of another machine is, its name, and the files by which both prove who they are.

    ``secret_file`` says to Envoy where its own certificate is; ``authority_file`` vouches for gnomon's.
    """

    host: str
    port: int
    name: str
    secret_file: str
    authority_file: str


class Start(NamedTuple):
    """What is particular to one Envoy. Paths are of sockets and files on its machine.

    ``control`` is where gnomon is, if not on this machine: ``xds_socket`` is not used then.
    """

    node: str
    address: str
    port: int
    xds_socket: str
    admin_socket: str
    capture_file: str
    calls_file: str
    ask_socket: str
    certificate_file: str | None = None
    authority_file: str | None = None
    memory_bytes: int = 2 * 1024**3
    connections: int = 50_000
    control: Control | None = None


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
            "clusters": [_xds_cluster(start), access.ask_cluster(start.ask_socket)],
            "listeners": [_edge(start, source), hop.listener(start.capture_file)],
        },
        "overload_manager": _overload(start),
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": BUCKETS}],
            "stats_matcher": {
                "exclusion_list": {"patterns": [{"prefix": UNCOUNTED_BELOW}, {"safe_regex": {"regex": UNCOUNTED}}]}
            },
        },
        "stats_flush_interval": "1s",
        # Half of the memory of a route is counters of a backend that nobody asked yet.
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": f"{API}.extensions.bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }


def standalone(start: Start, clusters: list[Any], scopes: list[Any], governance: Governance) -> dict[str, Any]:
    """The same gateway with its routes in the file: it asks nobody, and serves at once.

    ``clusters`` and ``scopes`` are in the form of ``resources``; a scope holds its route configuration.
    """
    form = bootstrap(start)
    del form["dynamic_resources"]
    form["static_resources"]["clusters"] = [*clusters, access.ask_cluster(start.ask_socket)]
    manager = form["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    scoped = manager["scoped_routes"]
    manager["http_filters"] = _filters(None, governance, start.capture_file)
    del scoped["rds_config_source"], scoped["scoped_rds"]
    scoped["scoped_route_configurations_list"] = {"scoped_route_configurations": scopes}
    return form


def certificate(chain: str, key: str, name: str = CERTIFICATE) -> dict[str, Any]:
    """The content of the file from which Envoy takes a certificate, again and again: that which callers see.

    Envoy looks at the folder of the chain: replace both files there, by a rename, and new connections get the new one.
    """
    return {
        "resources": [
            {
                "@type": f"{API}.extensions.transport_sockets.tls.v3.Secret",
                "name": name,
                "tls_certificate": {
                    "certificate_chain": {"filename": chain},
                    "private_key": {"filename": key},
                    "watched_directory": {"path": chain.rpartition("/")[0] or "/"},
                },
            }
        ]
    }


def _overload(start: Start) -> dict[str, Any]:
    """What is given up, in this order, when memory runs out: caches, idle connections, and then new requests."""
    heap = "envoy.resource_monitors.fixed_heap"
    steps = {"shrink_heap": 0.85, "disable_http_keepalive": 0.92, "stop_accepting_requests": 0.96}
    kinds = f"{API}.extensions.resource_monitors"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{kinds}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": start.memory_bytes,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{kinds}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": start.connections,
                },
            },
        ],
        "actions": [
            {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": heap, "threshold": {"value": share}}]}
            for name, share in steps.items()
        ],
    }


def _downstream_tls(start: Start) -> dict[str, Any]:
    """TLS for callers. Where an authority is named, they may show a certificate that it vouches for."""
    source = {"path_config_source": {"path": start.certificate_file}, "resource_api_version": "V3"}
    vouched = {"validation_context": {"trusted_ca": {"filename": start.authority_file}}} if start.authority_file else {}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{API}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [{"name": CERTIFICATE, "sds_config": source}],
                **vouched,
            },
        },
    }


def _xds_cluster(start: Start) -> dict[str, Any]:
    control = start.control
    address: dict[str, Any] = {"pipe": {"path": start.xds_socket}}
    if control is not None:
        address = {"socket_address": {"address": control.host, "port_value": control.port}}
    protocol: dict[str, Any] = {"http2_protocol_options": {}}
    if control is not None:
        # A peer that is gone without a word is noticed, and looked for again.
        protocol["http2_protocol_options"] = {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
    return {
        "name": "gnomon-xds",
        "type": "STATIC" if control is None or is_address(control.host) else "STRICT_DNS",
        "connect_timeout": "1s" if control is None else "3s",
        "load_assignment": {
            "cluster_name": "gnomon-xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            }
        },
        **({"transport_socket": _mutual_tls(control)} if control is not None else {}),
    }


def _mutual_tls(control: Control) -> dict[str, Any]:
    """TLS to gnomon, by which each proves to the other who it is. The own certificate is read anew when it changes."""
    source = {"path_config_source": {"path": control.secret_file}, "resource_api_version": "V3"}
    known = {"san_type": "DNS", "matcher": {"exact": control.name}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": control.name,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificate_sds_secret_configs": [{"name": MEMBER, "sds_config": source}],
                "validation_context": {
                    "trusted_ca": {"filename": control.authority_file},
                    "match_typed_subject_alt_names": [known],
                },
            },
        },
    }


def _edge(start: Start, source: dict[str, Any]) -> dict[str, Any]:
    """The listener that callers reach."""
    return {
        "name": LISTENER,
        "address": {"socket_address": {"address": start.address, "port_value": start.port}},
        # Otherwise another program could take the port too, and a share of the callers with it.
        "enable_reuse_port": False,
        # Of one socket, whichever worker wakes first takes all that waits: a few callers that keep their connections
        # would keep one worker busy and let the others rest.
        "connection_balance_config": {"exact_balance": {}},
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [
            {
                **({"transport_socket": _downstream_tls(start)} if start.certificate_file else {}),
                "filters": [_callers_manager(start, source)],
            }
        ],
    }


def _callers_manager(start: Start, source: dict[str, Any]) -> dict[str, Any]:
    """What is made of callers' requests. Routes are found by the Host header without its port."""
    key = {"header_value_extractor": {"name": ":authority", "index": 0, "element_separator": ":"}}
    return _http_manager(
        {
            "stat_prefix": "edge",
            "use_remote_address": True,
            # Nobody sets Envoy's own controls (x-envoy-*) or the request id: an empty list
            # would trust every private address, one that cannot be a peer trusts none.
            "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
            # Callers do not name requests: the id joins both answers of a shadowed one.
            "generate_request_id": True,
            "preserve_external_request_id": False,
            "always_set_request_id_in_response": True,
            "early_header_mutation_extensions": [_unforged()],
            # Dots are resolved; slashes that are doubled or escaped are part of a model's name
            # to some applications, which never see a path that was changed behind their back.
            "normalize_path": True,
            "merge_slashes": False,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "max_request_headers_kb": 60,
            "common_http_protocol_options": {"idle_timeout": "3600s", "max_headers_count": 200},
            # Who sends a request's head byte by byte holds no place for long.
            "request_headers_timeout": "10s",
            "http2_protocol_options": {
                "max_concurrent_streams": 256,
                "initial_stream_window_size": 1_048_576,
                "initial_connection_window_size": 4_194_304,
            },
            "http_protocol_options": {"accept_http_10": True},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "scoped_routes": {
                "name": LISTENER,
                "scope_key_builder": {"fragments": [key]},
                "rds_config_source": source,
                "scoped_rds": {"scoped_rds_config_source": source},
            },
            "http_filters": _filters(source, Governance(), start.capture_file),
            "access_log": [
                capture.live_log(start.capture_file),
                calls.call_log(start.calls_file),
            ],
        }
    )


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
            "mutations": [
                {"remove": header} for header in (*INTERNAL_HEADERS, *callers.IDENTITY_HEADERS, *access.TOLD)
            ],
        },
    }


def _filters(source: dict[str, Any] | None, governance: Governance, capture_file: str) -> list[dict[str, Any]]:
    """The chain: who calls, whether they may, and then what answers need."""
    # The mark comes first: a call that is refused is written down too.
    governed = [calls.marker(), *callers.filters(source, governance), *access.filters()]
    return [*governed, links.links_filter(), *capture.filters(), capture.router(capture_file)]
