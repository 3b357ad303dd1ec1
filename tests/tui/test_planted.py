"""Five hundred planted endpoints: a real MLflow server with its basic-auth plugin, moto's SageMaker and a gateway's
file say what is supposed to run, real listeners are what runs, and every list of ``gnomon drift`` is exact.

The server is installed beside, by ``make mlflow``, as ``make test`` does; without it these tests are skipped.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

BESIDE = Path(__file__).parents[2] / ".venv-mlflow" / "bin" / "mlflow"
MLFLOW = os.environ.get("GNOMON_TEST_MLFLOW") or (str(BESIDE) if BESIDE.exists() else shutil.which("mlflow"))
USER, PASSWORD = "admin", "planted-by-the-suite-1"
STARTS_WITHIN = 240.0

COUNTS = {"matched": 150, "renamed": 80, "retired": 50, "extra": 100, "missing": 60, "managed": 60}
FRONTED, OWNERLESS = 20, 30
"""Of the matched: how many a gateway's file leads to, and how many have no owner in the registry."""

PORTS = (8731, 8732)
RUNNING = ("matched", "renamed", "retired", "extra")

pytestmark = [
    pytest.mark.skipif(MLFLOW is None, reason="MLflow is not installed: make mlflow"),
    pytest.mark.xdist_group("mlflow"),
]

PLANT = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1], sys.argv[1])
for name, url, owner, retired in json.load(sys.stdin):
    client.create_registered_model(name, tags={"owner": owner} if owner else None)
    client.create_model_version(name, "s3://models/" + name, tags={"serving_url": url})
    if retired:
        client.transition_model_version_stage(name, "1", "Archived")
"""


def planted() -> dict[str, list[str]]:
    """The URLs of each kind, each of a socket of its own in 127.9.0.0/24; what is managed is in the cloud."""
    sockets = [f"http://127.9.0.{host}:{port}" for host in range(1, 255) for port in PORTS]
    urls: dict[str, list[str]] = {}
    for kind in (*RUNNING, "missing"):
        urls[kind], sockets = sockets[: COUNTS[kind]], sockets[COUNTS[kind] :]
    return urls


def registered(urls: dict[str, list[str]]) -> list[tuple[str, str, str, bool]]:
    """What MLflow is told: name, place, owner, whether it is retired. What is renamed says another name of itself."""
    return [
        (f"{kind}-{number}", f"{url}/predict", "" if kind == "matched" and number < OWNERLESS else "ana",
         kind == "retired")
        for kind in ("matched", "renamed", "retired", "missing")
        for number, url in enumerate(urls[kind])
    ]  # fmt: skip


class Served:
    """Model servers on many sockets, in a thread of their own. Each says by its description what it serves."""

    def __init__(self, titles: dict[tuple[str, int], str]) -> None:
        self._titles = titles
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,))
        self._thread.start()
        assert ready.wait(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        servers = [await asyncio.start_server(self._answer, *place) for place in self._titles]
        ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            title = self._titles[writer.get_extra_info("sockname")[:2]]
            body = json.dumps(description(title) if path == "/openapi.json" else {"detail": "Not Found"}).encode()
            status = "200 OK" if path == "/openapi.json" else "404 Not Found"
            head = f"HTTP/1.1 {status}\r\nserver: uvicorn\r\ncontent-type: application/json\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
            pass
        finally:
            writer.close()


def description(title: str) -> dict[str, Any]:
    """As FastAPI describes a model's server."""
    schema = {
        "type": "object", "title": "Features", "required": ["features"],
        "properties": {"features": {"type": "array", "items": {"type": "number"}}},
    }  # fmt: skip
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Features"}}}
    predict = {"summary": "Predict", "requestBody": {"content": content}, "responses": {"200": {"description": "ok"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": {"/predict": {"post": predict}},
        "components": {"schemas": {"Features": schema}},
    }


def until(ready: Callable[[], bool], process: subprocess.Popen[Any], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"it did not start: {log.read_text()[-2000:]}")
        threading.Event().wait(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server with its basic-auth plugin, and the planted models in its database."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    assert MLFLOW is not None
    database, settings, log = f"sqlite:///{folder}/mlflow.db", folder / "auth.ini", folder / "log"
    settings.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = {USER}\n"
        f"admin_password = {PASSWORD}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-the-suite",
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    python = str(Path(MLFLOW).parent / "python")
    told = json.dumps(registered(planted())).encode()
    subprocess.run([python, "-c", PLANT, database], input=told, env=environment, check=True, capture_output=True)
    arguments = ["server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [MLFLOW, *arguments, "--backend-store-uri", database, "--default-artifact-root", str(folder)],
            stdout=out, stderr=out, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """moto's server as the AWS that the environment names, with the managed endpoints."""
    port, log = free_port(), tmp_path / "moto.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=out, stderr=out
        )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/moto-api/"), process, log)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true", "no_proxy": "127.0.0.1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        client = boto3.client("sagemaker", region_name="eu-west-1")
        variant = {"VariantName": "live", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        client.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, ExecutionRoleArn="arn:aws:iam::1:role/r12")
        client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        for number in range(COUNTS["managed"]):
            client.create_endpoint(EndpointName=f"managed-{number}", EndpointConfigName="c")
        client.close()
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def running() -> Iterator[None]:
    titles = {}
    for kind in RUNNING:
        for number, url in enumerate(planted()[kind]):
            host, _, port = url.removeprefix("http://").partition(":")
            titles[host, int(port)] = f"{'formerly' if kind == 'renamed' else kind}-{number}"
    served = Served(titles)
    yield
    served.close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def test_every_list_is_exact(gnomon, mlflow, sagemaker, running, credentials, tmp_path) -> None:
    urls = planted()
    assert sum(COUNTS.values()) == 500
    blocks = [
        f"server {{ listen 80; server_name m{number}.example; location / {{ proxy_pass {url}; }} }}"
        for number, url in enumerate(urls["matched"][-FRONTED:])
    ]
    (tmp_path / "nginx.conf").write_text("events {}\nhttp {\n" + "\n".join(blocks) + "\n}\n")
    ports = ",".join(map(str, PORTS))
    for target in (["127.9.0.0/24", "--ports", ports], [f"mlflow:{mlflow}"], ["sagemaker:eu-west-1"],
                   [f"nginx:{tmp_path / 'nginx.conf'}"]):  # fmt: skip
        ran = gnomon("scan", *target)
        assert ran.code == 0, ran.err[-1000:]
    ran = gnomon("drift", "--format", "json")
    assert ran.code == 0
    lists: dict[str, set[str]] = {}
    for item in json.loads(ran.out)["items"]:
        assert item["title"] not in lists.setdefault(item["list"], set())
        lists[item["list"]].add(item["title"].rstrip("/"))
    source = f"of mlflow:{mlflow}"
    assert lists == {
        "shadow": set(urls["extra"]),
        "zombie": set(urls["retired"]),
        "orphan": {*urls["extra"], *urls["matched"][:OWNERLESS]},
        "ghost": {f"missing-{number} 1 {source}" for number in range(COUNTS["missing"])},
        "bypass": set(urls["matched"][-FRONTED:]),
        "unseen": {f"managed-{number} of sagemaker:eu-west-1" for number in range(COUNTS["managed"])},
    }


def test_wrong_credentials_are_said_and_nothing_is_called_gone(gnomon, mlflow, credentials, monkeypatch) -> None:
    assert gnomon("scan", f"mlflow:{mlflow}").code == 0
    before = gnomon("declared", "list", "--format", "json").out
    assert len(json.loads(before)) == sum(COUNTS[kind] for kind in ("matched", "renamed", "retired", "missing"))
    assert PASSWORD not in before
    for name, value in (("MLFLOW_TRACKING_PASSWORD", "wrong"), ("MLFLOW_TRACKING_USERNAME", "")):
        monkeypatch.setenv(name, value)
        ran = gnomon("scan", f"mlflow:{mlflow}")
        assert ran.code == 3
        assert f"mlflow:{mlflow} does not let us read (it answered 401" in ran.err
        assert "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME" in ran.err
        assert gnomon("declared", "list", "--format", "json").out == before
        assert gnomon("drift", "ghost").code == 3
