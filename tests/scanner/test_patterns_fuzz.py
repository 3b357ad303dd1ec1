"""Patterns stay quick over bodies that were made to slow them, and no document breaks a reader of signatures."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import application, descriptions, exchange, lexicon, openapi, routes, verdict
from scanner.exchange import Answer
from scanner.findings import Limits
from scanner.identify import Subject, identify
from scanner.knowledge import BUILT_IN, SignatureError, load_knowledge, parse_signature
from scanner.predicates import Condition
from scanner.signature import Signature

KNOWLEDGE = load_knowledge()
HOSTILE = [
    ("<a href='/" * 8000)[:65536],
    ("a" * 65536),
    ("/a-" * 22000)[:65536],
    ('"' * 65536),
    (" \n" * 32768),
    ("<title " * 10000)[:65536],
    ('{"models":[' * 6000)[:65536],
    ("<li><code>" * 6600)[:65536],
    ("POST " * 13108)[:65536],
    ("<script " * 9000)[:65536],
    ("<" * 65536),
    ("<form action=" * 5100)[:65536],
    ("1.2.3." * 11000)[:65536],
]


def _of_condition(condition: Condition) -> Iterator[str]:
    yield from condition.header.values()
    yield from (pattern for pattern in (condition.media, condition.title, condition.body) if pattern)
    if condition.json_ is not None:
        yield from condition.json_.matches.values()
    for inner in (*condition.either, *condition.neither):
        yield from _of_condition(inner)


def _of_signature(signature: Signature) -> Iterator[str]:
    for signal in signature.signals:
        yield from _of_condition(signal.when)
    for posture in signature.posture:
        yield from _of_condition(posture.when)
    yield from (rule.pattern for rule in signature.version if rule.pattern)
    yield from (rule.path for rule in signature.never)


PATTERNS = sorted({pattern for signature in KNOWLEDGE.signatures.values() for pattern in _of_signature(signature)})
OWN = [
    value
    for module in (application, descriptions, exchange, lexicon, openapi, routes, verdict)
    for value in vars(module).values()
    if isinstance(value, re.Pattern)
]
WORDS = [re.compile(pattern, re.IGNORECASE) for pattern in (*lexicon.PAGE_WORDS, *lexicon.DOUBTS)]


def slowest(pattern: re.Pattern[str]) -> float:
    """The seconds that the pattern takes over the text that costs it most."""
    worst = 0.0
    for text in HOSTILE:
        started = time.process_time()
        for _ in zip(range(200), pattern.finditer(text), strict=False):
            pass
        worst = max(worst, time.process_time() - started)
    return worst


def test_the_patterns_of_signatures_are_quick_over_hostile_text() -> None:
    assert len(PATTERNS) > 100
    slow = {text: took for text in PATTERNS if (took := slowest(re.compile(text, re.IGNORECASE))) > 0.5}
    assert not slow


@pytest.mark.parametrize("pattern", [*OWN, *WORDS], ids=lambda pattern: pattern.pattern[:30])
def test_own_patterns_are_quick_over_hostile_text(pattern: re.Pattern[str]) -> None:
    assert slowest(pattern) < 0.5


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_a_page_that_was_made_to_be_slow_is_judged_in_time(text: str) -> None:
    machine = identify(KNOWLEDGE, Limits(), Subject(80, "0" * 12))
    headers = (("content-type", "text/html"),)
    started = time.process_time()
    with pytest.raises(StopIteration):  # noqa: PT012 - the machine ends by it
        request = next(machine)
        for _ in range(200):
            status = 200 if request.path == "/" else 404
            request = machine.send(Answer(request, status=status, headers=headers, body=text.encode()))
    assert time.process_time() - started < 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=12) | st.sampled_from(["GET /x", "any", "["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["on", "when", "is", "json"]), inner),
    max_leaves=8,
)
DOCUMENTS = [yaml.safe_load((BUILT_IN / f"{name}.yaml").read_text()) for name in ("ollama", "voila", "fastapi")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DOCUMENTS), st.data())
def test_a_damaged_signature_is_a_signature_or_one_sentence(document: dict[Any, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(map(str, document))))
    damaged = {str(name): value for name, value in document.items()} | {key: data.draw(VALUES)}
    text = yaml.safe_dump(damaged)
    try:
        parse_signature(text)
    except SignatureError:
        with pytest.raises(SignatureError, match=r"\A[^\n]+\Z"):
            parse_signature(text)
