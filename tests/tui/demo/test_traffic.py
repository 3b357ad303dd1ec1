"""The callers: every failure is counted, whatever it is, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.demo.client import Answer, CallError
from tui.demo.traffic import TOLERANCE, Callers, Question, Tally, fault, learn

EXPECTED = {"decision": "pass", "probabilities": {"pass": 0.9, "review": 0.08, "block": 0.02}, "took_ms": 1.0}
QUESTIONS = [Question(b'{"amount": 1}', EXPECTED)]


def http(body: object, status: int = 200, *headers: str) -> bytes:
    text = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(text)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("got", "wrong"),
    [
        (answer(EXPECTED), None),
        (answer({**EXPECTED, "took_ms": 250.0, "more": [1]}), None),
        (answer(EXPECTED, 201), "status 201"),
        (answer(EXPECTED, 503), "status 503"),
        (answer({**EXPECTED, "decision": "block"}), "another answer than the original's"),
        (answer({**EXPECTED, "probabilities": {"pass": 0.9}}), "an answer of another shape"),
        (answer({**EXPECTED, "probabilities": "high"}), "an answer of another shape"),
        (answer([EXPECTED]), "an answer of another shape"),
        (answer(None), "an answer of another shape"),
        (Answer(200, {}, b"<html>"), "an answer of another shape"),
        (Answer(200, {}, b"\xff\xfe"), "an answer of another shape"),
    ],
)
def test_what_a_caller_calls_a_fault(got, wrong):
    assert fault(got, EXPECTED) == wrong


@given(drift=st.floats(min_value=-0.5, max_value=0.5))
def test_probabilities_may_drift_only_within_the_tolerance(drift):
    probabilities = {name: value * (1 + drift) for name, value in EXPECTED["probabilities"].items()}
    verdict = fault(answer({**EXPECTED, "probabilities": probabilities}), EXPECTED)
    if abs(drift) < 0.9 * TOLERANCE:
        assert verdict is None
    elif abs(drift) > 1.1 * TOLERANCE:
        assert verdict is not None


@given(latencies=st.lists(st.floats(min_value=0, max_value=1e6), max_size=50), share=st.floats(0, 1))
def test_a_quantile_is_a_latency_that_was_seen(latencies, share):
    tally = Tally()
    tally.latencies.extend(latencies)
    found = tally.quantile(share)
    if latencies:
        assert found in latencies
        assert sum(value <= found for value in latencies) >= share * len(latencies)
    else:
        assert found is None
        assert tally.median is None


async def test_each_caller_counts_its_answers_and_who_gave_them(serve):
    target = await serve(*[http(EXPECTED, 200, "X-Served-By: flask")] * 1000)
    async with Callers(*target, "name.localhost", "/predict", QUESTIONS, callers=3, pause=0) as callers:
        assert (await callers.more(50, seconds=10))["flask"] >= 50
        assert (await callers.more(50, seconds=10))["flask"] >= 50
    assert callers.tally.requests >= 100
    assert callers.tally.failed == 0
    assert callers.tally.served_by == {"flask": callers.tally.requests}
    assert 0 < callers.tally.median <= callers.tally.quantile(1.0)


async def test_no_failure_stays_uncounted(serve):
    """A wrong answer, a refusal and a connection that breaks, over and over: each by its name."""
    target = await serve(
        http(EXPECTED), http({**EXPECTED, "decision": "block"}), http({}, 503), b"HTTP/1.1 200 OK\r\nbroken"
    )
    async with Callers(*target, "name.localhost", "/predict", QUESTIONS, callers=1, pause=0) as callers:
        await callers.more(40, seconds=10)
    tally = callers.tally
    assert set(tally.failures) == {
        "another answer than the original's", "status 503", "connection failed: IncompleteReadError",
    }  # fmt: skip
    assert tally.failed == pytest.approx(tally.requests * 3 / 4, abs=2)


async def test_waiting_for_requests_that_do_not_come_ends(serve):
    target = await serve(close=False)
    with pytest.raises(TimeoutError):
        async with Callers(*target, "name.localhost", "/predict", QUESTIONS, callers=1, pause=0) as callers:
            await callers.more(1, seconds=0.05)
    assert callers.tally.requests == 0


async def test_learning_relies_on_the_original_only_where_it_answers(serve):
    good = await serve(http(EXPECTED), http(EXPECTED))
    assert [q.expected for q in await learn(*good, "/predict", [{"amount": 1.0}, {"amount": 2.0}])] == [EXPECTED] * 2
    bad = await serve(http({"error": "no"}, 400))
    with pytest.raises(CallError, match="400"):
        await learn(*bad, "/predict", [{"amount": 1.0}])
