"""Pure: what Envoy writes down of both answers to a sampled request, and how.

One JSON line a side, joined on ``rid``. ``role`` is ``p`` for the answer the caller got and ``s`` for the shadow's.
``sb`` holds the answer's body in base64, where it is no longer than ``BODY_LIMIT``: a longer one is not compared, and
``tx`` says how long it was. ``rb`` holds the request's in the same way, where the route keeps samples. The query of a
path is not logged: it may carry keys.

The caller's answer is in the log of the edge. The shadow's is in the log that the edge's router keeps of requests to
servers: a copy is such a request, though nobody waits for it, and has a line also where no answer came. Its body is
read by a filter of the shadow's own cluster, and comes to the log as a header that no server sees.

A copy costs Envoy a request and more, most of it in code that other requests do not run. So nothing runs in Lua that
a filter of Envoy's own can do, no script is compiled (pieces that each run once in a while are compiled again and
again), and each side writes only what the other does not know. Names are written down whole and taken apart when they
are read: for one field of a metadata Envoy copies all of it.
"""

from functools import lru_cache
from typing import Any

from router.gateways.envoy import upstream
from router.gateways.envoy.fixed import Fixed
from router.gateways.envoy.upstream import API
from router.shadow.records import COPY_SECONDS

BODY_LIMIT = 65_536
"""Bytes of the largest body that is kept."""

WHOLE_LIMIT = 16_384
"""Bytes of the largest body that a caller waits for as a whole: what a server sends at once."""

NAMESPACE = "gnomon.capture"
LUA = "envoy.filters.http.lua"
MARKER = "gnomon.captured"
MARKER_HEADER = "x-gnomon-shadow"
ONWARD_HEADER = "x-gnomon-hop"
"""Of a copy that is not at its shadow yet: the cluster that it goes on to."""

PATH_HEADER = "x-gnomon-path"
BODY_HEADER = "x-gnomon-body"
KEEPING = "keeping"

# Bodies that callers wait for stream past, and are given up once they are too long. One that is said to be short is
# taken as a whole: piece by piece costs as much again.
_LIVE = """
if jit then jit.off() end
local function kept(handle)
  local said = handle:headers():get("content-length")
  if said and tonumber(said) <= %(whole)d then
    local body = handle:body()
    if body == nil or body:length() == 0 then return end
    return body:getBytes(0, body:length())
  end
  local parts, size = {}, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    size = size + length
    if size > %(limit)d then return end
    if length > 0 then parts[#parts + 1] = chunk:getBytes(0, length) end
  end
  if size > 0 then return table.concat(parts) end
end
local function keep(handle, key)
  local body = kept(handle)
  if body then handle:streamInfo():dynamicMetadata():set("%(namespace)s", key, handle:base64Escape(body)) end
end
function envoy_on_response(handle) keep(handle, "sb") end
"""

_REQUEST = """function envoy_on_request(handle) keep(handle, "rb") end
"""

# Nobody waits for a shadow's answer: it is taken as a whole, and Envoy cuts one that is larger than its buffer.
_SHADOW = """
if jit then jit.off() end
function envoy_on_response(handle)
  local body, size = handle:body(), 0
  if body then size = body:length() end
  if size == 0 or size > %(limit)d then
    handle:headers():remove("%(header)s")
  else
    handle:headers():replace("%(header)s", handle:base64Escape(body:getBytes(0, size)))
  end
end
"""

# The shadow's own base path is in front of the caller's path, not the primary's.
_PATH = """
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":path", headers:get("%(path)s"))
  headers:remove("%(path)s")
end
"""

_WORDS = {
    "limit": BODY_LIMIT, "whole": WHOLE_LIMIT, "namespace": NAMESPACE, "header": BODY_HEADER, "path": PATH_HEADER,
}  # fmt: skip


def filters() -> list[dict[str, Any]]:
    """The edge's filters that mark a request as captured and keep bodies, where its route says so.

    Where they are off they cost nothing.
    """
    scripts = {
        "default_source_code": {"inline_string": _LIVE % _WORDS},
        "source_codes": {KEEPING: {"inline_string": (_LIVE + _REQUEST) % _WORDS}},
    }
    mark = {
        "name": MARKER,
        "disabled": True,
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": NAMESPACE, "value": {"on": True}}],
        },
    }
    return [mark, {**_lua(scripts), "disabled": True}]


@lru_cache(64)
def protocol(spoken: str, *, moved: bool) -> Fixed:
    """What is said of the protocol of a shadow: what copies and their answers go through, and for how long.

    ``moved``: the path of copies is in a header.
    """
    plain = upstream.protocol(spoken)
    send = {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{API}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
    }
    # Envoy calls its own requests internal: a copy says of itself what the original does.
    told = {
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"remove": "x-envoy-internal"}]},
        },
    }
    limits = {**plain["common_http_protocol_options"], "max_stream_duration": f"{COPY_SECONDS}s"}
    script = (_SHADOW + _PATH if moved else _SHADOW) % _WORDS
    filters = [told, _lua({"default_source_code": {"inline_string": script}}), send]
    return Fixed({**plain, "common_http_protocol_options": limits, "http_filters": filters})


def _lua(scripts: dict[str, Any]) -> dict[str, Any]:
    return {"name": LUA, "typed_config": {"@type": f"{API}.extensions.filters.http.lua.v3.Lua", **scripts}}


def enable(*, keep_requests: bool) -> dict[str, Any]:
    """What a route says to have its requests captured, with their own bodies where samples of them are kept."""
    plain = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    named = {"@type": f"{API}.extensions.filters.http.lua.v3.LuaPerRoute", "name": KEEPING}
    return {MARKER: plain, LUA: named if keep_requests else plain}


def entry(route: str, revision: int) -> str:
    """What the entry of captured requests is called, for the log."""
    return f"{route}@{revision}"


def live_log(path: str) -> dict[str, Any]:
    """The log of what callers got. Only requests whose capture began are written."""
    marked = {"filter": NAMESPACE, "path": [{"key": "on"}], "value": {"bool_match": True}}
    own = {
        "entry": "%ROUTE_NAME%",
        "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "rx": "%BYTES_RECEIVED%",
        "tx": "%BYTES_SENT%",
        "sb": f"%DYNAMIC_METADATA({NAMESPACE}:sb)%",
        "rb": f"%DYNAMIC_METADATA({NAMESPACE}:rb)%",
        "rct": "%REQ(CONTENT-TYPE):2048%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH):2048%",
    }
    chosen = {"metadata_filter": {"matcher": marked, "match_if_key_not_found": False}}
    return _log(path, chosen, {"role": "p", **own})


def router(path: str) -> dict[str, Any]:
    """The filter that sends requests on, with the log of those that are copies."""
    sends = {"@type": f"{API}.extensions.filters.http.router.v3.Router", "upstream_log": [_copy_log(path)]}
    return {"name": "envoy.filters.http.router", "typed_config": sends}


def _copy_log(path: str) -> dict[str, Any]:
    """The log of what became of copies. ``wr`` says how many bytes came back, heads included, ``ms`` how long it took.

    Both tell why there is no answer where Envoy does not: it flags neither one that it cut nor one that took too long.
    """
    heads = [{"name": MARKER_HEADER, "present_match": True}, {"name": ONWARD_HEADER, "present_match": False}]
    chosen = {"and_filter": {"filters": [{"header_filter": {"header": one}} for one in heads]}}
    own = {
        "us": "%COMMON_DURATION(DS_RX_BEG:US_RX_END:us)%",
        "tx": "%BYTES_RECEIVED%",
        "sb": f"%RESP({BODY_HEADER})%",
        "wr": "%UPSTREAM_WIRE_BYTES_RECEIVED%",
        "ms": "%DURATION%",
    }
    return _log(path, chosen, {"role": "s", **own})


def _log(path: str, chosen: dict[str, Any], own: dict[str, str]) -> dict[str, Any]:
    common = {
        "rid": "%REQ(X-REQUEST-ID)%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "ct": "%RESP(CONTENT-TYPE):2048%",
        "ce": "%RESP(CONTENT-ENCODING):2048%",
        "gs": "%GRPC_STATUS_NUMBER%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "filter": chosen,
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"omit_empty_values": True, "json_format": {**common, **own}},
        },
    }
