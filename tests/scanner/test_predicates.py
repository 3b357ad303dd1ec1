from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scanner.exchange import Answer, Request
from scanner.predicates import Condition, values_at

ANSWER = Answer(
    Request("GET", "/x", "/x"),
    status=200,
    reason="OK",
    headers=(("content-type", "application/json"), ("server", "Lamp/2")),
    body=b'{"data":[{"owned_by":"lamp"},{"owned_by":"oil"}],"n":1,"flag":true,"none":null,"deep":{"k":"v"}}',
)  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({}, True),
        ({"status": 200}, True),
        ({"status": [404, 200]}, True),
        ({"status": 404}, False),
        ({"reason": "OK"}, True),
        ({"reason": "ok"}, False),
        ({"header": {"server": "^lamp"}}, True),
        ({"header": {"server": "oil"}}, False),
        ({"header": {"absent": ""}}, False),
        ({"media": "json"}, True),
        ({"body": "OWNED_BY"}, True),
        ({"title": "x"}, False),
        ({"exactly": "x"}, False),
        ({"json": {"has": ["data", "deep.k", "none"]}}, True),
        ({"json": {"has": ["deep.k.further"]}}, False),
        ({"json": {"lacks": ["error"]}}, True),
        ({"json": {"lacks": ["n"]}}, False),
        ({"json": {"only": ["data"]}}, False),
        ({"json": {"equals": {"n": 1, "flag": True, "data[].owned_by": "oil"}}}, True),
        ({"json": {"equals": {"flag": 1}}}, False),
        ({"json": {"matches": {"data[].owned_by": "^LAMP$"}}}, True),
        ({"json": {"type": "array"}}, False),
        ({"either": [{"status": 404}, {"body": "lamp"}]}, True),
        ({"either": [{"status": 404}]}, False),
        ({"neither": [{"status": 200}]}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    assert Condition.model_validate(condition).holds(ANSWER) is holds


def test_nothing_holds_for_an_answer_that_never_came() -> None:
    assert not Condition().holds(Answer(ANSWER.request, outcome="timeout"))


@pytest.mark.parametrize("condition", [{"body": "("}, {"headers": {}}, {"json": {"type": "map"}}, {"status": "x"}])
def test_a_wrong_condition_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


@given(st.recursive(st.none() | st.integers(), lambda s: st.lists(s) | st.dictionaries(st.sampled_from("ab"), s)))
def test_paths_lead_somewhere_or_nowhere(document: Any) -> None:
    assert values_at(document, ".") == (document,)
    for path in ("a", "a.b", "a[].b", "[]", "[].a"):
        assert isinstance(values_at(document, path), tuple)
