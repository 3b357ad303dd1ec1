"""Listing over real HTTP, by the real client, from a server that behaves as a real one does, and worse."""

import pytest
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


async def test_pages_that_always_expire_are_a_hole(api, client, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 10)
    api.namespace("risk")
    for number in range(25):
        run_pod(api, "risk", f"p{number:02}", f"10.0.0.{number + 1}")
    api.expired_tokens = 100
    found = await read(client)
    assert ("pods", None, "its pages expired before they were read") in holes(found)
    assert found.world.read_namespaces == set()


async def test_a_group_without_a_crd_is_absent_and_no_hole(client, api):
    for group in CRDS:
        del api.kinds[group]
    found = await read(client)
    assert found.world.holes == []
    assert {one.kind for one in found.world.absent} == {one.kind for one in RESOURCES if not one.built_in}


async def test_a_missing_kind_of_a_group_that_is_there_is_told_from_a_forbidden_one(api, client):
    del api.kinds["gateway.networking.k8s.io/v1"]["grpcroutes"]
    api.denied = {("grpcroutes", ""), ("httproutes", "*")}
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


FAULTS = {
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


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in {"html", "busy"}])
async def test_a_server_that_answers_nothing_is_told_at_once(api, client, fault):
    api.faults = {".": fault}
    with pytest.raises(Unanswered, match=FAULTS[fault]):
        await read(client, patience=0.2)


async def test_a_server_of_html_is_nothing_but_holes(api, client):
    api.faults = {".": "html"}
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
