"""Listening on a loopback of its own, in a network namespace: nothing else is heard there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from certificates import self_signed

from inventory.model import Scope, utc_now
from inventory.settings import Settings
from scanner.plan import NotAuthorised
from scanner.sources import choose
from scanner.sources.listening import DURATION, parse_post, prepare
from scanner.spans import Spans
from scanner.targets import TargetError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("rest", "duration", "inside", "outside"),
    [
        ("eth0", DURATION, "10.9.9.9", "8.8.8.8"),
        ("eth0,for=30s", 30.0, "127.0.0.1", "169.254.169.254"),
        ("eth0,for=8h,in=10.20.0.0/22,in=fd00::1", 8 * 3600.0, "10.20.3.255", "10.20.4.0"),
    ],
)
def test_a_target_says_where_how_long_and_for_what(rest, duration, inside, outside):
    post = parse_post(rest)
    assert (post.interface, post.duration) == ("eth0", duration)
    assert Spans.of([ip_network(inside)]) <= post.within
    assert not Spans.of([ip_network(outside)]) <= post.within


@pytest.mark.parametrize("rest", ["", "eth0,for=", "eth0,for=0m", "eth0,for=ever", "eth0,in=x", "eth0,10m"])
def test_a_target_that_is_none_is_one_sentence(rest):
    with pytest.raises(TargetError, match=r"\A[^\n]+\Z"):
        parse_post(rest)


async def prepared(target: str, **parts: object) -> None:
    async def ask(listener: object) -> tuple[()]:
        raise AssertionError(listener)

    scope = Scope.model_validate({"name": "ear", "targets": (target,), "created_at": utc_now()} | parts)
    await prepare(scope, choose([target])[1], ask, Settings())


async def test_where_it_cannot_listen_it_says_so_before_it_begins():
    with pytest.raises(TargetError, match=r"no interface 'nope9' here, but .*\blo\b"):
        await prepared("listen:nope9")
    if os.geteuid() == 0:
        with pytest.raises(NotAuthorised, match=r"9\.0\.0\.0/8 is not listened for"):
            await prepared("listen:lo,in=9.0.0.0/8")
        await prepared("listen:lo,in=9.0.0.0/8", allow_public=True)
        with pytest.raises(TargetError, match=r"'plc\.example' cannot be excluded from listening"):
            await prepared("listen:lo", exclude=("plc.example",))


SCRIPT = """
import asyncio, json, socket, ssl, sys
from contextlib import aclosing
from inventory.model import Scope, utc_now
from inventory.settings import Settings
from scanner.sources import choose
from scanner.sources.listening import prepare

async def serve(reader, writer):
    if await reader.readline():
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
    writer.close()

async def get(address, port, host, tls=None):
    reader, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=host if tls else None)
    writer.write(f"GET / HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
    await reader.read()
    writer.close()

async def main():
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(f"{sys.argv[1]}/cert.pem", f"{sys.argv[1]}/key.pem")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    trusting.set_alpn_protocols(["http/1.1"])
    await asyncio.start_server(serve, "127.0.0.1", 8000)
    await asyncio.start_server(serve, "127.0.0.9", 8000)
    await asyncio.start_server(serve, "::1", 8001)
    await asyncio.start_server(serve, "127.0.0.1", 8443, ssl=certificate)
    target = "listen:lo,for=1m"
    scope = Scope(name="ear", targets=(target,), exclude=("127.0.0.9",), created_at=utc_now())
    run = await prepare(scope, choose([target])[1], None, Settings())
    stop, found = asyncio.Event(), {}
    wanted = {("127.0.0.1", 8000), ("127.0.0.1", 8443), ("::1", 8001)}
    async with asyncio.timeout(40), aclosing(run.observe("s1", stop)) as updates:
        async for update in updates:
            for one in update.observations:
                where = (one.listener.address, one.listener.port)
                found[where] = [one.fact.scheme, *[e.signal for e in one.evidence if "client" in e.signal]]
            if wanted <= found.keys():
                stop.set()
            else:
                await get("127.0.0.9", 8000, "never.example")
                await get("127.0.0.1", 8000, "a.example")
                await get("::1", 8001, "six.example")
                await get("127.0.0.1", 8443, "gpu.example", trusting)
                silent = await asyncio.open_connection("127.0.0.1", 8000)
                silent[1].close()
    print(json.dumps([sorted([*map(str, where), *told] for where, told in found.items()), run.shortfalls]))

asyncio.run(main())
"""


@pytest.fixture
def space() -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip")
    name = f"gn{os.getpid()}ear"
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make network namespaces")
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_services_in_use_are_heard_with_the_names_they_are_asked_for(space: str, tmp_path: Path):
    self_signed(tmp_path, "gpu.example")
    command = ["ip", "netns", "exec", space, sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found, shortfalls = json.loads(done.stdout)
    assert found == [
        ["127.0.0.1", "8000", "http", "a client asked it for a.example"],
        ["127.0.0.1", "8443", "https", "a client asked it for gpu.example"],
        ["::1", "8001", "http", "a client asked it for six.example"],
    ]
    assert shortfalls == []
