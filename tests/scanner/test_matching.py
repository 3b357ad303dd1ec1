from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.authoring import read_transcript
from scanner.exchange import Answer, Request
from scanner.knowledge import load_knowledge
from scanner.matching import Index
from scanner.predicates import Condition

KNOWLEDGE = load_knowledge()
FOLDER = Path(__file__).parent.parent / "data" / "transcripts"
ANSWERS = [answer for path in sorted(FOLDER.glob("*.yaml")) for answer in read_transcript(path).answers.values()]

_PATTERNS = st.sampled_from(["a", "^b$", "", "A|b", "x?", "."])
_JSON = st.fixed_dictionaries(
    {},
    optional={
        "has": st.lists(st.sampled_from(["a", "a.b", "[]", ".", "b[]"]), max_size=2),
        "lacks": st.lists(st.sampled_from(["a", "b"]), max_size=1),
        "only": st.lists(st.sampled_from("ab"), max_size=2),
        "equals": st.dictionaries(st.sampled_from(["a", "[].a"]), st.sampled_from([1, "a", None]), max_size=1),
        "matches": st.dictionaries(st.sampled_from(["a", "."]), _PATTERNS, max_size=1),
        "type": st.sampled_from(["object", "array", "number"]),
    },
)
_SIMPLE = {
    "status": st.sampled_from([200, 404, [200, 404]]),
    "reason": st.sampled_from(["OK", "ok"]),
    "header": st.dictionaries(st.sampled_from(["server", "x"]), _PATTERNS, max_size=2),
    "media": _PATTERNS,
    "title": _PATTERNS,
    "body": _PATTERNS,
    "exactly": st.sampled_from(["a", ""]),
    "json": _JSON,
}
CONDITIONS = st.fixed_dictionaries(
    {}, optional={**_SIMPLE, "neither": st.lists(st.fixed_dictionaries({}, optional=_SIMPLE), max_size=1)}
).map(Condition.model_validate)
BODIES = st.sampled_from(
    [
        b"",
        b"a",
        b"B",
        b"1",
        b"[]",
        b"{}",
        b'{"a":1}',
        b'{"a":{"b":"a"}}',
        b'[{"a":1}]',
        b"<title>a</title>",
        b"<title>b</title>a",
        b'{"b":[1],"a":null}',
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(CONDITIONS, min_size=1, max_size=6),
    st.sampled_from([None, 200, 404]),
    st.lists(st.tuples(st.sampled_from(["server", "x"]), st.sampled_from(["a", "b", ""])), max_size=3),
    BODIES,
)
def test_the_index_tells_the_same_as_asking_every_condition(
    conditions: list[Condition], status: int | None, headers: list[tuple[str, str]], body: bytes
) -> None:
    answer = Answer(Request("GET", "/"), status=status, reason="OK", headers=tuple(headers), body=body)
    index = Index(conditions)
    expected = tuple(at for at, condition in enumerate(conditions) if condition.holds(answer))
    assert index.holding(answer) == expected
    assert index.holding(answer) == expected, "what is remembered tells the same"


def test_the_signals_are_held_against_recorded_answers_alike() -> None:
    some = 0
    for on, signals in KNOWLEDGE.signals_on.items():
        for answer in ANSWERS:
            expected = tuple(at for at, (_, _, signal) in enumerate(signals) if signal.when.holds(answer))
            assert KNOWLEDGE.holding(on, answer) == expected
            some += len(expected)
    assert some > 1000
