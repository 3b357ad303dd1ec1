"""Listing over real HTTP, by the real client, from a server that behaves as a real one does, and worse."""

import base64
import json

import pytest
from aiohttp import web
from apiserver import CRDS
from clusters import deploy, expose, http_route, run_pod

from scanner import listing
from scanner.apiserver import Unanswered
from scanner.cluster.objects import PodObject
from scanner.cluster.resources import RESOURCES
from scanner.listing import Lister


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FIRST_WAIT", 0.001)


async def read(client, *only: str, patience: float = 5.0) -> listing.Listing:
    return await Lister(client, only, patience=patience).run()


def holes(found: listing.Listing) -> set[tuple[str, str | None, str]]:
    return {(hole.resource.name, hole.namespace, hole.why) for hole in found.world.holes}


def pods(found: listing.Listing) -> set[str]:
    return {pod.meta.name for pod in found.world.all(PodObject)}


async def test_a_cluster_is_read_in_pages_without_its_cache(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 10)
    api.namespace("risk")
    for number in range(35):
        run_pod(api, "risk", f"p{number:02}", f"10.0.0.{number + 1}")
    found = await read(client)
    assert len(pods(found)) == 35
    asked = [seen for seen in api.requests if seen.path == "/api/v1/pods"]
    assert len(asked) == 4
    assert all(
        "resourceVersion" not in seen.query and seen.query["limit"] == "10" for seen in api.requests if seen.query
    )
    assert found.world.holes == []
    assert found.world.cluster == api.objects[("v1", "namespaces")][("", "kube-system")]["metadata"]["uid"]
    assert {seen.method for seen in api.requests} == {"GET"}


async def test_pages_that_expire_are_read_again_from_the_beginning(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 10)
    api.namespace("risk")
    for number in range(25):
        run_pod(api, "risk", f"p{number:02}", f"10.0.0.{number + 1}")
    api.expired_tokens = 1
    assert len(pods(await read(client))) == 25
    tokens = [seen.query.get("continue") for seen in api.requests if seen.path == "/api/v1/pods"]
    assert tokens.count(None) == 2
    # The token that the 410 offers goes on with another version of the list: it is not used.
    assert not any(b"inconsistent" in base64.b64decode(token) for token in tokens if token)


async def test_pages_that_always_expire_are_a_hole(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 10)
    api.namespace("risk")
    for number in range(25):
        run_pod(api, "risk", f"p{number:02}", f"10.0.0.{number + 1}")
    api.expired_tokens = 100
    found = await read(client)
    assert ("pods", None, "its pages expired before they were read") in holes(found)
    assert found.world.read_namespaces == set()


async def test_pages_are_one_snapshot_whatever_changes_meanwhile(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 10)
    for number in range(25):
        run_pod(api, "default", f"p{number:02}", f"10.0.0.{number + 1}")
    real = api._list

    def changing(request, gv, plural, namespace):
        answer = real(request, gv, plural, namespace)
        if plural == "pods" and "continue" not in request.query:
            api.delete("pods", "default", "p24")
            run_pod(api, "default", "p99", "10.0.1.1")
        return answer

    monkeypatch.setattr(api, "_list", changing)
    found = await read(client)
    assert pods(found) == {f"p{number:02}" for number in range(25)}
    # A watch from the version of the list tells of what changed since.
    (pods_read,) = (one for one in found.collections if one.resource.plural == "pods")
    assert int(pods_read.version) == api.version - 2


async def test_items_without_a_kind_and_lists_without_a_count_are_read(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 2)
    deploy(api, "default", "a", ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    real = api._list

    def bare(request, *rest):
        said = json.loads(real(request, *rest).text)
        said["metadata"].pop("remainingItemCount", None)
        assert not any("kind" in item or "apiVersion" in item for item in said["items"])
        return web.json_response(said)

    monkeypatch.setattr(api, "_list", bare)
    found = await read(client)
    assert len(pods(found)) == 3
    assert [one.meta.name for one in found.world.plain("Deployment")] == ["a"]
    # With a selector lists have no count at all. None is ever sent.
    assert not any({"labelSelector", "fieldSelector"} & seen.query.keys() for seen in api.requests)


async def test_an_empty_list_may_be_written_as_null(api, client, monkeypatch):
    real = api._list

    def null(request, *rest):
        said = json.loads(real(request, *rest).text)
        return web.json_response(said | {"items": said["items"] or None})

    monkeypatch.setattr(api, "_list", null)
    found = await read(client)
    assert (found.world.holes, pods(found)) == ([], set())


@pytest.mark.parametrize("fresh", [False, True], ids=["the same token", "a new token each time"])
async def test_pages_without_an_end_are_a_hole(api, client, monkeypatch, fresh):
    monkeypatch.setattr(listing, "PAGE", 1)
    monkeypatch.setattr(listing, "_MOST_PAGES", 30)
    for number in range(3):
        run_pod(api, "default", f"p{number}", f"10.0.0.{number + 1}")
    asked = 0

    def endless(request, gv, plural, namespace):
        nonlocal asked
        if plural != "pods":
            return real(request, gv, plural, namespace)
        asked += 1
        meta = {"resourceVersion": "7", "continue": f"token-{asked if fresh else 0}"}
        return web.json_response({"kind": "PodList", "metadata": meta, "items": []})

    real = api._list
    monkeypatch.setattr(api, "_list", endless)
    assert ("pods", None, "its pages never end") in holes(await read(client))
    assert asked <= 31


async def test_a_page_without_an_end_is_a_hole(api, client, monkeypatch):
    monkeypatch.setattr(listing, "TRIES", 1)
    for number in range(40):
        run_pod(api, "default", f"p{number}", f"10.0.0.{number + 1}")
    real = client.get

    async def bounded(path, query=(), **how):
        return await real(path, query, **how | ({"most": 2000} if path.endswith("/pods") else {}))

    monkeypatch.setattr(client, "get", bounded)
    found = await read(client)
    assert ("pods", None, "it sent a page without an end") in holes(found)
    assert pods(found) == set()


async def test_a_busy_server_is_asked_again_no_sooner_than_it_says(api, client, monkeypatch):
    waits = []

    async def slept(seconds):
        waits.append(seconds)

    monkeypatch.setattr(listing.asyncio, "sleep", slept)
    run_pod(api, "default", "a", "10.0.0.1")
    real, busy = api._list, [1]

    def refusing(request, gv, plural, namespace):
        if plural == "pods" and busy:
            busy.pop()
            return web.Response(status=429, text="Too many requests, please try again later.", headers=RETRY)
        return real(request, gv, plural, namespace)

    monkeypatch.setattr(api, "_list", refusing)
    found = await read(client)
    assert (found.world.holes, pods(found)) == ([], {"a"})
    assert max(waits) == 3.0


async def test_a_group_without_a_crd_is_absent_and_no_hole(client, api):
    for group in CRDS:
        del api.kinds[group]
    found = await read(client)
    assert found.world.holes == []
    assert {one.kind for one in found.world.absent} == {one.kind for one in RESOURCES if not one.built_in}


@pytest.mark.parametrize("who", ["an admin", "a restricted user"])
async def test_a_missing_kind_of_a_group_that_is_there_is_told_from_a_forbidden_one(api, client, who):
    # The list of what has no CRD is 404 in plain text for one and 403 for the other.
    del api.kinds["gateway.networking.k8s.io/v1"]["grpcroutes"]
    api.denied = {("httproutes", "*")} | ({("grpcroutes", "")} if who == "a restricted user" else set())
    reply = await client.get("/apis/gateway.networking.k8s.io/v1/grpcroutes")
    assert (reply.status, reply.document == {}) == ((404, True) if who == "an admin" else (403, False))
    found = await read(client)
    assert "GRPCRoute" in {one.kind for one in found.world.absent}
    assert {(name, space) for name, space, _ in holes(found)} == {
        ("httproutes.gateway.networking.k8s.io", "default"),
        ("httproutes.gateway.networking.k8s.io", "kube-system"),
    }


async def test_where_even_the_groups_are_forbidden_nothing_is_called_absent_that_may_be_there(api, client):
    api.denied = {("apis", ""), ("notebooks", "*")}
    found = await read(client)
    assert "Notebook" not in {one.kind for one in found.world.absent}
    assert ("notebooks.kubeflow.org", "default", "forbidden") in holes(found)


async def test_what_is_forbidden_in_one_namespace_is_a_hole_there_alone(api, client):
    deploy(api, "open", "a", ["10.0.0.1"])
    deploy(api, "shut", "b", ["10.0.0.2"])
    plurals = {one.plural for one in RESOURCES if one.namespaced}
    api.denied = {(plural, "") for plural in plurals} | {("*", "shut")}
    found = await read(client)
    assert pods(found) == {"a-1-0"}
    assert {space for _, space, _ in holes(found)} == {"shut"}
    assert ("pods", "shut", "forbidden") in holes(found)
    assert ("services", "shut", listing.NOT_TRIED) in holes(found)
    assert found.world.read_namespaces == {"default", "kube-system", "open"}
    assert sum("/namespaces/shut/" in seen.path for seen in api.requests) == 1


async def test_named_namespaces_are_the_only_ones_that_are_read(api, client):
    deploy(api, "risk", "a", ["10.0.0.1"])
    deploy(api, "other", "b", ["10.0.0.2"])
    http_route(api, "other", "cross", "x")
    found = await read(client, "risk")
    assert pods(found) == {"a-1-0"}
    assert found.world.read_namespaces == {"risk"}
    assert not any("/namespaces/other" in seen.path or seen.path == "/api/v1/pods" for seen in api.requests)


async def test_routes_beyond_the_named_namespaces_that_are_forbidden_are_a_hole(api, client):
    deploy(api, "risk", "a", ["10.0.0.1"])
    api.denied = {("httproutes", "")}
    found = await read(client, "risk")
    assert ("httproutes.gateway.networking.k8s.io", None, "forbidden beyond the namespaces that were named") in holes(
        found
    )


async def test_a_namespace_that_is_deleted_while_it_is_read_is_no_hole(api, client):
    deploy(api, "open", "a", ["10.0.0.1"])
    deploy(api, "brief", "b", ["10.0.0.2"])
    api.denied = {("services", ""), ("services", "brief")}
    del api.objects[("v1", "namespaces")][("", "brief")]
    api.namespace("brief")
    real = api._one_namespace
    api._one_namespace = lambda name: real("no-more" if name == "brief" else name)  # type: ignore[method-assign]
    found = await read(client)
    assert holes(found) == set()
    assert pods(found) == {"a-1-0"}
    assert found.world.read_namespaces == {"default", "kube-system", "open"}
    assert found.notes == ["namespace brief was deleted during the scan"]


RETRY = {"Retry-After": "3"}
FAULTS = {
    "deep": "no list",
    "reset": "broke off",
    "html": "no list",
    "half": "broke off",
    "busy": "429",
    "hang": "did not answer in time",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_list_that_goes_wrong_is_a_hole_and_nothing_of_it_is_taken(api, client, fault, monkeypatch):
    # One try, with time enough for what does answer on a busy machine.
    monkeypatch.setattr(listing, "TRIES", 1)
    deploy(api, "risk", "a", ["10.0.0.1"])
    api.faults = {"/deployments|httproutes": fault}
    found = await read(client, patience=2.0)
    assert pods(found) == {"a-1-0"}
    assert {name.partition(".")[0] for name, _, _ in holes(found)} == {"deployments", "httproutes"}
    assert all(FAULTS[fault] in why for _, _, why in holes(found))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in {"html", "busy", "deep"}])
async def test_a_server_that_answers_nothing_is_told_at_once(api, client, fault):
    api.faults = {".": fault}
    with pytest.raises(Unanswered, match=FAULTS[fault]):
        await read(client, patience=0.2)


@pytest.mark.parametrize("fault", ["html", "deep"])
async def test_a_server_of_html_is_nothing_but_holes(api, client, fault):
    api.faults = {".": fault}
    found = await read(client, patience=2.0)
    assert {name for name, _, _ in holes(found)} == {one.name for one in RESOURCES}
    assert found.world.read_namespaces == set()


async def test_objects_that_make_no_sense_are_counted_and_the_rest_is_kept(api, client):
    expose(api, "default", "a")
    api.faults = {"/pods": "lying"}
    found = await read(client)
    assert found.world.unreadable == 1
    assert pods(found) == {"x" * 9}


async def test_pages_from_caches_of_different_ages_are_no_list(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 1)
    for number in range(3):
        run_pod(api, "default", f"p{number}", f"10.0.0.{number + 1}")
    real = api._list

    def stale(request, *rest):
        answer = real(request, *rest)
        if "continue" in request.query and request.path == "/api/v1/pods":
            text = answer.text.replace('"resourceVersion": "10', '"resourceVersion": "9', 1)
            answer.text = text
        return answer

    monkeypatch.setattr(api, "_list", stale)
    assert ("pods", None, "its pages are of different versions") in holes(await read(client))


async def test_no_more_requests_a_second_are_sent_than_are_allowed(api, kube):
    from scanner.io.kubernetes import ApiServer

    kube({"prod": api})
    slow = await ApiServer.connect("prod", 40)
    await read(slow)
    await slow.close()
    moments = [seen.at for seen in api.requests]
    assert len(moments) / (moments[-1] - moments[0]) <= 45
