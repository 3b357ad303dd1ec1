"""Who may call: tokens, lists, revocations and limits, and every attack on them, through a real Envoy."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from making import route
from minting import AUDIENCE, Mint, encoded, parts

from inventory.model import Access, RateLimit, Revocation, utc_now
from router.errors import GatewayError
from router.gateways.envoy.alone import Alone
from router.governance import Governance, RouteRule

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"
THEIRS = "https://login.test"
OURS = "https://gateway.test"


@pytest.fixture(scope="module")
def theirs() -> Mint:
    return Mint(THEIRS, kind="RSA")


@pytest.fixture(scope="module")
def ours() -> Mint:
    return Mint(OURS, own=True)


def spec(backend: Any, name: str = "iris", **access: Any) -> Any:
    backends = ({"name": "origin", "url": backend.url, "weight": 100},)
    return route(name, hosts=(f"{name}.localhost",), backends=backends, access=Access(enforce=True, **access))


def governance(theirs: Mint, ours: Mint, rule: RouteRule | None = None, **more: Any) -> Governance:
    trusted = (ours.trusted(), theirs.trusted(team="team"))
    return Governance(trusted=trusted, rules={"iris": rule or RouteRule(False, frozenset({f"{THEIRS}|ana"}))}, **more)


@pytest.fixture
async def guarded(rig: Any, backends: Any, theirs: Mint, ours: Mint) -> Any:
    """A gateway whose route ``iris`` lets in ana, and who has a token of ours for it."""
    rig.backend = await backends("origin")
    await rig.put(spec(rig.backend))
    await rig.controller.gateway.govern(governance(theirs, ours))
    return rig


async def called(rig: Any, token: str | None, host: str = HOST, **headers: str) -> int:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return int((await rig.ask(host, **headers)).status)


async def test_a_route_that_enforces_lets_nobody_in_before_anything_is_known(rig: Any, backends: Any) -> None:
    backend = await backends("origin")
    await rig.put(spec(backend))
    assert await called(rig, None) == 403
    assert backend.seen == []


async def test_who_is_allowed_gets_in_and_others_do_not(guarded: Any, theirs: Mint, ours: Mint) -> None:
    assert await called(guarded, theirs.token("ana")) == 200
    assert await called(guarded, theirs.token("bo")) == 403
    assert await called(guarded, None) == 401
    assert await called(guarded, ours.ours(f"{THEIRS}|bo", ["iris", "other"])) == 200
    assert await called(guarded, ours.ours(f"{THEIRS}|ana", ["other"])) == 403
    assert await called(guarded, ours.ours(f"{THEIRS}|ana", [])) == 403


async def test_a_backend_learns_neither_our_token_nor_who_calls(guarded: Any, theirs: Mint, ours: Mint) -> None:
    assert await called(guarded, ours.ours(f"{THEIRS}|bo", ["iris"])) == 200
    assert await called(guarded, theirs.token("ana")) == 200
    ours_seen, theirs_seen = (one.headers for one in guarded.backend.seen)
    assert "authorization" not in ours_seen
    # The issuer's own token goes on, as it did before the gateway: the application may look at it.
    assert theirs_seen["authorization"].startswith("Bearer ")
    assert not [name for seen in (ours_seen, theirs_seen) for name in seen if name.startswith("x-gnomon")]


def bad_tokens(theirs: Mint, ours: Mint) -> dict[str, str]:
    now = int(time.time())
    foreign = Mint(THEIRS, kind="RSA")
    good = theirs.token("ana")
    head, body, signature = good.split(".")
    public = theirs.key.as_pem(private=False)
    mac = encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + body
    raw_n = json.dumps(theirs.key.as_dict(private=False)).encode()
    claims = theirs.claims("ana")
    return {
        "forged": foreign.token("ana"),
        "forged with our kid": ours.token("x", key=Mint(OURS).key, routes=["iris"], orig_iss=THEIRS, orig_sub="ana"),
        "expired": theirs.token("ana", exp=now - 3600, iat=now - 7200),
        "not yet": theirs.token("ana", nbf=now + 3600),
        "no expiry": theirs.token("ana", exp=None),
        "wrong audience": theirs.token("ana", aud="somebody"),
        "no audience": theirs.token("ana", aud=None),
        "wrong issuer": theirs.token("ana", iss="https://evil.test"),
        "issuer of ours, key of theirs": theirs.token(
            "ana", iss=OURS, routes=["iris"], orig_iss=THEIRS, orig_sub="ana"
        ),
        "none": parts({"alg": "none"}, claims),
        "None": parts({"alg": "None", "typ": "JWT"}, claims, signature=signature),
        "hmac with the public key": mac + "." + encoded(hmac.new(public, mac.encode(), hashlib.sha256).digest()),
        "hmac with the key document": mac + "." + encoded(hmac.new(raw_n, mac.encode(), hashlib.sha256).digest()),
        "other claims": f"{head}.{encoded(json.dumps({**claims, 'sub': 'admin'}).encode())}.{signature}",
        "no signature": f"{head}.{body}.",
        "cut": good[:-6],
        "twice": f"{good}, {good}",
        "own key inside": parts(
            {"alg": "RS256", "jwk": foreign.key.as_dict(private=False), "jku": "http://127.0.0.1/k"},
            claims,
            signature=foreign.token("ana").split(".")[2],
        ),
    }


async def test_no_bad_token_passes(guarded: Any, theirs: Mint, ours: Mint) -> None:
    """Neither where only known callers may call, nor where everybody but known ones may."""
    tried = bad_tokens(theirs, ours)
    answers = {name: await called(guarded, token) for name, token in tried.items()}
    rule = RouteRule(True, frozenset({f"{THEIRS}|ana"}))
    await guarded.controller.gateway.govern(governance(theirs, ours, rule))
    lenient = {name: await called(guarded, token) for name, token in tried.items()}
    assert answers == lenient == {name: 403 if "audience" in name else 401 for name in tried}
    assert guarded.backend.seen == []


async def test_a_token_is_a_header_and_nothing_else(guarded: Any, theirs: Mint) -> None:
    for where in ("access_token", "token"):
        answer = await guarded.ask(HOST, f"/predict?{where}={theirs.token('ana')}")
        assert answer.status == 401
    assert (await guarded.ask(HOST, cookie=f"access_token={theirs.token('ana')}")).status == 401
    assert guarded.backend.seen == []


FORGED = {
    "x_gnomon_iss": THEIRS,
    "x_gnomon_sub": "ana",
    "x_gnomon_team": "a",
    "x_gnomon_rev": "1",
    "x_envoy_original_path": "/",
    "x_forwarded_client_cert": "URI=spiffe://lab/ana",
    "x_forwarded_for": "127.0.0.1",
    "x_http_method_override": "GET",
    "x_original_url": "/",
    "x_forwarded_host": "open.localhost",
    "x_jwt_payload": "eyJzdWIiOiJhbmEifQ",
}


async def test_no_header_says_who_calls(guarded: Any, theirs: Mint) -> None:
    for headers in [{name: value} for name, value in FORGED.items()] + [FORGED]:
        assert await called(guarded, None, **headers) == 401
        assert await called(guarded, theirs.token("bo"), **headers) == 403
    assert guarded.backend.seen == []


PATHS = ("//predict", "/%2e/predict", "/./predict", "/a/../predict", "/%2e%2e/predict", "/%2fpredict", "/PREDICT",
         "/predict;a=b", "/;/predict", "/predict%00", "/predict/..;/", "/\\predict", "*", "/predict?x=1#y", "/%c0%af",
         "http://open.localhost/predict", "http://iris.localhost/predict", "/predict%20HTTP/1.1")  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X")


async def test_no_path_and_no_method_is_a_way_around(guarded: Any, backends: Any, theirs: Mint) -> None:
    free = await backends("open")
    await guarded.put(spec(free, "open").model_copy(update={"access": None}))
    token = f"Bearer {theirs.token('bo')}"
    for path in PATHS:
        answer = await guarded.ask(HOST, path, authorization=token)
        # An absolute target names the host by itself (RFC 9112, 3.2.2): that is the route which is asked.
        assert answer.status == 200 if "open.localhost" in path else answer.status in {400, 403, 404}, path
        guarded.connection.close()
    for method in METHODS:
        answer = await guarded.ask(HOST, method=method, authorization=token)
        assert answer.status in {400, 403, 405, 501}, method
        guarded.connection.close()
    assert guarded.backend.seen == []
    assert len(free.seen) == 1


def smuggled(token: str) -> dict[str, bytes]:
    """Requests that two servers could read differently, with a second request inside that has no token."""
    inner = f"GET /inner HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()
    begin = f"POST /outer HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n".encode()
    size = str(len(inner) + 5).encode()
    chunked = b"0\r\n\r\n" + inner
    return {
        "CL.TE": begin + b"content-length: " + size + b"\r\ntransfer-encoding: chunked\r\n\r\n" + chunked,
        "TE.CL": begin + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n" + chunked,
        "TE.TE": begin + b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n" + chunked,
        "obs-fold": begin + b"transfer-encoding:\r\n chunked\r\ncontent-length: 4\r\n\r\n" + chunked,
        "space": begin + b"transfer-encoding : chunked\r\ncontent-length: 4\r\n\r\n" + chunked,
        "two lengths": begin + b"content-length: 0\r\ncontent-length: " + size + b"\r\n\r\n" + chunked,
        "bare LF": begin + b"content-length: 0\n\r\n" + inner,
        "hidden TE": begin + b"transfer-encoding: \x0bchunked\r\ncontent-length: 4\r\n\r\n" + chunked,
        "bad chunk": begin + b"transfer-encoding: chunked\r\n\r\n5;\r\n\r\n" + chunked,
    }


async def test_nothing_is_smuggled_past(guarded: Any, theirs: Mint) -> None:
    """Whatever is inside a request is its body, or is asked for a token itself: no backend sees a second request."""
    for way, request in smuggled(theirs.token("ana")).items():
        reader, writer = await asyncio.open_connection("127.0.0.1", guarded.settings.gateway_port)
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(15):
            answered = await reader.read()
        writer.close()
        await writer.wait_closed()
        # Nothing at all where the connection is simply cut.
        assert answered.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 200")) or not answered, way
        assert "/inner" not in {one.path for one in guarded.backend.seen}, way


async def test_what_is_revoked_is_refused(guarded: Any, theirs: Mint, ours: Mint) -> None:
    gateway = guarded.controller.gateway
    stolen = ours.ours(f"{THEIRS}|bo", ["iris"], jti="stolen")
    other = ours.ours(f"{THEIRS}|bo", ["iris"], jti="other")
    assert await called(guarded, stolen) == 200
    until = utc_now() + timedelta(minutes=15)
    token = Revocation(kind="token", value="stolen", at=utc_now(), until=until, who="me", why="stolen")
    await gateway.govern(governance(theirs, ours, revoked=(token,)))
    assert await called(guarded, stolen) == 403
    assert await called(guarded, other) == 200
    person = Revocation(kind="principal", value=f"{THEIRS}|bo", at=utc_now(), until=until, who="me", why="left")
    await gateway.govern(governance(theirs, ours, revoked=(token, person)))
    assert await called(guarded, other) == 403
    assert await called(guarded, theirs.token("ana")) == 200
    later = int(time.time()) + 2
    assert await called(guarded, ours.ours(f"{THEIRS}|bo", ["iris"], iat=later, jti="new")) == 200


async def test_keys_rotate_with_overlap_and_an_old_key_ends(guarded: Any, ours: Mint) -> None:
    theirs = Mint(THEIRS, kind="RSA")
    gateway = guarded.controller.gateway
    await gateway.govern(governance(theirs, ours))
    old = theirs.token("ana")
    theirs.rotate("two")
    new = theirs.token("ana")
    assert (await called(guarded, old), await called(guarded, new)) == (200, 401)
    await gateway.govern(governance(theirs, ours))
    assert (await called(guarded, old), await called(guarded, new)) == (200, 200)
    theirs.published = [theirs.key]
    await gateway.govern(governance(theirs, ours))
    assert (await called(guarded, old), await called(guarded, new)) == (401, 200)


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_list_says_who_is_an_exception(guarded: Any, theirs: Mint, ours: Mint, allowed: bool) -> None:
    rule = RouteRule(allowed, frozenset({f"{THEIRS}|ana", "https://other.test|bo"}))
    await guarded.controller.gateway.govern(governance(theirs, ours, rule))
    yes, no = (200, 403) if allowed else (403, 200)
    assert await called(guarded, theirs.token("ana")) == no
    assert await called(guarded, theirs.token("bo")) == yes
    assert await called(guarded, None) == (200 if allowed else 401)


async def test_many_exceptions_are_as_exact_as_few(guarded: Any, theirs: Mint, ours: Mint) -> None:
    odd = ["a b", "x|y", "dot.", "star*", "(p)", "back\\slash", "q?", "é", "caret^", "$d", "[l]", "{2}"]
    many = frozenset(f"{THEIRS}|{one}" for one in [*odd, *(f"user-{number}" for number in range(2000))])
    await guarded.controller.gateway.govern(governance(theirs, ours, RouteRule(False, many)))
    tried = [*(one for one in odd if one.isascii()), "user-0", "user-1999"]
    assert [await called(guarded, theirs.token(one)) for one in tried] == [200] * len(tried)
    near = [
        "a",
        "b",
        "x",
        "dotx",
        "dot",
        "sta",
        "user-2000",
        "user-",
        "User-1",
        "user-1 ",
        " user-1",
        "d",
        "l",
        "user-11x",
    ]
    assert [await called(guarded, theirs.token(one)) for one in near] == [403] * len(near)


async def test_limits_by_caller_team_and_route_hold(guarded: Any, theirs: Mint, ours: Mint) -> None:
    await guarded.controller.gateway.govern(governance(theirs, ours, RouteRule(True)))
    limits = (
        RateLimit(by="principal", requests=3, seconds=3600, candidate=False),
        RateLimit(by="team", requests=5, seconds=3600, candidate=False),
        RateLimit(by="route", requests=9, seconds=3600, candidate=False),
        RateLimit(by="route", requests=1, seconds=3600, candidate=True),
    )
    await guarded.put(spec(guarded.backend, limits=limits))
    ana, bo = (theirs.token(who, team="a") for who in ("ana", "bo"))
    assert [await called(guarded, ana) for _ in range(4)] == [200, 200, 200, 429]
    assert [await called(guarded, bo) for _ in range(3)] == [200, 200, 429]
    # Whoever does not say who they are is limited by network.
    assert [await called(guarded, None) for _ in range(4)] == [200, 200, 200, 429]
    assert [await called(guarded, theirs.token(who)) for who in ("cy", "di")] == [200, 429]


async def test_a_key_is_limited_as_a_caller(guarded: Any, theirs: Mint, ours: Mint) -> None:
    limit = RateLimit(by="principal", requests=2, seconds=3600, candidate=False)
    await guarded.put(spec(guarded.backend, limits=(limit,)))
    one, other = (ours.ours(f"key:{name}", ["iris"], orig_iss="", orig_sub=f"key:{name}") for name in ("a1", "b2"))
    assert [await called(guarded, one) for _ in range(3)] == [200, 200, 429]
    assert [await called(guarded, other) for _ in range(3)] == [200, 200, 429]
    assert await called(guarded, theirs.token("ana")) == 200


async def test_gateways_share_a_limit(guarded: Any, theirs: Mint, ours: Mint) -> None:
    await guarded.put(
        spec(guarded.backend, limits=(RateLimit(by="route", requests=10, seconds=3600, candidate=False),))
    )
    await guarded.controller.gateway.govern(governance(theirs, ours, gateways=5))
    answers = [await called(guarded, theirs.token("ana")) for _ in range(4)]
    assert answers == [200, 200, 429, 429]


async def test_calls_are_written_down_with_who_called(guarded: Any, theirs: Mint, ours: Mint, until: Any) -> None:
    await called(guarded, theirs.token("ana", team="a"), user_agent="probe/1", x_purpose="billing")
    await called(guarded, ours.ours(f"{THEIRS}|bo", ["iris"]))
    await called(guarded, theirs.token("bo"))
    await called(guarded, None)
    file = guarded.settings.state_folder / "calls" / "calls.jsonl"
    await until(lambda: file.read_bytes().count(b"\n") == 4)
    first, second, third, fourth = (json.loads(line) for line in file.read_text().splitlines())
    assert first.items() >= {
        "route": "iris", "backend": "origin", "addr": "127.0.0.1", "ua": "probe/1",
        "method": "POST", "path": "/predict", "code": 200, "rx": 2, "purpose": "billing", "rev": 1,
    }.items()  # fmt: skip
    assert first["claims"].items() >= {"iss": THEIRS, "sub": "ana", "team": "a", "aud": AUDIENCE}.items()
    assert abs(int(first["at"]) / 1000 - time.time()) < 60
    assert (second["id"], second["code"], "claims" in second) == (f"{THEIRS}|bo", 200, False)
    assert (third["claims"]["sub"], third["code"]) == ("bo", 403)
    assert third["det"].startswith("rbac_access_denied")
    assert ("claims" in fourth, fourth["code"]) == (False, 401)
    assert fourth["det"].startswith("jwt_authn_access_denied")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_gateway_without_gnomon_goes_on_enforcing(
    run_controller: Any, settings: Any, backends: Any, theirs: Mint, ours: Mint, until: Any
) -> None:
    stolen = Revocation(kind="token", value="x", at=utc_now(), until=utc_now() + timedelta(1), who="me", why="stolen")
    backend = await backends("origin")
    async with run_controller() as rig:
        await rig.put(spec(backend))
        await rig.controller.gateway.govern(governance(theirs, ours, revoked=(stolen,)))
    stop = asyncio.Event()
    running = asyncio.create_task(Alone(settings).run(stop))
    connection = type(rig.connection)(settings.gateway_port)
    try:
        await until(lambda: rig.process is not None and listening(settings.gateway_port))
        for token, status in (
            (theirs.token("ana"), 200),
            (theirs.token("bo"), 403),
            (theirs.token("ana", jti="x"), 403),
        ):
            assert (await connection.ask(HOST, authorization=f"Bearer {token}")).status == status
        assert (await connection.ask(HOST)).status == 401
    finally:
        connection.close()
        stop.set()
        await running
    # The next gnomon begins with what was enforced, before it has read anything.
    async with run_controller() as rig:
        assert rig.controller.gateway.governance.revoked == (stolen,)
        assert await called(rig, theirs.token("ana")) == 200
        assert await called(rig, theirs.token("bo")) == 403


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_what_envoy_refuses_changes_nothing(guarded: Any, theirs: Mint, ours: Mint) -> None:
    gateway = guarded.controller.gateway
    broken = theirs.trusted().model_copy(update={"keys": '{"keys": [{"kty": "RSA", "n": "", "e": ""}]}'})
    with pytest.raises(GatewayError, match="refused what is to be enforced"):
        await gateway.govern(Governance(trusted=(broken,), rules={"iris": RouteRule(True)}))
    assert gateway.governance == governance(theirs, ours)
    assert await called(guarded, theirs.token("ana")) == 200
    assert await called(guarded, theirs.token("bo")) == 403


async def test_a_certificate_says_who_calls(
    run_controller: Any, settings: Any, backends: Any, tmp_path: Path, theirs: Mint, ours: Mint
) -> None:
    authority = Authority("lab")
    server = authority.issue(tmp_path / "server", "gateway", dns="iris.localhost")
    tls = settings.model_copy(
        update={
            "gateway_certificate": server / "cert.pem",
            "gateway_key": server / "key.pem",
            "gateway_client_ca": authority.write(tmp_path / "ca.pem"),
        }
    )
    callers = {who: authority.issue(tmp_path / who, who, uri=f"spiffe://lab/{who}") for who in ("ana", "bo")}
    callers["mallory"] = Authority("other").issue(tmp_path / "mallory", "ana", uri="spiffe://lab/ana")
    backend = await backends("origin")

    async def ask(who: str | None, token: str = "") -> int:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        if who is not None:
            context.load_cert_chain(callers[who] / "cert.pem", callers[who] / "key.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", tls.gateway_port, ssl=context, server_hostname=HOST)
        try:
            told = f"authorization: Bearer {token}\r\n" if token else ""
            writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n{told}\r\n".encode())
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async with run_controller(settings=tls) as rig:
        await rig.put(spec(backend))
        rule = RouteRule(False, frozenset({"spiffe://lab/ana", f"{THEIRS}|cy"}))
        await rig.controller.gateway.govern(governance(theirs, ours, rule, certificates=True))
        assert [await ask("ana"), await ask("bo"), await ask(None)] == [200, 403, 403]
        assert await ask("bo", theirs.token("cy")) == 200
        # Who shows a token is who it says, whatever the certificate says.
        assert await ask("ana", theirs.token("bo")) == 403
        with pytest.raises((OSError, ssl.SSLError, IndexError)):
            await ask("mallory")
        gone = Revocation(
            kind="principal",
            value="spiffe://lab/ana",
            at=utc_now(),
            until=utc_now() + timedelta(1),
            who="me",
            why="left",
        )
        await rig.controller.gateway.govern(governance(theirs, ours, rule, certificates=True, revoked=(gone,)))
        assert await ask("ana") == 403
