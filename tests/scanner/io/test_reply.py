"""The parser of one answer: however its bytes are cut and whatever came before, the answer is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.alike import Alike
from scanner.exchange import Answer, Method, Request
from scanner.findings import Limits
from scanner.io.reply import Reply

LIMITS = Limits(body=1024, header=1024)
HOST = frozenset({"192.0.2.1"})
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 NOT FOUND\r\nContent-Length: 2\r\nDate: now\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX: \xff\r\n\r\n",
]


def read(pieces: list[bytes], method: Method = "GET", ignored: frozenset[str] = frozenset()) -> tuple[Answer, bool]:
    """The answer in these pieces, and whether the connection can be kept."""
    reply = Reply((Request(method, "/"),), LIMITS, ignored)
    outcome = next((told for piece in pieces if (told := reply.feed(piece)) is not None), None) or reply.end()
    kept = reply.keeps_open(outcome)
    return reply.answers(outcome, 1.0, HOST)[0], kept


def parts(answer: Answer) -> tuple[object, ...]:
    return answer.status, answer.reason, answer.headers, answer.body, answer.outcome


@given(st.sampled_from(ANSWERS), st.lists(st.integers(1, 60), max_size=6, unique=True))
def test_it_does_not_matter_how_the_bytes_are_cut(whole: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True) if a < b]
    cut, once = read(pieces), read([whole])
    assert parts(cut[0]) == parts(once[0])
    assert cut[1] == once[1] is True


def test_ignored_headers_are_no_part_of_the_answer() -> None:
    answer, _ = read([ANSWERS[1]], ignored=frozenset({"date"}))
    assert [name for name, _ in answer.headers] == ["content-length"]


@pytest.mark.parametrize(
    ("payload", "method", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", "GET", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "GET", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", "GET", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\x00\x00", "GET", False),
    ],
)
def test_a_connection_is_kept_only_where_the_next_answer_will_be_the_next(
    payload: bytes, method: Method, kept: bool
) -> None:
    answer, keeps = read([payload], method)
    assert (answer.status, answer.outcome, keeps) == (200, "answered", kept)


@given(
    st.lists(st.sampled_from(ANSWERS), min_size=2, max_size=5),
    st.lists(st.integers(1, 400), max_size=8, unique=True),
    st.booleans(),
)
def test_answers_to_requests_that_went_out_together_are_those_to_each(
    answers: list[bytes], cuts: list[int], cut_short: bool
) -> None:
    whole = b"".join(answers)
    whole = whole[: -len(answers[-1])] + answers[-1][: -len(answers[-1]) // 2] if cut_short else whole
    places = sorted({min(cut, len(whole)) for cut in cuts})
    reply = Reply(tuple(Request("GET", f"/{number}") for number in range(len(answers))), LIMITS)
    ends = [reply.feed(whole[a:b]) for a, b in zip([0, *places], [*places, len(whole)], strict=True) if a < b]
    outcome = ends[-1] or reply.end()
    assert not any(ends[:-1])
    assert reply.keeps_open(outcome) is not cut_short
    found = reply.answers(outcome, 1.0, HOST)
    expected = answers[:-1] if cut_short else answers
    assert [parts(one) for one in found] == [parts(read([one])[0]) for one in expected]
    assert [one.request.path for one in found] == [f"/{number}" for number in range(len(expected))]


def test_an_answer_that_is_too_large_ends_those_behind_it() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    reply = Reply((Request("GET", "/0"), Request("GET", "/1"), Request("GET", "/2")), LIMITS)
    outcome = reply.feed(ANSWERS[0] + large + ANSWERS[0])
    assert outcome is not None
    assert not reply.keeps_open(outcome)
    assert [one.outcome for one in reply.answers(outcome, 1.0, HOST)] == ["answered", "too-large"]


AGAIN = [
    *ANSWERS,
    b"HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno",
    b"HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nna",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://192.0.2.1/\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"\r\n",
    b"nonsense",
]


@given(
    st.lists(st.sampled_from(AGAIN), min_size=1, max_size=5),
    st.lists(st.sampled_from(["GET", "GET", "OPTIONS", "HEAD"]), min_size=1, max_size=4),
    st.lists(st.integers(1, 500), max_size=3, unique=True),
    st.lists(st.lists(st.sampled_from(AGAIN), min_size=1, max_size=3), max_size=6),
)
def test_what_was_heard_before_changes_no_answer(
    answers: list[bytes], methods: list[Method], cuts: list[int], before: list[list[bytes]]
) -> None:
    whole = b"".join(answers)
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True) if a < b]
    requests = tuple(Request(method, f"/{number}") for number, method in enumerate(methods))
    alike = Alike()
    for heard in before:
        conversation(tuple(Request("GET", f"/{number}") for number in range(len(heard))), [b"".join(heard)], alike)
    assert conversation(requests, pieces, alike) == conversation(requests, pieces, Alike())


def conversation(requests: tuple[Request, ...], pieces: list[bytes], alike: Alike) -> tuple[object, ...]:
    """All that can be told of the answers in these pieces."""
    reply = Reply(requests, LIMITS, frozenset({"date"}), alike)
    outcome = next((told for piece in pieces if (told := reply.feed(piece)) is not None), None) or reply.end()
    kept, silent = reply.keeps_open(outcome), reply.silent
    found = reply.answers(outcome, 1.0, HOST)
    return kept, silent, outcome, [(one.request, one.raw, one.shape, one.host_names, *parts(one)) for one in found]
