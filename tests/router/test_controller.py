"""The whole loop, with a real Envoy: what the store desires is what callers get, and no request fails on the way."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from making import observation, route
from rigging import HOST, Until, spec_of

from inventory.model import Exposed, RouteSpec, Routing, Scheme, Shadow, utc_now
from router import controller, desired
from router.errors import GatewayError
from router.gateways.envoy import admin, lastgood, ports, process, resources
from router.gateways.envoy.files import Files
from router.gateways.envoy.sync import BATCH, ROUTE, SINGLE, NodeSync, Request
from router.plan import Limits

pytestmark = pytest.mark.e2e


async def test_weights_move_under_load_without_one_failed_request(rig: Any, backends: Any, load: Any) -> None:
    spec = spec_of(await backends("origin"), await backends("replacement"))
    await rig.put(spec)
    callers = load(rig.settings, HOST)
    for weight in [*range(10, 101, 10), 50, 0, 100]:
        await rig.put(desired.shift(spec, {"origin": 100 - weight, "replacement": weight}))
        await callers.passed(40)
    await callers.stop()
    assert callers.failed == []
    assert callers.by["origin"] > 100
    assert callers.by["replacement"] > 100


async def test_a_backend_that_moves_fails_nobody(rig: Any, backends: Any, load: Any) -> None:
    first, second = await backends("first"), await backends("second")
    await rig.put(spec_of(first, name="iris"))
    callers = load(rig.settings, HOST)
    for number in range(10):
        server, base = (first, "") if number % 2 else (second, "/base")
        moved = route("iris", backends=({"name": "origin", "url": server.url + base, "weight": 100},))
        await rig.put(moved)
        await callers.passed(20)
    await callers.stop()
    assert callers.failed == []
    assert {one.path for one in second.seen} == {"/base/predict"}
    assert {one.path for one in first.seen} == {"/predict"}


async def test_a_backend_that_is_a_name_is_resolved_before_it_gets_requests(rig: Any, backends: Any, load: Any) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    named = f"http://localhost:{replacement.port}/v2"
    plain = {"name": "origin", "url": origin.url, "weight": 100}
    await rig.put(route("iris", backends=(plain,)))
    callers = load(rig.settings, HOST)
    for weight in (100, 50, 0):
        listed = ({**plain, "weight": weight}, {"name": "replacement", "url": named, "weight": 100 - weight})
        await rig.put(route("iris", backends=listed))
        await callers.passed(30)
    await callers.stop()
    assert callers.failed == []
    assert {one.headers["host"] for one in replacement.seen} == {f"localhost:{replacement.port}"}
    assert {one.headers["host"] for one in origin.seen} == {f"{HOST}:{rig.settings.gateway_port}"}


async def test_a_backend_with_a_certificate_of_its_own_making_is_reached(
    rig: Any, backends: Any, certificate: Path
) -> None:
    origin, replacement = [await backends(name, certificate=certificate) for name in ("origin", "replacement")]
    await rig.put(spec_of((origin, "/ml"), replacement, shadow=Shadow(backend="replacement", percent=100)))
    assert (await rig.ask(HOST)).json["path"] == "/ml/predict"
    (copy,) = await replacement.received(lambda seen: len(seen) == 1)
    assert copy.path == "/predict"


async def test_without_its_store_the_gateway_serves_what_it_last_had(
    run_controller: Any, backends: Any, tmp_path: Path, until: Until
) -> None:
    async with run_controller() as first:
        await first.put(spec_of(await backends("origin")))
    await asyncio.to_thread(spoil, tmp_path)
    async with run_controller() as rig:
        assert (await rig.ask(HOST)).status == 200
        assert {name: one.number for name, one in rig.controller.gateway.observed().routes.items()} == {"iris": 1}


async def test_routes_come_and_go_beside_one_that_is_used(rig: Any, backends: Any, load: Any, until: Until) -> None:
    spec = spec_of(await backends("origin"))
    await rig.put(spec)
    callers = load(rig.settings, HOST)
    for number in range(20):
        other = route(f"other-{number}", backends=spec.backends, shadow=None)
        await rig.put(other)
        assert (await rig.ask(other.hosts[0])).status == 200
        rig.store.routes.remove(other.name, who="tester", why="done")
    await until(lambda: set(rig.status().revisions) == {"iris"})
    await callers.stop()
    assert callers.failed == []
    assert (await rig.ask("other-3.localhost")).status == 404


async def test_streams_and_upgrades_pass_unbuffered(rig: Any, backends: Any) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    await rig.put(spec_of(origin, replacement, shadow=Shadow(backend="replacement", percent=100)))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.settings.gateway_port)
    writer.write(f"GET /events HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"data: 1\n\n")
        await rig.ask(HOST, "/next")
        await reader.readuntil(b"data: 2\n\n")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.settings.gateway_port)
    writer.write(f"GET /ws HTTP/1.1\r\nhost: {HOST}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"PING"
    writer.close()
    assert "/ws" not in {one.path for one in replacement.seen}


async def test_a_refused_revision_is_rolled_back_and_said(
    rig: Any, backends: Any, load: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(await backends("origin"), await backends("replacement"))
    served = await rig.put(spec)
    callers = load(rig.settings, HOST)
    real = resources._action

    def broken(spec: RouteSpec, clusters: Any) -> Any:
        made = real(spec, clusters)
        if spec.backend("replacement").weight == 30:
            made["weighted_clusters"]["clusters"][0]["weight"] = 4_294_967_295
        return made

    monkeypatch.setattr(resources, "_action", broken)
    other = route("other", backends=spec.backends, shadow=None)
    rig.store.routes.put(other, who="tester", why="beside the broken one")
    rig.store.routes.put(desired.shift(spec, {"origin": 70, "replacement": 30}), who="tester", why="broken")
    status = await until(lambda: "iris" in (status := rig.status()).errors and status)
    assert "refused revision 2" in status.errors["iris"]
    assert "RouteConfiguration iris" in status.errors["iris"]
    assert served == 1
    back = await until(lambda: (latest := rig.store.routes.get("iris")).number == 3 and latest)
    assert back.spec == spec
    assert back.who == "gnomon"
    assert back.why.startswith("rolled back: the gateway refused revision 2 of iris: RouteConfiguration iris: ")
    await until(lambda: rig.status().revisions == {"iris": 3, "other": 1})
    assert rig.status().refused["iris"].number == 2
    await callers.passed(50)
    await callers.stop()
    assert callers.failed == []
    assert set(callers.by) == {"origin"}
    await rig.put(desired.shift(spec, {"origin": 60, "replacement": 40}))
    assert rig.status().errors == {}


async def test_envoy_is_started_again_with_all_it_had(rig: Any, backends: Any, until: Until) -> None:
    await rig.put(spec_of(await backends("origin")))
    killed = rig.process.pid
    os.kill(killed, signal.SIGKILL)
    await until(lambda: rig.process.pid not in {None, killed} and rig.controller.gateway.healthy)
    await until(lambda: rig.controller.gateway.observed().routes)
    rig.connection.close()
    assert (await rig.ask(HOST)).status == 200


def spoil(folder: Path) -> None:
    """Make the store's files no database."""
    for file in folder.glob("inventory.db*"):
        file.write_bytes(b"this is no database" * 1000)


def ended(pid: int) -> bool:
    """Whether a process ended; its parent may not have asked after it yet."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


CHILD = """
import asyncio, sys
from pathlib import Path
from inventory.settings import Settings
from inventory.store import open_store
from router.controller import Controller

async def main():
    settings = Settings(state_folder=Path(sys.argv[1]), gateway_port=int(sys.argv[2]))
    controller = Controller(open_store(sys.argv[3], settings), settings, detached=sys.argv[4] == "detached")
    await controller.run(asyncio.Event())

asyncio.run(main())
"""


@pytest.fixture
async def killed_controller(settings: Any, store: Any, tmp_path: Path, until: Until) -> Any:
    """Runs a controller in a process of its own, and kills that process; gives the pid of its Envoy."""
    left: list[int] = []

    async def run(mode: str, during: Callable[[], Awaitable[None]]) -> int:
        words = [str(settings.state_folder), str(settings.gateway_port), f"sqlite:///{tmp_path}/inventory.db", mode]
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, *words)
        try:
            await until(lambda: [one for one in store.gateways.list() if one.healthy])
            pid = int((settings.state_folder / "gateway" / "envoy.pid").read_text())
            left.append(pid)
            await during()
        finally:
            child.kill()
            await child.wait()
        return pid

    yield run
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_a_refusal_in_a_change_of_ten_leaves_all_ten_as_they_were(
    rig: Any, backends: Any, load: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = await backends("origin")
    names = [f"r{number}" for number in range(10)]
    specs = {name: spec_of(origin, await backends("replacement"), name=name, hosts=(f"{name}.localhost",))
             for name in names[:8]}  # fmt: skip
    rig.store.routes.change(specs, who="tester", why="eight of them")
    await until(lambda: rig.status().revisions == dict.fromkeys(names[:8], 1))
    real = resources._action

    def broken(spec: RouteSpec, clusters: Any) -> Any:
        made = real(spec, clusters)
        if spec.name == "r4" and spec.backends[0].weight == 50:
            made["retry_policy"] = {**made["retry_policy"], "retry_back_off": {"base_interval": "0s"}}
        return made

    monkeypatch.setattr(resources, "_action", broken)
    callers = load(rig.settings, "r4.localhost")
    changed = {name: desired.shift(spec, {"origin": 50, "replacement": 50}) for name, spec in specs.items()}
    added = {name: specs["r0"].model_copy(update={"name": name, "hosts": (f"{name}.localhost",)}) for name in names[8:]}
    rig.store.routes.change(changed | {"r7": None} | added, who="tester", why="ten at once")
    await until(lambda: [one.route for one in rig.store.routes.list() if one.number == 3] == names[:8])
    await until(lambda: rig.status().revisions == dict.fromkeys(names[:8], 3))
    status = rig.status()
    assert status.refused["r4"].error == (
        "the gateway refused revision 2: RouteConfiguration r4: virtual_hosts[0].routes[0].route.retry_policy."
        "retry_back_off.base_interval: value must be greater than 0s"
    )
    assert "together with r4" in status.refused["r7"].error
    assert {one.route: one.spec for one in rig.store.routes.list()} == specs
    assert [(await rig.ask(f"{name}.localhost")).status for name in names] == [200] * 8 + [404] * 2
    await callers.passed(20)
    await callers.stop()
    assert callers.failed == []
    assert callers.by.keys() == {"origin"}


async def test_a_killed_gnomon_leaves_a_gateway_that_serves_and_is_taken_over(
    killed_controller: Any, run_controller: Any, store: Any, settings: Any, backends: Any, load: Any, until: Until
) -> None:
    spec = spec_of(await backends("origin"), await backends("replacement"))
    store.routes.put(spec, who="tester", why="a test")
    callers = []

    async def during() -> None:
        await until(lambda: [one.revisions for one in store.gateways.list()] == [{"iris": 1}])
        callers.append(load(settings, HOST))
        await callers[0].passed(20)

    pid = await killed_controller("detached", during)
    await callers[0].passed(50)
    store.routes.put(desired.shift(spec, {"origin": 0, "replacement": 100}), who="tester", why="meanwhile")
    async with run_controller(detached=True) as rig:
        assert rig.process.pid == pid
        await until(lambda: rig.status().revisions == {"iris": 2})
        await callers[0].passed(50)
        await callers[0].stop()
        assert callers[0].failed == []
        assert (await rig.ask(HOST)).json["from"] == "replacement"
        os.kill(pid, signal.SIGKILL)
        await until(lambda: rig.process.pid not in {None, pid} and rig.controller.gateway.observed().routes)
    await until(lambda: ended(pid))


async def test_a_gateway_that_is_back_before_the_first_look_loses_no_route(
    killed_controller: Any, run_controller: Any, store: Any, settings: Any, backends: Any, load: Any, until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store.routes.put(spec_of(await backends("origin")), who="tester", why="a test")
    callers, kept = [], settings.state_folder / "gateway" / "lastgood.json"

    async def during() -> None:
        await until(lambda: [one.revisions for one in store.gateways.list()] == [{"iris": 1}])
        await until(lambda: kept.exists() and "iris" in kept.read_text())
        callers.append(load(settings, HOST))
        await callers[0].passed(20)

    await killed_controller("detached", during)
    told, receive, version = threading.Event(), NodeSync.receive, store.version

    def heard(self: NodeSync, request: Request) -> None:
        receive(self, request)
        if request.type == ROUTE:
            told.set()

    def late() -> int:
        assert told.wait(10)
        return int(version())

    monkeypatch.setattr(NodeSync, "receive", heard)
    monkeypatch.setattr(store, "version", late)
    async with run_controller(detached=True) as rig:
        await until(lambda: rig.status().revisions == {"iris": 1})
        await callers[0].passed(50)
        await callers[0].stop()
        assert callers[0].failed == []
        os.kill(rig.process.pid, signal.SIGKILL)


async def test_a_hot_restart_among_many_routes_fails_nobody_even_where_gnomon_is_killed_in_it(
    killed_controller: Any, run_controller: Any, store: Any, settings: Any, backends: Any, load: Any, until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """More routes than go into one response: an Envoy that has but the first ones must not serve yet."""
    origin, count = await backends("origin"), BATCH + SINGLE + 1
    names = [f"r{number:04}" for number in range(count)]
    specs = {name: spec_of(origin, name=name, hosts=(f"{name}.localhost",)) for name in names}
    store.routes.change(specs, who="tester", why="a test")
    callers, pid_file = [], settings.state_folder / "gateway" / "envoy.pid"
    settings = settings.model_copy(update={"gateway_connections": 40_000})

    async def loaded() -> None:
        await until(lambda: len(store.gateways.list()[0].revisions) == count)
        callers.extend(load(settings, f"{name}.localhost", workers=1) for name in (names[0], names[-1]))
        await callers[1].passed(20)

    async def begun() -> None:
        await until(lambda: pid_file.read_text() not in {"", f"{first}\n"})

    first = await killed_controller("detached", loaded)
    monkeypatch.setenv("GNOMON_GATEWAY_CONNECTIONS", "40000")
    await killed_controller("detached", begun)
    second = int(pid_file.read_text())
    async with run_controller(settings=settings, detached=True) as rig:
        assert rig.process.pid == second
        await until(lambda: admin.ready(Files(settings.state_folder).admin))
        for one in callers:
            await one.passed(50)
            await one.stop()
            assert one.failed == []
        assert rig.process.restarts == 0
    await until(lambda: ended(first) and ended(second))


async def test_an_envoy_with_other_settings_serves_until_all_routes_are_known(
    killed_controller: Any, run_controller: Any, store: Any, settings: Any, backends: Any, load: Any, until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store.routes.put(spec_of(await backends("origin")), who="tester", why="a test")
    callers, known, version = [], threading.Event(), store.version

    async def during() -> None:
        await until(lambda: [one.revisions for one in store.gateways.list()] == [{"iris": 1}])
        callers.append(load(settings, HOST))

    def late() -> int:
        assert known.wait(20)
        return int(version())

    first = await killed_controller("detached", during)
    monkeypatch.setattr(store, "version", late)
    settings = settings.model_copy(update={"gateway_connections": 40_000, "gateway_drain": 1})
    rig = run_controller(settings=settings, detached=True)
    running = asyncio.create_task(rig.__aenter__())
    await callers[0].passed(200)
    pid_file = settings.state_folder / "gateway" / "envoy.pid"
    assert pid_file.read_text() == f"{first}\n"
    known.set()
    await running
    await until(lambda: ended(first))
    await callers[0].passed(50)
    await callers[0].stop()
    assert callers[0].failed == []
    await rig.__aexit__(None, None, None)


async def test_a_killed_demo_takes_its_gateway_with_it(killed_controller: Any, until: Until) -> None:
    async def during() -> None:
        return None

    pid = await killed_controller("attached", during)
    await until(lambda: ended(pid))


async def test_a_port_in_use_is_one_clear_sentence(run_controller: Any, free_port: int) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        with pytest.raises(GatewayError, match=rf"^port {free_port} on 127\.0\.0\.1 is in use .*gateway_port"):
            async with run_controller():
                pass


async def test_a_port_taken_between_the_look_and_the_start_is_noticed(
    run_controller: Any, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ports.require_free
    with socket.socket() as thief:
        # Bound first and listening late, as a program that starts at the same moment: both may bind.
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def look_and_lose(address: str, port: int) -> None:
            look(address, port)
            thief.bind((address, port))
            thief.listen()

        monkeypatch.setattr(process, "require_free", look_and_lose)
        with pytest.raises(GatewayError, match=rf"port {free_port} .* in use by .*pid {os.getpid()}"):
            async with run_controller():
                pass


async def test_a_stop_leaves_no_process_and_no_socket(run_controller: Any) -> None:
    async with run_controller() as rig:
        pid = rig.process.pid
        assert await rig.process.owns_port()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not rig.status().healthy
    left = (rig.settings.state_folder / "gateway").iterdir()
    assert [path for path in left if path.is_socket() or path.suffix in {".pid", ".epoch", ".base"}] == []


async def test_endpoints_follow_what_the_gateway_has(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    seen = observation(Exposed(scheme=Scheme.HTTP))
    rig.store.observations.append([seen])
    (known,) = rig.store.endpoints.refold([seen.listener], utc_now())
    spec = spec_of(origin, replacement, endpoint=known.id)
    first = spec.backends[0].model_copy(update={"endpoint": known.id})
    spec = spec.model_copy(update={"backends": (first, spec.backends[1])})
    for changed, expected in (
        (spec, Routing.FRONTED),
        (desired.shadow(spec, "replacement", 10), Routing.SHADOWED),
        (desired.shift(spec, {"origin": 50, "replacement": 50}), Routing.SPLIT),
        (desired.shift(spec, {"origin": 0, "replacement": 100}), Routing.ENFORCED),
        (spec, Routing.FRONTED),
    ):
        await rig.put(changed)
        await until(lambda expected=expected: rig.store.endpoints.get(known.id).routing is expected)
    rig.store.routes.remove("iris", who="tester", why="done")
    await until(lambda: rig.store.endpoints.get(known.id).routing is Routing.DIRECT)


async def test_what_went_while_gnomon_was_away_is_not_kept(
    run_controller: Any, backends: Any, store: Any, until: Until
) -> None:
    async with run_controller() as first:
        await first.put(spec_of(await backends("origin")))
        kept = first.settings.state_folder / "gateway" / "lastgood.json"
    assert [one.route for one in lastgood.load(kept)] == ["iris"]
    store.routes.remove("iris", who="tester", why="meanwhile")
    async with run_controller() as second:
        assert (await second.ask(HOST)).status == 404
        await until(lambda: second.status().revisions == {})
    assert lastgood.load(kept) == ()


async def test_a_route_that_changes_is_never_reported_as_gone(rig: Any, backends: Any, until: Until) -> None:
    spec = spec_of(await backends("origin"), await backends("replacement"))
    await rig.put(spec)
    for weight in range(1, 20):
        changed = desired.shift(spec, {"origin": 100 - weight, "replacement": weight})
        number = rig.store.routes.put(changed, who="tester", why="a test").number
        seen = await until(lambda: rig.controller.gateway.observed().routes or [])
        while seen["iris"].number != number:
            await asyncio.sleep(0)
            seen = rig.controller.gateway.observed().routes


async def test_traffic_is_counted_by_backend(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement = await backends("origin", status=500), await backends("replacement")
    await rig.put(spec_of(origin, replacement, shadow=Shadow(backend="replacement", percent=100)))
    for _ in range(5):
        await rig.ask(HOST)
    await until(lambda: len(rig.store.shadow.traffic("iris")) == 2)
    counted = {one.backend: one for one in rig.store.shadow.traffic("iris")}
    assert (counted["origin"].requests, counted["origin"].failures, counted["origin"].shadowed) == (5, 5, 0)
    assert (counted["replacement"].requests, counted["replacement"].shadowed) == (0, 5)


async def test_envoy_keeps_no_values_of_a_route_that_nobody_reads(rig: Any, backends: Any) -> None:
    await rig.put(spec_of(await backends("origin")))
    assert (await rig.ask(HOST)).status == 200
    _, text = await asyncio.to_thread(admin.ask, Files(rig.settings.state_folder).admin, "/stats")
    kept = {line.partition(":")[0] for line in text.splitlines()}
    assert "cluster.iris|origin.upstream_rq_completed" in kept
    unread = ("http.edge.rds.", "cluster.iris|origin.lb_", "cluster.iris|origin.update_")
    assert not [name for name in kept if name.startswith(unread)]


async def test_what_passes_is_kept_over_time_and_unknown_hosts_are_counted(
    run_controller: Any, backends: Any, store: Any, until: Until
) -> None:
    async with run_controller() as rig:
        await rig.put(spec_of(await backends("origin")))
        for _ in range(5):
            await rig.ask(HOST)
            assert (await rig.ask("nobody.localhost")).status == 404
        await until(lambda: rig.status().unknown_hosts == 5)
    (sample,) = store.traffic.series("iris", utc_now() - timedelta(hours=1))
    assert (sample.backend, sample.requests, sample.failures) == ("origin", 5, 0)
    assert sum(sample.latency.values()) == 5


async def test_more_than_one_plan_holds_arrives_in_several(
    rig: Any, backends: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = await backends("origin")
    monkeypatch.setattr(controller, "LIMITS", Limits(routes=3))
    names = [f"r{number}" for number in range(12)]
    specs = {name: spec_of(origin, name=name, hosts=(f"{name}.localhost",)) for name in names}
    # Interleaved by name: no plan may hold the whole of both.
    for part in (names[:8:2], names[1:8:2]):
        rig.store.routes.change({name: specs[name] for name in part}, who="tester", why="together")
    for name in names[8:]:
        rig.store.routes.put(specs[name], who="tester", why="alone")
    await until(lambda: rig.status().revisions == dict.fromkeys(names, 1))
    for name in names:
        rig.store.routes.remove(name, who="tester", why="done")
    await until(lambda: rig.status().revisions == {})


async def test_companions_get_the_capture_file_and_their_failure_ends_nothing(
    run_controller: Any, backends: Any, until: Until
) -> None:
    given: list[Any] = []

    async def companion(here: Any, stop: asyncio.Event) -> None:
        given.append(here.capture)
        raise RuntimeError("a companion that fails")

    async with run_controller(companions=[companion]) as rig:
        await rig.put(spec_of(await backends("origin")))
        assert (await rig.ask(HOST)).status == 200
        assert given == [rig.capture]


async def test_many_routes_are_looked_at_some_at_a_time_and_none_is_left_out(
    run_controller: Any, store: Any, backends: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "AT_ONCE", 2)
    origin = await backends("origin")
    listed = ({"name": "origin", "url": origin.url, "weight": 100},)
    names = [f"r{number}" for number in range(7)]
    specs = {name: route(name, hosts=(f"{name}.localhost",), backends=listed) for name in names}
    async with run_controller():
        for spec in specs.values():
            store.routes.put(spec, who="tester", why="a test")
        await until(lambda: [one.revisions for one in store.gateways.list()] == [dict.fromkeys(names, 1)])
    # What goes while gnomon is away is found among what a gateway had, and goes there too, after all is known.
    store.routes.remove("r0", who="tester", why="a test")
    async with run_controller() as rig:
        await until(lambda: [one.revisions for one in store.gateways.list()] == [dict.fromkeys(names[1:], 1)])
        await until(lambda: sorted(rig.controller.gateway.observed().routes) == names[1:])
        assert (await rig.ask("r0.localhost")).status == 404
        assert (await rig.ask("r6.localhost")).status == 200
