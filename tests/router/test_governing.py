"""Governance end to end: a real issuer that rotates its keys, the token service, Cedar, Envoy and the record."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import KeySet
from making import route
from minting import Mint

from inventory.model import Access, ApiKey, Issuer, PolicyState, RateLimit, Revocation, utc_now
from router.governing import Governing, token_url
from router.identity.exchange import CREDENTIALS, EXCHANGE, KEY_PREFIX, digest_of

pytestmark = pytest.mark.e2e

TEAMS = """
@id("own-team")
permit(principal, action, resource) when { principal has team && resource has team && principal.team == resource.team };
@id("small")
permit(principal, action, resource == Route::"asked")
when { principal has team && context has size && context.size <= 10 };
"""
NOBODY = '@id("nobody") forbid(principal, action, resource);'
HOST = "iris.localhost"


class Provider:
    """An issuer with a discovery document and keys over HTTP; ``mint`` makes its tokens."""

    def __init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                said: Any = {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"}
                if self.path == "/keys":
                    said = KeySet(provider.mint.published).as_dict(private=False)
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "max-age=0")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.mint = Mint(self.url, kind="RSA")
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture
async def governed(
    run_controller: Any, settings: Any, store: Any, backends: Any, provider: Provider, unused_port: int
) -> AsyncIterator[Any]:
    """A gateway with everything beside it, a policy that is enforced, and a route that is only observed."""
    with_tokens = settings.model_copy(update={"token_port": unused_port})
    issuer = Issuer(name="lab", url=provider.url, audiences=("gnomon",), attributes={"team": "team"})
    store.issuers.put(issuer, who="me", why="a test")
    version = store.policies.add("cedar", TEAMS, "", who="me", why="a test")
    store.policies.move(PolicyState(), PolicyState(enforced=version.number), who="me", why="a test")
    companions = Governing(store, with_tokens).companions()
    async with run_controller(settings=with_tokens, companions=companions) as rig:
        rig.backend = await backends("origin")
        rig.tokens = token_url(with_tokens)
        yield rig


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spec(rig: Any, name: str = "iris", **access: Any) -> Any:
    backends = ({"name": "origin", "url": rig.backend.url, "weight": 100},)
    held = Access(attributes={"team": "risk"}, **access)
    return route(name, hosts=(f"{name}.localhost",), backends=backends, access=held)


async def status(rig: Any, token: str | None = None, host: str = HOST, body: bytes = b"{}") -> int:
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    return int((await rig.ask(host, body=body, **headers)).status)


async def become(rig: Any, until: Any, expected: int, token: str | None, host: str = HOST) -> None:
    """Ask until the answer is as expected: what was decided takes a moment to reach the gateway."""
    deadline = time.monotonic() + 15
    while (answered := await status(rig, token, host)) != expected:
        assert time.monotonic() < deadline, answered
        await asyncio.sleep(0.01)


async def post(url: str, **form: str) -> tuple[int, dict[str, Any]]:
    host, _, port = url.removeprefix("http://").partition(":")
    number, _, path = port.partition("/")
    body = urlencode(form).encode()
    reader, writer = await asyncio.open_connection(host, int(number))
    head = f"POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
    answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    head_bytes, _, content = answered.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), json.loads(content)


async def exchanged(rig: Any, token: str) -> str:
    kind = "urn:ietf:params:oauth:token-type:jwt"
    code, said = await post(f"{rig.tokens}/token", grant_type=EXCHANGE, subject_token=token, subject_token_type=kind)
    assert code == 200, said
    return str(said["access_token"])


async def test_from_observing_to_enforcing(governed: Any, provider: Provider, until: Any) -> None:
    ana, bo = (provider.mint.token(who, team=team) for who, team in (("ana", "risk"), ("bo", "churn")))
    await governed.put(spec(governed, limits=(RateLimit(by="principal", requests=1, seconds=3600),)))
    # Who is observed is refused nothing, whatever policies say.
    assert [await status(governed, token) for token in (ana, bo, None, "forged")] == [200] * 4
    calls = await until(lambda: len(found := governed.store.calls.list()) == 4 and found)
    by = {one.principal: one for one in calls if one.principal}
    assert by.keys() == {f"{provider.url}|ana", f"{provider.url}|bo"}
    assert by[f"{provider.url}|ana"].enforced.policies == ("own-team",)
    assert by[f"{provider.url}|bo"].enforced.allowed is False
    assert {one.id: one.attributes for one in governed.store.principals.list()} == {
        f"{provider.url}|ana": {"team": "risk"}, f"{provider.url}|bo": {"team": "churn"},
    }  # fmt: skip
    await governed.put(spec(governed, enforce=True))
    await become(governed, until, 403, bo)
    await become(governed, until, 200, ana)
    assert [await status(governed, token) for token in (ana, bo, None, "forged")] == [200, 403, 401, 401]


async def test_tokens_of_ours_list_routes_and_end_at_once(governed: Any, provider: Provider, until: Any) -> None:
    await governed.put(spec(governed, enforce=True))
    ana, bo = (provider.mint.token(who, team=team) for who, team in (("ana", "risk"), ("bo", "churn")))
    await until(lambda: governed.store.issuers.keys("lab"))
    for_ana, for_bo = await exchanged(governed, ana), await exchanged(governed, bo)
    await become(governed, until, 200, for_ana)
    assert await status(governed, for_bo) == 403
    assert (await post(f"{governed.tokens}/revoke", token=for_ana))[0] == 200
    await become(governed, until, 403, for_ana)
    again = await exchanged(governed, ana)
    assert await status(governed, again) == 200
    who, now = f"{provider.url}|ana", utc_now()
    until_then = now.replace(year=now.year + 1)
    governed.store.revocations.add(
        Revocation(kind="principal", value=who, at=now, until=until_then, who="me", why="left")
    )
    await become(governed, until, 403, again)
    kind = "urn:ietf:params:oauth:token-type:jwt"
    code, said = await post(f"{governed.tokens}/token", grant_type=EXCHANGE, subject_token=ana, subject_token_type=kind)
    assert (code, said["error_description"]) == (400, "the token was revoked")


async def test_a_key_is_a_bridge_to_tokens(governed: Any, until: Any) -> None:
    await governed.put(spec(governed, enforce=True))
    secret, now = f"{KEY_PREFIX}0a1b2c3d_secret", utc_now()
    key = ApiKey(
        id="0a1b2c3d", digest=digest_of(secret), owner="risk", attributes={"team": "risk"}, created_at=now,
        expires_at=now.replace(year=now.year + 1),
    )  # fmt: skip
    governed.store.keys.add(key, who="me", why="a test")
    code, said = await post(f"{governed.tokens}/token", grant_type=CREDENTIALS, client_secret=secret)
    assert (code, said["scope"], said["expires_in"]) == (200, "iris", 900)
    await become(governed, until, 200, str(said["access_token"]))
    await until(lambda: [one.principal for one in governed.store.calls.list()].count("key:0a1b2c3d"))
    assert governed.store.keys.get("0a1b2c3d").last_used_at is not None
    for wrong in (f"{KEY_PREFIX}0a1b2c3d_other", "x", f"{KEY_PREFIX}ffffffff_secret"):
        code, said = await post(f"{governed.tokens}/token", grant_type=CREDENTIALS, client_secret=wrong)
        assert (code, said["error"]) == (401, "invalid_client")


async def test_a_policy_that_changes_takes_routes_away_and_gives_them_back(
    governed: Any, provider: Provider, until: Any
) -> None:
    await governed.put(spec(governed, enforce=True))
    ana = provider.mint.token("ana", team="risk")
    await until(lambda: governed.store.issuers.keys("lab"))
    ours = await exchanged(governed, ana)
    await become(governed, until, 200, ana)
    await become(governed, until, 200, ours)
    store = governed.store
    strict = store.policies.add("cedar", NOBODY, "", who="me", why="a test")
    before = store.policies.state()
    tried = store.policies.move(before, before.model_copy(update={"candidate": strict.number}), who="me", why="try")
    assert await status(governed, ana) == 200
    await until(lambda: any(one.candidate and not one.candidate.allowed for one in store.calls.list()))
    store.policies.move(
        tried, tried.model_copy(update={"enforced": strict.number, "candidate": None}), who="me", why="x"
    )
    await become(governed, until, 403, ana)
    await become(governed, until, 403, ours)
    store.policies.move(store.policies.state(), before, who="me", why="back")
    await become(governed, until, 200, ana)
    assert await status(governed, await later(governed, ana)) == 200


async def test_a_candidate_changes_no_answer(governed: Any, provider: Provider, until: Any) -> None:
    """A mixed load, with and without a candidate that denies everybody: on routes that enforce, observe, do neither."""
    await governed.put(spec(governed, enforce=True))
    await governed.put(spec(governed, "seen", limits=(RateLimit(by="route", requests=1, seconds=3600),)))
    await governed.put(spec(governed, "free").model_copy(update={"access": None}))
    await governed.put(spec(governed, "asked", enforce=True, ask="closed"))
    ana, bo = (provider.mint.token(who, team=team) for who, team in (("ana", "risk"), ("bo", "churn")))
    await become(governed, until, 200, ana)
    await become(governed, until, 200, bo, "asked.localhost")
    store = governed.store

    async def answers() -> list[tuple[int, bytes]]:
        found = []
        for host in ("iris", "seen", "free", "asked"):
            for token in (ana, bo, None, "forged"):
                for body in (b"{}", b"x" * 100):
                    headers = {"authorization": f"Bearer {token}"} if token else {}
                    answer = await governed.ask(f"{host}.localhost", body=body, **headers)
                    found.append((answer.status, answer.body))
        return found

    before = await answers()
    assert {code for code, _ in before} == {200, 401, 403}
    strict = store.policies.add("cedar", NOBODY, "", who="me", why="a test")
    state = store.policies.state()
    store.policies.move(state, state.model_copy(update={"candidate": strict.number}), who="me", why="try")
    assert await answers() == before
    await until(lambda: sum(one.candidate is not None for one in store.calls.list(limit=500)) >= 20)
    assert await answers() == before


async def later(rig: Any, token: str) -> str:
    """A token of ours of a later second than the one in which earlier ones were taken back."""
    await asyncio.sleep(1 - time.time() % 1)
    return await exchanged(rig, token)


async def test_a_token_of_the_time_of_observing_opens_nothing_once_policies_are_enforced(
    governed: Any, provider: Provider, until: Any
) -> None:
    await governed.put(spec(governed))
    await governed.put(spec(governed, "free").model_copy(update={"access": None}))
    await until(lambda: governed.store.issuers.keys("lab"))
    for_bo = await exchanged(governed, provider.mint.token("bo", team="churn"))
    ana = provider.mint.token("ana", team="risk")
    for_ana = await exchanged(governed, ana)
    assert await status(governed, for_bo) == 200
    await governed.put(spec(governed, enforce=True))
    await become(governed, until, 403, for_bo)
    await become(governed, until, 200, for_ana)
    store, before = governed.store, governed.store.policies.state()
    await governed.put(spec(governed))
    strict = store.policies.add("cedar", NOBODY, "", who="me", why="a test")
    store.policies.move(before, before.model_copy(update={"enforced": strict.number}), who="me", why="a test")
    await until(lambda: any(one.kind == "exchanged" for one in store.revocations.list(utc_now())))
    await governed.put(spec(governed, enforce=True))
    await become(governed, until, 403, for_ana)


async def test_an_issuer_may_rotate_its_keys(governed: Any, provider: Provider, until: Any) -> None:
    await governed.put(spec(governed, enforce=True))
    old = provider.mint.token("ana", team="risk")
    await become(governed, until, 200, old)
    provider.mint.rotate("two")
    provider.mint.published = [provider.mint.key]
    await become(governed, until, 401, old)
    await become(governed, until, 200, provider.mint.token("ana", team="risk"))


async def test_a_request_is_asked_for_where_the_route_wants_it(governed: Any, provider: Provider, until: Any) -> None:
    await governed.put(spec(governed, "asked", enforce=True, ask="closed"))
    bo = provider.mint.token("bo", team="churn")
    await become(governed, until, 200, bo, "asked.localhost")
    assert await status(governed, bo, "asked.localhost", b"x" * 11) == 403
    assert await status(governed, None, "asked.localhost", b"x") == 403
    large = [one for one in governed.backend.seen if len(one.body) > 10]
    assert large == []
    assert not [name for one in governed.backend.seen for name in one.headers if name.startswith("x-gnomon")]
    await until(lambda: any(one.refused_by == "service" for one in governed.store.calls.list()))


async def test_a_token_port_that_is_taken_keeps_no_gateway_from_serving(
    run_controller: Any, settings: Any, store: Any, backends: Any, caplog: Any, until: Any
) -> None:
    ended = utc_now() - timedelta(hours=1)
    store.revocations.add(Revocation(kind="token", value="t", at=ended, until=ended, who="me", why="stolen"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings.model_copy(update={"token_port": other.getsockname()[1]})
        async with run_controller(settings=taken, companions=Governing(store, taken).companions()) as rig:
            rig.backend = await backends("origin")
            await rig.put(spec(rig))
            assert await status(rig) == 200
            await until(lambda: "no tokens are served: the token service cannot listen" in caplog.text)
            # What has ended is forgotten.
            await until(lambda: store.revocations.list(ended - timedelta(hours=1)) == [])
