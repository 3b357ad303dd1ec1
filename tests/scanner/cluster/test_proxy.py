"""The API server's proxy: whose an answer is, and what the application said before the proxy changed it."""

import json
from dataclasses import replace

import pytest

from scanner.apiserver import Reply
from scanner.cluster.proxy import Door, application_answer, own_error
from scanner.exchange import Request

HOST = "https://api.test:6443"
DOOR = Door("risk", "fraud", "http")
POD = Door("risk", "fraud-1-0", "8000", "pods")
DOORS = pytest.mark.parametrize("door", [DOOR, POD], ids=["a Service", "a pod"])


def status(code: int, message: str, **more) -> Reply:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message} | more
    return Reply(code, (("content-type", "application/json"),), json.dumps(said).encode())


REACHING = "rror trying to reach service"
ANY = (
    (status(503, f"e{REACHING}: dial tcp 10.0.0.1:80: connect: connection refused"), "refused"),
    (status(503, f"e{REACHING}: EOF"), "refused"),
    (status(503, f"e{REACHING}: http: server gave HTTP response to HTTPS client"), "refused"),
    (status(503, f"e{REACHING}: dial tcp 10.0.0.1:80: i/o timeout"), "timeout"),
    (status(503, f"e{REACHING}: net/http: TLS handshake timeout"), "timeout"),
    (status(503, f"e{REACHING}: context deadline exceeded"), "timeout"),
    (Reply(503, (), f"e{REACHING}: dial tcp 10.0.0.1:80: connection refused".encode()), "refused"),
    (Reply(502, (), f"E{REACHING}: 'EOF'".encode()), "refused"),
    (Reply(504, (), f"E{REACHING}: 'dial tcp 10.0.0.1:80: i/o timeout'".encode()), "timeout"),
    (status(504, "the server was unable to return a response in the time allotted"), "timeout"),
    (status(401, "Unauthorized"), "forbidden"),
    (status(403, 'forbidden: User "system:anonymous" cannot get path "/"'), "forbidden"),
    (status(404, 'services "another" not found'), None),
    (status(404, "the server could not find the requested resource"), None),
    (Reply(503, (), b"upstream connect error"), None),
    (Reply(503, (), b"my error trying to reach service"), None),
    (Reply(503, (("content-type", "application/json"),), b'{"error":"model is loading"}'), None),
    (Reply(503, (), b'{"kind":"Status","apiVersion":"v1","code":500}'), None),
    (Reply(503, (), b'{"kind":"Status","apiVersion":"v2","code":503}'), None),
    (Reply(401, (("www-authenticate", "Basic"),), b""), None),
    (Reply(403, (), b"forbidden"), None),
    (Reply(404, (), b"404 page not found\n"), None),
    (Reply(500, (), f"e{REACHING} of mine".encode()), None),
    (status(200, "an application may list Status objects"), None),
    (Reply(200, (), f"e{REACHING}".encode()), None),
)


@DOORS
@pytest.mark.parametrize(("reply", "outcome"), ANY)
def test_the_servers_own_errors_are_told_from_the_applications(reply, outcome, door):
    error = own_error(reply, door)
    assert (error.outcome if error else None) == outcome


@pytest.mark.parametrize(
    ("door", "code", "message", "words"),
    [
        (DOOR, 404, 'services "fraud" not found', "the Service is not there any more"),
        (DOOR, 503, 'no endpoints available for service "fraud:http"', "has no address of the Service"),
        (DOOR, 503, 'no service port 8000 found for service "fraud"', "has no address of the Service"),
        (POD, 404, 'pods "fraud-1-0" not found', "the pod is not there any more"),
        (POD, 400, "address not allowed", "has no address of the pod"),
    ],
)
def test_a_door_that_leads_nowhere_says_so(door, code, message, words):
    error = own_error(status(code, message), door)
    assert error.outcome == "absent"
    assert words in str(error)


def test_what_is_not_found_is_the_door_itself_and_of_its_own_kind():
    assert own_error(status(404, 'pods "fraud" not found'), DOOR) is None
    assert own_error(status(404, 'services "fraud-1-0" not found'), POD) is None


@DOORS
@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("{prefix}/login?next=/", "/login?next=/"),
        ("{host}{prefix}/docs", "/docs"),
        ("{prefix}", "/"),
        ("https://sso.test/login", "https://sso.test/login"),
        ("relative", "relative"),
        ("/api/v1/namespaces", "/api/v1/namespaces"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_a_redirect_leads_where_the_application_said(location, said, door):
    location = location.format(prefix=door.prefix, host=HOST)
    reply = Reply(302, (("location", location), ("audit-id", "x")), b"")
    answer = application_answer(Request("GET", "/"), reply, door, HOST, 1.0)
    assert answer.header("location") == said
    assert answer.header("audit-id") == ""


@DOORS
@pytest.mark.parametrize("media", ["text/html; charset=utf-8", "application/json"])
def test_links_in_pages_are_undone_and_nothing_else(media, door):
    body = f'<a href="{door.prefix}/docs">'.encode()
    answer = application_answer(Request("GET", "/"), Reply(200, (("content-type", media),), body), door, HOST, 1.0)
    assert answer.body == (b'<a href="/docs">' if "html" in media else body)


def test_a_body_that_was_cut_off_says_so():
    answer = application_answer(Request("GET", "/"), Reply(200, (), b"x", whole=False), DOOR, HOST, 1.0)
    assert answer.outcome == "too-large"


@pytest.mark.parametrize(("tls", "scheme"), [(False, ""), (True, "https:")])
def test_a_port_that_speaks_tls_is_named_so(tls, scheme):
    root = "/api/v1/namespaces/risk"
    assert replace(DOOR, tls=tls).prefix == f"{root}/services/{scheme}fraud:http/proxy"
    assert replace(POD, tls=tls).prefix == f"{root}/pods/{scheme}fraud-1-0:8000/proxy"
