"""Envoy: the routes of a configuration dump, from its admin interface or a file, as ways that lead to backends.

Interface: ``/config_dump`` of Envoy's admin interface, API v3.
"""

from collections.abc import Iterator
from typing import Any

from inventory.model import Declaration, DeclarationKind
from scanner.sources.documents import load
from scanner.sources.reading import Context, SourceError, source_of_declarations


def read(context: Context) -> Iterator[Declaration]:
    """Every route of every virtual host, with the endpoints of the clusters that it names."""
    document = load(context, "/config_dump?include_eds", what="the URL of an admin interface, or the file of a dump")
    configs = document.get("configs") if isinstance(document, dict) else None
    if not isinstance(configs, list):
        raise SourceError(f"{context.source} is no configuration dump of Envoy: write what /config_dump answers")
    dump = [one for one in configs if isinstance(one, dict)]
    clusters = dict(_clusters(dump))
    ports = dict(_ports(dump))
    for config in _resources(dump, "route_config"):
        yield from _routes(context, config, clusters, ports)
    for _, inline in _inline(dump):
        yield from _routes(context, inline, clusters, ports)


def _resources(dump: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """The resources of a kind, static and dynamic. A dynamic listener or cluster lies one level deeper."""
    for section in dump:
        for key, entries in section.items():
            if not isinstance(entries, list):
                continue
            for entry in entries:
                if isinstance(entry, dict) and key.startswith(("static_", "dynamic_")):
                    found = entry.get(name) or (entry.get("active_state") or {}).get(name)
                    if isinstance(found, dict):
                        yield found


def _clusters(dump: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    assigned = {
        str(one.get("cluster_name")): one for one in _resources(dump, "endpoint_config") if one.get("cluster_name")
    }
    for cluster in _resources(dump, "cluster"):
        name = str(cluster.get("name"))
        scheme = "https" if cluster.get("transport_socket") else "http"
        eds = str((cluster.get("eds_cluster_config") or {}).get("service_name") or name)
        assignment = cluster.get("load_assignment") or assigned.get(eds) or assigned.get(name) or {}
        yield name, tuple(f"{scheme}://{socket}" for socket in _sockets(assignment))


def _sockets(assignment: dict[str, Any]) -> Iterator[str]:
    for locality in assignment.get("endpoints") or []:
        for one in locality.get("lb_endpoints") or []:
            address = ((one.get("endpoint") or {}).get("address") or {}).get("socket_address") or {}
            if address.get("address") and address.get("port_value"):
                host = str(address["address"])
                yield f"[{host}]:{address['port_value']}" if ":" in host else f"{host}:{address['port_value']}"


def _managers(dump: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each HTTP connection manager with its listener."""
    for listener in _resources(dump, "listener"):
        chains = [*(listener.get("filter_chains") or []), listener.get("default_filter_chain") or {}]
        for chain in chains:
            for one in chain.get("filters") or []:
                manager = one.get("typed_config") or {}
                if "route_config" in manager or "rds" in manager:
                    yield listener, manager | {"_tls": "transport_socket" in chain}


def _ports(dump: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Where each route configuration is served: ``http`` or ``https`` and the port."""
    for listener, manager in _managers(dump):
        address = (listener.get("address") or {}).get("socket_address") or {}
        name = (manager.get("rds") or {}).get("route_config_name") or (manager.get("route_config") or {}).get("name")
        yield str(name), f"{'https' if manager['_tls'] else 'http'}:{address.get('port_value')}"


def _inline(dump: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for listener, manager in _managers(dump):
        if isinstance(manager.get("route_config"), dict):
            yield listener, manager["route_config"]


def _routes(
    context: Context, config: dict[str, Any], clusters: dict[str, tuple[str, ...]], ports: dict[str, str]
) -> Iterator[Declaration]:
    scheme, _, port = ports.get(str(config.get("name")), "http:").partition(":")
    for host in config.get("virtual_hosts") or []:
        for number, route in enumerate(host.get("routes") or []):
            action = route.get("route") or {}
            names = [action.get("cluster")] + [
                one.get("name") for one in (action.get("weighted_clusters") or {}).get("clusters") or []
            ]
            backends = tuple(url for name in names if name for url in clusters.get(str(name), ()))
            if not any(names):
                continue
            matched = route.get("match") or {}
            path = str(matched.get("prefix") or matched.get("path") or matched.get("path_separated_prefix") or "/")
            yield context.declaration(
                f"{config.get('name')}/{host.get('name')}/{number}",
                f"{host.get('name')}{path if path != '/' else ''}",
                kind=DeclarationKind.ROUTE,
                urls=tuple(_url(scheme, str(domain), port, path) for domain in host.get("domains") or []),
                backends=backends,
            )


def _url(scheme: str, domain: str, port: str, path: str) -> str:
    usual = {"http": "80", "https": "443"}[scheme]
    where = domain if not port.isdigit() or port == usual or ":" in domain else f"{domain}:{port}"
    return f"{scheme}://{where}{path}"


prepare = source_of_declarations(read, files=True)
