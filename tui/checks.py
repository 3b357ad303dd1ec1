"""Why an action cannot run: what it could work on, and the reasons, pure."""

from collections.abc import Callable
from dataclasses import dataclass

from inventory.model import Endpoint, Revision, Rollout, Scheme, Status

MOST = 1000
"""How many endpoints one decision may be about: more is a filter that somebody should look at first."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an action could work on right now.

    ``chosen`` counts the marked endpoints, or is 1 for the one under the cursor, which is ``endpoint``
    where nothing is marked. ``route`` is the one under the cursor, or the one that leads to the endpoint, ``rollout``
    its latest rollout, ended or not.
    """

    place: str
    read_only: bool = False
    row: bool = False
    chosen: int = 0
    endpoint: Endpoint | None = None
    route: Revision | None = None
    rollout: Rollout | None = None
    marked: bool = False
    can_undo: bool = False
    can_redo: bool = False
    can_back: bool = False
    can_forward: bool = False
    stale: bool = False


Reason = str | None
Check = Callable[[Context], Reason]


def always(_: Context) -> Reason:
    """No condition."""
    return None


def on_a_row(context: Context) -> Reason:
    """A row has to be under the cursor."""
    return None if context.row else "there is no row under the cursor"


def on_endpoints(context: Context) -> Reason:
    """An endpoint has to be marked or under the cursor."""
    return None if context.chosen else "no endpoint is marked or under the cursor"


def on_something(context: Context) -> Reason:
    """An endpoint or a route is needed."""
    return None if context.chosen or context.route else "there is nothing to copy under the cursor"


def may_write(context: Context) -> Reason:
    """Nothing may be changed in read-only mode, nor while the database does not answer."""
    if context.read_only:
        return "this is read-only mode"
    return "the database does not answer" if context.stale else None


def may_triage(context: Context) -> Reason:
    """A decision needs endpoints to be about, and not too many of them."""
    if context.chosen > MOST:
        return f"{context.chosen:,} endpoints are marked, and one decision is about {MOST:,} at most"
    return may_write(context) or on_endpoints(context)


def may_reopen(context: Context) -> Reason:
    """Only what was decided can be reopened."""
    reason = may_triage(context)
    if reason is None and context.endpoint is not None and context.endpoint.governance == "unreviewed":
        return "nothing was decided about it yet"
    return reason


def may_adopt(context: Context) -> Reason:
    """One endpoint that speaks HTTP, and that no route leads to."""
    if reason := may_write(context) or on_endpoints(context):
        return reason
    if context.endpoint is None:
        return "one endpoint at a time is adopted: clear the marks" if context.chosen > 1 else "it is not read yet"
    if context.endpoint.scheme not in {Scheme.HTTP, Scheme.HTTPS}:
        return f"it speaks {context.endpoint.scheme.value}, and only http and https can be adopted"
    return f"the route {context.route.route} leads to it already" if context.route else None


def may_route(context: Context) -> Reason:
    """A route that is live has to be under the cursor."""
    if reason := may_write(context):
        return reason
    if context.route is None or context.route.spec is None:
        return "no route leads to it: adopt it first" if context.chosen else "there is no route under the cursor"
    return None


def may_shift(context: Context) -> Reason:
    """Weights can be moved where a route has two backends."""
    if reason := may_route(context):
        return reason
    assert context.route is not None
    assert context.route.spec is not None
    if len(context.route.spec.backends) < 2:
        return "the route has one backend: there is nothing to shift to"
    return None


def may_promote(context: Context) -> Reason:
    """There has to be one backend to promote: the shadow, or the other of two."""
    if reason := may_shift(context):
        return reason
    assert context.route is not None
    assert context.route.spec is not None
    if challenger(context.route) is None:
        return "more than one backend could take over: shift the weights instead"
    return None


def may_begin(context: Context) -> Reason:
    """A rollout begins where a route has two backends and no other rollout of it is under way."""
    if reason := may_shift(context):
        return reason
    active = context.rollout is not None and context.rollout.active
    return "a rollout is under way: abort it before another begins" if active else None


def may_end(context: Context) -> Reason:
    """A rollout has to be under way."""
    if reason := may_route(context):
        return reason
    return None if context.rollout is not None and context.rollout.active else "no rollout is under way"


def may_pause(context: Context) -> Reason:
    """Only what runs is paused."""
    if reason := may_end(context):
        return reason
    assert context.rollout is not None
    return None if context.rollout.status is Status.RUNNING else "the rollout is paused already"


def may_resume(context: Context) -> Reason:
    """Only what is paused is resumed."""
    if reason := may_end(context):
        return reason
    assert context.rollout is not None
    return None if context.rollout.status is Status.PAUSED else "the rollout is not paused"


def may_approve(context: Context) -> Reason:
    """The next step has to wait for a person."""
    if reason := may_end(context):
        return reason
    assert context.rollout is not None
    following = context.rollout.following
    return None if following is not None and following.approval else "its next step waits for no person"


def may_roll_back(context: Context) -> Reason:
    """There has to be a revision before the present one."""
    if reason := may_route(context):
        return reason
    assert context.route is not None
    return None if context.route.number > 1 else "the route has no revision before this one"


def may_undo(context: Context) -> Reason:
    """Something has to have been changed in this session."""
    return may_write(context) or (None if context.can_undo else "nothing was changed in this session")


def may_redo(context: Context) -> Reason:
    """Something has to have been undone."""
    return may_write(context) or (None if context.can_redo else "nothing was undone")


def may_go_back(context: Context) -> Reason:
    """Something has to have been visited before."""
    return None if context.can_back else "this is where you began"


def may_go_forward(context: Context) -> Reason:
    """One has to have gone back."""
    return None if context.can_forward else "you have not gone back from anywhere"


def challenger(revision: Revision) -> str | None:
    """The backend that would take over: the route's shadow, else the only one that lacks live requests."""
    spec = revision.spec
    if spec is None:
        return None
    if spec.shadow is not None:
        return spec.shadow.backend
    others = [backend.name for backend in spec.backends if backend.name != spec.primary.name]
    return others[0] if len(others) == 1 else None
