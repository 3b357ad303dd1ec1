"""What a route does for its callers beside sending them somewhere, with real Envoy and a client that counts."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from making import route

from inventory.model import HealthCheck, Override, RouteSpec, Sticky
from router import desired

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"


def spec_of(*backends: Any, **parts: Any) -> RouteSpec:
    listed = [
        {"name": one.name, "url": one.url + base, "weight": 0 if number else 100}
        for number, (one, base) in enumerate(one if isinstance(one, tuple) else (one, "") for one in backends)
    ]
    return route("iris", hosts=(HOST,), backends=listed, **parts)


async def arms(rig: Any, callers: list[str], header: str) -> dict[str, str]:
    return {who: (await rig.ask(HOST, **{header: who})).json["from"] for who in callers}


@pytest.mark.parametrize("sticky", [Sticky(header="x-user"), Sticky(header="x-other", cookie="user")])
async def test_callers_move_one_way_only_as_weights_rise_and_stay_while_they_stand(
    rig: Any, backends: Any, sticky: Sticky
) -> None:
    spec = spec_of(*[await backends(name) for name in ("origin", "second", "third")], sticky=sticky)
    await rig.put(spec)
    by_header = sticky.header == "x-user"
    callers = [f"caller-{number}" if by_header else f"user=caller-{number}" for number in range(200)]
    header = "x_user" if by_header else "cookie"
    steps = ({"origin": 80, "second": 10, "third": 10}, {"origin": 70, "second": 10, "third": 20},
             {"origin": 40, "second": 40, "third": 20}, {"origin": 0, "second": 50, "third": 50})  # fmt: skip
    before = await arms(rig, callers, header)
    assert set(before.values()) == {"origin"}
    for weights in steps:
        old = {one.name: one.weight for one in spec.backends}
        spec = desired.shift(spec, weights)
        await rig.put(spec)
        after = await arms(rig, callers, header)
        moves = {(before[who], after[who]) for who in callers if before[who] != after[who]}
        assert all(weights[source] < old[source] and weights[goal] > old[goal] for source, goal in moves), moves
        assert await arms(rig, callers, header) == after
        for name, weight in weights.items():
            assert abs(list(after.values()).count(name) - 2 * weight) < 6 * (200 * 0.25) ** 0.5
        before = after


async def test_an_override_sends_its_callers_where_it_says(rig: Any, backends: Any) -> None:
    overrides = (Override(header="X-User", value="ana", backend="replacement"),)
    await rig.put(spec_of(await backends("origin"), (await backends("replacement"), "/v2"), overrides=overrides))
    assert (await rig.ask(HOST, x_user="ana")).json == {"from": "replacement", "path": "/v2/predict", "bytes": 2}
    assert (await rig.ask(HOST, x_user="bo")).json["from"] == "origin"


async def test_a_server_that_is_gone_gets_no_requests_and_fails_nobody(rig: Any, backends: Any, load: Any) -> None:
    first, second = await backends("first"), await backends("second")
    backend = {"name": "origin", "url": first.url, "weight": 100, "servers": [f"127.0.0.1:{second.port}"]}
    await rig.put(route("iris", hosts=(HOST,), backends=(backend,)))
    callers = load(rig.settings, HOST)
    await callers.passed(50)
    assert callers.by.keys() == {"first", "second"}
    second._server.close()
    await callers.passed(200)
    await callers.stop()
    # What was under way on a connection that broke may not be sent again: it may have been worked on.
    assert callers.failed == []


async def test_a_server_that_fails_its_check_is_left_out(rig: Any, backends: Any, until: Any) -> None:
    well, ill = await backends("well"), await backends("ill", status=503)
    backend = {"name": "origin", "url": f"{well.url}/ml", "weight": 100, "servers": [f"127.0.0.1:{ill.port}"]}
    check = HealthCheck(path="/health", interval_seconds=0.1, unhealthy_after=1, healthy_after=1)
    await rig.put(route("iris", hosts=(HOST,), backends=(backend,), health=check))
    await ill.received(lambda seen: len(seen) >= 2)
    assert {one.path for one in ill.seen} == {"/ml/health"}
    assert [(await rig.ask(HOST)).status for _ in range(20)] == [200] * 20


async def test_grpc_passes_with_its_trailers_and_streams(rig: Any, until: Any) -> None:
    async def echo(requests: Any, context: Any) -> Any:
        async for request in requests:
            yield request.upper()
        context.set_trailing_metadata((("x-last", "yes"),))

    handler = grpc.stream_stream_rpc_method_handler(echo)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("iris.Model", {"Stream": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend = {"name": "origin", "url": f"http://127.0.0.1:{port}", "weight": 100, "protocol": "http2"}
    await rig.put(route("iris", hosts=(HOST,), backends=(backend,)))
    options = (("grpc.default_authority", HOST),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.settings.gateway_port}", options=options) as channel:
        call = channel.stream_stream("/iris.Model/Stream")()
        for word in (b"a", b"b"):
            await call.write(word)
            assert await call.read() == word.upper()
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
        assert ("x-last", "yes") in tuple(await call.trailing_metadata())
    await server.stop(0)


async def test_an_authority_must_vouch_where_one_is_named(rig: Any, backends: Any, certificate: Path) -> None:
    origin = await backends("origin", certificate=certificate)
    port = origin.port
    by_name = {"name": "origin", "url": f"https://localhost:{port}", "weight": 100}
    await rig.put(route("iris", hosts=(HOST,), backends=(by_name,)))
    assert (await rig.ask(HOST)).status == 200
    vouched = {**by_name, "authority_file": str(certificate / "cert.pem")}
    await rig.put(route("iris", hosts=(HOST,), backends=(vouched,)))
    # The certificate is somebody's, and not that of the host which was asked for.
    assert (await rig.ask(HOST)).status == 503


LINKS = [
    ("location: /ml/login?next=/a", "location", "/login?next=/a"),
    ("location: /ml", "location", "/"),
    ("location: /mlx", "location", "/mlx"),
    ("location: next", "location", "next"),
    ("location: https://elsewhere.example/ml/x", "location", "https://elsewhere.example/ml/x"),
    ("location: http://{host}/ml/x", "location", "/x"),
    ("refresh: 3; url=/ml/x", "refresh", "3; url=/x"),
    ("set-cookie: a=1; Path=/ml; HttpOnly", "set-cookie", "a=1; Path=/; HttpOnly"),
    ("set-cookie: a=1; Path=/ml/x; Secure", "set-cookie", "a=1; Path=/x; Secure"),
    ("set-cookie: a=1; path=/", "set-cookie", "a=1; path=/"),
]


async def test_redirects_and_cookies_keep_their_meaning_below_a_base_path(rig: Any, backends: Any) -> None:
    origin = await backends("origin")
    await rig.put(spec_of((origin, "/ml")))
    for header, name, expected in LINKS:
        origin.extra = [header.format(host=f"{HOST}:{rig.settings.gateway_port}")]
        assert (await rig.ask(HOST)).headers[name] == expected, header
    origin.extra = []
    # Links in pages have the base path already: they are served as they are.
    assert [(await rig.ask(HOST, path)).json["path"] for path in ("/ml/x", "/ml", "/mlx", "/x?/ml/")] == [
        "/ml/x", "/ml", "/ml/mlx", "/ml/x?/ml/",
    ]  # fmt: skip


async def test_a_backend_that_is_told_its_own_name_leads_nobody_past_the_gateway(rig: Any, backends: Any) -> None:
    origin = await backends("origin")
    named = {"name": "origin", "url": f"http://localhost:{origin.port}", "weight": 100}
    await rig.put(route("iris", hosts=(HOST,), backends=(named,)))
    origin.extra = [f"location: http://localhost:{origin.port}/login", "set-cookie: a=1; Domain=localhost; Path=/"]
    answer = await rig.ask(HOST)
    assert answer.headers["location"] == "/login"
    assert answer.headers["set-cookie"] == "a=1; Path=/"


async def test_an_answer_under_way_is_finished_when_its_route_goes(rig: Any, backends: Any, until: Any) -> None:
    origin, other = await backends("origin"), await backends("other")
    await rig.put(spec_of(origin))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.settings.gateway_port)
    writer.write(f"GET /events HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"data: 1\n\n")
        await rig.put(spec_of(other))
        rig.store.routes.remove("iris", who="tester", why="done")
        await until(lambda: rig.status().revisions == {})
        began = time.monotonic()
        async with origin.got:
            origin.seen.append(origin.seen[0]._replace(path="/next"))
            origin.got.notify_all()
        await reader.readuntil(b"data: 2\n\n")
    assert time.monotonic() - began < 10
    writer.close()
