"""Every action is reachable by key, by the palette and by mouse, and says why where it cannot run."""

from datetime import timedelta

import pytest
from driving import go, screen_text, settle, until
from textual.command import CommandPalette

from inventory.model import utc_now
from inventory.store import Store
from tui.actions import ACTIONS, offered
from tui.app import GnomonApp
from tui.palette import Commands
from tui.screens.base import Page
from tui.screens.endpoints import EndpointsPage
from tui.screens.gaps import GapsPage
from tui.screens.registry import FIRST
from tui.viewmodel.text import plain


def test_every_action_is_offered_by_the_palette_of_some_screen() -> None:
    screens = (*FIRST, "endpoint", "route", "scan", "space", "help")
    found = {action.id for place in screens for action in offered(place)}
    assert found == {action.id for action in ACTIONS}


@pytest.mark.parametrize("place", sorted(FIRST))
async def test_the_palette_opens_by_mouse_and_names_what_the_screen_can_do(place, store, settings) -> None:
    app = GnomonApp(store, settings, read_only=True)
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, str(1 + list(FIRST).index(place)))
        assert isinstance(app.screen, Page)
        context = app.screen.context()
        listed = {hit.display: hit.help async for hit in Commands(app.screen).discover()}
        for action in offered(place):
            told = listed[action.title]
            assert told is not None
            reason = action.blocked(context)
            assert told.startswith(action.help)
            assert (reason is None) == ("Not now" not in told)
            assert reason is None or reason in told
        await pilot.click("#title", offset=(1, 0))
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))


async def test_a_key_that_cannot_do_anything_now_says_why(store, settings) -> None:
    app = GnomonApp(store, settings, read_only=True)
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2")
        before = store.version()
        blocked = [a for a in offered("endpoints") if a.blocked(app.screen.context())]
        assert {"triage.exempt", "route.adopt", "change.undo"} <= {action.id for action in blocked}
        for action in blocked:
            app.clear_notifications()
            await pilot.press(action.keys[0])
            reason = str(action.blocked(app.screen.context()))
            await until(pilot, lambda reason=reason: any(reason in note.message for note in app._notifications))
            assert isinstance(app.screen, EndpointsPage), action.id
        assert store.version() == before


def cursors(app: GnomonApp) -> list[str]:
    """The marks of the rows that cursors are on, from the top."""
    return [line[0] for line in screen_text(app).splitlines() if line[:1] in {"▌", "▏"}]


async def test_the_map_in_gaps_leads_to_what_is_known_there_and_decides_nothing(store: Store, settings) -> None:
    old = utc_now() - timedelta(days=400)
    store.scans.save(store.scans.list()[0].model_copy(update={"targets": ("127.0.0.0/28",), "ended_at": old}))
    app = GnomonApp(store, settings)
    async with app.run_test(size=(200, 40)) as pilot:
        await go(pilot, app, "3")
        page = app.screen
        assert isinstance(page, GapsPage)
        await until(pilot, lambda: len(page.map.keys_shown) == 2)
        assert list(page.map.keys_shown) == ["block:default/127.0.0.0/24", "scope:lab"]
        assert "only a part of it was scanned" in screen_text(app)
        await until(pilot, lambda: cursors(app) == ["▏", "▌"])
        await go(pilot, app, "tab", "tab")
        assert page.map.has_focus
        await until(pilot, lambda: cursors(app) == ["▌", "▏"])
        before = store.version()
        await go(pilot, app, "x")
        assert app.screen is page
        assert store.version() == before
        assert "10.0" not in plain(page.pane.lines_for(60)[0])
        assert "127.0.0.0/24" in plain(page.pane.lines_for(60)[0])
        await go(pilot, app, "enter")
        await until(pilot, lambda: isinstance(app.screen, EndpointsPage) and app.screen.filter_text != "")
        assert app.screen.filter_text == "address:127.0.0.* site:default"
        await settle(pilot, app)
        await go(pilot, app, "left_square_bracket")
        assert app.screen is page
        assert page.map.key == "block:default/127.0.0.0/24"
        await go(pilot, app, "j", "enter")
        await until(pilot, lambda: app.screen.PLACE == "space")
        assert app.screen.key == "lab"
