"""Triage and finding, each as a person does it: by keys, on a real store. Waits are on what holds, never on time."""

import csv
import json

import pytest
from driving import confirm, fill_in, go, screen_text, settle, type_text, until
from textual.pilot import Pilot
from textual.widgets import Button, Input

from inventory.model import Governance, Verdict
from inventory.store import Store
from tui.app import GnomonApp
from tui.screens.choose import Choose
from tui.screens.endpoint import EndpointPage
from tui.screens.endpoints import EndpointsPage
from tui.screens.form import Form
from tui.screens.space import SpacePage


@pytest.fixture
def app(store: Store, settings) -> GnomonApp:
    return GnomonApp(store, settings)


async def choose(pilot: Pilot[None], app: GnomonApp, text: str) -> None:
    """Wait for a list, and take the row that begins so."""
    await until(pilot, lambda: isinstance(app.screen, Choose))
    app.screen.options.highlighted = next(n for n, c in enumerate(app.screen._choices) if c.text.startswith(text))
    await pilot.press("enter")
    await settle(pilot, app)


async def command(pilot: Pilot[None], app: GnomonApp, text: str) -> None:
    await go(pilot, app, "colon")
    await type_text(pilot, text)
    await go(pilot, app, "enter")


async def test_the_riskiest_gap_is_adopted_with_a_plan_in_view_and_taken_back(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "3", "a")
        notebook = store.endpoints.list("kind:notebook")[0]
        await fill_in(pilot, app, "lab-notebook", "", "http://127.0.0.9:8000", "10", "before the audit")
        said = screen_text(app)
        assert "http://lab-notebook.localhost:8780" in said
        assert "copies of 10 %" in said
        assert "● serve" in said
        assert store.routes.get("lab-notebook") is None
        await confirm(pilot, app)
        revision = store.routes.get("lab-notebook")
        assert (revision.who, revision.why, revision.spec.endpoint) == ("mara", "before the audit", notebook.id)
        assert store.triage.get(notebook.id).governance is Governance.MANAGED
        await go(pilot, app, "a")
        assert not isinstance(app.screen, Form)
        await pilot.press("u")
        await until(pilot, lambda: store.routes.get("lab-notebook").spec is None)
        await until(pilot, lambda: bool(app.session.redo))
        assert store.triage.get(notebook.id).governance is Governance.UNREVIEWED


async def test_a_name_that_is_taken_is_said_while_it_is_typed(app) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "a")
        await fill_in(pilot, app, "churn")
        assert "there is a route churn already" in screen_text(app)
        assert app.screen.query_one("#confirm", Button).disabled


async def test_a_replacement_is_promoted_from_its_endpoint_and_rolled_back(app, store) -> None:
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "2")
        await command(pilot, app, "filter product:flask")
        await until(pilot, lambda: app.screen.context().route is not None)
        await go(pilot, app, "P")
        await fill_in(pilot, app, "the shadow agrees")
        assert app.screen.query_one("#confirm", Button).disabled
        assert "type the route's name, churn" in screen_text(app)
        await go(pilot, app, "tab")
        await type_text(pilot, "churn")
        assert "0/100" in screen_text(app)
        await confirm(pilot, app)
        assert [b.weight for b in store.routes.get("churn").spec.backends] == [0, 100]
        await go(pilot, app, "R")
        await fill_in(pilot, app, None, "it was slower", "churn")
        await confirm(pilot, app)
        latest = store.routes.get("churn")
        assert (latest.number, [b.weight for b in latest.spec.backends]) == (3, [80, 20])


async def test_a_shadow_is_turned_off_and_a_route_released_only_by_its_name(app, store) -> None:
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "4", "m")
        await fill_in(pilot, app, None, "0", "enough pairs")
        await confirm(pilot, app)
        assert store.routes.get("churn").spec.shadow is None
        await go(pilot, app, "X")
        await fill_in(pilot, app, "the model is gone", "churnn")
        assert "404" not in screen_text(app)
        await pilot.press("backspace")
        await settle(pilot, app)
        assert "404" in screen_text(app)
        await confirm(pilot, app)
        assert store.routes.get("churn").spec is None


async def test_a_range_is_marked_and_retired_at_once(app, store) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "2", "v", "j", "j", "v", "shift+down")
        shown = list(app.screen.table.keys_shown)
        assert app.screen.marks.marked == set(shown[:3])
        await go(pilot, app, "d")
        await fill_in(pilot, app, "ret", "replaced in May")
        assert "should be gone" in screen_text(app)
        await confirm(pilot, app)
        assert {e.id for e in store.endpoints.list("governance:retired")} == set(shown[:3])
        assert not app.screen.marks.marked


async def test_esc_clears_the_range_then_the_marks_then_the_filter(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2")
        await command(pilot, app, "filter kind:model-endpoint")
        await go(pilot, app, "asterisk", "v", "escape")
        assert app.screen.marks.marked == set(app.screen.table.keys_shown)
        await go(pilot, app, "escape")
        assert not app.screen.marks.marked
        assert app.screen.filter_text
        await go(pilot, app, "escape")
        assert not app.screen.filter_text
        assert isinstance(app.screen, EndpointsPage)


async def test_back_and_forward_keep_what_was_there(app) -> None:
    async with app.run_test(size=(100, 20)) as pilot:
        await go(pilot, app, "2", "j", "enter", "G")
        page = app.screen
        assert isinstance(page, EndpointPage)
        key, scroll = page.key, page.document.scroll_y
        assert scroll > 0
        await go(pilot, app, "4", "left_square_bracket")
        assert isinstance(app.screen, EndpointPage)
        assert app.screen.key == key
        await until(pilot, lambda: app.screen.document.scroll_y == scroll)
        await go(pilot, app, "left_square_bracket")
        assert app.screen.PLACE == "endpoints"
        assert app.screen.table.key == key
        await go(pilot, app, "right_square_bracket", "right_square_bracket")
        assert app.screen.PLACE == "routes"
        await go(pilot, app, "right_square_bracket")
        assert app.screen.PLACE == "routes"


async def test_columns_and_orders_are_kept_and_views_are_shared(app, store, settings) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2")
        await command(pilot, app, "filter posture:open")
        await command(pilot, app, "sort owner up")
        await command(pilot, app, "save open-doors")
        assert [(v.name, v.filter, v.who) for v in store.views.list()] == [("open-doors", "posture:open", "mara")]
        await command(pilot, app, "columns risk,endpoint,scope")
        await command(pilot, app, "theme gnomon-contrast")
        assert "Scope" in screen_text(app)
    later = GnomonApp(store, settings)
    assert later.theme == "gnomon-contrast"
    async with later.run_test(size=(100, 30)) as pilot:
        await go(pilot, later, "2")
        assert [c.id for c in later.screen.columns] == ["risk", "endpoint", "scope"]
        assert (later.screen.feed.order.by, later.screen.feed.order.descending) == ("owner", False)
        await go(pilot, later, "b")
        await choose(pilot, later, "open-doors")
        assert later.screen.filter_text == "posture:open"
        assert len(later.screen.table.keys_shown) == len(store.endpoints.list("@open-doors"))
        await command(pilot, later, "filter @open-doors kind:notebook")
        assert len(later.screen.table.keys_shown) == 1


async def test_columns_are_chosen_from_a_list(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2", "c")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await go(pilot, app, "j", "j", "space", "enter")
        assert "kind" not in [c.id for c in app.screen.columns]


async def test_a_command_that_cannot_be_read_is_said_and_changes_nothing(app, monkeypatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(app, "notify", lambda message, **_: said.append(message))
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2")
        for text in ("frobnicate", "sort colour", "filter colour:red", "open nobody", "columns x", "view none"):
            await command(pilot, app, text)
        assert len(said) == 6
        assert "there is no command 'frobnicate'" in said[0]
        assert "column 1 of the filter" in said[2]
        assert isinstance(app.screen, EndpointsPage)
        assert app.screen.feed.order.by == "risk"


async def test_a_filter_is_completed_by_tab(app) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, app, "2", "slash", *"kind:note")
        box = app.screen.query_one("#filter", Input)
        await until(pilot, lambda: box._suggestion == "kind:notebook")
        await go(pilot, app, "tab")
        assert box.value == "kind:notebook"


async def test_a_cell_a_curl_line_and_json_are_copied(app, store) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await go(pilot, app, "2")
        endpoint = store.endpoints.get(app.screen.table.key)
        for text, copied in (("Posture", "open"), ("curl", endpoint.url), ("JSON", f'"id": "{endpoint.id}"')):
            await go(pilot, app, "y")
            await choose(pilot, app, text)
            await until(pilot, lambda copied=copied: copied in app.clipboard)


async def test_what_is_too_long_for_a_clipboard_goes_to_a_file(app, store, settings, monkeypatch) -> None:
    monkeypatch.setattr("tui.outside.LONGEST_OSC52", 10)
    async with app.run_test(size=(100, 40)) as pilot:
        await go(pilot, app, "2", "y")
        await choose(pilot, app, "JSON")
        path = settings.state_folder / "copied.txt"
        await until(pilot, path.exists)
        assert json.loads(path.read_text())["id"] == app.screen.table.key
        assert path.stat().st_mode & 0o777 == 0o600


async def test_what_is_shown_is_exported(app, store, tmp_path) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await go(pilot, app, "2")
        await command(pilot, app, "filter kind:model-endpoint")
        for name in ("found.csv", "found.json", "found.svg"):
            await command(pilot, app, f"export {tmp_path / name}")
            await until(pilot, (tmp_path / name).exists)
        expected = {e.id for e in store.endpoints.list("kind:model-endpoint")}
        assert {row["id"] for row in csv.DictReader((tmp_path / "found.csv").read_text().splitlines())} == expected
        assert {row["id"] for row in json.loads((tmp_path / "found.json").read_text())} == expected
        assert "http://example" not in (tmp_path / "found.svg").read_text()
        await command(pilot, app, f"export {tmp_path / 'found.exe'}")
        assert not (tmp_path / "found.exe").exists()
        await go(pilot, app, "1", "e")
        await fill_in(pilot, app, str(tmp_path / "pulse.txt"))
        await pilot.press("ctrl+s")
        await until(pilot, (tmp_path / "pulse.txt").exists)
        assert "COVERAGE" in (tmp_path / "pulse.txt").read_text()


async def test_the_map_shows_what_was_scanned_and_the_neighbours_show_what_is_around(app) -> None:
    async with app.run_test(size=(120, 60)) as pilot:
        await go(pilot, app, "3", "M")
        assert isinstance(app.screen, SpacePage)
        assert "127.0.0.0/24  1 block of /24: 1 scanned" in screen_text(app)
        await go(pilot, app, "escape", "enter")
        assert "no route leads to it" in screen_text(app)


async def test_scans_open_with_their_account(app) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await go(pilot, app, "5", "enter")
        said = screen_text(app)
        assert "WHERE ITS PROBES WENT" in said
        assert "512 planned" in said
        assert "SCHEDULES" in said


async def test_a_route_is_tried_and_its_gateway_that_is_away_proves_nothing(app, store) -> None:
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "4", "L")
        await until(pilot, lambda: isinstance(app.screen, Form))
        assert "127.0.0.2:5000" in screen_text(app)
        await fill_in(pilot, app, "the firewall was changed")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: store.seals.of_route("churn"))
        (kept,) = store.seals.of_route("churn")
        assert (kept.verdict, kept.why, kept.who) == (Verdict.UNPROVED, "the firewall was changed", "mara")
        await until(pilot, lambda: [one.title for one in app._notifications] == ["churn: not shown to be sealed"])
