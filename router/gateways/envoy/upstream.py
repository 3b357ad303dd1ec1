"""Pure: how Envoy speaks to the servers of a backend, and which of them it trusts with requests."""

import ipaddress
from functools import lru_cache
from typing import Any

from inventory.model import Backend, HealthCheck
from router.gateways.envoy.fixed import Fixed

API = "type.googleapis.com/envoy"

# Below the shortest keep-alive that common servers have (gunicorn 2 s, uvicorn and node 5 s): a connection that
# the server is about to close is not used for a request that could then not be repeated.
_IDLE = "1.5s"

_NARROW = 65_536
"""Bytes; the system doubles it for its own bookkeeping."""


@lru_cache(4096)
def is_address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolved(backend: Backend) -> bool:
    """Whether a name must be looked up to reach the backend."""
    return not all(is_address(host) for host, _ in backend.places)


def authority(backend: Backend) -> str:
    """The host of a backend as a Host header has it: with its port, unless that is the scheme's own."""
    host = f"[{backend.host}]" if ":" in backend.host else backend.host
    return host if backend.port == (443 if backend.tls else 80) else f"{host}:{backend.port}"


def endpoints(backend: Backend) -> list[dict[str, Any]]:
    """Every server of a backend, as the endpoints of one locality."""
    sockets = [{"socket_address": {"address": host, "port_value": port}} for host, port in backend.places]
    return [{"lb_endpoints": [{"endpoint": {"address": socket}} for socket in sockets]}]


@lru_cache
def protocol(spoken: str) -> Fixed:
    """What is said of the protocol that is spoken to a backend."""
    explicit: dict[str, Any] = {"http_protocol_options": {}}
    if spoken == "http2":
        explicit = {"http2_protocol_options": {}}
    return Fixed(
        {
            "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": _IDLE},
            "explicit_http_config": explicit,
        }
    )


def tls(backend: Backend) -> dict[str, Any]:
    """TLS to the backend.

    Without an authority file there is no proof of who it is: an adopted server has a certificate of its own making,
    callers who went to it directly had no proof either, and a trusted set of certificates would refuse it. With one,
    the certificate must be for the host of the URL; Envoy reads the file when it gets the route.
    """
    named = not is_address(backend.host)
    validation: dict[str, Any] = {"trust_chain_verification": "ACCEPT_UNTRUSTED"}
    if backend.authority_file is not None:
        validation = {
            "trusted_ca": {"filename": backend.authority_file},
            "match_typed_subject_alt_names": [
                {"san_type": "DNS" if named else "IP_ADDRESS", "matcher": {"exact": backend.host}}
            ],
        }
    common: dict[str, Any] = {"validation_context": validation}
    if backend.protocol == "http2":
        common["alpn_protocols"] = ["h2"]
    context = {
        "@type": f"{API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
        **({"sni": backend.host} if named else {}),
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def health(backend: Backend, check: HealthCheck, host: str) -> dict[str, Any]:
    """What is asked of every server now and then. ``host`` is the name that callers use."""
    asked = {
        "path": f"{backend.base_path}{check.path}",
        "host": host if is_address(backend.host) else authority(backend),
        "codec_client_type": "HTTP2" if backend.protocol == "http2" else "HTTP1",
    }
    return {
        "timeout": f"{check.timeout_seconds:g}s",
        "interval": f"{check.interval_seconds:g}s",
        # A new cluster is asked at once; its first answer decides.
        "no_traffic_interval": f"{check.interval_seconds:g}s",
        "unhealthy_threshold": check.unhealthy_after,
        "healthy_threshold": check.healthy_after,
        "http_health_check": asked,
    }


@lru_cache
def narrow() -> Fixed:
    """Connections whose system takes in little that nobody has read yet.

    A server that sends without end would otherwise be taken some megabytes from before its answer is cut, by copies
    in the kernel that callers wait for. Source: socket(7), SO_RCVBUF of SOL_SOCKET on Linux.
    """
    return Fixed({"socket_options": [{"level": 1, "name": 8, "int_value": _NARROW, "state": "STATE_PREBIND"}]})


@lru_cache
def ejection() -> Fixed:
    """When a server that fails live requests gets none for a while.

    Only what tells of the server's state counts: no connection, or 502, 503 and 504 in a row. An application that
    answers 500 to a bad request is not ill. At least half of the servers stay.
    """
    return Fixed(
        {
            "split_external_local_origin_errors": True,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "10s",
            "max_ejection_time": "300s",
            "max_ejection_percent": 50,
        }
    )
