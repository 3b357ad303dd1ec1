"""What is remembered never changes what is asked and found: every transcript, again and again, and interleaved."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.authoring import Transcript, read_transcript
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.identify import Machine, Subject, identify
from scanner.knowledge import Knowledge, assemble, load_knowledge, parse_signature
from scanner.recall import Recall

FOLDER = Path(__file__).parent.parent / "data" / "transcripts"
KNOWLEDGE = load_knowledge()
LIMITS = Limits()
TOKEN = "0123456789ab"
TRANSCRIPTS = [read_transcript(path) for path in sorted(FOLDER.glob("*.yaml"))]

Talk = tuple[tuple[Finding, ...], tuple[str, ...]]


def thinking(requests: int = LIMITS.requests) -> Machine:
    """The machine without a memory."""
    return identify(KNOWLEDGE, LIMITS.model_copy(update={"requests": requests}), Subject(80, TOKEN))


def remembering(recall: Recall, requests: int = LIMITS.requests) -> Machine:
    return recall.machine(80, requests)


def answer_of(transcript: Transcript, request: Request) -> Answer:
    known = transcript.answers.get(str(request)) or transcript.answers.get("GET /-/routes")
    if known is None or (request.method == "OPTIONS" and str(request) not in transcript.answers):
        return Answer(request, status=404)
    return Answer(request, known.status, known.reason, known.headers, known.body, known.outcome)


def talk(machine: Machine, transcript: Transcript) -> Talk:
    asked = []
    try:
        request = next(machine)
        while True:
            asked.append(str(request))
            request = machine.send(answer_of(transcript, request))
    except StopIteration as stop:
        return stop.value, tuple(asked)


@pytest.fixture(scope="module")
def truth() -> list[Talk]:
    return [talk(thinking(), transcript) for transcript in TRANSCRIPTS]


@pytest.mark.parametrize("most", [8192, 7])
def test_a_fleet_is_asked_and_judged_as_without_a_memory(truth: list[Talk], most: int) -> None:
    recall = Recall(KNOWLEDGE, LIMITS, TOKEN, most)
    for _ in range(2):
        assert [talk(remembering(recall), transcript) for transcript in TRANSCRIPTS] == truth


def test_the_second_of_a_kind_needs_no_thought() -> None:
    recall = Recall(KNOWLEDGE, LIMITS, TOKEN)
    for transcript in TRANSCRIPTS[:20]:
        talk(remembering(recall), transcript)
    thoughts = recall.thoughts
    for transcript in TRANSCRIPTS[:20]:
        talk(remembering(recall), transcript)
    assert recall.thoughts == thoughts


def test_another_cap_is_another_course() -> None:
    recall = Recall(KNOWLEDGE, LIMITS, TOKEN)
    for cap in (40, 3, 40):
        expected = talk(thinking(cap), TRANSCRIPTS[0])
        assert talk(remembering(recall, cap), TRANSCRIPTS[0]) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=4),
    st.lists(st.integers(0, 3), min_size=40, max_size=200),
    st.integers(2, 60),
)
def test_conversations_that_are_held_at_once_do_not_mix(kinds: list[int], turns: list[int], most: int) -> None:
    """``turns`` says whose answer comes next; a small memory forgets in between."""
    few = TRANSCRIPTS[:4]
    recall = Recall(KNOWLEDGE, LIMITS, TOKEN, most)
    machines = [remembering(recall) for _ in kinds]
    waiting = [next(machine) for machine in machines]
    ended: dict[int, tuple[Finding, ...]] = {}
    for turn in [*turns, *list(range(len(kinds))) * 60]:
        at = turn % len(kinds)
        if at in ended:
            continue
        try:
            waiting[at] = machines[at].send(answer_of(few[kinds[at]], waiting[at]))
        except StopIteration as stop:
            ended[at] = stop.value
    for at, kind in enumerate(kinds):
        assert ended[at] == talk(thinking(), few[kind])[0]


def marks(knowledge: Knowledge, *headers: tuple[str, str]) -> bytes:
    return knowledge.mark(Answer(Request("GET", "/"), status=200, headers=headers, body=b"x"))


def test_a_mark_tells_what_can_be_told_apart_and_nothing_more() -> None:
    request = Request("GET", "/")
    base = Answer(request, status=200, reason="OK", headers=(("server", "x"),), body=b"a", milliseconds=1.0)
    same = Answer(request, status=200, reason="OK", headers=(("server", "x"),), body=b"a", milliseconds=9.0)
    assert KNOWLEDGE.mark(base) == KNOWLEDGE.mark(same)
    others = [
        Answer(request, status=201, reason="OK", headers=(("server", "x"),), body=b"a"),
        Answer(request, status=200, reason="ok", headers=(("server", "x"),), body=b"a"),
        Answer(request, status=200, reason="OK", headers=(("server", "y"),), body=b"a"),
        Answer(request, status=200, reason="OK", headers=(("server", "x"),), body=b"b"),
        Answer(request, status=200, reason="OK", headers=(("server", "x"),), body=b"a", outcome="closed"),
        Answer(request, outcome="timeout"),
        Answer(request, outcome="invalid-http", raw=b"SSH"),
    ]
    assert len({KNOWLEDGE.mark(answer) for answer in (base, *others)}) == len(others) + 1


def test_whose_address_a_redirect_names_is_seen() -> None:
    where = (("location", "http://192.0.2.1/login"),)
    own, other = (
        Answer(Request("GET", "/"), status=302, headers=where, host_names=frozenset({name}))
        for name in ("192.0.2.1", "192.0.2.2")
    )
    assert KNOWLEDGE.mark(own) != KNOWLEDGE.mark(other)


def test_of_headers_that_pass_only_what_a_signature_looks_at_is_seen() -> None:
    assert "date" in KNOWLEDGE.ignored
    assert not {"x-request-id", "x-runtime"} & KNOWLEDGE.ignored, "Rails is known by them"
    assert marks(KNOWLEDGE, ("x-request-id", "a")) == marks(KNOWLEDGE, ("x-request-id", "b"))
    assert marks(KNOWLEDGE, ("x-request-id", "a")) != marks(KNOWLEDGE)
    assert marks(KNOWLEDGE, ("x-runtime", "0.1")) != marks(KNOWLEDGE, ("x-runtime", "quick"))
    told = parse_signature(
        "{id: lamp, name: Lamp, kind: ml-ui, about: For this test only., source: nowhere, signals: "
        "[{on: any, when: {header: {etag: '^lamp'}}, weight: 6, proves: 'the lamp'}], "
        "version: [{on: any, header: x-runtime}]}"
    )
    knowledge = assemble([told])
    assert not {"etag", "x-runtime"} & knowledge.ignored
    assert marks(knowledge, ("etag", "lamp-1")) == marks(knowledge, ("etag", "lamp-2"))
    assert marks(knowledge, ("etag", "lamp-1")) != marks(knowledge, ("etag", "oil"))
    assert marks(knowledge, ("x-runtime", "1")) != marks(knowledge, ("x-runtime", "2")), "its value is a version"
