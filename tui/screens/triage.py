"""What can be decided about endpoints, the same on every screen that shows them."""

from functools import partial

from textual import work

from inventory.model import Endpoint, Governance
from tui import changes
from tui.screens.form import Field, Form
from tui.screens.routing import Routing
from tui.viewmodel import triage as said
from tui.viewmodel.text import Run, Tone, line, plural

_WORDS = {
    "managed": "● it stays, and is looked after",
    "blocked": "■ it must not be used, and is a gap while it answers",
    "retired": "□ it should be gone, and is a gap while it answers",
}


class Triaging(Routing):
    """A screen whose endpoints can be decided about."""

    def decided(self) -> None:
        """Called once a decision was made."""

    @work
    async def _do_triage_owner(self) -> None:
        endpoints = await self.chosen()
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
        endpoints = await self.chosen()
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
    async def _do_triage_decide(self) -> None:
        endpoints = await self.chosen()
        form = Form(
            f"Decide about {plural(len(endpoints), 'endpoint')}",
            said.subjects(endpoints),
            (
                Field("word", f"What it is: {', '.join(_WORDS)}", "", "retired"),
                Field("why", "Why", "", "replaced by churn-v2 in May"),
            ),
            lambda values: (said.word(values["word"], tuple(_WORDS)), said.reason(values["why"])),
            lambda value, _: [line(Run(_WORDS[value[0]], Tone.INFO))],
            verb="Decide",
        )
        if chosen := await self.app.push_screen_wait(form):
            title = f"{chosen[0]}: {plural(len(endpoints), 'endpoint')}"
            await self._decide(endpoints, changes.Decision(title, chosen[1], Governance(chosen[0])))

    @work
    async def _do_triage_reopen(self) -> None:
        endpoints = await self.chosen()
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

    async def _decide(self, endpoints: tuple[Endpoint, ...], decision: changes.Decision) -> None:
        session = self.session
        ids = [endpoint.id for endpoint in endpoints]
        call = partial(changes.triage, session.store, ids, decision, session.settings.actor)
        if await self.make(call):
            self.decided()
