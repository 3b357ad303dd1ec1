"""What can be done to a route, from wherever it or its endpoint is shown. Live traffic needs its name typed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from textual import work

from inventory.model import Revision, RouteSpec
from tui import changes
from tui.checks import challenger
from tui.screens.changing import REFUSALS, Changing
from tui.screens.copying import Copying
from tui.screens.form import Field, Form
from tui.viewmodel import moves
from tui.viewmodel.text import Line


class Routing(Copying, Changing):
    """A screen from which endpoints are adopted and routes are changed."""

    @work
    async def _do_route_adopt(self) -> None:
        endpoint = next(iter(await self.chosen()), None)
        if endpoint is None:
            return
        settings = self.session.settings
        taken = {state.revision.route for state in self.session.snapshot.routes}
        read = partial(moves.adoption, endpoint, domain=settings.gateway_domain, taken=taken)
        form = Form(
            f"Adopt {endpoint.address}:{endpoint.port}",
            moves.adopted(endpoint),
            (
                Field("name", "The route's name", moves.name_for(endpoint, taken), "churn"),
                Field("path", "A path instead of a host name of its own, if wanted", "", "/models/iris"),
                Field("to", "A managed replacement, if there is one: its URL", "", "http://10.0.0.8:8000"),
                Field("shadow", "Percent of live requests to copy to it", "", "10"),
                Field("why", "Why", "", "behind the gateway before the audit"),
            ),
            read,
            lambda value, width: moves.adoption_plan(
                value[0], self._plan(value[0]), settings.gateway_port, endpoint, width
            ),
            verb="Adopt",
        )
        if chosen := await self.app.push_screen_wait(form):
            spec, why = chosen
            await self.make(partial(changes.adopt, self.session.store, spec, endpoint.id, settings.actor, why))

    @work
    async def _do_route_shift(self) -> None:
        if (revision := self._live()) and revision.spec:
            fields = tuple(
                Field(f"weight-{b.name}", f"{b.name}, percent of live requests", str(b.weight))
                for b in revision.spec.backends
            )
            await self._edit(revision, "Shift", fields, partial(moves.shifted, revision.spec))

    @work
    async def _do_route_shadow(self) -> None:
        if (revision := self._live()) and revision.spec:
            now = revision.spec.shadow
            other = now.backend if now else challenger(revision) or ""
            fields = (
                Field("backend", "The backend that gets the copies", other),
                Field("percent", "Percent of the live requests; 0 turns it off", f"{now.percent:g}" if now else "10"),
            )
            await self._edit(revision, "Shadow", fields, partial(moves.shadowed, revision.spec), typed=False)

    @work
    async def _do_route_promote(self) -> None:
        if (revision := self._live()) and revision.spec and (backend := challenger(revision)):
            await self._edit(revision, f"Promote {backend} of", (), partial(moves.promoted, revision.spec, backend))

    @work
    async def _do_route_rollback(self) -> None:
        if not (revision := self._live()):
            return
        history = await asyncio.to_thread(self.session.store.routes.history, revision.route)
        field = Field("to", f"The revision to go back to: {moves.numbers(history)}", str(revision.number - 1))
        await self._edit(revision, "Roll back", (field,), partial(moves.rolled_back, history))

    @work
    async def _do_route_release(self) -> None:
        if not (revision := self._live()) or revision.spec is None:
            return
        spec = revision.spec
        form = Form(
            f"Release {revision.route}",
            moves.released(spec),
            (Field("why", "Why", "", "the model is gone"), moves_name(spec)),
            lambda values: moves.release(spec.name, values),
            lambda _, width: moves.release_plan(spec, width),
            verb="Release",
        )
        if chosen := await self.app.push_screen_wait(form):
            await self.make(partial(changes.release, self.session.store, revision, self.session.settings.actor, chosen))

    @work
    async def _do_route_seal(self) -> None:
        if not (revision := self._live()) or revision.spec is None:
            return
        sealer = await asyncio.to_thread(self.session.sealer)
        paths = await asyncio.to_thread(sealer.paths, revision.spec)
        form = Form(
            f"Seal {revision.route}",
            moves.sealing(paths),
            (Field("why", "Why", "", "the firewall was changed today"),),
            moves.reason,
            lambda _, width: moves.sealing_plan(paths, width),
            verb="Try",
        )
        if (why := await self.app.push_screen_wait(form)) is None:
            return
        seals = await sealer.attempt(revision.spec, why)
        try:
            await asyncio.to_thread(sealer.keep, revision, seals)
        except REFUSALS as error:
            self.app.notify(str(error), title="Nothing was kept", severity="error", markup=False)
            return
        for one in seals:
            title, severity = moves.SEALED[one.verdict]
            self.app.notify(one.reason, title=f"{revision.route}: {title}", severity=severity, markup=False, timeout=12)
        await self.gnomon.action_look()

    async def _edit(
        self,
        revision: Revision,
        verb: str,
        fields: Sequence[Field],
        become: Callable[[Mapping[str, str]], RouteSpec],
        *,
        typed: bool = True,
    ) -> None:
        """Ask, with a preview, and make what ``become`` gives for the fields the desired state of a route."""
        spec = revision.spec
        assert spec is not None

        def read(values: Mapping[str, str]) -> tuple[RouteSpec, str]:
            after = become(values)
            why = moves.reason(values)
            if typed:
                moves.typed(spec.name, values)
            return after, why

        form = Form(
            f"{verb} {spec.name} (revision {revision.number})",
            moves.present(spec),
            (*fields, Field("why", "Why", "", "the shadow agrees on 12,000 pairs"), *((moves_name(spec),) * typed)),
            read,
            lambda value, width: moves.change_plan(spec, value[0], self._plan(value[0]), width),
            verb=verb.partition(" ")[0],
        )
        if chosen := await self.app.push_screen_wait(form):
            who = self.session.settings.actor
            title = f"{verb.lower()} {spec.name}"
            await self.make(
                partial(changes.route, self.session.store, revision, chosen[0], who, chosen[1], title=title)
            )

    def _live(self) -> Revision | None:
        return self.context().route

    def _plan(self, spec: RouteSpec) -> list[Line]:
        """What each gateway would do if that were desired."""
        snapshot = self.session.snapshot
        return moves.plan(spec, [state.revision for state in snapshot.routes], snapshot.gateways)


def moves_name(spec: RouteSpec) -> Field:
    """The field into which a route's name is typed, so that no slip of a finger moves live requests."""
    return Field("name", f"Live requests move. Type the route's name: {spec.name}")
