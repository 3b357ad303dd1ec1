"""What a user may read of a cluster, asked of a real API over HTTP."""

import asyncio

import pytest

from scanner.apiserver import Unanswered
from scanner.cluster.resources import RESOURCES
from scanner.permissions import permissions


async def test_everything_allowed_is_said_of_each_resource(api, client):
    found = await permissions(client)
    assert all(one.allowed for one in found)
    assert len(found) == len(RESOURCES) + 2
    assert {seen.method for seen in api.requests} == {"GET", "POST"}
    assert {seen.path for seen in api.requests if seen.method == "POST"} == {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    }


async def test_what_is_missing_is_said_with_what_it_hides(api, client):
    api.denied = {("httproutes", ""), ("services/proxy", ""), ("pods", "crm"), ("pods/proxy", "risk")}
    found = {one.what: one for one in await permissions(client)}
    route = found["list and watch httproutes.gateway.networking.k8s.io"]
    assert str(route).startswith("forbidden for the whole cluster, which hides routes of this kind")
    assert not found["ask services/proxy"].allowed
    assert found["ask pods/proxy"].allowed
    named = {one.what: one for one in await permissions(client, ["risk", "crm"])}
    assert named["ask services/proxy"].allowed
    assert str(named["ask pods/proxy"]) == (
        "forbidden in risk, which hides what answers in pods without a Service of their own, "
        "where pods cannot be reached directly"
    )
    named = {one.what: one for one in await permissions(client, ["risk", "crm"], proxy=False)}
    assert str(named["list and watch pods"]) == "forbidden in crm, which hides everything that runs there"
    assert not any("proxy" in what for what in named)


async def test_a_group_that_is_not_served_is_no_gap(api, client):
    del api.kinds["kubeflow.org/v1"]
    api.denied = {("notebooks", "")}
    (one,) = (one for one in await permissions(client) if "notebooks" in one.what)
    assert one.allowed
    assert "no such resource" in str(one)


@pytest.mark.parametrize("fault", ["reset", "html", "busy"])
async def test_a_server_that_does_not_say_is_no_permission(api, client, fault):
    api.faults = {"selfsubject": fault}
    with pytest.raises(Unanswered):
        await permissions(client)
    # What it asked besides has ended too, before the client is closed.
    assert asyncio.all_tasks() == {asyncio.current_task()}
