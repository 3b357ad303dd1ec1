"""Names by path, through a real gateway: whose requests are whose, and what keeps links working."""

import asyncio
import json
import socket
import subprocess
from typing import Any

import pytest
from making import route

from inventory.model import RouteSpec
from router.gateways.envoy.binary import envoy_binary

pytestmark = pytest.mark.e2e

HOST = "models.localhost"


def by_path(name: str, path: str, backend: Any, base: str = "", **more: Any) -> RouteSpec:
    origin = {"name": "origin", "url": backend.url + base, "weight": 100}
    return route(name, hosts=(HOST,), path=path, backends=(origin,), **more)


async def test_the_longest_path_is_meant_and_the_application_does_not_see_it(rig: Any, backends: Any) -> None:
    outer, inner, other = [await backends(name) for name in ("outer", "inner", "other")]
    for spec in (
        by_path("outer", "/models", outer),
        by_path("inner", "/models/iris", inner, "/user/ada"),
        by_path("other", "/modelsx", other),
    ):
        await rig.put(spec)
    expected = {
        "/models/iris/predict?x=1": ("inner", "/user/ada/predict?x=1"),
        "/models/iris": ("inner", "/user/ada/"),
        "/models/iris?x=1": ("inner", "/user/ada/?x=1"),
        "/models/irises/a": ("outer", "/irises/a"),
        "/models/a/../iris/b": ("inner", "/user/ada/b"),
        "/models/./iris/b": ("inner", "/user/ada/b"),
        "/models/iris/../a": ("outer", "/a"),
        "/models": ("outer", "/"),
        "/modelsx/a": ("other", "/a"),
        "/models/%69ris/a": ("inner", "/user/ada/a"),
        # A link that the application made by itself, below its own base path.
        "/models/iris/user/ada/static/a.js": ("inner", "/user/ada/static/a.js"),
    }
    for path, (name, seen) in expected.items():
        answer = await rig.ask(HOST, path)
        assert answer.status == 200, path
        assert (answer.json["from"], answer.json["path"]) == (name, seen), path
    assert [one.headers["x-forwarded-prefix"] for one in inner.seen[:1]] == ["/models/iris"]
    for path in ("/", "/nothing", "/model", "//models/a", "/modelsxy"):
        assert (await rig.ask(HOST, path)).status in {400, 404}, path


async def test_a_path_spelled_otherwise_reaches_no_shorter_route(rig: Any, backends: Any) -> None:
    outer, inner = await backends("outer"), await backends("inner")
    await rig.put(by_path("outer", "/models", outer))
    await rig.put(by_path("inner", "/models/iris", inner))
    for path in (
        "/models//iris/secret", "/models/%2firis/secret", "/models/%2Firis", "/models///iris", "/models/IRIS/secret",
        "/models/%5Ciris/x", "/models%2firis/x", "//models/iris/x", "/models//%69ris/x", "/models/iris%2fx",
    ):  # fmt: skip
        answer = await rig.ask(HOST, path)
        assert answer.status in {400, 404}, (path, answer.status)
    assert outer.seen == []
    # What only the outer application knows stays its own.
    assert (await rig.ask(HOST, "/models/a//b%2fc")).json["path"] == "/a//b%2fc"


async def test_redirects_and_cookies_stay_below_the_path(rig: Any, backends: Any) -> None:
    backend = await backends("app")
    backend.extra = [
        "location: /user/ada/login?next=/",
        f"content-location: http://127.0.0.1:{backend.port}/user/ada/x",
        "set-cookie: a=1; Path=/user/ada; HttpOnly",
        "set-cookie: b=2; path=/",
        "set-cookie: __Host-c=3; Path=/; Secure",
        "refresh: 5; url=/user/ada/again",
    ]
    await rig.put(by_path("app", "/models/iris", backend, "/user/ada"))
    answer = await rig.ask(HOST, "/models/iris/a")
    assert answer.headers["location"] == "/models/iris/login?next=/"
    assert answer.headers["content-location"] == "/models/iris/x"
    assert answer.headers["refresh"] == "5; url=/models/iris/again"
    raw = await cookies(rig)
    assert raw == ["a=1; Path=/models/iris; HttpOnly", "b=2; path=/models/iris", "__Host-c=3; Path=/; Secure"]
    # One that honours the prefix says it already.
    backend.extra = ["location: /models/iris/login"]
    assert (await rig.ask(HOST, "/models/iris/a")).headers["location"] == "/models/iris/login"


async def cookies(rig: Any) -> list[str]:
    def ask() -> list[str]:
        with socket.create_connection(("127.0.0.1", rig.settings.gateway_port)) as sock:
            sock.sendall(f"GET /models/iris/a HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        lines = answer.decode().split("\r\n")
        return [line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie")]

    return await asyncio.to_thread(ask)


async def test_a_browser_is_sent_to_where_relative_links_work(rig: Any, backends: Any) -> None:
    await rig.put(by_path("app", "/models/iris", await backends("app")))
    answer = await rig.ask(HOST, "/models/iris?x=1", "GET", accept="text/html,*/*")
    assert answer.status == 307
    assert answer.headers["location"].endswith("/models/iris/?x=1")
    # An API that is called at its root is not.
    assert (await rig.ask(HOST, "/models/iris", "POST", accept="text/html")).status == 200
    assert (await rig.ask(HOST, "/models/iris", "GET", accept="application/json")).status == 200


async def test_paths_come_change_and_go_and_their_neighbours_serve_on(
    rig: Any, backends: Any, until: Any, load: Any
) -> None:
    one, two, three = [await backends(name) for name in ("one", "two", "three")]
    await rig.put(by_path("one", "/one", one))
    await rig.put(by_path("two", "/two", two))
    await rig.put(by_path("two", "/two/three", three))
    assert (await rig.ask(HOST, "/two")).status == 404
    assert (await rig.ask(HOST, "/two/three/x")).json["from"] == "three"
    # It becomes a host, and a path again.
    await rig.put(route("two", hosts=("two.localhost",), backends=({"name": "o", "url": two.url, "weight": 100},)))
    assert (await rig.ask("two.localhost")).json["from"] == "two"
    assert (await rig.ask(HOST, "/two/three/x")).status == 404
    assert (await rig.ask(HOST, "/one/x")).json["from"] == "one"
    rig.store.routes.remove("one", who="tester", why="a test")
    await until(lambda: "one" not in rig.status().revisions)
    assert (await rig.ask(HOST, "/one/x")).status == 404
    await rig.put(route("whole", hosts=(HOST,), backends=({"name": "o", "url": one.url, "weight": 100},)))
    assert (await rig.ask(HOST, "/one/x")).json["path"] == "/one/x"


async def test_what_the_gateway_refuses_leaves_the_others_of_the_host_as_they_are(
    rig: Any, backends: Any, until: Any
) -> None:
    good = await backends("good")
    await rig.put(by_path("good", "/good", good))
    # The name of a file that is not there: Envoy refuses the cluster, and the table is never without it.
    bad = {"name": "origin", "url": "https://127.0.0.1:9", "weight": 100, "authority_file": "/nowhere.pem"}
    rig.store.routes.put(route("bad", hosts=(HOST,), path="/bad", backends=(bad,)), who="tester", why="a test")
    await until(lambda: "bad" in rig.status().refused)
    assert (await rig.ask(HOST, "/good/x")).status == 200
    assert (await rig.ask(HOST, "/bad/x")).status == 404
    await rig.put(by_path("other", "/other", good))
    assert (await rig.ask(HOST, "/other/x")).status == 200


async def test_a_whole_host_and_paths_of_it_do_not_go_together(rig: Any, backends: Any, until: Any) -> None:
    backend = await backends("a")
    await rig.put(by_path("good", "/good", backend))
    whole = route("whole", hosts=(HOST,), backends=({"name": "o", "url": backend.url, "weight": 100},))
    rig.store.routes.put(whole, who="tester", why="a test")
    await until(lambda: "whole" in rig.status().refused)
    assert "belong to other routes" in rig.status().refused["whole"].error
    rig.store.routes.put(by_path("again", "/good", backend), who="tester", why="a test")
    await until(lambda: "again" in rig.status().refused)
    assert "path models.localhost/good belongs to the route good" in rig.status().refused["again"].error


async def test_what_is_kept_on_disk_serves_paths_too(rig: Any, backends: Any, until: Any, tmp_path: Any) -> None:
    outer, inner = await backends("outer"), await backends("inner")
    await rig.put(by_path("outer", "/models", outer))
    await rig.put(by_path("inner", "/models/iris", inner))
    kept = rig.settings.state_folder / "gateway" / "standalone.json"
    await until(lambda: kept.exists() and '"/models/iris"' in kept.read_text())
    form = json.loads(kept.read_text())
    listener = form["static_resources"]["listeners"][0]
    scopes = listener["filter_chains"][0]["filters"][0]["typed_config"]["scoped_routes"]
    listed = scopes["scoped_route_configurations_list"]["scoped_route_configurations"]
    assert [one["name"] for one in listed] == [HOST]
    found = [entry["match"].get("path_separated_prefix") for entry in
             listed[0]["route_configuration"]["virtual_hosts"][0]["routes"]]  # fmt: skip
    assert found.index("/models/iris") < found.index("/models")
    command = [str(envoy_binary()), "--mode", "validate", "--config-path", str(kept)]
    checked = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr[-500:]


async def test_a_shadow_gets_the_path_that_the_application_knows(rig: Any, backends: Any) -> None:
    primary, shadow = await backends("primary"), await backends("shadow")
    two = (
        {"name": "origin", "url": primary.url + "/a", "weight": 100},
        {"name": "candidate", "url": shadow.url + "/b", "weight": 0},
    )
    copied = {"backend": "candidate", "percent": 100.0, "paths": ("/predict",)}
    await rig.put(route("iris", hosts=(HOST,), path="/models/iris", backends=two, shadow=copied))
    answer = await rig.ask(HOST, "/models/iris/predict")
    assert answer.json["path"] == "/a/predict"
    seen = await shadow.received(lambda seen: len(seen) >= 1)
    assert seen[0].path == "/b/predict"


async def test_a_host_that_a_path_had_is_taken_over_in_a_plan_of_many(rig: Any, backends: Any) -> None:
    old, new = await backends("old"), await backends("new")
    await rig.put(by_path("old", "/models", old))
    assert (await rig.ask(HOST, "/models/a")).json["from"] == "old"
    origin = {"name": "origin", "url": new.url, "weight": 100}
    many: dict[str, RouteSpec | None] = {
        f"r{number}": route(f"r{number}", hosts=(f"r{number}.localhost",), backends=(origin,)) for number in range(120)
    }
    wanted = {"a-whole": route("a-whole", hosts=(HOST,), backends=(origin,)), **many, "old": None}
    await asyncio.to_thread(rig.store.routes.change, wanted, who="ana", why="a move")
    async with asyncio.timeout(30):
        while (answer := await rig.ask(HOST, "/models/a")).status != 200 or answer.json["from"] != "new":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for name in ("r0", "r119"):
            while (await rig.ask(f"{name}.localhost", "/x")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    for _ in range(20):
        assert (await rig.ask(HOST, "/models/a")).json["from"] == "new"
