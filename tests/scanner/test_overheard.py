import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Scheme
from scanner.overheard import _MOST_UNANSWERED, MOST_NAMES, MOST_SERVERS, Ear, Word, overhear

SERVER, CLIENT = ("10.0.0.7", 8000), ("10.0.0.1", 40000)


def hello(name: str | None, protocols: list[str]) -> bytes:
    """What OpenSSL really says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize(
    ("name", "protocols", "scheme"),
    [
        ("gpu.example", ["h2", "http/1.1"], Scheme.HTTPS),
        ("GPU.example", ["http/1.1"], Scheme.HTTPS),
        ("gpu.example", ["imap"], Scheme.TLS),
        ("gpu.example", [], Scheme.TLS),
        (None, ["h2"], Scheme.HTTPS),
    ],
)
def test_a_client_of_tls_says_whom_it_wants_and_what_it_speaks(name, protocols, scheme):
    assert overhear(hello(name, protocols)) == Word(False, scheme, name.lower() if name else None)


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: a.example:8000\r\n\r\n", Word(False, Scheme.HTTP, "a.example")),
        (b"POST /predict HTTP/1.0\r\nx: y\r\nHOST:\tb.example.\r\n\r\n", Word(False, Scheme.HTTP, "b.example")),
        (b"GET / HTTP/1.1\r\nHost: 10.0.0.7\r\n\r\n", Word(False, Scheme.HTTP)),
        (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Word(False, Scheme.HTTP)),
        (b"GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n", Word(False, Scheme.HTTP)),
        (b"POST / HTTP/1.1\r\n\r\nx\r\nHost: body.example\r\n", Word(False, Scheme.HTTP)),
        (b"HTTP/1.1 200 OK\r\n", Word(True, Scheme.HTTP)),
        (bytes([22, 3, 3, 0, 80, 2, 0, 0, 76]), Word(True, Scheme.TLS)),
        (b"HTTP/9.9 200 OK\r\n", None),
        (b"GET / SPDY\r\n", None),
        (b"SSH-2.0-x\r\n", None),
        (bytes([22, 3, 3, 0, 80, 11]), None),
        (b"", None),
    ],
)
def test_what_is_read_of_a_segment(payload, word):
    assert overhear(payload) == word


WHOLE = hello("gpu.example", ["h2"])


@given(st.binary(max_size=400), st.integers(0, 600), st.integers(0, 255))
def test_a_hello_that_is_cut_off_or_broken_is_read_without_harm(noise, at, octet):
    whole = WHOLE
    broken = bytearray(whole)
    broken[at % len(whole)] = octet
    for payload in (noise, whole[:at], bytes(broken), whole[:9] + noise):
        word = overhear(payload)
        assert word is None or word.name is None or len(word.name) <= 253


def heard(*said: tuple[tuple[str, int], tuple[str, int], Word]) -> Ear:
    ear = Ear()
    for one in said:
        ear.hear(*one)
    return ear


ASKS = (CLIENT, SERVER, Word(False, Scheme.HTTPS, "a.example"))
ANSWERS = (SERVER, CLIENT, Word(True, Scheme.TLS))


@pytest.mark.parametrize("said", [(ASKS, ANSWERS), (ANSWERS, ASKS), (ASKS, ASKS, ANSWERS, ANSWERS)])
def test_order_and_repetition_change_nothing(said):
    assert heard(*said).news() == [(SERVER, Scheme.HTTPS, ("a.example",))]


def test_asking_alone_makes_no_server():
    ear = heard(ASKS)
    assert ear.news() == []
    assert len(ear) == 0


def test_news_is_told_once_and_again_with_every_new_name():
    ear = heard(ASKS, ANSWERS)
    assert len(ear.news()) == 1
    ear.hear(*ASKS)
    ear.hear(*ANSWERS)
    assert ear.news() == []
    ear.hear(CLIENT, SERVER, Word(False, Scheme.HTTPS, "b.example"))
    assert ear.news() == [(SERVER, Scheme.HTTPS, ("a.example", "b.example"))]


def test_what_is_kept_in_mind_is_bounded():
    ear = Ear()
    for number in range(2 * _MOST_UNANSWERED):
        ear.hear(CLIENT, (f"10.1.{number >> 8}.{number & 255}", 80), Word(False, Scheme.HTTP, "x"))
    assert len(ear._unanswered) == _MOST_UNANSWERED
    for number in range(MOST_SERVERS + 5):
        ear.hear((f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 80), CLIENT, Word(True, Scheme.HTTP))
    assert (len(ear), ear.forgotten) == (MOST_SERVERS, 5)
    for number in range(2 * MOST_NAMES):
        ear.hear(CLIENT, ("10.0.0.0", 80), Word(False, Scheme.HTTP, f"n{number}"))
    assert len({server: names for server, _, names in ear.news()}["10.0.0.0", 80]) == MOST_NAMES
