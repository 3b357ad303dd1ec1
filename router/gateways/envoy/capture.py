"""Pure: what Envoy writes down of both answers to a sampled request, and how.

One JSON line a side, joined on ``rid``. ``role`` is ``p`` for the answer the caller got and ``s`` for the shadow's.
``sb`` holds the answer's body in base64, where it is no longer than ``BODY_LIMIT``: a longer one is not compared, and
``tx`` says how long it was. ``rb`` holds the request's in the same way, where the route keeps samples. The query of a
path is not logged: it may carry keys.

A copy costs Envoy a request and a half, most of it in code that other requests do not run. So nothing runs in Lua that
a filter of Envoy's own can do, no script is compiled (pieces that each run once in a while are compiled again and
again), and each side writes only what the other does not know.
"""

from typing import Any

from router.gateways.envoy.upstream import API

BODY_LIMIT = 65_536
"""Bytes of the largest body that is kept."""

ANSWER_LIMIT = 262_144
"""Bytes of a shadow's answer that are read at most. A larger one is cut, and with it the connection."""

NAMESPACE = "gnomon.capture"
LUA = "envoy.filters.http.lua"
MARKER = "gnomon.captured"
PATH_HEADER = "x-gnomon-path"
KEEPING = "keeping"
MOVING = "moving"

# Bodies that callers wait for stream past, and are given up once they are too long.
_LIVE = """
if jit then jit.off() end
local function keep(handle, key)
  local parts, size = {}, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    size = size + length
    if size > %(limit)d then return end
    if length > 0 then parts[#parts + 1] = chunk:getBytes(0, length) end
  end
  if size == 0 then return end
  handle:streamInfo():dynamicMetadata():set("%(namespace)s", key, handle:base64Escape(table.concat(parts)))
end
function envoy_on_response(handle) keep(handle, "sb") end
"""

_REQUEST = """function envoy_on_request(handle) keep(handle, "rb") end
"""

# Nobody waits for a shadow's answer: it is taken as a whole, and Envoy cuts one that is larger than its buffer.
_SHADOW = """
if jit then jit.off() end
function envoy_on_response(handle)
  local body = handle:body()
  if body == nil then return end
  local size = body:length()
  if size == 0 or size > %(limit)d then return end
  handle:streamInfo():dynamicMetadata():set("%(namespace)s", "sb", handle:base64Escape(body:getBytes(0, size)))
end
"""

# The caller's own path, before the primary's base path went in front.
_PATH = """function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":path", headers:get("%(path)s"))
end
"""


def filters(role: str) -> list[dict[str, Any]]:
    """The filters that mark a stream as captured and keep bodies: on the hop always, at the edge where a route says so.

    Where they are off they cost nothing.
    """
    words = {"limit": BODY_LIMIT, "namespace": NAMESPACE, "path": PATH_HEADER}
    script, name, more = (_LIVE, KEEPING, _REQUEST) if role == "p" else (_SHADOW, MOVING, _PATH)
    scripts = {
        "default_source_code": {"inline_string": script % words},
        "source_codes": {name: {"inline_string": (script + more) % words}},
    }
    mark = {
        "name": MARKER,
        "disabled": role == "p",
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": NAMESPACE, "value": {"on": True}}],
        },
    }
    lua = {
        "name": LUA,
        "disabled": role == "p",
        "typed_config": {"@type": f"{API}.extensions.filters.http.lua.v3.Lua", **scripts},
    }
    return [mark, lua]


def enable(*, keep_requests: bool) -> dict[str, Any]:
    """What a route says to have its requests captured, with their own bodies where samples of them are kept."""
    plain = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    return {MARKER: plain, LUA: _script(KEEPING) if keep_requests else plain}


def moving() -> dict[str, Any]:
    """What the hop says for copies whose own path is in a header."""
    return {LUA: _script(MOVING)}


def _script(name: str) -> dict[str, Any]:
    return {"@type": f"{API}.extensions.filters.http.lua.v3.LuaPerRoute", "name": name}


def access_log(path: str, role: str) -> dict[str, Any]:
    """The log of one side. Only requests whose capture began are written.

    So an answer that the hop made itself (a body too large for the shadow) is no answer of the shadow's: the
    pair counts as lost, not as a disagreement.
    """
    entity = "ROUTE" if role == "p" else "CLUSTER"
    common = {
        "rid": "%REQ(X-REQUEST-ID)%",
        "role": role,
        "route": f"%METADATA({entity}:gnomon:route)%",
        "backend": "%METADATA(CLUSTER:gnomon:backend)%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "tx": "%BYTES_SENT%",
        "sb": f"%DYNAMIC_METADATA({NAMESPACE}:sb)%",
        "ct": "%RESP(CONTENT-TYPE)%",
        "ce": "%RESP(CONTENT-ENCODING)%",
        "gs": "%GRPC_STATUS_NUMBER%",
    }
    request = {
        "rev": "%METADATA(ROUTE:gnomon:rev)%",
        "rx": "%BYTES_RECEIVED%",
        "rb": f"%DYNAMIC_METADATA({NAMESPACE}:rb)%",
        "rct": "%REQ(CONTENT-TYPE)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
    }
    own = request if role == "p" else {"det": "%RESPONSE_CODE_DETAILS%"}
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
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"omit_empty_values": True, "json_format": {**common, **own}},
        },
    }
