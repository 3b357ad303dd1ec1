"""Workloads that are asked through the API server's proxy: real applications, over real HTTP."""

import json
import ssl
import threading
from collections.abc import Callable

import pytest
from apiproxy import status
from apiserver import ApiServerDouble
from applications import Model, application
from certificates import self_signed
from clusters import deploy, expose, found, meta, run_pod

from inventory.model import Posture, Presence, ScanStatus, Scheme
from scanner import clustering

HOST, PORT = "127.88.8.1", 18510
POD = "10.0.0.1"


@pytest.fixture
def pod(api: ApiServerDouble) -> str:
    """The address of a pod, which the API server reaches on this machine, as others of its network."""
    api.proxy.network |= {f"10.0.0.{number}": HOST for number in range(1, 100)}
    return POD


def proxied(api: ApiServerDouble) -> list[str]:
    """What was asked by proxy, without the path of the application: ``pods/NAME:PORT``, in order."""
    asked = (seen.path.split("/") for seen in api.requests if "/proxy/" in seen.path)
    return ["/".join(parts[5:7]) for parts in asked]


def reviews(api: ApiServerDouble) -> int:
    return sum(seen.method == "POST" for seen in api.requests)


def whenever_asked(api: ApiServerDouble, monkeypatch: pytest.MonkeyPatch, call: Callable[[], None]) -> None:
    """Have something happen just before the first request by proxy is answered."""
    real, calls = api.proxy.answer, [call]

    async def answer(request):
        if "/proxy/" in request.path and calls:
            calls.pop()()
            # The server has judged the credentials before it comes here.
            if api.token and not request.headers["Authorization"].endswith(f" {api.token}"):
                return status(401, "Unauthorized", "Unauthorized")
        return await real(request)

    monkeypatch.setattr(api.proxy, "answer", answer)


async def test_a_pod_without_a_service_is_identified_and_gets_nothing_of_ours(api, scan, store, pod):
    with application(HOST, PORT) as seen:
        run_pod(api, "default", "churn", pod, image="team/app:1", port=PORT)
        done = await scan()
    one = found(store)["churn"]
    assert (one.product, one.is_model_endpoint, one.scheme) == ("fastapi", True, Scheme.HTTP)
    assert [route.path for route in one.inference_routes] == ["/predict"]
    assert (done.status, done.account.answered, done.reason) == (ScanStatus.COMPLETE, 1, None)
    assert set(proxied(api)) == {f"pods/churn:{PORT}"}
    # Redirects and links led where the application said, not to the API server's path.
    assert all("/api/v1/" not in asked.path for asked in one.asked)
    assert {"/docs", "/openapi.json"} <= {path for _, path, _ in seen}
    assert any(said.signal.endswith("proxy of pod default/churn") for said in one.evidence)
    for method, _, headers in seen:
        assert method in {"GET", "HEAD", "OPTIONS"}
        assert not headers.keys() & {"authorization", "cookie", "x-api-key", "x-forwarded-for"}


@pytest.mark.parametrize(("port", "first"), [(8443, "https:"), (18511, "")])
async def test_a_pod_that_speaks_tls_is_asked_by_tls(api, scan, store, pod, tmp_path, port, first):
    made = self_signed(tmp_path, "churn", (HOST,))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made / "cert.pem", made / "key.pem")
    with application(HOST, port, tls=tls):
        run_pod(api, "default", "churn", pod, port=port)
        done = await scan()
    one = found(store)["churn"]
    assert (one.product, one.scheme, done.account.answered) == ("fastapi", Scheme.HTTPS, 1)
    assert proxied(api)[0] == f"pods/{first}churn:{port}"
    assert proxied(api)[-1] == f"pods/https:churn:{port}"


async def test_plain_http_on_a_port_of_tls_is_asked_by_http(api, scan, store, pod):
    with application(HOST, 9443):
        run_pod(api, "default", "churn", pod, port=9443)
        await scan()
    assert (found(store)["churn"].product, found(store)["churn"].scheme) == ("fastapi", Scheme.HTTP)
    assert proxied(api)[0] == "pods/https:churn:9443"


async def test_a_service_goes_before_the_pod_and_the_pod_where_services_are_shared(api, scan, store, pod):
    with application(HOST, PORT):
        deploy(api, "crm", "own", [pod], port=PORT)
        expose(api, "crm", "own", target="http")
        for number, name in enumerate(("old", "new"), 2):
            deploy(api, "risk", name, [f"10.0.0.{number}"], port=PORT, labels={"app": "fraud"})
        expose(api, "risk", "fraud", target="http")
        done = await scan()
    assert done.account.answered == 3
    assert set(proxied(api)) == {"services/own:http", f"pods/old-1-0:{PORT}", f"pods/new-1-0:{PORT}"}
    assert {name: one.product for name, one in found(store).items()} == dict.fromkeys(("own", "old", "new"), "fastapi")


async def test_a_headless_service_is_a_door_and_one_without_a_selector_is_not(api, scan, store, pod):
    with application(HOST, PORT):
        deploy(api, "crm", "headless", [pod], port=PORT)
        expose(api, "crm", "headless", target="http", clusterIP="None")
        alone = run_pod(api, "crm", "alone", "10.0.0.2", port=PORT)
        expose(api, "crm", "by-hand", target=PORT, selector={})
        entry = {"addresses": ["10.0.0.2"], "targetRef": {"kind": "Pod", "uid": alone["metadata"]["uid"]}}
        labels = {"kubernetes.io/service-name": "by-hand"}
        api.put("endpointslices", {"metadata": meta("crm", "by-hand-1", labels=labels), "endpoints": [entry]})
        done = await scan()
        assert set(proxied(api)) == {"services/headless:http", f"pods/alone:{PORT}"}
        assert done.account.answered == 2
        # Without leave to ask pods the Service is tried all the same, and that it leads nowhere is not an answer.
        api.requests.clear()
        api.denied = {("pods/proxy", "crm")}
        done = await scan()
    assert set(proxied(api)) == {"services/headless:http", f"pods/alone:{PORT}", "services/by-hand:http"}
    assert "pods/proxy in 1 namespace (crm): forbidden, which hides what answers at 1 port there" in done.reason
    assert found(store)["alone"].product == "fastapi"


async def test_forbidden_pods_are_a_hole_of_their_namespace_and_disturb_no_service(api, scan, store, pod):
    with application(HOST, PORT):
        for number in range(20):
            run_pod(api, "crm", f"bare-{number:02}", f"10.0.0.{number + 1}", port=PORT)
        deploy(api, "crm", "churn", ["10.0.0.30"], port=PORT)
        expose(api, "crm", "churn", target="http")
        run_pod(api, "risk", "fraud", "10.0.0.31", port=PORT)
        api.denied = {("pods/proxy", "crm")}
        done = await scan()
    assert done.status is ScanStatus.INCOMPLETE
    assert done.reason == "pods/proxy in 1 namespace (crm): forbidden, which hides what answers at 20 ports there"
    assert (done.account.answered, done.account.silent, done.account.planned) == (2, 20, 22)
    known = found(store)
    assert (known["churn"].product, known["fraud"].product) == ("fastapi", "fastapi")
    assert known["bare-00"].asked == ()
    assert known["bare-00"].presence is Presence.SEEN
    # As many as are under way at once before the first is refused; and one question whether that is true.
    assert sum("bare" in one for one in proxied(api)) <= clustering._BY_PROXY_AT_ONCE
    assert reviews(api) == 1


async def test_forbidden_services_are_asked_by_their_pods_and_hide_nothing(api, scan, store, pod):
    with application(HOST, PORT):
        deploy(api, "crm", "churn", [pod], port=PORT)
        expose(api, "crm", "churn", target="http")
        api.denied = {("services/proxy", "crm")}
        done = await scan()
    assert (done.status, found(store)["churn"].product) == (ScanStatus.COMPLETE, "fastapi")
    assert proxied(api)[0] == "services/churn:http"
    assert set(proxied(api)[1:]) == {f"pods/churn-1-0:{PORT}"}


async def test_where_neither_is_allowed_each_is_tried_once_a_namespace(api, scan, store):
    for number in range(40):
        deploy(api, "crm", f"model-{number}", [f"10.0.1.{number}"])
        expose(api, "crm", f"model-{number}", target="http")
    api.denied = {("services/proxy", "crm"), ("pods/proxy", "crm")}
    done = await scan()
    assert done.status is ScanStatus.INCOMPLETE
    assert "services/proxy in 1 namespace (crm): forbidden, which hides what answers at 4" in done.reason
    assert len(found(store)) == 40
    assert len(proxied(api)) <= 2 * clustering._BY_PROXY_AT_ONCE
    assert reviews(api) == 2


async def test_a_pod_that_is_deleted_before_it_is_asked_is_no_answer(api, scan, store, pod, monkeypatch):
    run_pod(api, "default", "brief", pod, port=PORT)
    whenever_asked(api, monkeypatch, lambda: api.delete("pods", "default", "brief"))
    done = await scan()
    assert (done.account.refused, done.account.silent) == (0, 1)
    assert (done.status, found(store)["brief"].presence) == (ScanStatus.COMPLETE, Presence.SEEN)
    assert "1 port could not be asked by proxy: nothing leads there any more" in done.reason
    assert found(store)["brief"].asked == ()


async def test_where_the_service_is_deleted_the_pod_is_asked(api, scan, store, pod, monkeypatch):
    with application(HOST, PORT):
        deploy(api, "crm", "churn", [pod], port=PORT)
        expose(api, "crm", "churn", target="http")
        whenever_asked(api, monkeypatch, lambda: api.delete("services", "crm", "churn"))
        done = await scan()
    assert (done.status, found(store)["churn"].product) == (ScanStatus.COMPLETE, "fastapi")
    assert proxied(api)[:2] == ["services/churn:http", f"pods/churn-1-0:{PORT}"]


async def test_an_address_that_the_server_does_not_connect_to_is_no_answer(api, scan, store):
    run_pod(api, "default", "churn", HOST, port=PORT)
    with application(HOST, PORT) as seen:
        done = await scan()
    assert (done.account.silent, done.account.refused, seen) == (1, 0, [])
    assert "could not be asked by proxy" in done.reason


@pytest.mark.parametrize("old", [False, True], ids=["by a Status", "in plain text"])
@pytest.mark.parametrize(
    ("words", "refused", "reason"),
    [("connect: connection refused", 1, None), ("i/o timeout", 0, "1 port gave no answer in time")],
)
async def test_a_connection_that_fails_is_not_what_the_application_says(api, scan, store, old, words, refused, reason):
    api.proxy.old = old
    api.proxy.network[POD] = words
    run_pod(api, "default", "churn", POD, port=PORT)
    done = await scan()
    assert (done.account.refused, done.account.answered, done.reason) == (refused, 0, reason)
    assert found(store)["churn"].asked == ()


def always(code: int, body: bytes, header: tuple[str, str]) -> type[Model]:
    """An application with one answer to everything."""

    class Always(Model):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self.seen.append((self.command, self.path, {}))
            self.answer(code, body, header)

        do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's names

    return Always


@pytest.mark.parametrize(
    ("code", "body", "header", "posture"),
    [
        (503, b"upstream connect error or disconnect/reset before headers", ("Content-Type", "text/plain"), None),
        (503, b'{"error":"model is loading"}', ("Content-Type", "application/json"), None),
        (500, b"Internal Server Error", ("Content-Type", "text/plain"), None),
        (401, b"", ("WWW-Authenticate", 'Basic realm="models"'), Posture.PROTECTED),
    ],
)
@pytest.mark.parametrize("through", ["services", "pods"])
async def test_what_the_application_refuses_is_its_answer(api, scan, store, pod, through, code, body, header, posture):
    with application(HOST, PORT, always(code, body, header)) as seen:
        deploy(api, "crm", "churn", [pod], port=PORT)
        if through == "services":
            expose(api, "crm", "churn", target="http")
        done = await scan()
    one = found(store)["churn"]
    assert (done.account.answered, reviews(api)) == (1, 0)
    assert {asked.status for asked in one.asked} == {code}
    assert len(one.asked) == len(seen)
    assert posture in {None, one.posture}
    assert {name.partition("/")[0] for name in proxied(api)} == {through}


def refusing(code: int, message: str) -> type[Model]:
    """An application that answers as an API server does: an aggregated one, or one that would be left alone."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
    return always(code, json.dumps(said).encode(), ("Content-Type", "application/json"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (403, 'forbidden: User "system:anonymous" cannot get path "/"'),
        (403, 'pods "rogue" is forbidden: User "reader" cannot get resource "pods/proxy" in API group ""'),
        (401, "Unauthorized"),
        (404, "the server could not find the requested resource"),
    ],
)
async def test_an_application_that_speaks_like_the_server_closes_no_namespace(api, scan, store, pod, code, message):
    api.proxy.network[pod] = "127.88.8.2"
    with application("127.88.8.2", PORT, refusing(code, message)) as seen, application(HOST, PORT):
        run_pod(api, "crm", "rogue", pod, port=PORT, image="vllm/vllm-openai:v1")
        for number in range(3):
            run_pod(api, "crm", f"churn-{number}", f"10.0.0.{number + 2}", port=PORT, image="team/app:1")
        done = await scan()
    known = found(store)
    assert (done.status, done.account.answered) == (ScanStatus.COMPLETE, 4)
    assert {known[f"churn-{number}"].product for number in range(3)} == {"fastapi"}
    assert {asked.status for asked in known["rogue"].asked} == {code}
    # What was sent to whom: each request that reached it is written down, the repeated one too.
    assert [(one.method, one.path) for one in known["rogue"].asked] == [(method, path) for method, path, _ in seen]
    assert reviews(api) <= 1


async def test_credentials_that_run_out_while_pods_are_asked_are_renewed(api, scan, store, pod, kube, monkeypatch):
    def run_out() -> None:
        api.token = "second-token-of-the-api"
        kube({"prod": api})

    with application(HOST, PORT):
        run_pod(api, "default", "churn", pod, port=PORT)
        whenever_asked(api, monkeypatch, run_out)
        done = await scan()
    assert (done.status, found(store)["churn"].product) == (ScanStatus.COMPLETE, "fastapi")
    assert api.requests[-1].headers["authorization"] == "Bearer second-token-of-the-api"


async def test_a_server_that_does_not_say_what_is_allowed_is_taken_at_its_word(api, scan, store, pod):
    for number in range(20):
        run_pod(api, "crm", f"bare-{number:02}", f"10.0.0.{number + 1}", port=PORT)
    api.denied = {("pods/proxy", "crm")}
    api.faults = {"selfsubject": "html"}
    done = await scan()
    assert "pods/proxy in 1 namespace (crm): forbidden" in done.reason
    assert reviews(api) == 1


@pytest.mark.parametrize(("path", "is_asked"), [("/elsewhere", True), ("/shutdown", False)])
async def test_what_must_never_be_sent_is_not_sent_by_proxy(api, scan, store, pod, path, is_asked):
    class Leading(Model):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self.seen.append((self.command, self.path, {}))
            self.answer(*(307, b"", ("Location", path)) if self.path == "/" else (404, b"", ("Server", "uvicorn")))

        do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's names

    with application(HOST, PORT, Leading) as seen:
        run_pod(api, "default", "churn", pod, port=PORT)
        await scan()
    assert "/" in {asked for _, asked, _ in seen}
    assert (path in {asked for _, asked, _ in seen}) is is_asked
    assert not any(one.path.endswith("/proxy/shutdown") for one in api.requests)


async def test_pods_are_asked_within_the_same_budget_of_requests(api, scan, store, pod, monkeypatch):
    monkeypatch.setattr(clustering, "FEWEST_REQUESTS", 40)
    with application(HOST, PORT):
        for number in range(30):
            run_pod(api, "web", f"shop-{number:02}", f"10.0.0.{number + 10}", image="team/shop:1", port=PORT)
        run_pod(api, "crm", "churn", pod, image="vllm/vllm-openai:v1", port=PORT)
        before: list[int] = []
        whenever_asked(api, monkeypatch, lambda: before.append(len(api.requests)))
        done = await scan()
    asked = len(api.requests) - before[0] + 1
    assert asked <= clustering.REQUESTS_A_WORKLOAD * 31
    assert (done.status, found(store)["churn"].product) == (ScanStatus.COMPLETE, "fastapi")
    assert "that show nothing of machine learning were not asked, to spare the API server" in done.reason


async def test_a_service_is_asked_by_the_name_of_its_port_or_else_by_its_number(api, scan, store, client, pod):
    with application(HOST, PORT):
        deploy(api, "crm", "named", [pod], port=PORT)
        expose(api, "crm", "named", target="http")
        deploy(api, "crm", "plain", ["10.0.0.2"], port=PORT)
        expose(api, "crm", "plain", port=8080, target=PORT, more={"name": ""})
        assert (await scan()).account.answered == 2
        assert set(proxied(api)) == {"services/named:http", "services/plain:8080"}
        # By the port of the container, or by none where it has a name, nothing is reached.
        for wrong in (f"named:{PORT}", "named"):
            reply = await client.get(f"/api/v1/namespaces/crm/services/{wrong}/proxy/")
            assert (reply.status, reply.document["reason"]) == (503, "ServiceUnavailable")


async def test_where_the_service_has_no_ready_pod_any_more_the_pod_is_asked(api, scan, store, pod, monkeypatch):
    deploy(api, "crm", "churn", [pod], port=PORT)
    (item,) = api.select("v1", "pods", "crm")
    expose(api, "crm", "churn", target="http")
    unready = item["status"] | {"conditions": [{"type": "Ready", "status": "False"}]}
    whenever_asked(api, monkeypatch, lambda: api.put("pods", item | {"status": unready}))
    with application(HOST, PORT):
        done = await scan()
    assert (done.status, found(store)["churn"].product) == (ScanStatus.COMPLETE, "fastapi")
    assert proxied(api)[:2] == ["services/churn:http", f"pods/churn-1-0:{PORT}"]


async def test_a_role_without_options_hides_nothing_and_is_not_doubted(api, scan, store, pod):
    # No verb stands for OPTIONS, so only who may do everything may send it.
    api.denied = {("secrets", "*")}
    with application(HOST, PORT, always(401, b"", ("WWW-Authenticate", 'Basic realm="models"'))) as seen:
        run_pod(api, "default", "churn", pod, port=PORT)
        done = await scan()
    assert (done.status, done.reason, reviews(api)) == (ScanStatus.COMPLETE, None, 0)
    assert found(store)["churn"].posture is Posture.PROTECTED
    assert "OPTIONS" in {one.method for one in api.requests}
    assert "OPTIONS" not in {method for method, _, _ in seen} | {one.method for one in found(store)["churn"].asked}


class Endless(Model):
    """Events without an end, or with ``drips`` events that stop coming."""

    over: threading.Event
    drips = False

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        if self.path != "/":
            super().do_GET()
            return
        self.seen.append((self.command, self.path, {}))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while not self.over.is_set():
                self.wfile.write(b"data: x\n\n" * 8192)
                if self.drips:
                    self.over.wait()
        except OSError:
            self.seen.append(("gone", self.path, {}))


class Dripping(Endless):
    drips = True


@pytest.mark.parametrize(("kind", "outcome"), [(Endless, "too-large"), (Dripping, "timeout")])
async def test_an_answer_without_an_end_is_bounded(api, scan, store, pod, kind, outcome):
    kind.over = threading.Event()
    run_pod(api, "default", "churn", pod, port=PORT)
    with application(HOST, PORT, kind):
        done = await scan(scan_timeout=0.5, answer_timeout=0.5)
        kind.over.set()
    one = found(store)["churn"]
    assert (done.account.answered, done.status) == (1, ScanStatus.COMPLETE)
    assert {asked.outcome for asked in one.asked if asked.path == "/" and asked.method == "GET"} == {outcome}
    assert all(asked.bytes <= 256 * 1024 for asked in one.asked)
