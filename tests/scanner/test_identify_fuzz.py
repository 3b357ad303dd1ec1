"""No answer makes the machine raise, ask without end, or ask what must not be asked."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.model import Listener
from scanner.exchange import Answer
from scanner.findings import Limits
from scanner.identify import Subject, identify
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger

KNOWLEDGE = load_knowledge()

BODIES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            b'{"detail":"Not Found"}',
            b'{"openapi":"3.1.0","info":{},"paths":{"/predict":{"post":{"requestBody":{"$ref":"#/a"}}}},"a":{"$ref":"#/a"}}',
            b'{"swagger":"2.0","basePath":5,"paths":{"/x":[],"/y":{"post":{"parameters":[7,{"in":"body"}]}}}}',
            b"[" * 5000,
            b'{"models":[{}],"data":[null,{"owned_by":[1]}],"extensions":{}}',
            b"<title>x</title><a href='/jupyter/'>a</a><a href='/ml/'>b</a>",
            b"The requested URL was not found on the server. If you entered the URL manually",
            b"1e999",
            b"",
        ]
    ),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["server", "location", "allow", "content-type", "content-security-policy", "www-authenticate"]),
        st.one_of(
            st.text(max_size=40),
            st.sampled_from(
                ["/login", "//evil/", "http://[::1", "/a/../b", "POST", "text/html", "application/json", "nginx"]
            ),
        ),
    ),
    max_size=4,
)
ANSWERS = st.tuples(
    st.sampled_from([None, 200, 200, 200, 204, 301, 302, 401, 403, 404, 404, 405, 500, 999]),
    HEADERS,
    BODIES,
    st.sampled_from(["answered", "answered", "answered", "timeout", "reset", "too-large", "invalid-http"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=12), st.integers(1, 65535))
def test_any_answers_are_survived(
    answers: list[tuple[int | None, list[tuple[str, str]], bytes, str]], port: int
) -> None:
    ledger = Ledger(KNOWLEDGE)
    listener = Listener(site="fuzz", address="192.0.2.9", port=port)
    machine = identify(KNOWLEDGE, Limits(), Subject(port, "abcdefabcdef"))
    sent = 0
    findings: object = "the machine did not come to an end"
    try:
        request = next(machine)
        for _ in range(500):
            if ledger.refusal(listener, request):
                reply = Answer(request, outcome="forbidden")
            else:
                status, headers, body, outcome = answers[sent % len(answers)]
                reply = Answer(request, status=status, headers=tuple(headers), body=body, outcome=outcome)
                ledger.record(listener, reply)
                sent += 1
            request = machine.send(reply)
    except StopIteration as stop:
        findings = stop.value
    assert isinstance(findings, tuple)
    assert sent <= Limits().requests
    assert set(ledger.methods) <= {"GET", "HEAD", "OPTIONS"}
