"""What is kept of answers that came before: the plain ones, some hundreds of them."""

import pytest

from scanner.alike import Alike
from scanner.exchange import Answer, Method, Request

PLAIN = b"HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 2\r\n\r\n"


def heard(head: bytes, body: bytes = b"no", method: Method = "GET", outcome: str = "answered") -> Alike:
    """What is kept after one answer."""
    alike = Alike()
    alike.keep(head + body, [Answer(Request(method, "/"), status=404, body=body, outcome=outcome)])
    return alike


def test_a_plain_answer_is_found_again_and_where_it_ends() -> None:
    alike = heard(PLAIN)
    found = alike.find(b"before" + PLAIN + b"noHTTP/1.1", 6)
    assert found is not None
    assert (found[0].status, found[0].body, found[1]) == (404, b"no", 6 + len(PLAIN) + 2)
    assert alike.find(PLAIN + b"n", 0) is None
    assert alike.find(PLAIN + b"na", 0) is None
    assert alike.find(PLAIN[:-2], 0) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Server: x", b"Connection: close"),
        (b"Server: x", b"connection: keep-alive, close"),
        (b"Server: x", b"Proxy-Connection: close"),
        (b"Server: x", b"Transfer-Encoding: chunked"),
        (b"Server: x\r", b"Transfer-Encoding: chunked"),
        (b"Server: x", b"Content-Encoding : gzip"),
        (b"Server: x", b"Upgrade: h2c"),
        (b"Server: x", b"Location: //192.0.2.1/"),
        (b"Content-Length: 2", b"X: y"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Server: x", b"Content-Length: 2"),
        (b"Server: x", b"Server: " + b"x" * 2048),
    ],
)
def test_what_is_not_plain_or_long_is_parsed_each_time(old: bytes, new: bytes) -> None:
    assert heard(PLAIN).find(PLAIN + b"no", 0)
    head = PLAIN.replace(old, new)
    assert heard(head).find(head + b"no", 0) is None


def test_heads_without_a_body_and_answers_that_broke_off_are_not_kept() -> None:
    assert heard(PLAIN, method="HEAD").find(PLAIN + b"no", 0) is None
    assert heard(PLAIN, outcome="too-large").find(PLAIN + b"no", 0) is None


def test_no_more_than_some_hundreds_are_kept() -> None:
    alike = Alike()
    wholes = [PLAIN + b"%02d" % (number % 100) for number in range(100)]
    heads = [PLAIN.replace(b"x", b"%d" % number) for number in range(100)]
    for head in heads:
        for whole in wholes:
            answer = Answer(Request("GET", "/"), status=404, body=whole[-2:])
            alike.keep(head + whole[-2:], [answer])
    kept = sum(alike.find(head + whole[-2:], 0) is not None for head in heads for whole in wholes)
    assert 0 < kept <= 512
    assert alike.find(heads[-1] + wholes[-1][-2:], 0) is not None
