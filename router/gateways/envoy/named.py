"""Resources in the form in which they are sent: serialised, with a version that is a digest of what they say."""

import hashlib
from typing import Any

from inventory.model import Revision
from router.gateways.envoy.callers import shared
from router.gateways.envoy.resources import resources
from router.gateways.envoy.sync import CLUSTER, EXTENSION, ROUTE, SCOPE, Resource
from router.gateways.envoy.tables import PIECE, piece
from router.governance import Governance, Held

Named = dict[tuple[str, str], Resource]
"""Resources by type and name."""


def of_route(schema: Any, revision: Revision, held: Held) -> Named:
    """The resources of one route. ValueError for a field that this Envoy does not have."""
    made = resources(revision, held)
    clusters = frozenset(made.clusters)
    messages = {
        CLUSTER: ("envoy.config.cluster.v3.Cluster", made.clusters, frozenset[str]()),
        ROUTE: ("envoy.config.route.v3.RouteConfiguration", made.routes, clusters),
        SCOPE: ("envoy.config.route.v3.ScopedRouteConfiguration", made.scopes, clusters),
    }
    found: Named = {}
    for kind, (message, forms, needs) in messages.items():
        for name, form in forms.items():
            resolves = form.get("type") == "STRICT_DNS"
            found[kind, name] = _resource(schema, message, form, needs, resolves=resolves, route=revision.route)
    for host, entries in made.pieces.items():
        found[PIECE, host] = piece(schema, entries, clusters, revision.route)
    return found


def of_all(schema: Any, governance: Governance) -> Named:
    """The resources that all routes share. ValueError for a field that this Envoy does not have."""
    message = "envoy.config.core.v3.TypedExtensionConfig"
    return {(EXTENSION, name): _resource(schema, message, form) for name, form in shared(governance).items()}


def _resource(
    schema: Any,
    message: str,
    form: dict[str, Any],
    needs: frozenset[str] = frozenset(),
    *,
    resolves: bool = False,
    route: str = "",
) -> Resource:
    body = schema.message(message, form).SerializeToString(deterministic=True)
    return Resource(hashlib.blake2b(body, digest_size=8).hexdigest(), body, needs, resolves, route)
