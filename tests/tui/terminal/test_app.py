"""The application, driven by keys on a real store. Waits are on workers, never on time."""

import asyncio

import pytest
from driving import go, screen_text, settle, type_text, until
from textual.widgets import Button, Input

from inventory.model import Governance, utc_now
from inventory.store import Store, StoreError
from tui.app import GnomonApp
from tui.keymap import KeymapError
from tui.screens.endpoint import EndpointPage
from tui.screens.endpoints import EndpointsPage
from tui.screens.form import Form
from tui.screens.help import HelpPage
from tui.screens.pulse import PulsePage
from tui.screens.registry import FIRST
from tui.screens.route import RoutePage
from tui.theme.themes import DEFAULTS, THEMES
from tui.viewmodel.text import plain
from tui.widgets.bar import Bar
from tui.widgets.document import Document
from tui.widgets.table import RowTable


@pytest.fixture
def app(store: Store, settings) -> GnomonApp:
    return GnomonApp(store, settings)


async def test_it_opens_on_coverage_with_denominators(app) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app)
        said = screen_text(app)
        assert "0 of 6 ML endpoints" in said
        assert "● live" in said
        assert "COVERAGE" in said
        assert "127.0.0.4:8888" in said


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
@pytest.mark.parametrize("place", sorted(FIRST))
async def test_every_screen_fits_every_size(app, size, place) -> None:
    number = str(1 + list(FIRST).index(place))
    async with app.run_test(size=size) as pilot:
        await go(pilot, app, number)
        assert place == app.screen.PLACE
        lines = screen_text(app).splitlines()
        assert len(lines) == size[1]
        assert "Help" in lines[-1]


async def test_a_hostile_title_stays_text(app, store) -> None:
    hostile = store.endpoints.list("product:flask-evil")[0]
    async with app.run_test(size=(140, 60)) as pilot:
        await go(pilot, app, "2")
        app.screen.open_row(hostile.id)
        await until(pilot, lambda: isinstance(app.screen, EndpointPage))
        await pilot.pause()
        said = screen_text(app)
        assert "␛[31mred" in said
        assert "[bold]x[/bold]" in said
        assert all(line.isprintable() for line in said.splitlines())


async def test_filter_narrows_as_one_types_and_esc_clears_it(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2", "slash", *"kind:notebook")
        assert len(app.screen.table.keys_shown) == 1
        await go(pilot, app, "enter")
        assert isinstance(app.focused, RowTable)
        assert "1 of 8" in screen_text(app)
        await go(pilot, app, "escape")
        assert len(app.screen.table.keys_shown) == 8
        assert isinstance(app.screen, EndpointsPage)


async def test_a_filter_that_cannot_be_read_says_where_and_keeps_the_last_one(app) -> None:
    async with app.run_test(size=(120, 30)) as pilot:
        await go(pilot, app, "2", "slash")
        await type_text(pilot, "kind:notebook colour")
        await go(pilot, app, "colon", *"red")
        assert "no field 'colour'" in screen_text(app)
        assert "column 15" in app.screen.filter_error
        assert app.screen.filter_text == "kind:notebook colour"
        await go(pilot, app, "enter")
        assert app.screen.filter_error == ""
        assert app.screen.query_one("#filter", Input).value == "kind:notebook colour"


async def test_esc_in_the_filter_restores_the_one_before(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2", "slash")
        await type_text(pilot, "flask")
        await go(pilot, app, "enter", "slash")
        await type_text(pilot, " nonsense")
        assert list(app.screen.table.keys_shown) == []
        await go(pilot, app, "escape")
        assert app.screen.filter_text == "flask"
        assert len(app.screen.table.keys_shown) == 2


async def test_going_in_and_back_keeps_filter_and_cursor(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2", "j", "j", "k")
        key = app.screen.table.key
        await go(pilot, app, "enter")
        assert isinstance(app.screen, EndpointPage)
        assert app.screen.key == key
        assert "Endpoints ▸ 127.0.0." in screen_text(app)
        await go(pilot, app, "escape")
        assert app.screen.table.key == key
        await go(pilot, app, "1", "2")
        assert app.screen.table.key == key
        await go(pilot, app, "escape", "escape")
        assert app.screen.PLACE == "endpoints"


async def test_the_cursor_stays_on_its_row_and_its_height_when_rows_move(app, store) -> None:
    async with app.run_test(size=(100, 9)) as pilot:
        await go(pilot, app, "2")
        while app.screen.feed.order.by != "owner":
            await go(pilot, app, "s")
        await go(pilot, app, "G", "k", "k", "k", "k", "k")
        table = app.screen.table
        key, place = table.key, table.keys_shown.index(table.key)
        height = place - round(table.scroll_y)
        assert table.scroll_y > 0
        last = table.keys_shown[-1]
        store.triage.apply([last], owner="ana", who="bob", why="moves to the top: it has an owner now")
        await until(pilot, lambda: table.keys_shown[0] == last)
        assert table.keys_shown[0] == last
        assert table.keys_shown.index(key) == place + 1
        assert table.key == key
        assert place + 1 - round(table.scroll_y) == height


async def test_a_row_that_moves_right_after_a_key_stays_in_view(app) -> None:
    async with app.run_test(size=(100, 9)) as pilot:
        await go(pilot, app, "2", "g")
        table = app.screen.table
        table.step(table.page)
        assert table.place in table.view
        shown = app.screen.feed
        shown.keys.insert(0, shown.keys.pop())
        app.screen.draw()
        assert table.place == table.page + 1
        assert table.place in table.view
        await settle(pilot, app)
        assert table.place in table.view


async def test_what_another_process_writes_appears_by_itself(app, store, settings) -> None:
    from inventory.store import open_store

    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2")
        endpoint = store.endpoints.list()[0]
        with open_store(settings.database) as other:
            other.triage.apply([endpoint.id], owner="team-x", who="bob", why="asked")
        await until(pilot, lambda: app.screen.feed.rows[endpoint.id].owner == "team-x")
        await until(pilot, lambda: "team-x" in screen_text(app))


async def test_a_frozen_screen_holds_still_until_it_is_thawed(app, store) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2", "ctrl+f")
        assert "❚❚ frozen" in screen_text(app)
        endpoint = store.endpoints.list()[0]
        store.triage.apply([endpoint.id], owner="team-x", who="bob", why="asked")
        await until(pilot, lambda: "news waits" in screen_text(app))
        assert app.screen.feed.rows[endpoint.id].owner is None
        await go(pilot, app, "ctrl+f")
        await until(pilot, lambda: "● live" in screen_text(app))
        await settle(pilot, app)
        assert app.screen.feed.rows[endpoint.id].owner == "team-x"


async def test_a_database_that_stops_answering_is_called_stale_and_live_again(app, store, monkeypatch) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2")

        def fail() -> int:
            raise StoreError("the database is gone")

        with monkeypatch.context() as broken:
            broken.setattr(store._database, "version", fail)
            await until(pilot, lambda: "✗ stale" in screen_text(app))
            assert "127.0.0.4" in screen_text(app)
            await go(pilot, app, "o")
            assert not isinstance(app.screen, Form)
        await until(pilot, lambda: "● live" in screen_text(app))


async def test_an_owner_is_assigned_undone_and_done_again(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "o")
        endpoint_id = app.screen_stack[-2].table.key
        await until(pilot, lambda: isinstance(app.screen, Form))
        assert app.screen.query_one("#confirm", Button).disabled
        await type_text(pilot, "team-recsys")
        await pilot.press("enter")
        await type_text(pilot, "their label is on it")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.session.undo))
        stored = store.endpoints.get(endpoint_id)
        assert stored.owner == "team-recsys"
        assert store.changes.list(endpoint_id)[0].who == "mara"
        await pilot.press("u")
        await until(pilot, lambda: bool(app.session.redo))
        assert store.endpoints.get(endpoint_id).owner is None
        await pilot.press("ctrl+r")
        await until(pilot, lambda: bool(app.session.undo))
        assert store.endpoints.get(endpoint_id).owner == "team-recsys"


async def test_several_marked_endpoints_are_exempted_at_once(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "space", "space", "x")
        await until(pilot, lambda: isinstance(app.screen, Form))
        await pilot.press("enter")
        await type_text(pilot, "a workshop")
        assert "29 days from now" in screen_text(app) or "30 days from now" in screen_text(app)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: bool(app.session.undo))
        exempt = store.endpoints.list("governance:exempt")
        assert len(exempt) == 2
        assert all(e.exempt_until > utc_now() for e in exempt)
        assert not app.screen.marks.marked


async def test_leaving_a_form_changes_nothing(app, store) -> None:
    before = store.version()
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "x")
        await until(pilot, lambda: isinstance(app.screen, Form))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, EndpointsPage))
    assert store.version() == before


async def test_live_requests_move_only_once_the_name_is_typed(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "4", "w")
        await until(pilot, lambda: isinstance(app.screen, Form))
        for text in ("60", "40", "the shadow agrees"):
            await type_text(pilot, text)
            await pilot.press("enter")
        confirm = app.screen.query_one("#confirm", Button)
        await type_text(pilot, "chur")
        assert confirm.disabled
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert store.routes.get("churn").number == 1
        await type_text(pilot, "n")
        assert not confirm.disabled
        assert "60/40" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: bool(app.session.undo))
        revision = store.routes.get("churn")
        assert (revision.number, revision.who, revision.why) == (2, "mara", "the shadow agrees")
        assert [b.weight for b in revision.spec.backends] == [60, 40]
        await until(pilot, lambda: "r2 ◐ at r1" in screen_text(app))


async def test_read_only_opens_no_form_and_says_so(store, settings, monkeypatch) -> None:
    app = GnomonApp(store, settings, read_only=True)
    said: list[str] = []
    monkeypatch.setattr(app, "notify", lambda message, **_: said.append(message))
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "x")
        assert isinstance(app.screen, EndpointsPage)
        assert "◇ read-only" in screen_text(app)
        assert said == ["Exempt: this is read-only mode."]


async def test_help_is_of_the_screen_it_was_opened_from(app) -> None:
    async with app.run_test(size=(120, 60)) as pilot:
        await go(pilot, app, "2", "question_mark")
        assert isinstance(app.screen, HelpPage)
        assert "Endpoints ▸ Help" in screen_text(app)
        await go(pilot, app, "escape")
        assert isinstance(app.screen, EndpointsPage)


async def test_the_palette_runs_an_action(app) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "ctrl+p")
        await type_text(pilot, "routes")
        await app.workers.wait_for_complete()
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.screen, "PLACE", "") == "routes")


async def test_keys_are_remapped_by_action(store, settings) -> None:
    app = GnomonApp(store, settings, keys={"go.routes": "f5"})
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "4")
        assert isinstance(app.screen, PulsePage)
        await go(pilot, app, "f5")
        assert app.screen.PLACE == "routes"
    with pytest.raises(KeymapError):
        GnomonApp(store, settings, keys={"go.nowhere": "x"})


async def test_a_row_is_copied_as_json(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2")
        endpoint = store.endpoints.get(app.screen.table.key)
        await go(pilot, app, "y", "enter")
        assert f'"id": "{endpoint.id}"' in app.clipboard
        await go(pilot, app, "4", "y", "enter")
        await until(pilot, lambda: '"route": "churn"' in app.clipboard)


async def test_a_route_opens_with_its_disagreements_side_by_side(app) -> None:
    async with app.run_test(size=(100, 50)) as pilot:
        await go(pilot, app, "4", "enter")
        assert isinstance(app.screen, RoutePage)
        said = screen_text(app)
        assert "DISAGREEMENTS" in said
        assert '"churn"␛[2J' in said


async def test_tabs_columns_and_rows_answer_the_mouse(app) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app)
        bar = app.screen.query_one("#title", Bar)
        text = "".join(plain(item.runs) for item in bar.left)
        await pilot.click(bar, offset=(text.index("Endpoints"), 0))
        await until(pilot, lambda: isinstance(app.screen, EndpointsPage))
        table = app.screen.table
        await pilot.click(table, offset=(10, 0))
        await pilot.pause()
        assert app.screen.feed.order.by == "endpoint"
        await pilot.click(table, offset=(10, 4))
        assert table.key == table.keys_shown[3]


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_every_theme_draws(app, theme) -> None:
    app.theme = theme
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2")
        assert "notebook" in screen_text(app)


def test_every_theme_has_every_colour_of_the_style_sheet() -> None:
    for theme in THEMES:
        assert theme.variables.keys() >= DEFAULTS.keys()


async def test_without_colour_nothing_is_lost(monkeypatch, store, settings) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = GnomonApp(store, settings)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2")
        assert app.no_color
        said = screen_text(app)
        assert "✗ open" in said
        assert "▌" in said


async def test_the_pane_comes_with_the_width_and_by_its_key(app) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2")
        pane = app.screen.query_one("#pane", Document)
        assert pane.display
        await go(pilot, app, "tab", "j", "tab")
        assert isinstance(app.focused, RowTable)
        await go(pilot, app, "p")
        assert not pane.display
        await pilot.resize_terminal(80, 24)
        await go(pilot, app, "p")
        assert pane.display


async def test_governance_words_reach_the_screen(app, store) -> None:
    endpoint = store.endpoints.list()[0]
    store.triage.apply([endpoint.id], governance=Governance.BLOCKED, who="m", why="found open")
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot, app, "2")
        assert "■ blocked" in screen_text(app)


async def test_settling_lets_a_look_that_is_under_way_end(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await app.settled()
        app.session.version = -1
        looking = asyncio.create_task(app._live.look())
        await asyncio.sleep(0)
        await asyncio.wait_for(app.settled(), 30)
        assert app.session.version >= 0
        await looking
        await pilot.pause()
