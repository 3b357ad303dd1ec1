"""What can be decided about endpoints, the same on every screen that shows them."""

import asyncio
from collections.abc import Callable
from functools import partial

from textual import work

from inventory.lifecycle import TransitionError
from inventory.model import Endpoint, Governance
from inventory.store import StoreError
from tui import changes
from tui.screens.base import Page
from tui.screens.form import Field, Form
from tui.viewmodel import triage as said
from tui.viewmodel.copy import endpoint_json, urls
from tui.viewmodel.text import Run, Tone, line, plural

REFUSALS = (StoreError, TransitionError, LookupError, ValueError)
"""What a change may be refused with; each text is a sentence for a person."""


class Changing(Page):
    """A screen that can change something."""

    async def make(self, call: Callable[[], changes.Edit]) -> bool:
        """Make a change in a thread and remember how to undo it. False, and said so, where it was refused."""
        try:
            edit = await asyncio.to_thread(call)
        except REFUSALS as error:
            self.app.notify(str(error), title="Nothing was changed", severity="error", markup=False)
            return False
        self.session.undo.append(edit)
        self.session.redo.clear()
        key = self.session.keys.keys["change.undo"][0]
        self.app.notify(f"{edit.title}. {key} takes it back.", markup=False, timeout=4)
        await self.app.run_action("app.look")
        return True


class Triaging(Changing):
    """A screen whose endpoints can be decided about."""

    def decided(self) -> None:
        """Called once a decision was made."""

    @work
    async def _do_triage_owner(self) -> None:
        endpoints = self.context().endpoints
        now_owned = {e.owner for e in endpoints}
        only = now_owned.pop() if len(now_owned) == 1 else None
        form = Form(
            f"Owner of {plural(len(endpoints), 'endpoint')}",
            said.subjects(endpoints),
            (
                Field("owner", "Who owns it: a person or a team", only or "", "team-recsys; empty takes it away"),
                Field("why", "Why you think so", "", "found in the deployment's labels"),
            ),
            lambda values: (said.owner(values["owner"]), said.reason(values["why"])),
            lambda value, _: said.assignment(endpoints, value[0]),
            verb="Assign",
        )
        if chosen := await self.app.push_screen_wait(form):
            title = f"owner {chosen[0] or 'nobody'} of {plural(len(endpoints), 'endpoint')}"
            await self._decide(endpoints, changes.Decision(title, chosen[1], owner=chosen[0]))

    @work
    async def _do_triage_exempt(self) -> None:
        endpoints = self.context().endpoints
        form = Form(
            f"Exempt {plural(len(endpoints), 'endpoint')}",
            said.subjects(endpoints),
            (
                Field("until", "Until: a date, or a span such as 30d, 2w, 3m", "30d", "2027-01-31"),
                Field("why", "Why it may stay as it is", "", "a workshop; torn down on Friday"),
            ),
            lambda values: (said.until(values["until"], self.now), said.reason(values["why"])),
            lambda value, _: said.exemption(endpoints, value[0], self.now),
            verb="Exempt",
        )
        if chosen := await self.app.push_screen_wait(form):
            title = f"exempt {plural(len(endpoints), 'endpoint')} until {chosen[0]:%Y-%m-%d}"
            decision = changes.Decision(title, chosen[1], Governance.EXEMPT, chosen[0])
            await self._decide(endpoints, decision)

    @work
    async def _do_triage_reopen(self) -> None:
        endpoints = self.context().endpoints
        form = Form(
            f"Reopen {plural(len(endpoints), 'endpoint')}",
            said.subjects(endpoints),
            (Field("why", "Why the decision is taken back", "", "the workshop is over"),),
            lambda values: said.reason(values["why"]),
            lambda _, __: [line(Run("○ unreviewed ", Tone.WARN), "and counted as a gap again")],
            verb="Reopen",
        )
        if why := await self.app.push_screen_wait(form):
            title = f"reopen {plural(len(endpoints), 'endpoint')}"
            await self._decide(endpoints, changes.Decision(title, why, Governance.UNREVIEWED))

    def _do_copy_json(self) -> None:
        endpoints = self.context().endpoints
        self.app.copy_to_clipboard(endpoint_json(endpoints))
        self.app.notify(f"Copied {plural(len(endpoints), 'endpoint')} as JSON.", markup=False, timeout=2)

    def _do_copy_url(self) -> None:
        endpoints = self.context().endpoints
        self.app.copy_to_clipboard(urls(endpoints))
        self.app.notify(f"Copied {plural(len(endpoints), 'URL')}.", markup=False, timeout=2)

    async def _decide(self, endpoints: tuple[Endpoint, ...], decision: changes.Decision) -> None:
        session = self.session
        ids = [endpoint.id for endpoint in endpoints]
        call = partial(changes.triage, session.store, ids, decision, session.settings.actor)
        if await self.make(call):
            self.decided()
