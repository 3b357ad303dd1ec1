"""What governance costs a request, beside a minimal hand-written Envoy in front of the same backend, in turns.

Rows: the minimal Envoy; a route of gnomon that holds callers to nothing; one that observes (token verified, call
recorded); one that enforces (token, RBAC, a limit by caller, record). LiteLLM's proxy is
measured beside them where the program ``litellm`` is found. Then how much longer one caller waits at the
median, and how long it takes from a revocation to the first refusal.

A policy that changes for MANY callers on MANY routes is timed at the end, from before the first decision to the last
route that Envoy acknowledged.

Usage: ``python benchmarks/governance.py [ROUNDS] [MANY]``.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from gateway import CONNECTIONS, free_port, measure, minimal_proxy, servers, start_envoy
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from inventory.model import (
    Access,
    PolicySet,
    Principal,
    PrincipalKind,
    RateLimit,
    Revocation,
    RouteSpec,
    utc_now,
)
from inventory.settings import Settings
from inventory.store import open_store
from router.controller import Controller
from router.gateways import Governed
from router.governance import Governance, RouteRule, Trusted
from router.policy.effective import compile_routes
from router.policy.engines import load

ISSUER = "https://gateway.bench"
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


async def table(proxies: dict[str, tuple[int, int, str]], made: list[str], rounds: int) -> float:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in proxies}
    waits: dict[str, list[float]] = {name: [] for name in proxies}
    for _ in range(rounds):
        for name, (port, pid, route) in proxies.items():
            found[name].append(await measure(port, pid, [request(route, token) for token in made]))
            waits[name].append(await alone(port, request(route, made[0])))
    bare = found["minimal Envoy"]
    for name, measured in found.items():
        speed, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(measured, bare, strict=True))
        added = statistics.median(one - other for one, other in zip(waits[name], waits["minimal Envoy"], strict=True))
        print(
            f"{name:15} {speed:8.0f} requests/s  {ratio:5.2f} of bare  {cpu:6.0f} µs CPU  +{added:.3f} ms at the median"
        )
    return statistics.median(one[0] for one in bare)


COMPLETION = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


async def litellm(program: str, folder: str, bare: float) -> None:
    """LiteLLM's proxy with one worker and a key, in front of a model that answers at once, as many callers as above."""
    port, backend = free_port(), free_port()
    form = servers({"model": backend})
    listener = form["static_resources"]["listeners"][0]  # type: ignore[index]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    route["direct_response"]["body"] = {"inline_string": json.dumps(COMPLETION)}
    route["response_headers_to_add"] = [
        {"header": {"key": "content-type", "value": "application/json"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    ]
    model = await start_envoy(Path(folder, "model.json"), form)
    params = {"model": "openai/m", "api_base": f"http://127.0.0.1:{backend}", "api_key": "x"}
    settings = {
        "model_list": [{"model_name": "m", "litellm_params": params}],
        "general_settings": {"master_key": "sk-bench"},
    }
    config = Path(folder, "litellm.json")
    await asyncio.to_thread(config.write_text, json.dumps(settings), encoding="utf-8")
    words = ["--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    quiet = asyncio.subprocess.DEVNULL
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    proxy = await asyncio.create_subprocess_exec(program, *words, stdout=quiet, stderr=quiet, env=environment)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    head = (
        "POST /chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench\r\ncontent-type: application/json"
    )
    asked = f"{head}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    try:
        await wait_for(port, 120)
        speed = await completions(port, asked, 5.0)
        print(
            f"{'LiteLLM proxy':15} {speed:8.0f} requests/s  {speed / bare:5.3f} of bare  (one worker, a key, no limits)"
        )
    finally:
        for process in (proxy, model):
            process.terminate()
            await process.wait()


async def wait_for(port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline, "the proxy did not start"
            await asyncio.sleep(0.5)
            continue
        writer.close()
        return


async def completions(port: int, asked: bytes, seconds: float) -> float:
    """Answers a second of as many callers as the other rows have."""
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(asked)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
            done += 1
        writer.close()

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    return done / seconds


async def redecided(gateway: Governed, many: int) -> None:
    """A policy that changes for as many callers as routes: decided again, and enforced by Envoy."""
    names = [f"r{number}" for number in range(many)]
    routes = {name: {"data_class": f"c{number % 6}", "owner": f"o{number}"} for number, name in enumerate(names)}
    callers = [
        Principal(
            id=f"https://login.bench|user-{number}",
            kind=PrincipalKind.TOKEN,
            attributes={"department": f"d{number % 10}", "owner": f"o{number}"},
            first_seen=utc_now(),
            last_seen=utc_now(),
        )
        for number in range(many)
    ]
    # Half of the callers may call each route, and it is the other half after the change.
    texts = [
        "".join(
            f'@id("p{number}") permit(principal, action, resource) when {{ principal has department && '
            f'principal.department == "d{number}" && resource has data_class && resource.data_class like "c*" }};'
            for number in half
        )
        for half in (range(5), range(5, 10))
    ]
    for text in texts:
        engine = load(PolicySet(number=1, engine="cedar", text=text, at=utc_now(), who="bench", why="bench"))
        began = time.perf_counter()
        rules = compile_routes(routes, callers, engine, None, 0, utc_now())
        decided = time.perf_counter() - began
        await gateway.govern(gateway.governance.model_copy(update={"rules": rules}))
        took = time.perf_counter() - began
    listed = sum(len(rule.exceptions) for rule in rules.values())
    print(
        f"{many} callers on {many} routes, {listed} of the pairs allowed: decided again in {decided:.1f} s, "
        f"enforced after {took:.1f} s"
    )


async def main(rounds: int, many: int) -> None:
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
            bare = await table(proxies, made, rounds)
            if (program := shutil.which("litellm")) is not None:
                await litellm(program, folder, bare)
            waits = sorted([await revoked(port, gateway, made[number], number) for number in range(50)])
            print(f"revocation to refusal: median {statistics.median(waits):.1f} ms, longest of 50 {waits[-1]:.1f} ms")
            if many:
                origin = {"name": "origin", "url": f"http://127.0.0.1:{backend}", "weight": 100}
                specs = {
                    f"r{number}": RouteSpec.model_validate(
                        {
                            "name": f"r{number}",
                            "hosts": (f"r{number}.localhost",),
                            "backends": (origin,),
                            "access": Access(enforce=True),
                        }
                    )
                    for number in range(many)
                }
                store.routes.change(specs, who="bench", why="bench")
                while len(gateway.observed().routes) < many:  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
                await redecided(gateway, many)
            stop.set()
            await running
        for process in started:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [7, 1000][len(given) :])))
