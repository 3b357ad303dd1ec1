"""Whole scans of clusters: the real client, a real API over HTTP, real applications behind its proxy, a real store."""

import asyncio
import logging

import pytest
from apiserver import ApiServerDouble, serving
from applications import application
from clusters import deploy, expose, found, http_route, meta, only_from
from making import NOW

from inventory.counterparts import Tier, match
from inventory.drift import drift
from inventory.model import Declaration, DeclarationKind, Posture, Presence, ScanStatus, Scope, Standing
from inventory.settings import Settings
from scanner import listing
from scanner.runner import Runner
from scanner.scopes import parts_of, slug
from scanner.sources.kubernetes import prepare
from scanner.targets import Prefixed, TargetError, parse_cluster

SECRETS = ("env-value-Qx81", "header-value-Qx82", "argument-Qx83", "annotation-Qx84", "secret-token-of-the-api")

HOST, PORT = "127.88.7.1", 18500


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FIRST_WAIT", 0.001)


async def test_what_runs_and_is_declared_is_recorded_with_its_proof(api, scan, store):
    deploy(api, "risk", "fraud", ["10.0.0.1", "10.0.0.2"])
    expose(api, "risk", "fraud", target="http")
    http_route(api, "risk", "fraud", "fraud")
    only_from(api, "risk", "fraud")
    deploy(api, "risk", "rogue", ["10.0.0.3"], image="vllm/vllm-openai:v1")
    http_route(api, "risk", "lost", "nowhere")
    done = await scan(cluster_reach="none")
    assert (done.status, done.reason, done.source, done.site) == (ScanStatus.COMPLETE, None, "kubernetes", "k8s-prod")
    assert {name: one.cluster.standing for name, one in found(store).items()} == {
        "fraud": Standing.MANAGED,
        "rogue": Standing.SHADOW,
        "lost": Standing.GHOST,
    }
    assert [pod.address for pod in found(store)["fraud"].cluster.pods] == ["10.0.0.1", "10.0.0.2"]


async def test_an_application_is_identified_through_the_proxy_and_gets_nothing_of_ours(api, scan, store):
    with application(HOST, PORT) as seen:
        deploy(api, "crm", "churn", [HOST], image="team/app:1", port=PORT)
        expose(api, "crm", "churn", target="http")
        done = await scan()
    one = found(store)["churn"]
    assert (one.product, one.is_model_endpoint, one.posture) == ("fastapi", True, Posture.OPEN)
    assert [route.path for route in one.inference_routes] == ["/predict"]
    assert all("/api/v1/" not in asked.path for asked in one.asked)
    assert done.account.answered == 1
    assert {method for method, _, _ in seen} <= {"GET", "HEAD", "OPTIONS"}
    for _, _, headers in seen:
        assert not headers.keys() & {"authorization", "cookie", "x-api-key", "x-forwarded-for"}


ROUTES = {
    "HTTPRoute": ("httproutes", {"rules": [{"backendRefs": [{"name": "fraud", "port": 80}]}]}),
    "GRPCRoute": ("grpcroutes", {"rules": [{"backendRefs": [{"name": "fraud", "port": 80}]}]}),
    "VirtualService": ("virtualservices", {"http": [{"route": [{"destination": {"host": "fraud"}}]}]}),
    "Ingress": ("ingresses", {"defaultBackend": {"service": {"name": "fraud", "port": {"number": 80}}}}),
}
PLATFORMS = {
    "InferenceService": ("inferenceservices", "serving.kserve.io/inferenceservice"),
    "SeldonDeployment": ("seldondeployments", "seldon-deployment-id"),
    "Notebook": ("notebooks", "notebook-name"),
    "Model": ("models", "seldon-server-name"),
}


@pytest.mark.parametrize("kind", ROUTES)
async def test_every_kind_of_route_is_read_and_manages(api, scan, store, kind):
    plural, spec = ROUTES[kind]
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    expose(api, "risk", "fraud", target="http")
    only_from(api, "risk", "fraud")
    api.put(plural, {"metadata": meta("risk", "way"), "spec": spec})
    await scan(cluster_reach="none")
    one = found(store)["fraud"].cluster
    assert (one.standing, one.by) == (Standing.MANAGED, f"{kind} risk/way")


@pytest.mark.parametrize("kind", PLATFORMS)
async def test_every_platform_is_read_and_manages(api, scan, store, kind):
    plural, label = PLATFORMS[kind]
    deploy(api, "ml", "churn-predictor", ["10.0.0.1"], labels={label: "churn"})
    only_from(api, "ml", "churn-predictor")
    api.put(plural, {"metadata": meta("ml", "churn")})
    await scan(cluster_reach="none")
    one = found(store)["churn-predictor"].cluster
    assert (one.standing, one.by) == (Standing.MANAGED, f"{kind} ml/churn")


async def test_an_inference_pool_is_read_and_manages(api, scan, store):
    deploy(api, "ml", "llm", ["10.0.0.1"])
    only_from(api, "ml", "llm")
    spec = {"selector": {"matchLabels": {"app": "llm"}}, "targetPorts": [{"number": 8000}]}
    api.put("inferencepools", {"metadata": meta("ml", "pool"), "spec": spec})
    http_route(api, "ml", "llm", "x", rules=[{"backendRefs": [{"kind": "InferencePool", "name": "pool"}]}])
    await scan(cluster_reach="none")
    assert found(store)["llm"].cluster.standing is Standing.MANAGED


async def test_a_managed_pod_whose_own_port_answers_is_a_bypass(api, scan, store):
    with application(HOST, PORT):
        deploy(api, "crm", "churn", [HOST], port=PORT)
        expose(api, "crm", "churn", target="http")
        http_route(api, "crm", "churn", "churn")
        only_from(api, "crm", "churn")
        await scan(cluster_reach="direct")
    one = found(store)["churn"]
    assert (one.product, one.cluster.standing) == ("fastapi", Standing.BYPASSABLE)
    assert "its own port answers from here" in one.cluster.why


async def test_what_nobody_answers_is_not_what_answered_503(api, scan, store):
    deploy(api, "crm", "churn", ["127.88.7.9"], port=PORT)
    expose(api, "crm", "churn", target="http")
    done = await scan()
    assert (done.account.answered, done.account.refused, done.status) == (0, 1, ScanStatus.COMPLETE)
    assert found(store)["churn"].asked == ()


async def test_partial_permissions_lose_nothing_call_nothing_gone_and_name_the_holes(api, scan, store):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    deploy(api, "crm", "churn", ["10.0.0.2"])
    await scan(cluster_reach="none")
    api.denied = {("pods", ""), ("*", "crm")}
    for _ in range(2):
        done = await scan(cluster_reach="none")
        assert done.status is ScanStatus.INCOMPLETE
        assert "pods in 1 namespace (crm): forbidden, which hides everything that runs there" in done.reason
    assert {name: one.presence for name, one in found(store).items()} == {
        "fraud": Presence.SEEN,
        "churn": Presence.SEEN,
    }


async def test_what_whole_scans_miss_is_gone(api, scan, store):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    await scan(cluster_reach="none")
    api.delete("pods", "risk", "fraud-1-0")
    presences = []
    for _ in range(2):
        await scan(cluster_reach="none")
        presences.append(found(store)["fraud"].presence)
    assert presences == [Presence.STALE, Presence.GONE]


@pytest.mark.parametrize("fault", ["reset", "hang", "html", "half", "busy"])
async def test_a_server_gone_bad_ends_the_scan_incomplete_and_nothing_is_gone(api, scan, store, fault):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    await scan(cluster_reach="none")
    api.faults = {".": fault}
    done = await scan(cluster_reach="none", cluster_timeout=0.3)
    assert done.status is ScanStatus.INCOMPLETE
    assert done.reason
    assert found(store)["fraud"].presence is Presence.SEEN


async def test_a_server_that_is_not_there_is_told_in_one_sentence(api, scan, store, kube):
    kube({"prod": "http://127.0.0.1:9"})
    done = await scan()
    assert done.status is ScanStatus.INCOMPLETE
    assert (
        done.reason
        == (
            "the API server of prod: it cannot be connected to (Connect call failed ('127.0.0.1', 9)), "
            "so that nothing is known of it"
        )
        or "cannot be connected to" in done.reason
    )


async def test_the_likely_are_asked_first_and_the_server_is_spared_the_rest(api, scan, store, monkeypatch):
    from scanner import clustering

    monkeypatch.setattr(clustering, "FEWEST_REQUESTS", 40)
    monkeypatch.setattr(clustering, "REQUESTS_A_WORKLOAD", 0)
    with application(HOST, PORT):
        for number in range(12):
            name = f"shop-{number:02}"
            deploy(api, "web", name, [HOST], image="team/shop:1", port=PORT)
            expose(api, "web", name, target="http")
        deploy(api, "crm", "churn", [HOST], image="vllm/vllm-openai:v1", port=PORT)
        expose(api, "crm", "churn", target="http")
        listed = 26
        done = await scan()
    proxied = [seen.path.split("/")[4] for seen in api.requests if "/proxy/" in seen.path]
    assert "crm" in proxied[:3]
    assert done.status is ScanStatus.COMPLETE
    assert "that show nothing of machine learning were not asked, to spare the API server" in done.reason
    assert len(api.requests) <= listed + 40


async def test_excluded_addresses_are_asked_nothing(api, store, tmp_path, kube, ask):
    kube({"prod": api})
    with application(HOST, PORT) as seen:
        deploy(api, "crm", "churn", [HOST], port=PORT)
        expose(api, "crm", "churn", target="http")
        settings = Settings(state_folder=tmp_path, cluster_reach="proxy")
        scope = Scope(name="prod", targets=("k8s:prod",), exclude=("127.88.7.0/24",), created_at=NOW)
        done = await Runner(store, settings, ask).run(scope)
    assert (done.account.excluded, seen) == (1, [])


async def test_no_secret_is_in_the_database_the_logs_or_the_reasons(api, scan, store, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    probe = {"path": "/", "port": PORT, "httpHeaders": [{"name": "X-Token", "value": SECRETS[1]}]}
    with application(HOST, PORT):
        deploy(
            api, "crm", "churn", [HOST], port=PORT, readinessProbe={"httpGet": probe},
            env=[{"name": "MODEL_TOKEN", "value": SECRETS[0]}], args=["--api-key", SECRETS[2], f"--token={SECRETS[2]}"],
            annotations={"kubectl.kubernetes.io/last-applied-configuration": SECRETS[3], "note": SECRETS[3]},
        )  # fmt: skip
        expose(api, "crm", "churn", target="http")
        await scan()
        api.token = "another-now"
        await scan()
    assert found(store)["churn"].product == "fastapi"
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("inventory.db"))
    said = caplog.text + "".join(capfd.readouterr()) + "".join(one.reason or "" for one in store.scans.list())
    assert "MODEL_TOKEN" in kept.decode("utf-8", "replace")
    for secret in SECRETS:
        assert secret.encode() not in kept
        assert secret not in said


async def test_a_stop_ends_a_scan_of_a_server_that_hangs(api, store, tmp_path, kube, ask):
    kube({"prod": api})
    api.faults = {"/pods": "hang"}
    settings = Settings(state_folder=tmp_path, cluster_timeout=60.0)
    stop = asyncio.Event()
    scope = Scope(name="prod", targets=("k8s:prod",), created_at=NOW)
    task = asyncio.create_task(Runner(store, settings, ask).run(scope, stop=stop))
    await asyncio.to_thread(api.wait_for, "/api/v1/pods")
    stop.set()
    done = await asyncio.wait_for(task, 20)
    assert (done.status, done.reason) == (ScanStatus.INCOMPLETE, "it was stopped")


@pytest.mark.parametrize(
    ("rest", "context", "namespaces"),
    [
        ("prod", "prod", ()),
        ("prod#risk,crm", "prod", ("risk", "crm")),
        ("arn:aws:eks:eu-1:123:cluster/prod", "arn:aws:eks:eu-1:123:cluster/prod", ()),
        ("*", "*", ()),
        ("in-cluster", "in-cluster", ()),
    ],
)
def test_targets_name_a_context_and_namespaces(rest, context, namespaces):
    cluster = parse_cluster(rest)
    assert (cluster.context, cluster.namespaces) == (context, namespaces)


@pytest.mark.parametrize("rest", ["", "#risk", "prod#", "prod#Risk", "prod#a,,b", "*#risk"])
def test_targets_that_name_no_cluster_say_what_to_write(rest):
    with pytest.raises(TargetError, match=r"\A'k8s:[^\n]*k8s:[^\n]*\Z|\A'k8s:[^\n]*context\Z"):
        parse_cluster(rest)


def scope_of(*targets: str, site: str = "default") -> Scope:
    return Scope(name="all", targets=targets, site=site, created_at=NOW)


def test_a_scope_of_every_cluster_is_a_scope_and_a_site_of_each(kube):
    kube({"prod": "http://a", "EU/Test": "http://b"})
    parts = parts_of(scope_of("k8s:*"))
    assert [(one.name, one.site, one.targets) for one in parts] == [
        ("all-prod", "k8s-prod", ("k8s:prod",)),
        (f"all-{slug('EU/Test')}", f"k8s-{slug('EU/Test')}", ("k8s:EU/Test",)),
    ]
    assert parts_of(scope_of("127.0.0.1"))[0].targets == ("127.0.0.1",)
    assert parts_of(scope_of("k8s:prod", site="office"))[0].site == "office"
    assert slug("EU/Test") != slug("eu-test")
    with pytest.raises(TargetError, match="2 clusters cannot share the site 'office'"):
        parts_of(scope_of("k8s:*", site="office"))


@pytest.mark.parametrize(
    ("target", "words"), [("nope", "no context 'nope' in the kubeconfig: there is prod"), ("*", "a scan is of one")]
)
async def test_a_cluster_that_is_not_there_is_bad_input(kube, target, words, ask):
    kube({"prod": "http://a"})
    with pytest.raises(TargetError, match=words):
        await prepare(scope_of("k8s:x"), [Prefixed("k8s", target)], ask, Settings())


async def test_clusters_are_scanned_at_once_and_a_dead_one_holds_up_nobody(api, store, tmp_path, kube, ask):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    with serving(ApiServerDouble()) as dead:
        dead.faults = {".": "hang"}
        kube({"dead": dead, "prod": api})
        settings = Settings(state_folder=tmp_path, cluster_reach="none", cluster_timeout=60.0)
        runner = Runner(store, settings, ask)
        stop = asyncio.Event()
        tasks = {part.name: asyncio.create_task(runner.run(part, stop=stop)) for part in parts_of(scope_of("k8s:*"))}
        assert (await asyncio.wait_for(tasks["all-prod"], 20)).status is ScanStatus.COMPLETE
        assert not tasks["all-dead"].done()
        stop.set()
        assert (await tasks["all-dead"]).status is ScanStatus.INCOMPLETE
    assert set(found(store)) == {"fraud"}


def platforms(api: ApiServerDouble) -> None:
    """A model by KServe that a workload runs for, and one that nothing runs for."""
    predictor = {"predictor": {"model": {"storageUri": "s3://models/churn/3?sig=secret-token-of-the-api"}}}
    labels = {"serving.kserve.io/inferenceservice": "churn"}
    things = {"metadata": meta("crm", "churn", annotations={"owner": "ana"}), "spec": predictor}
    api.put("inferenceservices", things)
    api.put("inferenceservices", {"metadata": meta("crm", "lost"), "spec": {}})
    deploy(api, "crm", "churn-predictor", ["10.0.0.1"], labels=labels, image="kserve/sklearnserver:1")


async def test_what_platforms_declare_is_what_runs_for_it_and_links_the_model_in_another_registry(api, scan, store):
    platforms(api)
    version = Declaration(
        source="mlflow:http://m", key="churn/3", kind=DeclarationKind.MODEL, name="churn", artifact="s3://models/churn/3",
        scope="registry", scan="s", at=NOW,
    )  # fmt: skip
    store.declarations.append([version])
    done = await scan(cluster_reach="none")
    assert (done.status, done.whole) == (ScanStatus.COMPLETE, ("k8s:prod",))
    known = {one.declaration.key: one.declaration for one in store.declarations.list()}
    churn = known["InferenceService/crm/churn"]
    assert (churn.source, churn.artifact, churn.owner) == ("k8s:prod", "s3://models/churn/3", "ana")
    (endpoint,) = [one for name, one in found(store).items() if name == "churn-predictor"]
    matching = match(known.values(), store.endpoints.list(), [])
    assert {(one.declaration.key, one.tier) for one in matching.of_endpoint[endpoint.id]} == {
        ("InferenceService/crm/churn", Tier.WORKLOAD),
        ("churn/3", Tier.ARTIFACT),
    }
    report = drift(store.endpoints.list(), store.declarations.list(), [], store.scans.list())
    listed = {(item.drift.value, item.title) for item in report.items if item.drift.value != "orphan"}
    assert ("ghost", "InferenceService crm/lost") in listed
    assert {kind for kind, _ in listed} == {"ghost", "bypass"}


async def test_a_declaration_is_withdrawn_by_a_scan_that_read_them_all_and_by_no_other(api, scan, store):
    platforms(api)
    await scan(cluster_reach="none")
    api.delete("inferenceservices", "crm", "lost")
    api.denied = {("inferenceservices", "*")}
    done = await scan(cluster_reach="none")
    assert (done.status, done.whole) == (ScanStatus.INCOMPLETE, ())
    assert len(store.declarations.list()) == 2
    api.denied = {("networkpolicies", "*")}
    done = await scan(cluster_reach="none")
    assert (done.status, done.whole) == (ScanStatus.INCOMPLETE, ("k8s:prod",))
    assert [one.declaration.name for one in store.declarations.list()] == ["churn"]
