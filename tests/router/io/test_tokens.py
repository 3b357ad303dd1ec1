"""The token service and the keys of issuers over HTTP: a real server, a real issuer, and what each withstands."""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from inventory.model import Issuer
from inventory.store import Store, open_store
from router.io.fetch import FetchedKeys, FetchError, fetch
from router.io.keyring import Keyring
from router.io.refresh import AGAIN_SECONDS, LEAST_SECONDS, Refresher, refresh
from router.io.tokens import MOST_BODY, MOST_FAILURES, TokenService


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store(f"sqlite:///{tmp_path / 'inventory.db'}") as opened:
        yield opened


@pytest.fixture
async def service(store: Store, tmp_path: Path) -> AsyncIterator[TokenService]:
    keyring = Keyring(tmp_path / "keys")
    made = TokenService(store, lambda who: {"iris"}, keyring, url="http://own.test", address="127.0.0.1", port=0)
    await made.start()
    yield made
    await made.close()


async def ask(port: int, text: str) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    async with asyncio.timeout(15):
        answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answered.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def posted(path: str, body: str, kind: str = "application/x-www-form-urlencoded") -> str:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}"


async def test_its_documents_are_served(service: TokenService) -> None:
    code, headers, body = await ask(service.port, "GET /jwks HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    (key,) = json.loads(body)["keys"]
    assert (code, headers["cache-control"]) == (200, "public, max-age=300")
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    for name in ("oauth-authorization-server", "openid-configuration"):
        target = f"GET /.well-known/{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        assert json.loads((await ask(service.port, target))[2])["jwks_uri"] == "http://own.test/jwks"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        ('{"grant_type": "a"}', "application/json"),
        ("x" * (MOST_BODY + 1), "application/x-www-form-urlencoded"),
        ("%ff%fe=%00", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(service: TokenService, body: str, kind: str) -> None:
    for path in ("/token", "/revoke"):
        code, headers, said = await ask(service.port, posted(path, body, kind))
        assert (code, json.loads(said).keys()) == (400, {"error", "error_description"})
        assert headers["cache-control"] == "no-store"


async def test_whoever_fails_often_is_not_heard_for_a_while(service: TokenService) -> None:
    form = "grant_type=client_credentials&client_secret=gk_x_y"
    codes = [(await ask(service.port, posted("/token", form)))[0] for _ in range(MOST_FAILURES + 1)]
    assert codes == [401] * MOST_FAILURES + [429]


async def test_a_real_issuers_keys_are_fetched_and_kept(store: Store) -> None:
    async with provider() as url:
        issuer = Issuer(name="mock", url=url, audiences=("gnomon",))
        store.issuers.put(issuer, who="me", why="a test")
        assert await refresh(store, issuer) >= LEAST_SECONDS
        keys = store.issuers.keys("mock")
        assert keys is not None
        assert keys["keys"][0]["kty"] == "RSA"
    assert await refresh(store, issuer) == AGAIN_SECONDS
    (held,) = store.issuers.held()
    assert held.error is not None
    assert held.keys == keys


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """The URL of an OpenID provider, a program of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdout=quiet, stderr=quiet)
    url = f"http://localhost:{port}"
    deadline = time.monotonic() + 30
    try:
        while True:
            try:
                await fetch(f"{url}/.well-known/openid-configuration")
                break
            except FetchError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def test_each_issuer_is_fetched_when_it_is_due(store: Store) -> None:
    asked: list[str] = []

    async def answer(issuer: Issuer) -> FetchedKeys:
        asked.append(issuer.name)
        if issuer.name == "down":
            raise FetchError("it is away")
        return FetchedKeys({"keys": [{"kty": "EC"}]}, 100)

    for name in ("up", "down"):
        issuer = Issuer(name=name, url=f"https://{name}.test", audiences=("a",))
        store.issuers.put(issuer, who="me", why="a test")
    refresher = Refresher(store, answer)
    await refresher.look(0.0)
    await refresher.look(AGAIN_SECONDS - 1)
    assert sorted(asked) == ["down", "up"]
    await refresher.look(AGAIN_SECONDS)
    await refresher.look(100.0)
    assert (asked.count("up"), asked.count("down")) == (2, 3)
    store.issuers.put(issuer.model_copy(update={"audiences": ("b",)}), who="me", why="another")
    await refresher.look(101.0)
    assert asked.count("down") == 4
