"""A simulated cluster of 1,000 workloads and 5,000 pods: time, memory and requests of a list with all verdicts.

Run it as ``python benchmarks/clusters.py [WORKLOADS] [PODS-EACH]``. The API server is the double of the
tests, in a process of its own, over real HTTP by the real client. Nothing is compared with a peer: no
other tool here reads a cluster and judges it. The yardstick is the time that only reading and parsing
the same bytes takes, in the same run.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.store import Store
    from scanner.io.kubernetes import ApiServer

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

QUIET_SECONDS = 5.0
ROGUES = 10


def serve(workloads: int, each: int, ready: "multiprocessing.connection.Connection", folder: str) -> None:
    """The API server, with a cluster in it."""
    from apiserver import ApiServerDouble, kubeconfig, serving
    from clusters import deploy, expose, http_route, only_from

    api = ApiServerDouble()
    images = ("registry.test/team/shop:1", "vllm/vllm-openai:v1", "registry.test/team/fraud-model:3")
    for number in range(workloads):
        space, name = f"team-{number % 50:02}", f"w-{number:04}"
        addresses = [f"10.{number // 250}.{number % 250}.{pod + 1}" for pod in range(each)]
        noise = [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(40)]
        deploy(api, space, name, addresses, image=images[number % 10 % 3], env=noise)
        expose(api, space, name, target="http")
        if number % 2:
            http_route(api, space, name, name)
        if number % 4 == 1:
            only_from(api, space, name)
    with serving(api):
        Path(folder, "kubeconfig").write_text(kubeconfig({"big": api}))
        ready.send(api.url)
        while (asked := ready.recv()) != "end":
            if asked.startswith("rogue"):
                deploy(api, "team-07", asked, ["10.200.0.1"], image="vllm/vllm-openai:v1")
            elif asked.startswith("end of "):
                api.delete("pods", "team-07", f"{asked.removeprefix('end of ')}-1-0")
            size = sum(len(json.dumps(one)) for kind in api.objects.values() for one in kind.values())
            ready.send((api.counted(), len(api.requests), size) if asked == "count" else None)


def main() -> None:
    workloads, each = (int(part) for part in (sys.argv[1:] + ["1000", "5"][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as folder:
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(workloads, each, there, folder))
        server.start()
        here.recv()
        os.environ["KUBECONFIG"] = f"{folder}/kubeconfig"
        try:
            asyncio.run(measure(here, workloads, each, Path(folder)))
        finally:
            here.send("end")
            server.join()


async def read_alone(api: "ApiServer") -> float:
    """Seconds to read and parse most of the lists, and nothing else."""
    began = time.perf_counter()
    for plural in ("pods", "services", "deployments.apps", "replicasets.apps"):
        name, _, group = plural.partition(".")
        path = f"/apis/{group}/v1/{name}" if group else f"/api/v1/{name}"
        token = ""
        while True:
            reply = await api.get(path, [("limit", "500"), *([("continue", token)] if token else [])])
            token = reply.document["metadata"].get("continue", "")
            if not token:
                break
    return time.perf_counter() - began


async def measure(server: "multiprocessing.connection.Connection", workloads: int, each: int, folder: Path) -> None:
    from inventory.model import Scope, utc_now
    from inventory.settings import Settings
    from inventory.store import open_store
    from scanner.cluster.survey import Survey
    from scanner.follow import Follower
    from scanner.io.kubernetes import ApiServer
    from scanner.listing import Lister
    from scanner.runner import Runner

    def told() -> tuple[int, int, int]:
        server.send("count")
        return server.recv()

    async def nobody(_: object) -> tuple[()]:
        return ()

    api = await ApiServer.connect("big", 1000)
    reading = await read_alone(api)
    before = told()[0]
    began = time.perf_counter()
    found = await Lister(api).run()
    listed = time.perf_counter() - began
    began = time.perf_counter()
    sightings = Survey(found.world, utc_now()).sightings()
    judged = time.perf_counter() - began
    requests = told()[0] - before
    await api.close()
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    standings: dict[str, int] = {}
    for one in sightings:
        standings[one.declared.standing.value] = standings.get(one.declared.standing.value, 0) + 1
    print(f"{workloads} workloads, {workloads * each} pods, {told()[2] / 2**20:.0f} MiB of JSON: {standings}")
    print(f"list {listed:.2f} s + verdicts {judged:.2f} s = {listed + judged:.2f} s (bar 20 s)")
    print(
        f"  {(listed + judged) / reading:.1f} times what reading and parsing most of it alone takes ({reading:.2f} s)"
    )
    print(f"peak memory {megabytes:.0f} MiB (bar 250 MB), with the client and the store's modules loaded")
    print(f"{requests} API requests, {requests / workloads:.3f} a workload (bar 3)")

    settings = Settings(state_folder=folder, cluster_reach="none", cluster_rate=1000)
    with open_store(f"sqlite:///{folder}/inventory.db", settings) as store:
        scope = Scope(name="big", site="k8s-big", targets=("k8s:big",), created_at=utc_now())
        began = time.perf_counter()
        await Runner(store, settings, nobody).run(scope)
        print(f"a whole scan into SQLite: {time.perf_counter() - began:.2f} s, {store.endpoints.count()} endpoints")
        print(f"peak memory after it {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
        store.scopes.save(scope)
        stop = asyncio.Event()
        following = asyncio.create_task(Follower(store, settings, nobody).run(stop))
        # Every list is watched when as many watches as lists are open; a second later all have caught up.
        while told()[1] - told()[0] < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        quiet = told()
        await asyncio.sleep(QUIET_SECONDS)
        print(f"requests in {QUIET_SECONDS:.0f} s of watching while nothing changes: {told()[1] - quiet[1]} (bar 0)")
        await rogues(server, store)
        stop.set()
        await following


async def rogues(server: "multiprocessing.connection.Connection", store: "Store") -> None:
    """How long a pod that nobody declared is unknown after it is ready, and how long after its end it is not gone."""
    from inventory.model import Presence

    async def until(name: str, gone: bool) -> float:
        began = time.perf_counter()
        while True:
            found = store.endpoints.list(f"namespace:team-07 workload:Deployment/{name}")
            if found and found[0].cluster and (found[0].presence is Presence.GONE) == gone:
                return time.perf_counter() - began
            await asyncio.sleep(0.02)

    seen, ended = [], []
    for number in range(ROGUES):
        for asked, times in ((f"rogue-{number}", seen), (f"end of rogue-{number}", ended)):
            server.send(asked)
            server.recv()
            times.append(await until(f"rogue-{number}", gone=times is ended))
    for what, times in (("in the inventory after it is ready", seen), ("gone in it after its end", ended)):
        print(f"a rogue pod {what}: median {statistics.median(times):.2f} s, at most {max(times):.2f} s (bar 5 s)")


if __name__ == "__main__":
    main()
