"""The filter grammar: what it matches, and where it says a filter went wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, endpoint

from inventory.query import FIELDS, QueryError, parse

NOTEBOOK = endpoint(
    kind="notebook", product="jupyter-server", owner="Ana", site="lab-a", risk=80, title="Team [x] notes",
    is_model_endpoint=False, port=8888, first_seen=ago(days=30), last_seen=ago(days=2),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("kind:notebook", True),
        ("KIND:Notebook", True),
        ("kind:note*", True),
        ("kind:note?ook", False),
        ("kind:ml-ui,notebook", True),
        ("-kind:notebook", False),
        ("owner:*", True),
        ("-owner:*", False),
        ("owner:ana", True),
        ("version:*", False),
        ("-version:*", True),
        ("model:no", True),
        ("risk>70", True),
        ("risk>80", False),
        ("port:8888", True),
        ("port<8889", True),
        ("seen<7d", True),
        ("seen>7d", False),
        ("seen>36h", True),
        ("new<30m", False),
        ("jupyter", True),
        ("ana", True),
        ("-ana", False),
        ("nobody", False),
        ('title:"Team [x] notes"', True),
        ('title:"Team * notes"', True),
        ('"[x]"', True),
        ("kind:notebook risk>70 seen<7d site:lab-a", True),
        ("kind:notebook risk>90", False),
        ("http://127.0.0.9", True),
    ],
)
def test_matches(text: str, matches: bool):
    assert parse(text).matches(NOTEBOOK, NOW) is matches


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("kind:notebook colour:red", 15, "no field 'colour'"),
        ("seen:3d", 1, "is an age"),
        ("kind<3", 1, "is text"),
        ("risk>high", 6, "not a number"),
        ("seen<soon", 6, "not an age"),
        ("seen<5", 6, "not an age"),
        ("kind:", 6, "a value is missing"),
        ('site:"lab a', 6, "not closed"),
        ('"a"b', 4, "more text"),
        ("-", 2, "a value is missing"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, column: int, words: str):
    with pytest.raises(QueryError, match=words) as caught:
        parse(text)
    assert caught.value.column == column


VIEWS = {"open": "kind:notebook posture:open", "worst": "@open risk>70", "loop": "@pool", "pool": "@loop", "bad": "x:y"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [("@open", True), ("@WORST", True), ("-@open", False), ("@worst port<80", False), ("-@worst", False),
     ("ana @open", True), ('"@open"', False)],
)  # fmt: skip
def test_a_view_stands_for_its_filter(text: str, matches: bool):
    assert parse(text, VIEWS).matches(NOTEBOOK, NOW) is matches


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [("kind:notebook @none", 15, "there is no view @none: the views are @bad"), ("@loop", 1, "made of itself"),
     ("-@bad", 2, "in the view @bad: there is no field 'x'")],
)  # fmt: skip
def test_a_view_that_cannot_be_used_is_named(text: str, column: int, words: str):
    with pytest.raises(QueryError, match=words) as caught:
        parse(text, VIEWS)
    assert caught.value.column == column
    assert caught.value.pointer == f"{text}\n{' ' * (column - 1)}^"


@given(st.text(alphabet=st.sampled_from('ab:<>"-* 17d,kindrisk')))
def test_any_text_is_read_or_refused_with_a_column_inside_it(text: str):
    column = None
    try:
        assert parse(text).matches(NOTEBOOK, NOW) in {True, False}
    except QueryError as error:
        column = error.column
    assert column is None or 1 <= column <= len(text) + 1


@given(st.sampled_from(FIELDS))
def test_a_negated_term_is_the_opposite(field: str):
    text = f"{field}<3d" if field in {"seen", "new"} else f"{field}:a*"
    assert parse(text).matches(NOTEBOOK, NOW) is not parse(f"-{text}").matches(NOTEBOOK, NOW)
