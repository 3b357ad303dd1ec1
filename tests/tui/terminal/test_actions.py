"""The registry, the keymap, and that each action is carried out somewhere."""

import dataclasses

import pytest
from textual.binding import Binding

from inventory.model import Governance, Revision
from tui.actions import ACTIONS, BY_ID, hints, of_place
from tui.app import GnomonApp
from tui.checks import Context
from tui.keymap import KeymapError, keymap, spoken
from tui.screens.base import Page
from tui.screens.endpoint import EndpointPage
from tui.screens.help import HelpPage
from tui.screens.registry import FIRST
from tui.screens.route import RoutePage
from tui.screens.scan import ScanPage
from tui.viewmodel import help as page
from tui.viewmodel.text import plain, width_of
from tui.widgets.document import Document
from tui.widgets.table import RowTable

PLACES: dict[str, list[type]] = {
    **{name: [screen] for name, screen in FIRST.items()},
    "endpoint": [EndpointPage], "route": [RoutePage], "help": [HelpPage], "scan": [ScanPage], "table": [RowTable],
    "document": [Document], "app": [],
}  # fmt: skip


def test_ids_are_unique_and_every_action_has_a_key_and_a_sentence() -> None:
    assert len(BY_ID) == len(ACTIONS)
    for action in ACTIONS:
        assert action.keys
        assert action.help.endswith(".")
        assert action.places <= PLACES.keys()


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_is_carried_out_where_it_belongs(action) -> None:
    for place in action.places:
        for kind in PLACES[place]:
            assert callable(getattr(kind, action.handler, None)), f"{kind.__name__} has no {action.handler}"
        if place == "app":
            assert hasattr(GnomonApp, action.handler) or hasattr(Page, action.handler)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_every_place_binds_its_actions_by_id(place: str) -> None:
    where = [Page] if place == "app" else PLACES[place]
    listed = [binding for kind in where for base in kind.__mro__ for binding in base.__dict__.get("BINDINGS", [])]
    bound = {binding.id for binding in listed if isinstance(binding, Binding)}
    assert {action.id for action in of_place(place)} <= bound


def test_the_default_keys_do_not_clash() -> None:
    keys = keymap()
    assert keys.first(BY_ID["find.filter"]) == "/"
    assert keys.all(BY_ID["go.help"]) == "? f1"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"go.nowhere": "x"}, "no action"), ({"triage.owner": " , "}, "no key"),
     ({"triage.owner": "x"}, "would mean both"),
     ({"app.quit": "j"}, "would mean both")],
)  # fmt: skip
def test_a_keymap_that_cannot_be_used_is_refused(changes, complaint) -> None:
    with pytest.raises(KeymapError, match=complaint):
        keymap(changes)


def test_two_actions_may_swap_their_keys() -> None:
    keys = keymap({"triage.owner": "x", "triage.exempt": "o"})
    assert keys.first(BY_ID["triage.owner"]) == "x"


def test_keys_are_named_as_people_say_them() -> None:
    assert [spoken(key) for key in ("question_mark", "escape", "j", "slash")] == ["?", "esc", "j", "/"]


@pytest.mark.parametrize("action_id", ["triage.owner", "triage.exempt", "triage.reopen", "route.shift", "change.undo"])
@pytest.mark.parametrize(
    ("fields", "reason"), [({"read_only": True}, "read-only"), ({"stale": True}, "does not answer")]
)
def test_nothing_is_changed_in_read_only_mode_or_blindly(action_id, fields, reason, endpoint, spec, now) -> None:
    ready = Context(
        place="endpoints",
        row=True,
        chosen=1,
        endpoint=endpoint(governance=Governance.EXEMPT, exempt_until=now),
        route=Revision(route="churn", number=1, spec=spec, at=now, who="m", why="w"),
        can_undo=True,
    )
    assert BY_ID[action_id].blocked(ready) is None
    assert reason in str(BY_ID[action_id].blocked(dataclasses.replace(ready, **fields)))


def test_reasons_name_what_is_missing(endpoint) -> None:
    nothing = Context(place="endpoints")
    assert "no endpoint" in str(BY_ID["triage.owner"].blocked(nothing))
    assert "no route" in str(BY_ID["route.shift"].blocked(nothing))
    assert "nothing was changed" in str(BY_ID["change.undo"].blocked(nothing))
    undecided = Context(place="endpoints", row=True, chosen=1, endpoint=endpoint())
    assert "nothing was decided" in str(BY_ID["triage.reopen"].blocked(undecided))


def test_help_names_every_action_and_why_some_are_not_possible() -> None:
    keys = keymap()
    lines = page.page(Context(place="endpoints", read_only=True), {a.id: keys.all(a) for a in ACTIONS}, 110)
    said = "\n".join(plain(each) for each in lines)
    for action in ACTIONS:
        assert action.title in said
    assert "this is read-only mode" in said
    assert all(width_of(each) <= 110 for each in lines)


def test_hints_of_a_screen_are_its_own_first() -> None:
    ids = [action.id for action in hints("endpoints")]
    assert ids[0] == "row.open"
    assert ids.index("triage.owner") < ids.index("app.quit")
