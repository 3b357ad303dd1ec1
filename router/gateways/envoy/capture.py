"""Pure: what Envoy writes down of both answers to a sampled request, and how.

One JSON line a side, joined on ``rid``. ``role`` is ``p`` for the answer the caller got and ``s`` for the shadow's.
``rb`` and ``sb`` hold the first ``BODY_LIMIT`` bytes of the request's and the answer's body in base64; the rest streams
past unseen. The query of a path is not logged: it may carry keys.
"""

from typing import Any

BODY_LIMIT = 65_536
"""Bytes of each body that are kept."""

NAMESPACE = "gnomon.capture"
LUA = "envoy.filters.http.lua"
REVISION_HEADER = "x-gnomon-rev"
PATH_HEADER = "x-gnomon-path"

_SCRIPT = """
local LIMIT = %(limit)d
local function keep(handle, key)
  local parts, kept, size = {}, 0, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if kept < LIMIT and length > 0 then
      local take = math.min(length, LIMIT - kept)
      parts[#parts + 1] = chunk:getBytes(0, take)
      kept = kept + take
    end
    size = size + length
  end
  local notes = handle:streamInfo():dynamicMetadata()
  notes:set("%(namespace)s", key, handle:base64Escape(table.concat(parts)))
  notes:set("%(namespace)s", "n", size)
end
function envoy_on_request(handle)
  local notes = handle:streamInfo():dynamicMetadata()
  notes:set("%(namespace)s", "on", true)
%(hop)s  keep(handle, "rb")
end
function envoy_on_response(handle) keep(handle, "sb") end
"""


# On the way to a shadow: the caller's own path, before the primary's base path went in front, and the revision.
_ON_HOP = """  local headers = handle:headers()
  headers:replace(":path", headers:get("%(path)s"))
  notes:set("%(namespace)s", "rev", tonumber(headers:get("%(revision)s")))
"""


def lua_filter(role: str) -> dict[str, Any]:
    """The filter that keeps bodies: on the hop always, at the edge where a route enables it; else it costs nothing."""
    words = {"limit": BODY_LIMIT, "namespace": NAMESPACE, "revision": REVISION_HEADER, "path": PATH_HEADER}
    script = _SCRIPT % {**words, "hop": _ON_HOP % words if role == "s" else ""}
    return {
        "name": LUA,
        "disabled": role == "p",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script},
        },
    }


def enable_lua() -> dict[str, Any]:
    """What a route says to have its requests captured."""
    return {LUA: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}}


def access_log(path: str, role: str) -> dict[str, Any]:
    """The log of one side. Only requests whose capture began are written.

    So an answer that the hop made itself (a body too large for the shadow) is no answer of the shadow's: the
    pair counts as lost, not as a disagreement.
    """
    entity = "ROUTE" if role == "p" else "CLUSTER"
    revision = "%METADATA(ROUTE:gnomon:rev)%" if role == "p" else f"%DYNAMIC_METADATA({NAMESPACE}:rev)%"
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "metadata_filter": {
                "matcher": {
                    "filter": NAMESPACE,
                    "path": [{"key": "on"}],
                    "value": {"bool_match": True},
                },
                "match_if_key_not_found": False,
            }
        },
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {
                "omit_empty_values": True,
                "json_format": {
                    "rid": "%REQ(X-REQUEST-ID)%",
                    "role": role,
                    "route": f"%METADATA({entity}:gnomon:route)%",
                    "rev": revision,
                    "backend": "%METADATA(CLUSTER:gnomon:backend)%",
                    "code": "%RESPONSE_CODE%",
                    "flags": "%RESPONSE_FLAGS%",
                    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
                    "rx": "%BYTES_RECEIVED%",
                    "tx": "%BYTES_SENT%",
                    "rb": f"%DYNAMIC_METADATA({NAMESPACE}:rb)%",
                    "sb": f"%DYNAMIC_METADATA({NAMESPACE}:sb)%",
                    "n": f"%DYNAMIC_METADATA({NAMESPACE}:n)%",
                    "ct": "%RESP(CONTENT-TYPE)%",
                    "ce": "%RESP(CONTENT-ENCODING)%",
                    "rct": "%REQ(CONTENT-TYPE)%",
                    "gs": "%GRPC_STATUS_NUMBER%",
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ:ORIG_OR_PATH)%",
                },
            },
        },
    }
