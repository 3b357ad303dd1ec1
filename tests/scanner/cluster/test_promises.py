"""What platforms declare: URIs, names and workloads, and nothing that may be a secret."""

from typing import Any

import pytest
from apiserver import ApiServerDouble
from clusters import deploy, meta, owner
from making import NOW
from surveying import world_of

from scanner.cluster.promises import Promise, told_in_full
from scanner.cluster.resources import BY_KIND, Hole
from scanner.cluster.survey import Survey

PLURALS = {
    "InferenceService": "inferenceservices",
    "Model": "models",
    "SeldonDeployment": "seldondeployments",
    "Notebook": "notebooks",
    "InferencePool": "inferencepools",
}


def promised(api: ApiServerDouble, *holes: Hole) -> dict[str, Promise]:
    return {one.key: one for one in Survey(world_of(api, *holes), NOW).promises()}


def put(api: ApiServerDouble, kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return api.put(PLURALS[kind], {"metadata": meta("ml", "churn"), "spec": spec, **more})


def kserve(**predictor: Any) -> dict[str, Any]:
    return {"predictor": predictor}


def graph(uri: str, *children: Any) -> dict[str, Any]:
    return {"name": "g", "modelUri": uri, "children": list(children)}


@pytest.mark.parametrize(
    ("kind", "spec", "models", "details"),
    [
        (
            "InferenceService",
            kserve(model={"modelFormat": {"name": "sklearn"}, "storageUri": "s3://b/churn/3", "runtime": "kserve-sk"}),
            ("s3://b/churn/3",),
            ("format sklearn", "runtime kserve-sk"),
        ),
        ("InferenceService", kserve(xgboost={"storageUri": "gs://b/churn"}), ("gs://b/churn",), ("format xgboost",)),
        (
            "InferenceService",
            kserve(model={"storage": {"key": "minio", "path": "/churn/3"}}, canaryTrafficPercent=10),
            ("storage:minio/churn/3",),
            ("canary 10 % of the traffic",),
        ),
        ("InferenceService", kserve(containers=[{"name": "own", "image": "team/own:1"}]), (), ()),
        ("Model", {"storageUri": "models:/churn/3"}, ("models:/churn/3",), ()),
        (
            "SeldonDeployment",
            {
                "predictors": [
                    {"name": "new", "traffic": 10, "graph": graph("s3://b/4")},
                    {"name": "main", "traffic": 90, "graph": graph("", graph("s3://b/3"), graph("s3://b/3"))},
                ]
            },
            ("s3://b/3", "s3://b/4"),
            ("predictor main, 90 % of the traffic", "predictor new, 10 % of the traffic"),
        ),
        ("Notebook", {"template": {"spec": {}}}, (), ()),
        ("InferencePool", {"selector": {"matchLabels": {"app": "x"}}, "targetPorts": [{"number": 1}]}, (), ("port 1",)),
    ],
)
def test_what_each_platform_says(kind, spec, models, details) -> None:
    api = ApiServerDouble()
    thing = put(api, kind, spec)
    (one,) = promised(api).values()
    assert (one.key, one.models, one.details) == (f"{kind}/ml/churn", models, details)
    assert one.runs == (thing["metadata"]["uid"],)


@pytest.mark.parametrize("kind", PLURALS)
def test_the_workloads_that_run_for_it_are_known_by_their_uids(kind) -> None:
    api = ApiServerDouble()
    thing = put(api, kind, {"selector": {"matchLabels": {"app": "churn-predictor"}}})
    labels = {"seldon-server-name": "mlserver"} if kind == "Model" else {}
    owners = [owner(thing, kind)] if kind not in {"Model", "InferencePool"} else []
    runs = deploy(api, "ml", "churn-predictor", ["10.0.1.1", "10.0.1.2"], labels=labels, owners=owners)
    deploy(api, "ml", "stranger", ["10.0.1.3"])
    (one,) = promised(api).values()
    assert one.runs == (thing["metadata"]["uid"], runs["metadata"]["uid"])


def test_where_it_answers_is_what_its_status_says() -> None:
    api = ApiServerDouble()
    status = {"url": "http://churn.ml.example", "address": {"url": "http://churn.ml.svc.cluster.local"}}
    put(api, "InferenceService", {}, status=status)
    (one,) = promised(api).values()
    assert one.urls == ("http://churn.ml.example", "http://churn.ml.svc.cluster.local")


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("https://ana:s3cret@store.example/churn?sig=s3cret#s3cret", "https://store.example/churn"),
        ("s3://b/churn?versionId=s3cret", "s3://b/churn"),
        ("http://[s3cret", None),
        (["s3cret"], None),
        ({"s3cret": 1}, None),
        ("s3://b/\x1b[31mred", "s3://b/"),
    ],
)
@pytest.mark.parametrize("kind", ["InferenceService", "Model", "SeldonDeployment"])
def test_nothing_that_may_be_a_secret_is_kept(kind, uri, kept) -> None:
    api = ApiServerDouble()
    spec = {
        "InferenceService": kserve(model={"storageUri": uri, "env": [{"name": "STORAGE_URI", "value": "s3cret"}]}),
        "Model": {"storageUri": uri},
        "SeldonDeployment": {"predictors": [{"name": "p", "graph": graph(uri)}]},
    }[kind]
    put(api, kind, spec)
    (one,) = promised(api).values()
    assert "s3cret" not in repr(one)
    assert "\x1b" not in repr(one.models)
    assert [model for model in one.models if kept is None or not model.startswith(kept)] == []
    assert bool(one.models) == (kept is not None)


@pytest.mark.parametrize("spec", [None, [], "x", {"predictor": []}, {"predictors": {"graph": 1}}, {"predictors": [[]]}])
@pytest.mark.parametrize("kind", PLURALS)
def test_a_shape_that_is_none_says_nothing_and_breaks_nothing(kind, spec) -> None:
    api = ApiServerDouble()
    put(api, kind, spec, status="x")
    (one,) = promised(api).values()
    assert (one.models, one.urls) == ((), ())


def test_a_graph_without_an_end_is_read_to_a_depth() -> None:
    api = ApiServerDouble()
    unit = graph("s3://b/deepest")
    for _ in range(100):
        unit = graph("", unit)
    put(api, "SeldonDeployment", {"predictors": [{"name": "p", "graph": graph("s3://b/top", unit)}]})
    (one,) = promised(api).values()
    assert one.models == ("s3://b/top",)


@pytest.mark.parametrize("kind", [*PLURALS, "Pod", "HTTPRoute"])
def test_only_what_could_not_be_read_of_what_declares_keeps_it_from_being_whole(kind) -> None:
    world = world_of(ApiServerDouble(), Hole(BY_KIND[kind], "ml", "forbidden"))
    assert told_in_full(world) == (kind not in PLURALS)


def test_other_namespaces_than_those_that_are_looked_at_promise_nothing_here() -> None:
    api = ApiServerDouble()
    put(api, "InferenceService", {})
    world = world_of(api)
    world.any_namespace, world.namespaces = False, {"crm"}
    assert Survey(world, NOW).promises() == []
