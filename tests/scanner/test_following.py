"""Clusters that are followed: watches over real HTTP that break, expire and lie, and an inventory that keeps up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from apiserver import ApiServerDouble, serving
from applications import application
from clusters import deploy, http_route, meta, run_pod
from making import NOW

from inventory.model import Endpoint, Presence, ScanStatus, Scope, Standing
from inventory.settings import Settings
from inventory.store import open_store
from scanner import follow, listing, watching
from scanner.cluster.objects import PodObject
from scanner.findings import Finding
from scanner.follow import Follower
from scanner.listing import Lister
from scanner.watching import Watcher

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FIRST_WAIT", 0.001)
    monkeypatch.setattr(watching, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(watching, "_LONGEST_WAIT", 0.05)
    monkeypatch.setattr(follow, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(follow, "TOGETHER", 0.01)


class Watched:
    """A world that a watcher keeps, and a way to wait for what it knows."""

    def __init__(self, watcher: Watcher, found: listing.Listing) -> None:
        self.watcher = watcher
        self.world = found.world

    def pods(self) -> set[str]:
        return {pod.meta.name for pod in self.world.all(PodObject)}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.watcher.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.watcher.changed.wait()


@pytest.fixture
async def watch(api: ApiServerDouble, client) -> AsyncIterator[Callable]:
    """Lists the pods and routes of the server, and watches them."""
    tasks = []

    async def begin(silence: float = 60.0) -> Watched:
        found = await Lister(client, patience=2.0).run()
        watcher = Watcher(client, found.world, patience=2.0, silence=silence)
        chosen = [one for one in found.collections if one.resource.plural in {"pods", "httproutes"}]
        tasks.append(asyncio.create_task(watcher.run(chosen)))
        return Watched(watcher, found)

    yield begin
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_events_are_followed_without_another_request(api, watch):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"})
    before = api.counted()
    api.delete("pods", "default", "a")
    run_pod(api, "default", "b", "10.0.0.2", ready=False)
    await here.until(lambda: here.pods() == {"b"} and not here.world.all(PodObject)[0].ready)
    assert api.counted() == before


async def test_a_watch_that_is_cut_goes_on_from_where_it_was(api, watch):
    here = await watch()
    run_pod(api, "default", "a", "10.0.0.1")
    await here.until(lambda: here.pods() == {"a"})
    for name in ("b", "c"):
        api.break_watches()
        run_pod(api, "default", name, "10.0.0.2")
        await here.until(lambda name=name: name in here.pods())
    assert sum(seen.path == "/api/v1/pods" and "watch" not in seen.query for seen in api.requests) == 1


@pytest.mark.parametrize("how", ["by an event", "by HTTP"])
async def test_a_version_that_is_too_old_is_listed_again(api, watch, how):
    run_pod(api, "default", "a", "10.0.0.1")
    run_pod(api, "default", "b", "10.0.0.2")
    here = await watch()
    await here.until(lambda: api.watching.get("pods") == 1)
    api.faults = {"/pods": "reset"}
    api.break_watches()
    api.delete("pods", "default", "a")
    run_pod(api, "default", "c", "10.0.0.3")
    if how == "by HTTP":
        api.watch_status = 410
    api.compact()
    api.faults = {}
    await here.until(lambda: here.pods() == {"b", "c"})
    api.watch_status = 200
    run_pod(api, "default", "d", "10.0.0.4")
    await here.until(lambda: "d" in here.pods())


async def test_bookmarks_spare_a_new_list_after_the_history_is_gone(api, watch):
    api.bookmark_every = 0.05
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    for number in range(5):
        api.put("deployments", {"metadata": {"namespace": "default", "name": f"d{number}"}})
    moved = len(api.requests)
    await here.until(lambda: api.watching.get("pods") == 1)
    sent = api.bookmarks
    await here.until(lambda: api.bookmarks > sent + 1)
    api.compact()
    api.break_watches()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: "b" in here.pods())
    again = [seen for seen in api.requests[moved:] if seen.path == "/api/v1/pods"]
    assert all(seen.query.get("watch") == "true" for seen in again)


async def test_an_older_list_from_a_cache_takes_nothing_away(api, watch, monkeypatch):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    real, stale = api._list, 3

    def old(request, gv, plural, namespace):
        nonlocal stale
        if plural != "pods" or not stale:
            return real(request, gv, plural, namespace)
        stale -= 1
        items, version = api.objects[("v1", "pods")], api.version
        api.objects[("v1", "pods")], api.version = {}, 5
        answer = real(request, gv, plural, namespace)
        api.objects[("v1", "pods")], api.version = items, version
        return answer

    monkeypatch.setattr(api, "_list", old)
    gone: list[set[str]] = []
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"})
    api.put("deployments", {"metadata": {"namespace": "default", "name": "d"}})
    api.compact()
    api.break_watches()
    await here.until(lambda: gone.append(here.pods()) is None and not stale)
    assert all(seen == {"a", "b"} for seen in gone)


@pytest.mark.parametrize("fault", ["hang", "reset", "html", "half", "busy"])
async def test_a_broken_server_takes_nothing_away_and_is_followed_again(api, watch, fault):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch(silence=0.2)
    await here.until(lambda: api.watching.get("pods") == 1)
    api.faults = {"/pods": fault}
    before = len(api.requests)
    api.break_watches()
    await here.until(lambda: len(api.requests) > before + 1)
    assert here.pods() == {"a"}
    api.faults = {}
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"})


async def test_a_list_that_may_be_watched_no_more_is_a_hole_until_it_may_again_and_nothing_of_it_is_gone(api, watch):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    await here.until(lambda: api.watching.get("pods") == 1)
    api.denied = {("pods", "")}
    api.break_watches()
    await here.until(lambda: bool(here.world.holes))
    assert here.pods() == {"a"}
    assert here.world.read_namespaces == set()
    api.denied = set()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"})
    assert here.world.holes == []
    assert here.world.read_namespaces == {"default", "kube-system"}


async def test_what_cannot_be_watched_for_long_is_a_hole_until_it_is_heard_of_again(api, watch):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch(silence=0.2)
    await here.until(lambda: api.watching.get("pods") == 1)
    api.faults = {"/pods": "reset"}
    api.break_watches()
    await here.until(lambda: bool(here.world.holes))
    assert {str(hole) for hole in here.world.holes} == {
        "pods in the whole cluster: it cannot be watched, so that it may have changed since"
    }
    assert here.pods() == {"a"}
    api.faults = {}
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"} and not here.world.holes)


async def test_a_server_that_was_set_back_is_a_hole_and_takes_nothing_away_until_it_has_caught_up(api, watch):
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch(silence=0.3)
    await here.until(lambda: api.watching.get("pods") == 1)
    kept = api.objects[("v1", "pods")]
    api.version, api.objects[("v1", "pods")] = 500, {}
    api.break_watches()
    # A watch from a version that is yet to come is an empty stream, and the list is older than what is known.
    await here.until(lambda: any(hole.resource.plural == "pods" for hole in here.world.holes))
    assert here.pods() == {"a"}
    api.version, api.objects[("v1", "pods")] = 2000, kept
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"} and not here.world.holes)


async def test_a_watch_whose_time_is_up_goes_on_from_its_last_bookmark(api, watch, monkeypatch):
    monkeypatch.setattr(watching, "WATCH_SECONDS", 0.3)
    run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    for number in range(5):
        api.put("deployments", {"metadata": {"namespace": "default", "name": f"d{number}"}})
    moved = len(api.requests)
    # The history goes as soon as the first watch has ended with the bookmark that spares it.
    await here.until(lambda: api.bookmarks > 0)
    api.compact()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: "b" in here.pods())
    again = [seen.query for seen in api.requests[moved:] if seen.path == "/api/v1/pods"]
    assert len(again) >= 1
    assert all(query.keys() == {"watch", "allowWatchBookmarks", "timeoutSeconds", "resourceVersion"} for query in again)
    assert here.world.holes == []


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"type":"ADDED","object":7}',
        b'{"type":"ADDED"}',
        b"{" * 100_000,
        b'{"type":"ERROR","object":{"kind":"Status","code":500}}',
        b'{"type":"ADDED","object":{"metadata":7,"spec":[]}}',
        b'{"type":"NEWS","object":{"metadata":{}}}',
        b'{"type":"DELETED","object":{"metadata":{"uid":["a"]}}}',
    ],
    ids=["list", "number", "nothing", "deep", "error", "no pod", "unknown", "no uid"],
)
async def test_events_that_make_no_sense_take_nothing_away_and_end_nothing(api, watch, monkeypatch, line):
    run_pod(api, "default", "a", "10.0.0.1")
    real, lies = api._stream, [line]

    async def lying(request, answer, since, gv, plural, namespace):
        if plural == "pods" and lies:
            await answer.write(lies.pop() + b"\n")
        await real(request, answer, since, gv, plural, namespace)

    monkeypatch.setattr(api, "_stream", lying)
    here = await watch()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: not lies and here.pods() == {"a", "b"})


async def test_the_end_of_the_first_events_is_a_bookmark_like_others(api, watch, monkeypatch):
    run_pod(api, "default", "a", "10.0.0.1")
    real = api._stream

    async def annotated(request, answer, since, *rest):
        notes = {"k8s.io/initial-events-end": "true"}
        mark = {"metadata": {"resourceVersion": str(since), "annotations": notes}}
        await answer.write(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")
        await real(request, answer, since, *rest)

    monkeypatch.setattr(api, "_stream", annotated)
    here = await watch()
    run_pod(api, "default", "b", "10.0.0.2")
    await here.until(lambda: here.pods() == {"a", "b"})
    assert here.world.unreadable == 0


async def test_what_is_of_no_interest_wakes_nobody(api, watch):
    pod = run_pod(api, "default", "a", "10.0.0.1")
    here = await watch()
    await here.until(lambda: api.watching.get("pods") == 1)
    here.watcher.changed.clear()
    api.put("pods", pod | {"status": pod["status"] | {"qosClass": "Burstable"}})
    run_pod(api, "default", "b", "10.0.0.2")
    await asyncio.wait_for(here.watcher.changed.wait(), PATIENCE)
    assert here.pods() == {"a", "b"}


class Followed:
    def __init__(self, store, settings) -> None:
        self.store = store
        self.settings = settings

    def endpoints(self) -> dict[str, Endpoint]:
        return {one.cluster.workload.name: one for one in self.store.endpoints.list() if one.cluster}

    def artifacts(self) -> dict[str, str | None]:
        return {one.declaration.key: one.declaration.artifact for one in self.store.declarations.list()}

    async def until(self, holds: Callable[[dict[str, Endpoint]], bool]) -> dict[str, Endpoint]:
        async with asyncio.timeout(PATIENCE):
            while not holds(found := await asyncio.to_thread(self.endpoints)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return found


async def nobody(_) -> tuple[Finding, ...]:
    return ()


@asynccontextmanager
async def following(tmp_path: Path, *targets: str, **settings) -> AsyncIterator[Followed]:
    """Follow the clusters of a scope as the daemon does, until the end of the block."""
    chosen = Settings(state_folder=tmp_path, **{"cluster_reach": "none", "cluster_timeout": 1.0} | settings)
    with open_store(f"sqlite:///{tmp_path}/inventory.db", chosen) as store:
        store.scopes.save(Scope(name="all", targets=targets, created_at=NOW))
        stop = asyncio.Event()
        task = asyncio.create_task(Follower(store, chosen, nobody).run(stop))
        try:
            yield Followed(store, chosen)
        finally:
            stop.set()
            await asyncio.wait_for(task, PATIENCE)


async def test_a_rogue_pod_is_in_the_inventory_when_it_is_ready_and_its_end_too(api, kube, tmp_path):
    kube({"prod": api})
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    async with following(tmp_path, "k8s:*") as here:
        await here.until(lambda found: "fraud" in found and api.watching.get("pods") == 1)
        before = api.counted()
        deploy(api, "shadowy", "rogue", ["10.0.0.2"], image="vllm/vllm-openai:v1")
        found = await here.until(lambda found: "rogue" in found)
        assert (found["rogue"].product, found["rogue"].cluster.standing) == ("vllm", Standing.SHADOW)
        http_route(api, "risk", "fraud", "x", rules=[{"backendRefs": [{"name": "fraud", "port": 80}]}])
        api.delete("pods", "shadowy", "rogue-1-0")
        found = await here.until(lambda found: found["rogue"].presence is Presence.GONE)
        assert found["fraud"].presence is Presence.SEEN
        assert api.counted() == before


async def test_a_rogue_pod_without_a_service_is_asked_by_proxy_when_it_is_ready(api, kube, tmp_path):
    kube({"prod": api})
    api.proxy.network["10.0.0.2"] = "127.88.10.1"
    with application("127.88.10.1", 18540):
        async with following(tmp_path, "k8s:prod", cluster_reach="proxy") as here:
            await here.until(lambda _: api.watching.get("pods") == 1)
            run_pod(api, "default", "rogue", "10.0.0.2", image="team/app:1", port=18540, ready=False)
            await here.until(lambda found: "rogue" in found)
            run_pod(api, "default", "rogue", "10.0.0.2", image="team/app:1", port=18540)
            found = await here.until(lambda found: found["rogue"].product == "fastapi")
    assert [route.path for route in found["rogue"].inference_routes] == ["/predict"]


async def test_what_ended_while_nobody_watched_is_known_after_the_next_start(api, kube, tmp_path):
    kube({"prod": api})
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    deploy(api, "risk", "brief", ["10.0.0.2"])
    async with following(tmp_path, "k8s:prod") as here:
        await here.until(lambda found: len(found) == 2)
    api.delete("pods", "risk", "brief-1-0")
    async with following(tmp_path, "k8s:prod") as here:
        found = await here.until(lambda found: found["brief"].presence is Presence.GONE)
        assert found["fraud"].presence is Presence.SEEN


async def test_a_dead_a_broken_and_a_lying_cluster_hold_up_nobody(api, kube, tmp_path):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    with serving(ApiServerDouble()) as dead, serving(ApiServerDouble()) as lying:
        dead.faults, lying.faults = {".": "hang"}, {".": "html"}
        broken = [{"name": "broken", "context": {"cluster": "nowhere", "user": "nobody"}}, {"name": "half"}]
        kube({"dead": dead, "lying": lying, "prod": api}, contexts=broken)
        async with following(tmp_path, "k8s:*") as here:
            await here.until(lambda found: "fraud" in found and api.watching.get("pods") == 1)
            deploy(api, "risk", "rogue", ["10.0.0.2"])
            await here.until(lambda found: "rogue" in found)
            dead.faults = {}
            deploy(dead, "risk", "woken", ["10.0.0.1"])
            await here.until(lambda found: "woken" in found)
            assert {one.site for one in here.endpoints().values()} == {"k8s-prod", "k8s-dead"}


async def test_what_is_watched_stays_seen_without_a_request(api, kube, tmp_path):
    kube({"prod": api})
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    async with following(tmp_path, "k8s:prod", stale_after=1.0) as here:
        first = (await here.until(lambda found: "fraud" in found and api.watching.get("pods") == 1))["fraud"]
        before = api.counted()
        found = await here.until(lambda found: found["fraud"].last_seen > first.last_seen)
        assert found["fraud"].first_seen == first.first_seen
        assert api.counted() == before
        assert {one.status for one in here.store.scans.list()} == {ScanStatus.COMPLETE}


async def test_what_cannot_be_watched_now_is_not_seen(api, kube, tmp_path):
    kube({"prod": api})
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    async with following(tmp_path, "k8s:prod", stale_after=1.0) as here:
        await here.until(lambda found: "fraud" in found and api.watching.get("pods") == 1)
        api.denied = {("pods", "")}
        api.break_watches()
        reason = "pods in the whole cluster: it may not be watched, so that it may have changed since"
        async with asyncio.timeout(PATIENCE):
            while not any(reason in (one.reason or "") for one in here.store.scans.list()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        last = here.endpoints()["fraud"].last_seen
        counted = len(here.store.scans.list())
        async with asyncio.timeout(PATIENCE):
            while len(here.store.scans.list()) < counted + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert here.endpoints()["fraud"].last_seen == last
        newest = max(here.store.scans.list(), key=lambda one: one.started_at)
        assert (newest.status, newest.targets) == (ScanStatus.INCOMPLETE, ("nothing",))


async def test_a_scope_that_is_withdrawn_is_followed_no_more(api, kube, tmp_path):
    kube({"prod": api})
    async with following(tmp_path, "k8s:prod") as here:
        await here.until(lambda _: api.watching.get("pods") == 1)
        here.store.scopes.remove("all")
        await here.until(lambda _: api.watching.get("pods") == 0)


def served(api: ApiServerDouble, uri: str) -> dict:
    spec = {"predictor": {"model": {"storageUri": uri}}}
    return api.put("inferenceservices", {"metadata": meta("risk", "fraud"), "spec": spec})


async def test_what_platforms_declare_is_followed_and_withdrawn_when_it_is_deleted(api, kube, tmp_path):
    kube({"prod": api})
    deploy(api, "risk", "plain", ["10.0.0.1"])
    async with following(tmp_path, "k8s:prod") as here:
        await here.until(lambda found: "plain" in found and api.watching.get("inferenceservices") == 1)
        served(api, "s3://models/fraud/1")
        await here.until(lambda _: here.artifacts() == {"InferenceService/risk/fraud": "s3://models/fraud/1"})
        served(api, "s3://models/fraud/2")
        await here.until(lambda _: here.artifacts() == {"InferenceService/risk/fraud": "s3://models/fraud/2"})
        api.delete("inferenceservices", "risk", "fraud")
        await here.until(lambda _: here.artifacts() == {})
        served(api, "s3://models/fraud/3")
        await here.until(lambda _: here.artifacts() == {"InferenceService/risk/fraud": "s3://models/fraud/3"})
    api.delete("inferenceservices", "risk", "fraud")
    async with following(tmp_path, "k8s:prod") as here:
        await here.until(lambda _: here.artifacts() == {})


async def test_what_may_be_watched_no_more_is_not_withdrawn(api, kube, tmp_path):
    kube({"prod": api})
    served(api, "s3://models/fraud/1")
    async with following(tmp_path, "k8s:prod") as here:
        await here.until(lambda _: bool(here.artifacts()) and api.watching.get("inferenceservices") == 1)
        api.denied = {("inferenceservices", "")}
        api.break_watches()
        api.delete("inferenceservices", "risk", "fraud")
        deploy(api, "risk", "rogue", ["10.0.0.2"])
        await here.until(lambda found: "rogue" in found)
        assert here.artifacts() == {"InferenceService/risk/fraud": "s3://models/fraud/1"}
