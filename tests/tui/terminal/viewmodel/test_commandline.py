import pytest

from inventory.query import QueryError, parse
from tui.actions import ACTIONS
from tui.viewmodel import commandline, completion
from tui.viewmodel.commandline import Command, CommandError


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("filter kind:notebook -owner:*", Command("filter", "kind:notebook -owner:*")),
        ("filter", Command("filter")),
        ("  sort owner up ", Command("sort", "owner up")),
        ("GO gaps", Command("go", "gaps")),
        ("triage.exempt", Command("do", "triage.exempt")),
        ("roll back", Command("do", "route.rollback")),
    ],
)
def test_commands_are_read(text: str, command: Command) -> None:
    assert commandline.parse(text) == command


@pytest.mark.parametrize("text", ["", "frobnicate", "sort", "view  ", "open"])
def test_what_cannot_be_read_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(CommandError):
        commandline.parse(text)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_every_action_can_be_typed(action) -> None:
    assert commandline.parse(action.id) == Command("do", action.id)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("fi", "filter"), ("sort ow", "sort owner"), ("columns risk,ow", "columns risk,owner"),
        ("view n", "view nightly"),
        ("roll b", "roll back"), ("roll", "roll back"), ("", None), ("sort ", None), ("filter ki", None),
    ],
)  # fmt: skip
def test_commands_are_completed(typed: str, shown: str | None) -> None:
    words = {"sort": ("risk", "owner"), "columns": ("risk", "owner"), "view": ("nightly",)}
    assert commandline.completed(typed, words) == shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("ki", "kind:"), ("-ow", "-owner:"), ("se", "server:"), ("ris", "risk>"), ("kind:note", "kind:notebook"),
        ("posture:open kind:ml-u", "posture:open kind:ml-ui"), ("kind:notebook,ml-p", "kind:notebook,ml-platform"),
        ("seen<", "seen<1h"), ("kind:notebook", None), ("kind:notebook ", None), ("", None), ("zzz", None),
    ],
)  # fmt: skip
def test_filters_are_completed_from_the_grammar(typed: str, shown: str | None) -> None:
    field, _ = completion.open_term(typed)
    assert completion.completed(typed, completion.words_of(field)) == shown


def test_values_come_from_the_store_where_the_grammar_knows_none() -> None:
    assert completion.words_of("owner") is None
    assert completion.completed("owner:te", ("team a", "team-b")) == "owner:team-b"
    assert completion.completed("owner:te", ()) is None


def test_what_is_completed_can_be_read() -> None:
    for typed in ("kind:n", "posture:o", "seen<", "new>", "routing:f"):
        field, _ = completion.open_term(typed)
        found = completion.completed(typed, completion.words_of(field))
        assert found is not None
        parse(found)
    with pytest.raises(QueryError):
        parse("colour:red")
