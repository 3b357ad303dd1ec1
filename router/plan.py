"""Pure: what must be done to a gateway so that it has what is desired. Showing a plan changes nothing.

The order holds for every gateway: a backend is made ready before a route names it, and a backend is let go
only after no route names it any more (make before break).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import Field

from inventory.model import Backend, Revision, RouteSpec, Value
from router.observed import Observed


class Step(StrEnum):
    """What an action does, in the order in which actions are taken."""

    WARM = "warm"
    SERVE = "serve"
    WITHDRAW = "withdraw"
    RETIRE = "retire"


_OPPOSITE = {Step.WARM: Step.RETIRE, Step.RETIRE: Step.WARM, Step.WITHDRAW: Step.SERVE}


class Action(Value):
    """One step for one route. ``before`` and ``after`` are revisions of it; None where there is no route.

    ``backend`` is set where the step is about a backend (warm, retire). Routes whose actions have one ``change``
    stand or fall together; empty where the route stands alone. ``number`` is of the revision that asks for it.
    """

    step: Step
    route: str
    reason: str
    backend: Backend | None = None
    before: Revision | None = None
    after: Revision | None = None
    change: str = ""
    number: int = 0

    def inverse(self) -> Self:
        """The action that undoes this one."""
        step = Step.WITHDRAW if self.step is Step.SERVE and self.before is None else _OPPOSITE.get(self.step)
        return self.model_copy(
            update={
                "step": step or Step.SERVE,
                "before": self.after,
                "after": self.before,
                "reason": f"undo: {self.reason}",
            }
        )


class Limits(Value):
    """How much one plan may touch. ``routes`` None sets no limit; the rest follows in the next plan.

    A change of several routes is never divided, so one that is larger than the limit has a plan of its own.
    """

    routes: int | None = None


class Plan(Value):
    """Actions in the order in which they are taken.

    ``refused`` says, by route, why a desired revision is not acted on. ``postponed`` counts the routes that
    the limits left for the next plan.
    """

    actions: tuple[Action, ...] = ()
    refused: dict[str, str] = Field(default_factory=dict)
    postponed: int = 0

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that the plan touches, each once."""
        return tuple(dict.fromkeys(action.route for action in self.actions))

    def together(self, route: str) -> frozenset[str]:
        """The routes that stand or fall with this one, itself included."""
        change = next((action.change for action in self.actions if action.route == route), "")
        if not change:
            return frozenset({route})
        return frozenset(action.route for action in self.actions if action.change == change)

    def inverse(self) -> "Plan":
        """The plan that undoes this one."""
        return Plan(actions=tuple(action.inverse() for action in reversed(self.actions)))

    def changes(self) -> dict[str, Revision | None]:
        """What each touched route becomes: a revision, or None where it goes."""
        routing = [action for action in self.actions if action.step in {Step.SERVE, Step.WITHDRAW}]
        return {action.route: action.after for action in routing}


def reconcile(desired: Iterable[Revision], observed: Observed, limits: Limits | None = None) -> Plan:
    """The plan that takes a gateway from what it has to what is desired. Equal states give an empty plan.

    A revision that the gateway refused is not tried again; a newer one is. Where one of a change is refused, all of
    it is. Where two routes want one host, the one that is served keeps it, and otherwise the first by name gets it.
    """
    latest = {revision.route: revision for revision in desired}
    wanted = {route: revision for route, revision in latest.items() if revision.spec is not None}
    refused = _with_their_change(_rejected(latest, observed), latest)
    for route in refused:
        wanted.pop(route, None)
    # A route that is refused goes on holding the hosts that it is served under: that may refuse another.
    while collisions := _collisions(wanted, observed, kept=frozenset(refused)):
        refused = _with_their_change(refused | collisions, latest)
        for route in refused:
            wanted.pop(route, None)
    gone = [route for route in observed.routes if route not in wanted and route not in refused]
    changed = [route for route, revision in wanted.items() if not _same(observed.routes.get(route), revision)]
    touched = sorted(gone) + sorted(changed)
    allowed = _within(touched, latest, limits)
    actions = [action for route in allowed for action in _actions(route, observed.routes.get(route), latest.get(route))]
    order = list(Step)
    return Plan(
        actions=tuple(sorted(actions, key=lambda action: order.index(action.step))),
        refused=refused,
        postponed=len(touched) - len(allowed),
    )


def perform(plan: Plan, observed: Observed) -> Observed:
    """What a gateway has once it did all of a plan. The reference that gateways are tested against."""
    routes = dict(observed.routes)
    for route, revision in plan.changes().items():
        if revision is None:
            routes.pop(route, None)
        else:
            routes[route] = revision
    return observed.model_copy(update={"routes": routes})


def _same(one: Revision | None, other: Revision) -> bool:
    return one is other or one == other


def _within(touched: list[str], latest: Mapping[str, Revision], limits: Limits | None) -> list[str]:
    if limits is None or limits.routes is None or len(touched) <= limits.routes:
        return touched
    whole: dict[str, list[str]] = {}
    for route in touched:
        change = latest[route].change if route in latest else ""
        whole.setdefault(f"change {change}" if change else f"route {route}", []).append(route)
    taken: set[str] = set()
    for members in whole.values():
        # A change that does not fit waits for the next plan, unless it is the first.
        if not taken or len(taken) + len(members) <= limits.routes:
            taken.update(members)
    return [route for route in touched if route in taken]


def _actions(route: str, before: Revision | None, latest: Revision | None) -> Iterable[Action]:
    after = latest if latest is not None and latest.spec is not None else None
    asked: dict[str, Any] = {"change": latest.change, "number": latest.number} if latest is not None else {}
    had, has = _backends(before), _backends(after)
    warmed = [_unweighted(has[key]) for key in has.keys() - had.keys()]
    retired = [_unweighted(had[key]) for key in had.keys() - has.keys()]
    if after is None:
        why = f"the route was removed{f': {latest.why}' if latest is not None else ''}"
    elif before is None:
        why = f"revision {after.number} is new here: {after.why}"
    else:
        why = f"revision {before.number} is served, {after.number} is desired: {after.why}"
    for backend in sorted(warmed, key=lambda one: one.name):
        yield Action(step=Step.WARM, route=route, backend=backend, reason=f"{route} will send requests to it", **asked)
    step = Step.WITHDRAW if after is None else Step.SERVE
    yield Action(step=step, route=route, before=before, after=after, reason=why, **asked)
    for backend in sorted(retired, key=lambda one: one.name):
        yield Action(step=Step.RETIRE, route=route, backend=backend, reason=f"{route} no longer names it", **asked)


def _backends(revision: Revision | None) -> dict[tuple[tuple[str, object], ...], Backend]:
    """The backends of a revision by all that they are, their weights aside: a weight is the route's business."""
    if revision is None or revision.spec is None:
        return {}
    return {tuple(item for item in backend if item[0] != "weight"): backend for backend in revision.spec.backends}


def _unweighted(backend: Backend) -> Backend:
    return backend.model_copy(update={"weight": 0})


def _rejected(latest: Mapping[str, Revision], observed: Observed) -> dict[str, str]:
    return {
        route: f"the gateway refused revision {rejection.number}: {rejection.error}"
        for route, rejection in observed.rejected.items()
        if route in latest and rejection.number == latest[route].number
    }


def _with_their_change(refused: Mapping[str, str], latest: Mapping[str, Revision]) -> dict[str, str]:
    """Why routes are refused, those included that were to change together with one of them."""
    causes = {latest[route].change: route for route in sorted(refused) if route in latest and latest[route].change}
    found = dict(refused)
    for route, revision in latest.items() if causes else ():
        cause = causes.get(revision.change)
        if cause is not None and route not in found:
            found[route] = f"it was to change together with {cause}, and {refused[cause]}"
    return found


def _collisions(wanted: Mapping[str, Revision], observed: Observed, kept: frozenset[str]) -> dict[str, str]:
    """Why some routes cannot be served: a host of theirs belongs to another.

    Routes in ``kept`` hold on to the hosts that they are served under, whatever their new revision says.
    """
    claims = Claims()
    for route in sorted(observed.routes):
        if route in wanted or route in kept:
            for name in claims_of(observed.routes[route].spec):
                if route in kept or name in claims_of(wanted[route].spec):
                    claims.add(name, route)
    refused: dict[str, str] = {}
    for route in sorted(wanted):
        why = next((why for name in claims_of(wanted[route].spec) if (why := claims.taken(name, route))), None)
        if why:
            refused[route] = why
            continue
        for name in claims_of(wanted[route].spec):
            claims.add(name, route)
    return refused


class Claims:
    """Which names belong to which route. A host is one route's, or paths of it are many routes'."""

    def __init__(self) -> None:
        """Nothing is claimed."""
        self._owners: dict[str, str] = {}
        self._by_path: dict[str, set[str]] = {}

    def add(self, name: str, route: str) -> None:
        """Claim a name, unless it is claimed."""
        self._owners.setdefault(name, route)
        host, slash, _ = name.partition("/")
        if slash:
            self._by_path.setdefault(host, set()).add(route)

    def owner(self, name: str) -> str | None:
        """The route that has exactly this name."""
        return self._owners.get(name)

    def taken(self, name: str, route: str) -> str:
        """Why a route cannot have a name; "" where it can."""
        host, slash, _ = name.partition("/")
        owner = self._owners.get(name, route)
        if owner != route:
            return f"the {'path' if slash else 'host'} {name} belongs to the route {owner}"
        whole = self._owners.get(host, route)
        if slash and whole != route:
            return f"the whole host {host} belongs to the route {whole}: choose another --host for a path"
        others = sorted(self._by_path.get(host, set()) - {route})
        if not slash and others:
            return f"paths of the host {host} belong to other routes, such as {others[0]}"
        return ""


def claims_of(spec: RouteSpec | None) -> tuple[str, ...]:
    """What a route claims: hosts, or paths of them."""
    return tuple(f"{host}{spec.path}" for host in hosts_of(spec)) if spec else ()


def hosts_of(spec: RouteSpec | None) -> tuple[str, ...]:
    """The hosts of a route as gateways match them: lower case, each once."""
    return tuple(dict.fromkeys(host.lower() for host in spec.hosts)) if spec else ()
