import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.knowledge import load_knowledge
from scanner.literals import folded, literals_of, may_occur

BODIES = sorted(
    {
        pattern
        for signature in load_knowledge().signatures.values()
        for signal in signature.signals
        for pattern in (signal.when.body, signal.when.title, *signal.when.header.values())
        if pattern
    }
)
PIECES = st.sampled_from(
    [
        "a",
        "B",
        "\u0130",
        "\u017f",
        "[ab]",
        "[^]x]",
        r"[\]|]",
        "(c|d)",
        "(?:e|)",
        "(?=f)",
        ".",
        "^",
        "$",
        "|",
        r"\d",
        r"\.",
        r"\|",
        "?",
        "*",
        "+",
        "{2}",
        "{0,1}",
        "{",
        "}",
        "]",
        r"\b",
        r"\x41",
        r"\101",
        "(?i:g)",
        "*?",
    ]
)


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("Powered by Jetty", ("powered by jetty",)),
        ("^(nginx|openresty)", ()),
        ("<gradio-app|gradio_api", ("<gradio-app", "gradio_api")),
        ("abcd?ef", ("abc",)),
        ("ab+c", ("ab",)),
        ("a{2}bc", ("bc",)),
        ("a{x|y}foo", ("a", "foo")),
        (r"x\.y\d+zz", ("x.y",)),
        ("one|", ()),
        ("", ()),
        (r"\x41BC", ()),
        ("(?x) a b c", ()),
        ("straße", ()),
    ],
)
def test_what_a_pattern_cannot_do_without(pattern: str, literals: tuple[str, ...]) -> None:
    assert literals_of(pattern) == literals


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_match_of_a_signature_is_missed(data: st.DataObject) -> None:
    pattern = re.compile(data.draw(st.sampled_from(BODIES)), re.IGNORECASE)
    text = data.draw(st.from_regex(pattern))
    assert may_occur(literals_of(pattern.pattern), folded(text))


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join), st.text("aAbBcCdDefgG{},xy]|. \u0130\u017f\u01311", max_size=16))
def test_no_match_of_any_pattern_is_missed(source: str, text: str) -> None:
    literals = literals_of(source)
    try:
        pattern = re.compile(source, re.IGNORECASE)
    except (re.error, FutureWarning):
        return
    if pattern.search(text):
        assert may_occur(literals, folded(text))
