"""Copies for a shadow through a real Envoy: what they hold, of which requests, and that they hurt nobody."""

import asyncio
import base64
from typing import Any

import pytest
from rigging import HOST, Until, spec_of

from inventory.model import Comparison, Shadow
from router import desired
from router.gateways.envoy import resources
from router.shadow.compare import Outcome, Result, compare
from router.shadow.records import parse
from router.shadow.rules import compile_rules

pytestmark = pytest.mark.e2e


async def test_shadow_gets_a_copy_without_credentials_and_both_answers_are_captured(
    rig: Any, backends: Any, until: Until
) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    spec = spec_of((origin, "/ml"), (replacement, "/v2"), shadow=Shadow(backend="replacement", percent=100))
    number = await rig.put(spec)
    secrets = {name.replace("-", "_"): "s3cret" for name in resources.CREDENTIAL_HEADERS}
    forged = {"x_request_id": "mine", "x_gnomon_hop": "elsewhere", "x_gnomon_shadow": "1", "x_gnomon_path": "/no"}
    answer = await rig.ask(HOST, "/predict?a=1", body=b'{"x": 1}', **secrets, **forged, accept="text/plain")
    assert answer.json == {"from": "origin", "path": "/ml/predict?a=1", "bytes": 8}
    (live,) = origin.seen
    (copy,) = await replacement.received(lambda seen: len(seen) == 1)
    assert copy.path == "/v2/predict?a=1"
    assert copy.body == b'{"x": 1}'
    assert live.headers["authorization"] == "s3cret"
    assert not set(copy.headers) & set(resources.CREDENTIAL_HEADERS)
    assert copy.headers["accept"] == "text/plain"
    assert copy.headers["x-gnomon-shadow"] == "1"
    assert not [name for name in live.headers if name.startswith("x-gnomon")]
    assert [name for name in copy.headers if name.startswith("x-gnomon")] == ["x-gnomon-shadow"]
    assert live.headers["x-request-id"] == copy.headers["x-request-id"] != "mine"
    await until(lambda: len(rig.captured()) == 2)
    sides = {one["role"]: one for one in rig.captured()}
    assert {one["rid"] for one in sides.values()} == {live.headers["x-request-id"]}
    assert sides["p"]["cluster"] == "iris|origin"
    assert sides["s"]["cluster"] == "iris|replacement|shadow"
    for side, seen in (("p", answer.body), ("s", b'{"from": "replacement", "path": "/v2/predict?a=1", "bytes": 8}')):
        one = sides[side]
        assert (one["code"], one["ct"]) == (200, "application/json")
        assert base64.b64decode(one["sb"]) == seen
        assert one["tx"] == len(seen)
        assert one["us"] > 0
        assert "rb" not in one
    live_side = sides["p"]
    assert (live_side["entry"], live_side["method"], live_side["path"]) == (f"iris@{number}", "POST", "/predict")
    assert rig.capture.stat().st_mode & 0o777 == 0o600
    assert rig.capture.parent.stat().st_mode & 0o777 == 0o700


async def test_copies_under_way_when_their_shadow_goes_say_nothing_of_it(rig: Any, backends: Any, until: Until) -> None:
    origin, stalled = await backends("origin"), await backends("replacement", stalled=True)
    await rig.put(spec_of(origin, stalled, shadow=Shadow(backend="replacement", percent=100)))
    for _ in range(3):
        await rig.ask(HOST, body=b"{}")
    await rig.put(spec_of(origin, stalled))
    await until(lambda: len(rig.captured()) == 6)
    records = [parse(line) for line in rig.capture.read_bytes().splitlines()]
    live = {one.rid: one for one in records if one.role == "p"}
    found = [compare(live[one.rid], one, compile_rules(Comparison())) for one in records if one.role == "s"]
    assert found == [Result(Outcome.INCOMPARABLE, reason="the copy was cut off")] * 3


@pytest.mark.parametrize("letter", [b"\xff", b"a", "ü".encode()], ids=["no UTF-8", "ASCII", "UTF-8"])
async def test_texts_of_any_bytes_and_length_are_a_record(rig: Any, backends: Any, until: Until, letter: bytes) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    await rig.put(spec_of(origin, replacement, shadow=Shadow(backend="replacement", percent=100)))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.settings.gateway_port)
    heads = b"POST /%s HTTP/1.1\r\nhost: %s\r\ncontent-type: %s\r\ncontent-length: 2\r\n\r\n{}"
    writer.write(heads % (b"a" * 3000, HOST.encode(), letter * 3000))
    assert b" 200 " in await reader.readline()
    writer.close()
    await until(lambda: len(rig.captured()) == 2)
    records = {one.role: one for one in map(parse, rig.capture.read_bytes().splitlines())}
    assert {role: (one.place.route, one.place.backend) for role, one in records.items()} == {
        "p": ("iris", "origin"),
        "s": ("iris", "replacement"),
    }
    assert len(records["p"].path) == 2048
    assert len(records["p"].request_type) >= 1024


@pytest.mark.parametrize("size", [1000, 100_000, 10_000_000])
async def test_round_numbers_are_written_in_full(rig: Any, backends: Any, until: Until, size: int) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    await rig.put(spec_of(origin, replacement, shadow=Shadow(backend="replacement", percent=100, max_body_bytes=size)))
    assert (await rig.ask(HOST, body=bytes(size))).status == 200
    await until(lambda: len(rig.captured()) == 2)
    records = {one.role: one for one in map(parse, rig.capture.read_bytes().splitlines())}
    assert (records["p"].received, records["s"].code) == (size, 200)


async def test_only_declared_requests_are_copied(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    shadow = Shadow(backend="replacement", percent=100, max_body_bytes=1000)
    await rig.put(spec_of(origin, replacement, shadow=shadow))
    await rig.ask(HOST, "/a", "DELETE")
    await rig.ask(HOST, "/b?api_key=abc", "GET")
    await rig.ask(HOST, "/c", "POST", b"x" * 1001)
    await rig.ask(HOST, "/d", "POST", b"x" * 1000)
    await until(lambda: len(rig.captured()) == 2)
    assert [one.path for one in origin.seen] == ["/a", "/b?api_key=abc", "/c", "/d"]
    assert [one.path for one in replacement.seen] == ["/d"]


async def test_a_shadow_is_switched_off_at_once(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    await rig.put(spec_of(origin, replacement, shadow=Shadow(backend="replacement", percent=100)))
    for off, path in ((False, "/a"), (True, "/b"), (False, "/c")):
        await rig.controller.gateway.switch_off_shadow("iris", off=off)
        assert (await rig.ask(HOST, path)).status == 200
    await until(lambda: sum(one["role"] == "s" for one in rig.captured()) == 2)
    assert [one.path for one in replacement.seen] == ["/a", "/c"]


async def test_every_arm_of_a_split_is_sampled_alike(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement, third = await backends("origin"), await backends("replacement"), await backends("third")
    spec = spec_of(origin, replacement, third, shadow=Shadow(backend="third", percent=30))
    await rig.put(desired.shift(spec, {"origin": 90, "replacement": 10}))
    many = 2000
    for _ in range(many):
        await rig.ask(HOST)
    await until(lambda: sum(one["role"] == "p" for one in rig.captured()) == len(third.seen) > 0)
    sampled = [one["cluster"].split("|")[1] for one in rig.captured() if one["role"] == "p"]
    # Six standard deviations of a binomial count: a biased sample takes 0 or 300 of the small arm.
    for backend, share in (("origin", 0.9), ("replacement", 0.1)):
        expected = many * 0.3 * share
        assert abs(sampled.count(backend) - expected) < 6 * (many * 0.3 * share) ** 0.5
    assert abs(len(replacement.seen) - many * 0.1) < 6 * (many * 0.09) ** 0.5


async def test_a_shadow_that_does_not_read_stalls_nobody(rig: Any, backends: Any, until: Until) -> None:
    origin, replacement = await backends("origin"), await backends("replacement", stalled=True)
    shadow = Shadow(backend="replacement", percent=100, max_body_bytes=16_777_216)
    await rig.put(spec_of(origin, replacement, shadow=shadow))
    body = b"x" * 16_000_000
    for _ in range(3):
        assert (await rig.ask(HOST, body=body)).json["bytes"] == len(body)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (20_000_000, b"x" * 20_000_000)
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.settings.gateway_port)
    writer.write(b"POST / HTTP/1.1\r\nhost: %s\r\ntransfer-encoding: chunked\r\n\r\n" % HOST.encode() + chunked)
    async with asyncio.timeout(10):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
