"""The browser's way in: who knows the key gets in, nobody else, from no other site."""

import contextlib
import shlex
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, CookieJar, web
from typer.testing import CliRunner

from tui.commandline import make_app
from tui.web import GuardedServer, command_line

KEY = "the-key"


def browser() -> ClientSession:
    """A client that keeps the cookies of an address, as browsers do."""
    return ClientSession(cookie_jar=CookieJar(unsafe=True))


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A guarded server on a port of its own."""
    runner_of_port = web.AppRunner(web.Application())
    await runner_of_port.setup()
    site = web.TCPSite(runner_of_port, "127.0.0.1", 0)
    await site.start()
    port = runner_of_port.addresses[0][1]
    await runner_of_port.cleanup()
    server = GuardedServer(["true"], "127.0.0.1", port, KEY)
    runner = web.AppRunner(await server._make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield server.public_url
    finally:
        await runner.cleanup()


async def test_the_key_opens_the_page_and_becomes_a_cookie() -> None:
    async with serving() as url, browser() as session:
        async with session.get(f"{url}/?key={KEY}") as answer:
            assert answer.status == 200
            assert str(answer.url) == f"{url}/"
            assert "gnomon" in await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "googleapis" not in policy
        cookie = next(iter(session.cookie_jar))
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"


@pytest.mark.parametrize("path", ["/", "/?key=wrong", "/?key=", "/ws", "/static/js/textual.js", "/download/x"])
async def test_without_the_key_there_is_nothing(path: str) -> None:
    async with serving() as url, browser() as session, session.get(url + path) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
async def test_a_page_of_another_site_gets_in_by_no_key(headers: dict[str, str]) -> None:
    async with serving() as url, browser() as session:
        async with session.get(f"{url}/?key={KEY}", headers=headers) as answer:
            assert answer.status == 403
        async with session.get(f"{url}/?key={KEY}"):
            pass
        async with session.get(f"{url}/ws", headers=headers) as answer:
            assert answer.status == 403


def test_a_session_is_this_gnomon_with_the_same_options() -> None:
    words = command_line(["--database", "sqlite:////tmp/a b.db"], read_only=True)
    assert shlex.split(GuardedServer(words, "127.0.0.1", 8790).command) == words
    assert words[-4:] == ["--database", "sqlite:////tmp/a b.db", "tui", "--read-only"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "x"])
def test_an_address_that_is_none_or_all_is_refused(host: str, tmp_path) -> None:
    words = ["--database", f"sqlite:///{tmp_path / 'i.db'}", "tui", "--web", "--host", host]
    ended = CliRunner().invoke(make_app(), words)
    assert ended.exit_code != 0
    assert "address" in str(ended.exception)
