"""What governance costs a request, beside a minimal hand-written Envoy in front of the same backend, in turns.

Rows: the minimal Envoy; a route of gnomon that holds callers to nothing; one that observes (token verified, call
recorded); one that enforces (token, RBAC, a limit by caller, record). Then how much longer one caller waits at the
median, and how long it takes from a revocation to the first refusal.

Usage: ``python benchmarks/governance.py [ROUNDS]``.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from gateway import Client, cpu_seconds, free_port, minimal_proxy, servers, start_envoy
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from inventory.model import Access, RateLimit, Revocation, RouteSpec, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from router.controller import Controller
from router.gateways import Governed
from router.governance import Governance, RouteRule, Trusted

ISSUER = "https://gateway.bench"
CONNECTIONS = 16
ROUND_SECONDS = 1.5
ROUTES = {
    "plain": None,
    "observed": Access(),
    "enforced": Access(enforce=True, limits=(RateLimit(by="principal", requests=10**9, seconds=1, candidate=False),)),
}


def tokens(key: ECKey, callers: int) -> list[str]:
    now = int(time.time())
    made = []
    for number in range(callers):
        claims = {"iss": ISSUER, "aud": "gnomon", "sub": f"https://login.bench|u{number}", "iat": now, "exp": now + 900,
                  "routes": list(ROUTES), "orig_iss": "https://login.bench", "orig_sub": f"u{number}",
                  "jti": f"j{number}"}  # fmt: skip
        made.append(jwt.encode({"alg": "ES256", "kid": "bench"}, claims, key))
    return made


def request(route: str, token: str) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nhost: {route}.localhost\r\nauthorization: Bearer {token}\r\n"
    return f'{head}content-length: 8\r\n\r\n{{"x": 1}}'.encode()


async def rate(port: int, pid: int, requests: list[bytes]) -> tuple[float, float]:
    """Requests a second, and microseconds of the proxy's processor time for each."""
    tally = [0]
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda one=one: Client(tally, one), "127.0.0.1", port)
        for one in requests[:CONNECTIONS]
    ]
    await asyncio.sleep(0.2)
    before, used, began = tally[0], cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(ROUND_SECONDS)
    asked = tally[0] - before
    took, used = time.perf_counter() - began, cpu_seconds(pid) - used
    for transport, _ in opened:
        transport.abort()
    return asked / took, used / asked * 1e6


async def alone(port: int, asked: bytes, times: int = 1500) -> float:
    """The median of how long one caller waits, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waited = []
    for _ in range(times):
        began = time.perf_counter()
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        waited.append((time.perf_counter() - began) * 1000)
    writer.close()
    return statistics.median(waited)


async def revoked(port: int, gateway: Governed, token: str, number: int) -> float:
    """Milliseconds from a revocation to the first refusal."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    until = utc_now() + timedelta(minutes=15)
    one = Revocation(kind="token", value=f"j{number}", at=utc_now(), until=until, who="bench", why="stolen")
    before = gateway.governance
    began = time.perf_counter()
    pushed = asyncio.create_task(gateway.govern(before.model_copy(update={"revoked": (*before.revoked, one)})))
    status = b"200"
    while status == b"200":
        writer.write(request("enforced", token))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        status = head.split(b" ")[1]
    took = (time.perf_counter() - began) * 1000
    await pushed
    writer.close()
    return took


async def table(proxies: dict[str, tuple[int, int, str]], made: list[str], rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in proxies}
    waits: dict[str, list[float]] = {name: [] for name in proxies}
    for _ in range(rounds):
        for name, (port, pid, route) in proxies.items():
            found[name].append(await rate(port, pid, [request(route, token) for token in made]))
            waits[name].append(await alone(port, request(route, made[0])))
    bare = found["minimal Envoy"]
    for name, measured in found.items():
        speed, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(measured, bare, strict=True))
        added = statistics.median(one - other for one, other in zip(waits[name], waits["minimal Envoy"], strict=True))
        print(
            f"{name:15} {speed:8.0f} requests/s  {ratio:5.2f} of bare  {cpu:6.0f} µs CPU  +{added:.3f} ms at the median"
        )


async def main(rounds: int) -> None:
    minimal, port, backend = free_port(), free_port(), free_port()
    key = ECKey.generate_key("P-256", {"kid": "bench", "use": "sig", "alg": "ES256"}, auto_kid=False)
    made = tokens(key, 200)
    with tempfile.TemporaryDirectory() as folder:
        started = [
            await start_envoy(Path(folder, f"{name}.json"), form)
            for name, form in (("proxy", minimal_proxy(minimal, backend)), ("servers", servers({"origin": backend})))
        ]
        settings = Settings(state_folder=Path(folder), gateway_port=port)
        stop = asyncio.Event()
        with open_store(f"sqlite:///{folder}/inventory.db", settings) as store:
            for name, access in ROUTES.items():
                origin = {"name": "origin", "url": f"http://127.0.0.1:{backend}", "weight": 100}
                spec = RouteSpec.model_validate(
                    {"name": name, "hosts": (f"{name}.localhost",), "backends": (origin,), "access": access}
                )
                store.routes.put(spec, who="bench", why="bench")
            controller = Controller(store, settings)
            running = asyncio.create_task(controller.run(stop))
            await controller.started()
            gateway = controller.gateway
            assert isinstance(gateway, Governed)
            keys = json.dumps(KeySet([key]).as_dict(private=False))
            own = Trusted(name="own", issuer=ISSUER, audiences=("gnomon",), keys=keys, own=True)
            await gateway.govern(Governance(trusted=(own,), rules={"enforced": RouteRule(default_allowed=False)}))
            pid = gateway.process.pid  # type: ignore[attr-defined]
            proxies = {"minimal Envoy": (minimal, started[0].pid, "plain")}
            proxies |= {f"gnomon {name}": (port, pid, name) for name in ROUTES}
            await table(proxies, made, rounds)
            waits = sorted([await revoked(port, gateway, made[number], number) for number in range(50)])
            print(f"revocation to refusal: median {statistics.median(waits):.1f} ms, longest of 50 {waits[-1]:.1f} ms")
            stop.set()
            await running
        for process in started:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
