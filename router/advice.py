"""Pure: how callers of an adopted endpoint move to the gateway, in words, and what to look out for."""

from collections.abc import Iterator

from inventory.model import Endpoint, RouteSpec, Scheme
from inventory.settings import Settings


def advice(endpoint: Endpoint, spec: RouteSpec, settings: Settings) -> Iterator[str]:
    """One sentence a line: by base URL, by DNS, by redirect; then what the gateway does, and cannot do, for it."""
    new = gateway_url(spec.hosts[0], settings)
    yield f"callers move by using {new} instead of {endpoint.url}"
    names = [name for name in endpoint.certificate_names if "*" not in name and name not in spec.hosts]
    if names:
        yield (
            f"or by DNS: adopt it with --host {names[0]}, and point that name to {settings.gateway_address}; "
            f"callers must use port {settings.gateway_port}"
        )
    yield f"or by a redirect: have {endpoint.url} answer 307 with Location {new}, which keeps method and body"
    if endpoint.base_path.rstrip("/"):
        yield (
            f"it is served without {endpoint.base_path}: its redirects and cookies are rewritten, and links that begin "
            "with that path work; links in its pages that hold its own host and port lead past the gateway"
        )
    if endpoint.scheme is Scheme.HTTPS and settings.gateway_certificate is None:
        yield "it spoke TLS, and the gateway does not: set gateway_certificate and gateway_key"
    if endpoint.needs:
        yield f"it needs {', '.join(endpoint.needs)}, which pass through unbuffered"


def gateway_url(host: str, settings: Settings) -> str:
    """Where callers reach a host of the gateway."""
    scheme, own = ("https", 443) if settings.gateway_certificate else ("http", 80)
    return f"{scheme}://{host}" + ("" if settings.gateway_port == own else f":{settings.gateway_port}")
