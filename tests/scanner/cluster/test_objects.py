"""What is kept of objects: enough to judge, nothing secret, and never an error for what a server may send."""

import json
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory.model import Kind
from scanner.cluster.objects import read_pod, read_service
from scanner.cluster.resources import BY_KIND, RESOURCES
from scanner.cluster.signs import shown_by_command
from scanner.cluster.world import World

SECRET = "hunter2-Zx9-secret"
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def pod(**container) -> dict:
    return {
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "annotations": container.pop("annotations", {})},
        "spec": {"containers": [{"name": "main", "image": "x/y:1"} | container]},
    }


def test_no_value_that_may_be_secret_is_kept():
    annotations = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"env": SECRET}),
        "owner": "team-a",
    }
    item = pod(
        env=[
            {"name": "API_KEY", "value": SECRET},
            {"name": "MODEL_NAME", "valueFrom": {"secretKeyRef": {"name": SECRET}}},
        ],
        args=["--api-key", SECRET, f"--token={SECRET}", "--model", "x"],
        command=["sh", "-c", f"vllm serve --key {SECRET}"],
        annotations=annotations,
        readinessProbe={
            "httpGet": {"path": "/", "port": 1, "httpHeaders": [{"name": "Authorization", "value": SECRET}]}
        },
    )
    kept = read_pod(item)
    assert SECRET not in repr(kept)
    assert kept.containers[0].environment == ("API_KEY", "MODEL_NAME")
    assert kept.meta.annotations == {"owner": "team-a"}


@pytest.mark.parametrize(
    ("command", "product_", "kind", "port"),
    [
        (["vllm", "serve", "--port", "8080"], "vllm", Kind.MODEL_ENDPOINT, 8080),
        (["python", "-m", "vllm.entrypoints.openai.api_server", "--port=9001"], "vllm", Kind.MODEL_ENDPOINT, 9001),
        (["jupyter", "lab", "--ServerApp.port=8899"], "jupyter-server", Kind.NOTEBOOK, 8899),
        (["mlflow", "models", "serve", "-p", "5001"], "mlflow-scoring", Kind.MODEL_ENDPOINT, 5001),
        (["mlflow", "server"], "mlflow", Kind.ML_PLATFORM, None),
        (["streamlit", "run", "app.py"], "streamlit", Kind.ML_UI, None),
        (["gunicorn", "--bind", "0.0.0.0:5000", "app:app"], None, None, 5000),
        (["gunicorn", "--bind", "unix:/run/a.sock"], None, None, None),
        (["nginx", "-g", "daemon off;"], None, None, None),
        (["server", "--port", "99999"], None, None, None),
    ],
)
def test_a_command_line_shows_its_product_and_port(command, product_, kind, port):
    shown = shown_by_command(command)
    assert next((one.product for one in shown if one.product), None) == product_
    assert next((one.kind for one in shown if one.kind), None) == kind
    assert next((one.port for one in shown if one.port), None) == port


@FUZZ
@given(
    resource=st.sampled_from(RESOURCES),
    item=st.dictionaries(st.sampled_from(["metadata", "spec", "status", "endpoints", "x"]), JSON),
)
def test_nothing_that_a_server_sends_is_an_error(resource, item):
    world = World("c")
    world.put(resource, item)
    whole = {"metadata": {"name": "a", "uid": "u", "namespace": "n"}} | {
        k: v for k, v in item.items() if k != "metadata"
    }
    world.put(resource, whole)


@FUZZ
@given(junk=JSON, more=JSON)
def test_nothing_inside_of_a_pod_or_service_is_an_error(junk, more):
    meta = {"name": "a", "uid": "u", "namespace": "n"}
    for spec in ({"containers": junk}, {"containers": [{"ports": junk, "env": more, "args": junk, "image": more}]}):
        World("c").put(BY_KIND["Pod"], {"metadata": meta, "spec": spec, "status": more})
    World("c").put(BY_KIND["Service"], {"metadata": meta, "spec": {"ports": junk, "selector": more}})


def test_a_name_cannot_paint_on_a_terminal():
    kept = read_service({"metadata": {"name": "a\x1b[2J\u202eb", "uid": "u"}, "spec": {}})
    assert "\x1b" not in kept.meta.name
    assert "\u202e" not in kept.meta.name


@pytest.mark.parametrize(("phase", "address"), product(["Running", "Pending", "Succeeded", "Failed"], ["10.0.0.1", ""]))
def test_only_a_pod_with_an_address_that_has_not_ended_runs(phase, address):
    kept = read_pod(pod() | {"status": {"phase": phase, "podIP": address}})
    assert kept.runs is (bool(address) and phase in {"Running", "Pending"})
