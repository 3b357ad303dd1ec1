"""Pure: how callers of an adopted endpoint move to the gateway, in words, and what to look out for."""

from collections.abc import Iterator

from inventory.model import Endpoint, Kind, RouteSpec, Scheme
from inventory.settings import Settings


def advice(endpoint: Endpoint, spec: RouteSpec, settings: Settings) -> Iterator[str]:
    """One sentence a line: by base URL, by DNS, by redirect; then what the gateway does, and cannot do, for it."""
    new = gateway_url(spec.hosts[0], settings) + spec.path
    yield f"callers move by using {new} instead of {endpoint.url}"
    names = [name for name in endpoint.certificate_names if "*" not in name and name not in spec.hosts]
    if names:
        yield (
            f"or by DNS: adopt it with --host {names[0]}, and point that name to {settings.gateway_address}; "
            f"callers must use port {settings.gateway_port}"
        )
    yield f"or by a redirect: have {endpoint.url} answer 307 with Location {new}, which keeps method and body"
    if spec.path:
        yield from _by_path(endpoint, spec)
    elif endpoint.base_path.rstrip("/"):
        yield (
            f"it is served without {endpoint.base_path}: its redirects and cookies are rewritten, and links that begin "
            "with that path work; links in its pages that hold its own host and port lead past the gateway"
        )
    if endpoint.scheme is Scheme.HTTPS and settings.gateway_certificate is None:
        yield "it spoke TLS, and the gateway does not: set gateway_certificate and gateway_key"
    if endpoint.needs:
        yield f"it needs {', '.join(endpoint.needs)}, which pass through unbuffered"


def _by_path(endpoint: Endpoint, spec: RouteSpec) -> Iterator[str]:
    """What a path instead of a host comes to."""
    if endpoint.base_path.rstrip("/") == spec.path:
        yield f"it lives at {spec.path} already: its links work as they are"
        return
    yield (
        f"it sees requests without {spec.path}, and X-Forwarded-Prefix: {spec.path}; its redirects and cookies are "
        "rewritten, its pages are not"
    )
    setting = _PREFIXES.get(endpoint.product or "")
    if setting is not None:
        how = setting.format(path=spec.path)
        yield f"its pages hold links that begin with /, which miss {spec.path}: use a host name, or {how}"
    elif endpoint.kind in _PAGES:
        yield (
            f"it was observed to serve pages ({endpoint.kind.value}): those whose links begin with / miss {spec.path}, "
            "and need a host name; an API, and links that are relative, do not"
        )
    yield "all paths of one host are one origin to a browser: applications that do not trust each other need host names"


_PAGES = {Kind.NOTEBOOK, Kind.ML_UI, Kind.ML_PLATFORM, Kind.ORDINARY_WEB}

_PREFIXES = {
    "jupyter-server": "start it with --ServerApp.base_url={path} and adopt it anew",
    "streamlit": "start it with --server.baseUrlPath={path} and adopt it anew",
    "gradio": "start it with root_path={path}",
    "mlflow": "start it with --static-prefix={path} and adopt it anew",
}
"""How products whose pages have links from the root are told of a path."""


def gateway_url(host: str, settings: Settings) -> str:
    """Where callers reach a host of the gateway."""
    scheme, own = ("https", 443) if settings.gateway_certificate else ("http", 80)
    return f"{scheme}://{host}" + ("" if settings.gateway_port == own else f":{settings.gateway_port}")
