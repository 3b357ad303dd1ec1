"""Gateways of other machines: real Envoys, real certificates, on addresses of loopback that are not 127.0.0.1."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from making import route

from inventory.model import Access, Invitation, RateLimit, RouteSpec, Shadow, utc_now
from inventory.settings import Settings
from inventory.store import Store
from router.errors import GatewayError
from router.gateways.envoy import admin, membership, switch, wire
from router.gateways.envoy.files import Files
from router.gateways.envoy.joined import ExpelledError, JoinedGateway
from router.governing import Governing
from router.identity import certificates, invitations
from router.io.enrol import authority_of, join, pair_of

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"
CONTROL = "127.0.0.2"


def two_ports() -> int:
    """A port that is free, and so is the one behind it."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind((CONTROL, 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                other.bind((CONTROL, port + 1))
                return port


@pytest.fixture
def control(settings: Settings) -> Settings:
    """The settings of a gnomon that lets gateways join."""
    changes = {"join_address": CONTROL, "join_port": two_ports(), "token_port": 0, "gateway_drain": 1}
    return settings.model_copy(update=changes)


def invited(store: Store, settings: Settings, minutes: float = 5.0, name: str = "paris") -> invitations.Token:
    token = invitations.fresh(certificates.fingerprint(authority_of(settings.state_folder).certificate))
    ends = utc_now() + timedelta(minutes=minutes)
    made = Invitation(digest=invitations.digest(token.secret), gateway=name, expires_at=ends)
    store.fleet.invite(made, who="tester", why="a test")
    return token


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """The settings of the other machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path / "elsewhere"
    (folder / "gateway").mkdir(parents=True)
    for kept in (settings.state_folder / "gateway").glob("*.pb*"):
        (folder / "gateway" / kept.name).write_bytes(kept.read_bytes())
    return Settings(state_folder=folder, gateway_port=port, gateway_drain=1)


@contextlib.asynccontextmanager
async def joined(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """A gateway that has joined, for the length of a block."""
    stop = asyncio.Event()
    task = asyncio.create_task(JoinedGateway(settings).run(stop))
    try:
        yield task
    finally:
        stop.set()
        with contextlib.suppress(GatewayError):
            await task


@pytest.fixture
def fleet(run_controller: Any, store: Store, control: Settings) -> Callable[..., Any]:
    """Runs a gnomon with everything that callers and gateways need."""

    def run(**changes: Any) -> Any:
        changed = control.model_copy(update=changes)
        return run_controller(settings=changed, companions=Governing(store, changed).companions())

    return run


def spec_of(backend: Any, **more: Any) -> RouteSpec:
    return route("iris", hosts=(HOST,), backends=({"name": "origin", "url": backend.url, "weight": 100},), **more)


async def enrol(store: Store, control: Settings, there: Settings) -> None:
    membership.keep(there.state_folder, await join(CONTROL, control.join_port, invited(store, control)))


def has(store: Store, number: int) -> bool:
    return any(one.id == "paris" and one.healthy and one.revisions.get("iris") == number
               for one in store.gateways.list())  # fmt: skip


def ready(there: Settings) -> bool:
    return admin.ready(Files(there.state_folder).admin)


async def served(there: Settings, load: Any) -> Any:
    callers = load(there, HOST, 2)
    await callers.passed(20)
    return callers


async def test_a_gateway_joins_serves_survives_gnomon_and_follows_it_again(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, load: Any
) -> None:
    origin, other = await backends("origin"), await backends("other")
    there = elsewhere(control, tmp_path)
    async with contextlib.AsyncExitStack() as machine:
        async with fleet() as rig:
            number = await rig.put(spec_of(origin))
            await enrol(store, control, there)
            await machine.enter_async_context(joined(there))
            await until(lambda: has(store, number))
            callers = await served(there, load)
            # What passed there is counted here.
            await until(lambda: sum(one.requests for one in store.shadow.traffic("iris")) >= 20)
            kept = there.state_folder / "gateway" / "standalone.json"
            await until(lambda: kept.exists() and "iris" in kept.read_text())
        await callers.passed(50)
        envoy = there.state_folder / "gateway" / "envoy.pid"
        pid = int(envoy.read_text())
        await callers.stop()
        assert callers.failed == []
        # Envoy is started anew while gnomon is away, and serves what was served last.
        os.kill(pid, 9)
        await until(lambda: envoy.exists() and envoy.read_text() not in {"", f"{pid}\n"} and ready(there))
        callers = await served(there, load)
        async with fleet() as rig:
            number = await rig.put(spec_of(other))
            await until(lambda: has(store, number))
            await until(lambda: callers.by.get("other"))
        await callers.stop()
        assert callers.failed == []


async def test_certificates_are_renewed_while_callers_notice_nothing(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, load: Any
) -> None:
    there = elsewhere(control, tmp_path)
    origin, other = await backends("origin"), await backends("other")
    async with fleet(join_seconds=6) as rig:
        number = await rig.put(spec_of(origin))
        await enrol(store, control, there)
        first = store.fleet.members()[0].ends_at
        own = there.state_folder / "fleet" / "own.pem"
        before = own.read_bytes()
        async with joined(there):
            await until(lambda: has(store, number))
            callers = await served(there, load)
            await until(lambda: store.fleet.members()[0].ends_at > first + timedelta(seconds=4))
            assert own.read_bytes() != before
            # The first certificate has ended, and the gateway still hears of changes.
            await until(lambda: utc_now() > first + timedelta(seconds=1))
            number = await rig.put(spec_of(other))
            await until(lambda: has(store, number))
            await until(lambda: callers.by.get("other"))
            await callers.stop()
            assert callers.failed == []


async def test_a_connection_that_ends_while_a_certificate_is_signed_ends_nothing_else(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, monkeypatch: Any
) -> None:
    there, closed = elsewhere(control, tmp_path), []
    async with fleet(join_seconds=6) as rig:
        number = await rig.put(spec_of(await backends("origin")))
        await enrol(store, control, there)
        first = store.fleet.members()[0].ends_at
        gateway, request = JoinedGateway(there), certificates.request

        def requested(name: str) -> Any:
            if not closed:
                # By then it waits for the answer.
                asyncio.get_running_loop().call_soon(
                    lambda: closed.append(asyncio.ensure_future(gateway._channel.close()))
                )
            return request(name)

        stop = asyncio.Event()
        task = asyncio.create_task(gateway.run(stop))
        try:
            await until(lambda: has(store, number))
            monkeypatch.setattr(certificates, "request", requested)
            await until(lambda: task.done() or store.fleet.members()[0].ends_at > first)
            assert closed
            assert not task.done()
        finally:
            stop.set()
            await task


async def test_a_token_is_good_once_in_time_and_for_whom_it_names(
    fleet: Any, store: Store, control: Settings, settings: Settings
) -> None:
    async with fleet():
        token = invited(store, control)
        assert (await join(CONTROL, control.join_port, token)).gateway == "paris"
        with pytest.raises(GatewayError, match="used before"):
            await join(CONTROL, control.join_port, token)
        with pytest.raises(GatewayError, match="expired"):
            await join(CONTROL, control.join_port, invited(store, control, minutes=-0.01))
        with pytest.raises(GatewayError, match="none that was given out"):
            await join(CONTROL, control.join_port, token._replace(secret=b"x" * 16))
        unused = invited(store, control)
        with pytest.raises(GatewayError, match="was told nothing"):
            await join(CONTROL, control.join_port, unused._replace(fingerprint=b"x" * 32))
        known = store.fleet.invited(invitations.digest(unused.secret))
        assert known is not None
        assert known.used_at is None


async def test_two_who_come_with_one_token_do_not_both_join(fleet: Any, store: Store, control: Settings) -> None:
    async with fleet():
        token = invited(store, control)
        asked = [join(CONTROL, control.join_port, token) for _ in range(5)]
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, GatewayError) for one in results) == 4


async def test_who_was_expelled_serves_no_longer_and_is_refused(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, load: Any
) -> None:
    there = elsewhere(control, tmp_path)
    async with fleet() as rig:
        number = await rig.put(spec_of(await backends("origin")))
        await enrol(store, control, there)
        async with joined(there) as task:
            await until(lambda: has(store, number))
            store.fleet.expel("paris", who="tester", why="sold")
            await until(task.done)
            with pytest.raises(ExpelledError, match="expelled this gateway, paris"):
                await task
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", there.gateway_port)
        with pytest.raises(ExpelledError):
            await JoinedGateway(there).run(asyncio.Event())
        await until(lambda: [one.id for one in store.gateways.list()] == ["local"])


async def shake(control: Settings, own: certificates.Pair | None, method: str) -> grpc.StatusCode:
    """What becomes of one call over the members' port, with a certificate or without."""
    authority = authority_of(control.state_folder).certificate
    pair = (own.key, own.certificate) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(authority, *pair)
    options = [("grpc.ssl_target_name_override", certificates.CONTROL)]
    where = f"{CONTROL}:{control.join_port + 1}"
    async with grpc.aio.secure_channel(where, credentials, options=options) as channel:
        call = channel.stream_stream(method, wire.same, wire.same)(iter([b"{}"]))
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for _ in call:
                return grpc.StatusCode.OK
        return await call.code()


async def test_nobody_gets_routes_without_the_certificate_of_a_member(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any
) -> None:
    xds = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    now, day = utc_now(), timedelta(days=1)
    there = elsewhere(control, tmp_path)
    async with fleet():
        await enrol(store, control, there)
        member = pair_of(there.state_folder / "fleet" / "own.pem")
        assert await shake(control, member, wire.method("Attend")) is grpc.StatusCode.OK
        # Without any, and with one that somebody else signed, not even the handshake is finished.
        assert await shake(control, None, xds) is grpc.StatusCode.UNAVAILABLE
        asked = certificates.request("paris")
        forged = certificates.sign_gateway(certificates.authority(now), asked.certificate, "paris", "e", now, day)
        assert await shake(control, asked._replace(certificate=forged), xds) is grpc.StatusCode.UNAVAILABLE
        # Ours, of a gateway that never joined, and of an earlier enrolment.
        for gateway in ("london", "paris"):
            signed = certificates.sign_gateway(
                authority_of(control.state_folder), asked.certificate, gateway, "another", now, day
            )
            stranger = asked._replace(certificate=signed)
            for method in (xds, wire.method("Attend")):
                assert await shake(control, stranger, method) is grpc.StatusCode.PERMISSION_DENIED
        # The port where gateways join speaks TLS 1.3 alone, and knows no other words.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(CONTROL, control.join_port, ssl=context)
        writer.write(b'{"secret": 5}\n')
        assert b"no request to join" in await reader.readline()
        writer.close()


async def test_calls_made_there_are_recorded_here_and_questions_are_answered(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, load: Any
) -> None:
    there = elsewhere(control, tmp_path)
    # Each request is put to the service, which lets it pass only where it can be recorded.
    access = Access(recorded=True)
    async with fleet() as rig:
        number = await rig.put(spec_of(await backends("origin"), access=access))
        await enrol(store, control, there)
        async with joined(there):
            await until(lambda: has(store, number))
            port = there.gateway_port
            assert await status_at(port) == 200
            await until(lambda: store.calls.count() == 1)
            recording = store.calls.recording("paris")
            assert recording is not None
            assert recording.cursor > 0
            assert store.calls.verify().broken is None


async def test_gateways_count_a_shared_limit_together_and_alone_where_nobody_counts(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any
) -> None:
    there = elsewhere(control, tmp_path)
    limit = RateLimit(by="route", requests=6, seconds=3600, candidate=False, shared=True)
    ports = [control.gateway_port, there.gateway_port]
    async with contextlib.AsyncExitStack() as machine:
        async with fleet() as rig:
            number = await rig.put(spec_of(await backends("origin"), access=Access(limits=(limit,))))
            await enrol(store, control, there)
            await machine.enter_async_context(joined(there))
            await until(lambda: has(store, number))
            assert [await status_at(ports[n % 2]) for n in range(8)] == [200] * 6 + [429] * 2
            head = (await answer_at(ports[1])).lower()
            assert b"retry-after: " in head
            assert b"x-gnomon-policy: limit by route" in head
            await until(lambda: store.calls.count("refused_by:limit") == 3)
        # It was asked for five there: what it counted by itself while gnomon counted for all holds now.
        assert [await status_at(ports[1]) for _ in range(2)] == [200, 429]


async def answer_at(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /x HTTP/1.1\r\nhost: {HOST}:{port}\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def status_at(port: int) -> int:
    return int((await answer_at(port)).split()[1])


def certified(backend: Any) -> RouteSpec:
    """The route of a backend whose certificate only a machine that has ``ca.pem`` can check."""
    url = backend.url.replace("http://", "https://")
    origin = {"name": "origin", "url": url, "weight": 100, "authority_file": "ca.pem"}
    return route("iris", hosts=(HOST,), backends=(origin,))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Goes to one of two machines: what is started then finds its files there. Only the first has ``ca.pem``."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "ca.pem").write_bytes(certificates.authority(utc_now()).certificate)

    def go(name: str) -> None:
        monkeypatch.chdir(tmp_path / name)

    go("here")
    return go


async def test_what_one_gateway_refuses_is_taken_back_at_all(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, load: Any, machines: Any
) -> None:
    there, origin = elsewhere(control, tmp_path), await backends("origin")
    async with fleet() as rig:
        number = await rig.put(spec_of(origin))
        await enrol(store, control, there)
        machines("there")
        async with joined(there):
            await until(lambda: has(store, number))
            callers = await served(there, load)
            listed = ({"name": "origin", "url": origin.url, "weight": 100},)
            changed = {"iris": certified(origin), "rose": route("rose", hosts=("rose.localhost",), backends=listed)}
            store.routes.change(changed, who="tester", why="a test")
            await until(lambda: has(store, number + 2))
            for name, spec in (("iris", spec_of(origin)), ("rose", None)):
                latest = store.routes.get(name)
                assert latest is not None
                assert latest.spec == spec
                assert "at the gateway paris: Cluster iris/origin@" in latest.why
                assert "ca.pem" in latest.why
            assert rig.status().revisions == {"iris": number + 2}
            assert (await rig.ask("rose.localhost")).status == 404
            assert (await rig.ask(HOST)).json["from"] == "origin"
            await callers.passed(50)
            await callers.stop()
            assert callers.failed == []
            # Nothing was held against what comes after.
            number = await rig.put(spec_of(await backends("other")))
            await until(lambda: has(store, number))


async def test_a_gateway_that_was_away_takes_nothing_back_and_says_so(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any, machines: Any
) -> None:
    there, origin = elsewhere(control, tmp_path), await backends("origin")
    async with fleet() as rig:
        await enrol(store, control, there)
        number = await rig.put(certified(origin))
        machines("there")
        async with joined(there):
            refused = await until(lambda: next((one.errors.get("iris") for one in store.gateways.list()
                                                if one.id == "paris"), None))  # fmt: skip
            assert "Cluster iris/origin@" in refused
            assert "this gateway was away or late" in refused
            # It is no member whose word is waited for, until it has what the others have.
            latest = store.routes.get("iris")
            assert latest is not None
            assert latest.number == number
            assert rig.status().revisions == {"iris": number}


async def test_pairs_are_captured_there_and_the_off_switch_acts_there(
    fleet: Any, store: Store, control: Settings, tmp_path: Path, backends: Any, until: Any
) -> None:
    there = elsewhere(control, tmp_path)
    origin, replacement = await backends("origin"), await backends("replacement")
    listed = (
        {"name": "origin", "url": origin.url, "weight": 100},
        {"name": "replacement", "url": replacement.url, "weight": 0},
    )
    spec = route("iris", hosts=(HOST,), backends=listed, shadow=Shadow(backend="replacement", percent=100))
    async with fleet() as rig:
        number = await rig.put(spec)
        await enrol(store, control, there)
        async with joined(there):
            await until(lambda: has(store, number))
            caller = type(rig.connection)(there.gateway_port)
            assert (await caller.ask(HOST)).json["from"] == "origin"
            await until(lambda: {one["role"] for one in rig.captured()} == {"p", "s"})
            first, second = rig.captured()
            assert first["rid"] == second["rid"]
            gateway = rig.controller.gateway
            await gateway.switch_off_shadow("iris")
            await until(lambda: switch.switched_off(Files(there.state_folder).admin) == {"iris"})
            copied = len(replacement.seen)
            for _ in range(20):
                assert (await caller.ask(HOST)).json["from"] == "origin"
            await gateway.switch_off_shadow("iris", off=False)
            await until(lambda: switch.switched_off(Files(there.state_folder).admin) == set())
            await caller.ask(HOST)
            await replacement.received(lambda seen: len(seen) == copied + 1)
            # One that is turned past gnomon, as `gnomon shadow --off` does, is turned there too.
            await asyncio.to_thread(switch.turn, Files(control.state_folder).admin, "iris", off=True)
            assert await gateway.switched_off() == {"iris"}
            await until(lambda: switch.switched_off(Files(there.state_folder).admin) == {"iris"})
            caller.close()
