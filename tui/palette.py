"""The command palette: every action of the screen, by name, with the reason where one cannot run."""

from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui.actions import Action, offered
from tui.checks import Context
from tui.screens.base import Page


class Commands(Provider):
    """Finds actions of the registry."""

    def _offered(self) -> list[tuple[Action, str, Any]]:
        screen = self.screen
        context = screen.context() if isinstance(screen, Page) else Context(place="")
        found = []
        for action in offered(context.place):
            reason = action.blocked(context)
            told = f"{action.help} Not now: {reason}." if reason else action.help
            found.append((action, told, partial(self.app.run_action, f"app.perform('{action.id}')")))
        return found

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for action, told, run in self._offered():
            yield DiscoveryHit(action.title, run, help=told)

    async def search(self, query: str) -> Hits:
        """What matches what was typed, in titles and ids."""
        matcher = self.matcher(query)
        for action, told, run in self._offered():
            score = max(matcher.match(action.title), matcher.match(action.id) * 0.8)
            if score > 0:
                yield Hit(score, Content(action.title), run, help=told)
