"""Screens that change something: one way to make a change, to remember it, and to say that it was refused."""

import asyncio
from collections.abc import Callable

from inventory.lifecycle import TransitionError
from inventory.model import Endpoint
from inventory.store import StoreError
from tui import changes
from tui.screens.base import Page

REFUSALS = (StoreError, TransitionError, LookupError, ValueError)
"""What a change may be refused with; each text is a sentence for a person."""


class Changing(Page):
    """A screen that can change something."""

    async def chosen(self) -> tuple[Endpoint, ...]:
        """The endpoints that an action is about, as the store has them now. None by default."""
        return ()

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
        await self.gnomon.action_look()
        return True
