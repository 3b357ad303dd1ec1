"""Pure: the desired and the observed state of many routes, and which of them a change concerns.

``router.plan.reconcile`` looks at all that it is given. Given the routes that changed, and every route that shares a
host or a change with one of them, it finds what it would find among all: so a change costs the same among ten
routes as among ten thousand.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from inventory.model import Revision
from router.observed import Observed
from router.plan import hosts_of


class Part(NamedTuple):
    """The two states of some routes, as ``reconcile`` takes them."""

    desired: tuple[Revision, ...]
    observed: Observed


class _Index:
    """Which routes have a key; a route has as many as it likes."""

    def __init__(self) -> None:
        self._routes: dict[str, set[str]] = {}

    def replace(self, route: str, before: Iterable[str], after: Iterable[str]) -> None:
        for key in before:
            known = self._routes.get(key, set())
            known.discard(route)
            if not known:
                self._routes.pop(key, None)
        for key in after:
            self._routes.setdefault(key, set()).add(route)

    def of(self, keys: Iterable[str]) -> set[str]:
        return {route for key in keys for route in self._routes.get(key, ())}


class Catalogue:
    """Every route that is desired or served, by name. It holds what it was told, and asks nobody."""

    def __init__(self) -> None:
        """Nothing is desired and nothing is served."""
        self.desired: dict[str, Revision] = {}
        self.served: dict[str, Revision] = {}
        self._rejected = Observed().rejected.copy()
        self._wanted_hosts, self._served_hosts = _Index(), _Index()
        self._changes, self._endpoints = _Index(), _Index()

    def desire(self, revisions: Iterable[Revision]) -> None:
        """Take in the latest revisions of some routes, removed ones included."""
        for revision in revisions:
            before = self.desired.get(revision.route)
            self._wanted_hosts.replace(revision.route, _hosts(before), _hosts(revision))
            self._changes.replace(revision.route, _change(before), _change(revision))
            self.desired[revision.route] = revision

    def observe(self, routes: Iterable[str], observed: Observed) -> None:
        """Take in what a gateway has of these routes; one that it does not name is not served."""
        for route in routes:
            before, after = self.served.get(route), observed.routes.get(route)
            if before is not after:
                self._served_hosts.replace(route, _hosts(before), _hosts(after))
                self._endpoints.replace(route, endpoints_of(before), endpoints_of(after))
            for state, now in ((self.served, after), (self._rejected, observed.rejected.get(route))):
                if now is None:
                    state.pop(route, None)
                else:
                    state[route] = now  # type: ignore[assignment]

    def around(self, routes: Iterable[str]) -> frozenset[str]:
        """These routes, and all that share a host or a change with one of them, or with one that does."""
        found: set[str] = set()
        fresh = set(routes)
        while fresh:
            found |= fresh
            revisions = [state[route] for route in fresh for state in (self.desired, self.served) if route in state]
            hosts = {host for revision in revisions for host in _hosts(revision)}
            changes = {change for revision in revisions for change in _change(revision)}
            near = self._wanted_hosts.of(hosts) | self._served_hosts.of(hosts) | self._changes.of(changes)
            fresh = near - found
        return frozenset(found)

    def part(self, routes: Collection[str]) -> Part:
        """What is desired and observed of these routes."""
        names = sorted(routes)
        return Part(
            tuple(self.desired[route] for route in names if route in self.desired),
            Observed(
                routes={route: self.served[route] for route in names if route in self.served},
                rejected={route: self._rejected[route] for route in names if route in self._rejected},
            ),
        )

    def serving(self, endpoints: Iterable[str]) -> list[Revision]:
        """The served routes that lead to one of these endpoints."""
        return [self.served[route] for route in sorted(self._endpoints.of(endpoints))]


def endpoints_of(revision: Revision | None) -> frozenset[str]:
    """The inventory's endpoints that a revision leads to."""
    if revision is None or revision.spec is None:
        return frozenset()
    named = {revision.spec.endpoint, *(backend.endpoint for backend in revision.spec.backends)}
    return frozenset(endpoint for endpoint in named if endpoint is not None)


def _hosts(revision: Revision | None) -> tuple[str, ...]:
    return hosts_of(revision.spec) if revision is not None else ()


def _change(revision: Revision | None) -> tuple[str, ...]:
    return (revision.change,) if revision is not None and revision.change else ()
