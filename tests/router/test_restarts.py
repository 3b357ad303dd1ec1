"""Envoy is replaced without a pause, and serves when there is no gnomon. Real Envoys, and callers that count."""

import asyncio
import contextlib
import json
import os
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed
from making import route

from inventory.model import RouteSpec
from router.errors import GatewayError
from router.gateways.envoy import lastgood
from router.gateways.envoy.alone import Alone
from router.gateways.envoy.binary import envoy_binary

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"


def spec_of(backend: Any, base: str = "") -> RouteSpec:
    return route("iris", hosts=(HOST,), backends=({"name": "origin", "url": backend.url + base, "weight": 100},))


async def test_hot_restarts_fail_nobody_and_the_new_one_follows_changes(
    run_controller: Any, settings: Any, backends: Any, load: Any, until: Any
) -> None:
    async with run_controller(settings=settings.model_copy(update={"gateway_drain": 1})) as rig:
        await hot_restarts(rig, await backends("origin"), await backends("other"), load, until)


async def hot_restarts(rig: Any, origin: Any, other: Any, load: Any, until: Any) -> None:
    await rig.put(spec_of(origin))
    callers = load(rig.settings, HOST)
    await callers.passed(20)
    bootstrap = json.loads(rig.process.configuration.read_text())
    pids = {rig.process.pid}
    for number in range(3):
        bootstrap["node"]["metadata"] = {"number": number}
        await rig.process.replace(bootstrap)
        pids.add(rig.process.pid)
        await callers.passed(50)
    await until(lambda: rig.status().healthy)
    await rig.put(spec_of(other))
    assert (await rig.ask(HOST)).json["from"] == "other"
    await callers.stop()
    assert callers.failed == []
    assert len(pids) == 4
    assert rig.process.restarts == 0


async def test_a_replacement_that_cannot_start_leaves_the_one_that_runs(rig: Any, backends: Any, until: Any) -> None:
    await rig.put(spec_of(await backends("origin")))
    pid = rig.process.pid
    with pytest.raises(GatewayError, match="Envoy ended at once"):
        await rig.process.replace({"no_such_field": 1})
    assert rig.process.pid == pid
    assert (await rig.ask(HOST)).status == 200


@contextlib.asynccontextmanager
async def running(command: list[str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def answering(rig: Any, until: Any) -> float:
    """Seconds until the gateway answers."""
    began = time.monotonic()

    async def ask() -> bool:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            return bool((await rig.ask(HOST)).status == 200)
        rig.connection.close()
        return False

    while not await ask():
        assert time.monotonic() - began < 15
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_an_envoy_that_starts_while_gnomon_is_down_serves(
    run_controller: Any, backends: Any, settings: Any, until: Any
) -> None:
    async with run_controller() as rig:
        await rig.put(spec_of(await backends("origin"), "/ml"))
    kept = settings.state_folder / "gateway" / "standalone.json"
    assert kept.stat().st_mode & 0o077 == 0
    words = ["-c", str(kept), "--disable-hot-restart", "-l", "error"]
    async with running([str(envoy_binary()), *words]):
        await answering(rig, until)
        assert (await rig.ask(HOST)).json == {"from": "origin", "path": "/ml/predict", "bytes": 2}
        assert (await rig.ask("unknown.localhost")).status == 404
        rig.connection.close()


async def test_a_gateway_alone_is_taken_over_without_a_failed_request(
    run_controller: Any, backends: Any, settings: Any, load: Any, until: Any
) -> None:
    async with run_controller() as rig:
        await rig.put(spec_of(await backends("origin")))
    alone = Alone(settings)
    serving = asyncio.create_task(alone.run(asyncio.Event()))
    await answering(rig, until)
    # Callers are served a moment before it is known to have started.
    started = settings.state_folder / "gateway" / "envoy.pid"
    await until(lambda: started.read_text() == f"{alone.process.pid}\n")
    first = alone.process.pid
    callers = load(settings, HOST)
    await callers.passed(30)
    os.kill(first, 9)
    await until(lambda: alone.process.pid not in {None, first})
    await callers.stop()
    await answering(rig, until)
    rig.connection.close()
    callers = load(settings, HOST)
    async with run_controller() as rig:
        await rig.put(spec_of(await backends("other")))
        await callers.passed(100)
        assert (await rig.ask(HOST)).json["from"] == "other"
        await callers.stop()
        assert callers.failed == []
        # What was taken over ends once its callers are gone, or, at the latest, when it was told to.
        os.kill(alone.process.pid, 15)
        async with asyncio.timeout(10):
            await serving
        assert await rig.process.owns_port()


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no last"), ("{", "cannot be read"), ("[]", "cannot be read")]
)
async def test_without_a_last_good_configuration_a_gateway_alone_says_so(
    settings: Any, content: str | None, said: str
) -> None:
    if content is not None:
        (settings.state_folder / "gateway" / "standalone.json").write_text(content)
    with pytest.raises(GatewayError, match=said):
        await Alone(settings).run(asyncio.Event())


async def test_what_cannot_be_kept_is_said_once_and_serving_goes_on(
    rig: Any, backends: Any, until: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, other = await backends("origin"), await backends("other")
    await rig.put(spec_of(origin))
    kept = rig.settings.state_folder / "gateway" / "lastgood.json"
    await until(lambda: lastgood.load(kept))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lastgood, "write", full)
        patched.setattr(lastgood, "append", full)
        await rig.put(spec_of(other))
        await until(lambda: "cannot be kept: [Errno 28] No space left" in caplog.text)
        assert (await rig.ask(HOST)).json["from"] == "other"
        assert lastgood.load(kept)[0].number == 1
        await rig.controller.gateway.keep()
        assert caplog.text.count("cannot be kept") == 1
    await until(lambda: lastgood.load(kept)[0].number == 2)


async def test_the_certificate_of_the_gateway_is_read_again_when_it_is_replaced(
    run_controller: Any, backends: Any, settings: Any, tmp_path: Path, until: Any
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    self_signed(folder, "first.test")
    tls = settings.model_copy(update={"gateway_certificate": folder / "cert.pem", "gateway_key": folder / "key.pem"})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def certificate() -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", settings.gateway_port, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return bytes(shown)

    async with run_controller(settings=tls) as rig:
        await rig.put(spec_of(await backends("origin")))
        first = await certificate()
        renewed = tmp_path / "renewed"
        renewed.mkdir()
        self_signed(renewed, "second.test")
        for name in ("key.pem", "cert.pem"):
            (renewed / name).replace(folder / name)
        deadline = time.monotonic() + 15
        while await certificate() == first:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
