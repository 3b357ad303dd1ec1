"""The ways to a port of a workload, as URLs: Services, node ports, load balancers, ingress and gateway hosts. Pure."""

from collections.abc import Iterator, Mapping

from inventory.model import Exposure
from scanner.cluster.links import Links
from scanner.cluster.objects import ServiceObject, ServicePort
from scanner.cluster.routing import Gateway, Route
from scanner.cluster.workloads import Running

MOST = 64
_TLS_PORTS = frozenset({443, 8443})


def exposures(one: Running, port: int, links: Links, gateways: Mapping[tuple[str, str], Gateway]) -> list[Exposure]:
    """The ways to one port of a workload, beside its pods' own addresses."""
    key = (one.workload.uid, port)
    found = [way for service, part in links.services.get(key, []) for way in _of_service(service, part, one)]
    for lead in links.leads.get(key, []):
        if lead.route is not None:
            found += _of_route(lead.route, gateways)
    return list(dict.fromkeys(found))[:MOST]


def _of_service(service: ServiceObject, port: ServicePort, one: Running) -> Iterator[Exposure]:
    meta = service.meta
    yield Exposure(via="service", url=_url(f"{meta.name}.{meta.namespace}.svc", port.port))
    if port.node_port is not None:
        for host in sorted({pod.host for pod in one.pods if pod.host})[:4]:
            yield Exposure(via="node-port", url=_url(host, port.node_port))
    for outside in service.outside:
        yield Exposure(via="load-balancer", url=_url(outside, port.port))


def _of_route(route: Route, gateways: Mapping[tuple[str, str], Gateway]) -> Iterator[Exposure]:
    paths = route.paths[:4] or ("",)
    if route.kind == "Ingress":
        for host in route.hosts or route.outside:
            for path in paths:
                yield Exposure(via="ingress", url=f"{'https' if route.tls else 'http'}://{host}{_bare(path)}")
        return
    for host, port, tls in _gateway_hosts(route, gateways):
        for path in paths:
            yield Exposure(via="gateway", url=f"{_url(host, port, tls=tls)}{_bare(path)}")


def _gateway_hosts(route: Route, gateways: Mapping[tuple[str, str], Gateway]) -> Iterator[tuple[str, int, bool]]:
    """Every host of a route at every listener of its gateways; without the gateway, the hosts alone."""
    for kind, namespace, name in route.gateways:
        gateway = gateways.get((namespace, name)) if kind == "Gateway" else None
        if gateway is None:
            yield from ((host, 80, False) for host in route.hosts)
            continue
        for listener, port, tls in gateway.listeners:
            hosts = route.hosts or ((listener,) if listener else gateway.addresses)
            yield from ((host, port, tls) for host in hosts)


def _url(host: str, port: int, *, tls: bool | None = None) -> str:
    secure = port in _TLS_PORTS if tls is None else tls
    shown = f"[{host}]" if ":" in host else host
    usual = port == (443 if secure else 80)
    return f"{'https' if secure else 'http'}://{shown}{'' if usual else f':{port}'}"


def _bare(path: str) -> str:
    return "" if path in {"", "/"} else path if path.startswith("/") else f"/{path}"
