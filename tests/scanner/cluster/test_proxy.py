"""The service proxy: whose an answer is, and what the application said before the proxy changed it."""

import json

import pytest

from scanner.apiserver import Reply
from scanner.cluster.proxy import Door, application_answer, own_error
from scanner.exchange import Request

HOST = "https://api.test:6443"
DOOR = Door("risk", "fraud", "http")
PREFIX = "/api/v1/namespaces/risk/services/fraud:http/proxy"


def status(code: int, message: str, **more) -> Reply:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message} | more
    return Reply(code, (("content-type", "application/json"),), json.dumps(said).encode())


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (status(503, 'no endpoints available for service "fraud"'), "refused"),
        (Reply(503, (), b"error trying to reach service: dial tcp 10.0.0.1:80: connection refused"), "refused"),
        (Reply(502, (), b"Error trying to reach service: 'EOF'"), "refused"),
        (Reply(503, (), b"error trying to reach service: dial tcp 10.0.0.1:80: i/o timeout"), "timeout"),
        (status(504, "the server was unable to return a response in the time allotted"), "timeout"),
        (status(403, 'services "fraud" is forbidden: cannot get resource "services/proxy"'), "forbidden"),
        (status(401, "Unauthorized"), "forbidden"),
        (status(404, 'services "fraud" not found'), "absent"),
        (status(400, "address not allowed"), "refused"),
        (Reply(503, (), b"upstream connect error"), None),
        (Reply(503, (("content-type", "application/json"),), b'{"error":"model is loading"}'), None),
        (Reply(401, (("www-authenticate", "Basic"),), b""), None),
        (Reply(403, (), b"forbidden"), None),
        (Reply(404, (), b"404 page not found\n"), None),
        (Reply(500, (), b"error trying to reach service of mine"), None),
        (status(200, "an application may list Status objects"), None),
        (Reply(200, (), b"error trying to reach service"), None),
    ],
)  # fmt: skip
def test_the_servers_own_errors_are_told_from_the_applications(reply, outcome):
    error = own_error(reply)
    assert (error.outcome if error else None) == outcome


@pytest.mark.parametrize(
    ("location", "said"),
    [
        (f"{PREFIX}/login?next=/", "/login?next=/"),
        (f"{HOST}{PREFIX}/docs", "/docs"),
        (PREFIX, "/"),
        ("https://sso.test/login", "https://sso.test/login"),
        ("relative", "relative"),
        ("/api/v1/namespaces", "/api/v1/namespaces"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_a_redirect_leads_where_the_application_said(location, said):
    reply = Reply(302, (("location", location), ("audit-id", "x")), b"")
    answer = application_answer(Request("GET", "/"), reply, DOOR, HOST, 1.0)
    assert answer.header("location") == said
    assert answer.header("audit-id") == ""


@pytest.mark.parametrize("media", ["text/html; charset=utf-8", "application/json"])
def test_links_in_pages_are_undone_and_nothing_else(media):
    body = f'<a href="{PREFIX}/docs">'.encode()
    answer = application_answer(Request("GET", "/"), Reply(200, (("content-type", media),), body), DOOR, HOST, 1.0)
    assert answer.body == (b'<a href="/docs">' if "html" in media else body)


def test_a_body_that_was_cut_off_says_so():
    answer = application_answer(Request("GET", "/"), Reply(200, (), b"x", whole=False), DOOR, HOST, 1.0)
    assert answer.outcome == "too-large"


@pytest.mark.parametrize(("tls", "name"), [(False, "fraud"), (True, "https:fraud")])
def test_a_port_that_speaks_tls_is_named_so(tls, name):
    assert Door("risk", "fraud", "http", tls).prefix == f"/api/v1/namespaces/risk/services/{name}:http/proxy"
