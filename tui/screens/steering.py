"""Steering a route's rollout: begin, pause, resume, approve, abort and promote. Live traffic needs its name typed."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from textual import work
from textual.worker import Worker
from typing_extensions import override

from inventory.model import Revision, Rollout, RouteSpec, new_scan_id, utc_now
from router import desired, rollout_moves
from router.rollout_file import default_plan
from tui import steering
from tui.checks import Context, challenger
from tui.screens.changing import REFUSALS
from tui.screens.form import Field, Form
from tui.screens.routing import Routing, moves_name
from tui.viewmodel import moves
from tui.viewmodel.state import RouteState
from tui.viewmodel.text import Line

Steered = tuple[Rollout, RouteSpec | None]
"""A rollout after a change, and its route after it where that changes too."""
Become = Callable[[Rollout, RouteSpec, int, str], Steered]
"""A pure edit: of a rollout, its route, the number of that one's revision, and the reason. Raises RouteError."""


class Steering(Routing):
    """A screen from which the rollouts of routes are steered."""

    def context_of_route(self, state: RouteState | None) -> Context:
        """What actions can work on where a route is under the cursor, or none is."""
        revision, rollout = (state.revision, state.rollout) if state else (None, None)
        return self.context_of(row=state is not None, route=revision, rollout=rollout)

    @work
    async def _do_rollout_start(self) -> None:
        if not (revision := self._live()) or revision.spec is None:
            return
        spec = revision.spec
        paths = await asyncio.to_thread(self._declared, spec)

        def read(values: Mapping[str, str]) -> tuple[Steered, str]:
            why = moves.reason(values)
            moves.typed(spec.name, values)
            plan = default_plan().model_copy(update={"candidate": values["candidate"].strip()})
            now = utc_now()
            return rollout_moves.start(spec, plan, rollout_id=new_scan_id(now), now=now, paths=paths), why

        candidate = Field("candidate", "The backend that is to take over", challenger(revision) or "")
        if chosen := await self._form("Roll out", revision, (candidate,), read, typed=True):
            (begun, shaped), why = chosen
            assert shaped is not None
            who = self.session.settings.actor
            await self.make(partial(steering.begin, self.session.store, revision, begun, shaped, who, why))

    def _do_rollout_pause(self) -> None:
        self._steer("Pause", lambda rollout, _spec, _number, why: (rollout_moves.pause(rollout, why), None))

    def _do_rollout_resume(self) -> None:
        self._steer("Resume", rollout_moves.resume)

    def _do_rollout_approve(self) -> None:
        self._steer("Approve", lambda rollout, _spec, _number, why: (rollout_moves.approve(rollout, why), None))

    def _do_rollout_abort(self) -> None:
        self._steer("Abort", _abort)

    @override
    def _do_route_promote(self) -> Worker[None]:
        rollout = self.context().rollout
        if rollout is None or not rollout.active:
            return super()._do_route_promote()
        return self._steer("Promote", _promote)

    @work
    async def _steer(self, verb: str, become: Become) -> None:
        """Ask, with a preview, and make what ``become`` gives of the rollout and its route."""
        revision, before = self._live(), self.context().rollout
        if revision is None or revision.spec is None or before is None:
            return
        spec, who = revision.spec, self.session.settings.actor
        try:
            typed = become(before, spec, revision.number, "")[1] is not None
        except REFUSALS as error:
            self.app.notify(str(error), title="Nothing was changed", severity="error", markup=False)
            return

        def read(values: Mapping[str, str]) -> tuple[Steered, str]:
            why = moves.reason(values)
            if typed:
                moves.typed(spec.name, values)
            return become(before, spec, revision.number, f"{verb.lower()} by {who}: {why}"), why

        if chosen := await self._form(verb, revision, (), read, typed=typed):
            (after, shaped), _ = chosen
            title = f"{verb.lower()} the rollout of {spec.name}"
            await self.make(partial(steering.move, self.session.store, revision, before, after, shaped, who, title))

    async def _form(
        self,
        verb: str,
        revision: Revision,
        fields: tuple[Field, ...],
        read: Callable[[Mapping[str, str]], tuple[Steered, str]],
        *,
        typed: bool,
    ) -> tuple[Steered, str] | None:
        """The form of a change of a rollout: its reason, the route's name where live requests move, and a preview."""
        spec = revision.spec
        assert spec is not None

        def preview(value: tuple[Steered, str], width: int) -> list[Line]:
            (after, shaped), _ = value
            steps = self._plan(shaped) if shaped is not None else []
            return moves.rollout_plan(after, spec, shaped, steps, width, self.now)

        form = Form(
            f"{verb} {spec.name} (revision {revision.number})",
            moves.present(spec),
            (*fields, Field("why", "Why", "", "the owners agreed"), *((moves_name(spec),) * typed)),
            read,
            preview,
            verb="Start" if fields else verb,
        )
        return await self.app.push_screen_wait(form)

    def _declared(self, spec: RouteSpec) -> tuple[str, ...]:
        """The paths that may be copied where the route's shadow does not say: those that only run the model."""
        if spec.shadow is not None or spec.endpoint is None:
            return ()
        try:
            return desired.declared(self.session.store.endpoints.get(spec.endpoint))
        except LookupError:
            return ()


def _abort(rollout: Rollout, spec: RouteSpec, revision: int, why: str) -> Steered:
    return rollout_moves.abort(rollout, spec, revision, why, utc_now())


def _promote(rollout: Rollout, spec: RouteSpec, revision: int, why: str) -> Steered:
    return rollout_moves.promote(rollout, spec, revision, why, utc_now())
