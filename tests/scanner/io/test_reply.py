"""The parser of one answer: however its bytes are cut, the answer is the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    reply = Reply(Request(method, "/"), LIMITS, ignored)
    outcome = next((told for piece in pieces if (told := reply.feed(piece)) is not None), None) or reply.end()
    kept = reply.keeps_open(outcome)
    return reply.answer(outcome, 1.0, HOST), kept


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
