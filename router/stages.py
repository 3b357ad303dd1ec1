"""Pure: how far the routes of a gateway have brought each endpoint."""

from collections.abc import Iterable

from inventory.model import Backend, Revision, RouteSpec, Routing

_FURTHEST_LAST = (Routing.FRONTED, Routing.SHADOWED, Routing.SPLIT, Routing.ENFORCED)


def stage(spec: RouteSpec) -> Routing:
    """How the callers of the endpoint that a route adopted are served by it.

    Fronted: through the gateway, all to the endpoint. Shadowed: a share is copied to another backend.
    Split: another backend answers a share. Enforced: the endpoint answers nothing any more.
    """
    old = sum(backend.weight for backend in spec.backends if backend.endpoint == spec.endpoint)
    if old == 0:
        return Routing.ENFORCED
    if old < 100:
        return Routing.SPLIT
    if spec.shadow and spec.shadow.percent > 0 and not spec.shadow.baseline:
        return Routing.SHADOWED
    return Routing.FRONTED


def replacement_stage(spec: RouteSpec, backend: Backend) -> Routing | None:
    """How far a backend that is not what the route adopted has come; None while it gets nothing."""
    if backend.weight:
        return Routing.ENFORCED if backend.weight == 100 else Routing.SPLIT
    shadowed = spec.shadow is not None and spec.shadow.backend == backend.name and spec.shadow.percent > 0
    return Routing.SHADOWED if shadowed else None


def stages(served: Iterable[Revision]) -> dict[str, Routing]:
    """The stage of each endpoint that served routes lead to; the furthest where there are several."""
    found: dict[str, Routing] = {}
    for revision in served:
        for endpoint, reached in _of_route(revision.spec):
            found[endpoint] = max(found.get(endpoint, reached), reached, key=_FURTHEST_LAST.index)
    return found


def _of_route(spec: RouteSpec | None) -> Iterable[tuple[str, Routing]]:
    if spec is None:
        return
    if spec.endpoint is not None:
        yield spec.endpoint, stage(spec)
    for backend in spec.backends:
        if backend.endpoint not in {None, spec.endpoint} and (reached := replacement_stage(spec, backend)):
            assert backend.endpoint is not None
            yield backend.endpoint, reached
