"""A rollout is steered from the routes, each as a person does it: by keys, on a real store."""

import pytest
from driving import confirm, fill_in, go, screen_text, settle, type_text, until
from textual.widgets import Button

from inventory.model import utc_now
from inventory.store import Store
from router import rollout_moves
from router.rollout_file import default_plan
from tui import changes, steering
from tui.actions import BY_ID
from tui.app import GnomonApp
from tui.screens.form import Form


@pytest.fixture
def app(store: Store, settings) -> GnomonApp:
    return GnomonApp(store, settings)


def standing(store) -> tuple[str, str, list[int]]:
    """The status of churn's rollout, its step, and the live split."""
    rollout = store.rollouts.get("churn")
    return rollout.status.value, rollout.step.words, [b.weight for b in store.routes.get("churn").spec.backends]


async def test_a_rollout_is_begun_paused_resumed_and_aborted_and_each_is_taken_back(app, store) -> None:
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "4", "n")
        await fill_in(pilot, app, None, "agreed with the owners")
        assert app.screen.query_one("#confirm", Button).disabled
        await go(pilot, app, "tab")
        await type_text(pilot, "churn")
        assert "shadow 50%" in screen_text(app)
        await confirm(pilot, app)
        begun = standing(store)
        assert (begun[0], begun[2]) == ("running", [100, 0])
        await until(pilot, lambda: app.screen.context().rollout is not None)
        await go(pilot, app, "z")
        await fill_in(pilot, app, "an incident elsewhere")
        await confirm(pilot, app)
        assert standing(store) == ("paused", *begun[1:])
        assert store.rollouts.get("churn").why == "pause by mara: an incident elsewhere"
        await until(pilot, lambda: app.screen.context().rollout.status == "paused")
        await go(pilot, app, "Z")
        await fill_in(pilot, app, "it is over")
        await confirm(pilot, app)
        assert standing(store) == begun
        await until(pilot, lambda: app.screen.context().rollout.status == "running")
        await go(pilot, app, "A")
        await fill_in(pilot, app, "not this week", "churn")
        await confirm(pilot, app)
        assert standing(store)[0] == "aborted"
        for expected in (begun, ("paused", *begun[1:]), begun):
            await go(pilot, app, "u")
            await until(pilot, lambda wanted=expected: standing(store) == wanted)
        await go(pilot, app, "u")
        await until(pilot, lambda: standing(store)[0] == "aborted")
        assert standing(store)[2] == [80, 20]


async def test_a_route_with_a_rollout_under_way_is_promoted_with_it(app, store) -> None:
    spec = store.routes.get("churn").spec
    begun, shaped = rollout_moves.start(spec, default_plan(), rollout_id="r1", now=utc_now())
    store.rollouts.begin(begun, shaped, who="bob", why="agreed")
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "4", "P")
        await fill_in(pilot, app, "agreed with the owners", "churn")
        await confirm(pilot, app)
        assert standing(store) == ("done", "done", [0, 100])
        await until(pilot, lambda: not app.screen.context().rollout.active)
        assert BY_ID["rollout.abort"].blocked(app.screen.context()) == "no rollout is under way"


async def test_a_rollout_that_went_on_meanwhile_is_looked_at_again(app, store) -> None:
    spec = store.routes.get("churn").spec
    begun, shaped = rollout_moves.start(spec, default_plan(), rollout_id="r1", now=utc_now())
    begun = store.rollouts.begin(begun, shaped, who="bob", why="agreed")
    async with app.run_test(size=(120, 44)) as pilot:
        await go(pilot, app, "4", "z")
        await fill_in(pilot, app, "an incident elsewhere")
        store.rollouts.move(begun, rollout_moves.pause(begun, "mine"), None, who="bob")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not isinstance(app.screen, Form))
        await settle(pilot, app)
        assert store.rollouts.get("churn").why == "mine"
        assert not app.session.undo


def test_the_beginning_of_a_rollout_that_went_on_is_not_taken_back(store: Store) -> None:
    revision = store.routes.get("churn")
    begun, shaped = rollout_moves.start(revision.spec, default_plan(), rollout_id="r1", now=utc_now())
    edit = steering.begin(store, revision, begun, shaped, "mara", "agreed")
    present = store.rollouts.get("churn")
    store.rollouts.move(present, rollout_moves.pause(present, "mine"), None, who="bob")
    with pytest.raises(changes.StaleError, match="went on meanwhile"):
        edit.inverse()
    assert store.rollouts.get("churn").why == "mine"
