"""Taking along what is shown: to the clipboard by OSC 52, into a pager, or to a file."""

import asyncio
from functools import partial

from textual import work

from inventory.model import Endpoint
from tui import outside
from tui.screens.changing import Changing
from tui.screens.choose import Choice, Choose
from tui.viewmodel import copy, endpoints
from tui.viewmodel.text import plain, plural


class Copying(Changing):
    """A screen with something to copy: endpoints, or a route."""

    @work
    async def _do_copy_menu(self) -> None:
        texts = self._texts(await self.chosen())
        choices = [Choice(name, name) for name in texts]
        choices += [Choice("pager", "… all of it as JSON, in the pager")]
        picked = await self.app.push_screen_wait(Choose("Copy", choices))
        for name in picked or ():
            if name == "pager":
                outside.page(self.gnomon, texts["JSON"])
            else:
                await self.copy(texts[name], name)

    async def _do_copy_url(self) -> None:
        found = await self.chosen()
        await self.copy(copy.urls(found), plural(len(found), "URL"))

    async def copy(self, text: str, what: str) -> None:
        """Put a text on the clipboard; a text that terminals would refuse goes to a file."""
        if len(text) <= outside.LONGEST_OSC52:
            self.app.copy_to_clipboard(text)
            self.app.notify(f"Copied {what}, {plural(len(text), 'character')}.", markup=False, timeout=2)
            return
        path = self.session.settings.state_folder / "copied.txt"
        said = await asyncio.to_thread(partial(outside.write, path, text))
        self.app.notify(f"It is too long for a terminal's clipboard. {said}", markup=False, timeout=8)

    def _texts(self, found: tuple[Endpoint, ...]) -> dict[str, str]:
        """What can be copied, by what it is called."""
        if not found:
            revision = self.context().route
            return {"JSON": copy.value_json(revision)} if revision else {}
        texts = {"JSON": copy.endpoint_json(found), "URL": copy.urls(found)}
        texts["curl"] = "\n".join(copy.curl(one) for one in found)
        rows = [[plain(cell).strip() for cell in endpoints.cells(one, endpoints.COLUMNS, self.now)] for one in found]
        texts["Row"] = "\n".join(copy.row(row) for row in rows)
        if len(found) == 1:
            named = zip(endpoints.COLUMNS, rows[0], strict=True)
            texts |= {f"{c.title}: {text}": copy.ascii_text(text) for c, text in named if text not in {"", "—"}}
        return texts
