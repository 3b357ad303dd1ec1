"""Pure: what keeps an application's own links working under the gateway's name.

An application below a base path, or one that is spoken to by its own name, makes links that lead around the gateway
or miss the base path. Redirects (Location, Content-Location, Refresh) and the paths and domains of cookies are
rewritten here. A route that has a path is seen by its application without it: the path is taken from requests, told
in X-Forwarded-Prefix, and put before links. Links in bodies are not rewritten: those that begin with the base path are
served as they are, so that they work too, unless the route has a path; those that hold the application's own scheme,
host and port lead past the gateway.
"""

from typing import Any

from inventory.model import Backend
from router.gateways.envoy.upstream import API, authority, is_address

FILTER = "gnomon.links"

_SCRIPT = """
local function below(path, base)
  if base == "" or path:sub(1, #base) ~= base then return path end
  local rest = path:sub(#base + 1)
  if rest == "" then return "/" end
  local first = rest:sub(1, 1)
  if first == "/" then return rest end
  if first == "?" or first == "#" then return "/" .. rest end
  return path
end
local function front(path, context)
  path = below(path, context.base)
  local prefix = context.prefix
  if prefix == "" then return path end
  if path:sub(1, #prefix) == prefix and (#path == #prefix or path:sub(#prefix + 1, #prefix + 1):find("[/?#]")) then
    return path
  end
  return prefix .. path
end
local function link(url, host, context)
  local authority, rest = url:match("^https?://([^/?#]*)(.*)$")
  if authority == nil then
    if url:sub(1, 1) == "/" and url:sub(1, 2) ~= "//" then return front(url, context) end
    return url
  end
  authority = authority:lower()
  if authority ~= host and authority ~= context.authority and authority ~= context.host then return url end
  if rest:sub(1, 1) ~= "/" then rest = "/" .. rest end
  return front(rest, context)
end
local function cookie(text, context)
  text = text:gsub("(;%s*[Pp][Aa][Tt][Hh]%s*=%s*)([^;]*)", function(name, path)
    path = path:gsub("%s+$", "")
    if path:sub(1, 1) ~= "/" or text:find("^__Host%-") then return name .. path end
    local own = front(path, context)
    if own == context.prefix .. "/" and context.prefix ~= "" then own = context.prefix end
    return name .. own
  end)
  if context.host ~= "" then
    text = text:gsub(";%s*[Dd][Oo][Mm][Aa][Ii][Nn]%s*=[^;]*", "")
  end
  return text
end
function envoy_on_request(handle)
  local host = handle:headers():get(":authority")
  handle:streamInfo():dynamicMetadata():set("gnomon.links", "host", host and host:lower() or "")
  local prefix = handle:filterContext():get("prefix")
  if prefix ~= "" then
    local headers = handle:headers()
    local rest = headers:get(":path"):sub(#prefix + 1)
    if rest:sub(1, 1) ~= "/" then rest = "/" .. rest end
    headers:replace(":path", rest)
    headers:replace("x-forwarded-prefix", prefix)
  end
end
function envoy_on_response(handle)
  local told, headers = handle:filterContext(), handle:headers()
  local context = {base = told:get("base"), authority = told:get("authority"), host = told:get("host"),
                   prefix = told:get("prefix")}
  local notes = handle:streamInfo():dynamicMetadata():get("gnomon.links")
  local host = notes and notes["host"] or ""
  for _, name in ipairs({"location", "content-location"}) do
    local url = headers:get(name)
    if url ~= nil then headers:replace(name, link(url, host, context)) end
  end
  local refresh = headers:get("refresh")
  if refresh ~= nil then
    headers:replace("refresh", (refresh:gsub("([Uu][Rr][Ll]%s*=%s*)(.*)$", function(word, url)
      return word .. link(url, host, context)
    end)))
  end
  local count = headers:getNumValues("set-cookie")
  if count > 0 then
    local cookies = {}
    for place = 0, count - 1 do cookies[#cookies + 1] = cookie(headers:getAtIndex("set-cookie", place), context) end
    headers:remove("set-cookie")
    for _, text in ipairs(cookies) do headers:add("set-cookie", text) end
  end
end
"""


def links_filter() -> dict[str, Any]:
    """The filter of the listener: off, and free of cost, where a route does not need it."""
    return {
        "name": FILTER,
        "disabled": True,
        "typed_config": {
            "@type": f"{API}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": _SCRIPT},
            # A route's own path is taken away once the route is found: it must not be looked for again.
            "clear_route_cache": False,
        },
    }


def needed(backend: Backend) -> bool:
    """Whether links that the backend makes from what it sees would not be good for callers."""
    return bool(backend.base_path) or not is_address(backend.host)


def enable() -> dict[str, Any]:
    """What a route says whose backends need it."""
    return {FILTER: {"@type": f"{API.removesuffix('/envoy')}/envoy.config.route.v3.FilterConfig", "config": {}}}


def rewriting(backend: Backend, path: str = "") -> dict[str, Any]:
    """What one backend's share of a route says: its base path, its own name where it is told that, the route's path."""
    named = not is_address(backend.host)
    context = {
        "base": backend.base_path,
        "prefix": path,
        "authority": authority(backend).lower(),
        "host": backend.host.lower() if named else "",
    }
    return {FILTER: {"@type": f"{API}.extensions.filters.http.lua.v3.LuaPerRoute", "filter_context": context}}
