"""Pure: the line that Envoy writes of each call of a route that has ``access``. ``router.audit`` reads it.

``at`` is in milliseconds since 1970, as text. ``claims`` is what the token of an issuer says, once verified; ``id`` is
who exchanged it for a token of ours. The query of a path is not written: it may carry keys. Nor are headers, bodies
or tokens.
"""

from typing import Any

from router.gateways.envoy.callers import JWT, OURS, THEIRS
from router.gateways.envoy.upstream import API

MARKER = "gnomon.called"
NAMESPACE = "gnomon.called"


def marker() -> dict[str, Any]:
    """The filter, off but for routes that want it, that says a call is to be written down."""
    return {
        "name": MARKER,
        "disabled": True,
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": NAMESPACE, "value": {"on": True}}],
        },
    }


def call_log(path: str) -> dict[str, Any]:
    """The log of calls, one JSON line each, with what is absent left out."""
    payload = f"%DYNAMIC_METADATA({JWT}:{THEIRS})%"
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "metadata_filter": {
                "matcher": {"filter": NAMESPACE, "path": [{"key": "on"}], "value": {"bool_match": True}},
                "match_if_key_not_found": False,
            }
        },
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {
                "omit_empty_values": True,
                "json_format": {
                    "rid": "%REQ(X-REQUEST-ID)%",
                    "at": "%START_TIME(%s%3f)%",
                    "route": "%METADATA(ROUTE:gnomon:route)%",
                    "rev": "%METADATA(ROUTE:gnomon:rev)%",
                    "backend": "%METADATA(CLUSTER:gnomon:backend)%",
                    "id": f"%DYNAMIC_METADATA({JWT}:{OURS}:sub)%",
                    "claims": payload,
                    "peer": "%DOWNSTREAM_PEER_URI_SAN%",
                    "addr": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
                    "ua": "%REQ(USER-AGENT):64%",
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ:ORIG_OR_PATH):512%",
                    "code": "%RESPONSE_CODE%",
                    "det": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "rx": "%BYTES_RECEIVED%",
                    "tx": "%BYTES_SENT%",
                    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
                    "model": "%REQ(X-MODEL):128%",
                    "purpose": "%REQ(X-PURPOSE):128%",
                },
            },
        },
    }
