"""Scans of declarations over real files and a real HTTP server, and of clusters, into a real inventory."""

import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from amazon import Between
from apiserver import ApiServerDouble
from making import NOW
from registries import Registry

from inventory.model import Declaration, Scan, Scope, utc_now
from inventory.settings import Settings
from inventory.store import Store, open_store
from scanner.asking import Asker
from scanner.findings import Ask
from scanner.runner import Runner
from scanner.scopes import parts_of

Read = Callable[..., tuple[Scan, dict[str, Declaration]]]


@pytest.fixture
def declared_store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'inventory.db'}") as opened:
        yield opened


@pytest.fixture
def read(declared_store: Store, tmp_path: Path) -> Read:
    """Scan targets of a source: how the scan ended, and what is declared then, by key."""
    import asyncio

    async def never(listener: object) -> tuple[()]:
        raise AssertionError("a source of declarations asks no listener")

    def scan(*targets: str, **parts: Any) -> tuple[Scan, dict[str, Declaration]]:
        runner = Runner(declared_store, Settings(state_folder=tmp_path), never)
        scope = Scope(name="registry", targets=targets, created_at=utc_now(), **parts)
        ended = asyncio.run(runner.run(scope))
        return ended, {one.declaration.key: one.declaration for one in declared_store.declarations.list()}

    return scan


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr("scanner.io.api.time.sleep", lambda seconds: None)
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "KONG_ADMIN_TOKEN", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Registry()
    yield running
    running.close()


@pytest.fixture(scope="session")
def double() -> Iterator[Registry]:
    """One for all tests: Google's library reads the place of the metadata server once, when it is imported."""
    running = Registry()
    yield running
    running.close()


@pytest.fixture
def identified(double, monkeypatch, tmp_path):
    """No identity of this machine's is used: the managed identity and the metadata server are the double's."""
    registry = double
    registry.asked.clear()
    monkeypatch.setattr("scanner.io.api.time.sleep", lambda seconds: None)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    host = registry.url.removeprefix("http://")
    told = {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "IDENTITY_ENDPOINT": f"{registry.url}/identity",
            "IDENTITY_HEADER": "s3cret", "GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return registry


@pytest.fixture(scope="session")
def cloud() -> Iterator[str]:
    """The URL of a moto server of this session's own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Running on http://" in line)
        reading = threading.Thread(target=lambda: deque(process.stderr or (), maxlen=0))
        reading.start()
        yield line.partition("Running on ")[2].split()[0]
    finally:
        process.terminate()
        process.wait(20)
        reading.join(20)
        process.stderr.close()


@pytest.fixture
def aws(cloud: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Any]:
    """A client of a fresh account, and the environment in which it is found."""
    for name, value in {
        "AWS_ENDPOINT_URL": cloud, "AWS_ACCESS_KEY_ID": "AKIAPLANTED", "AWS_SECRET_ACCESS_KEY": "s3cret-planted",
        "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true", "no_proxy": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{cloud}/moto-api/reset", method="POST")).close()
    made = boto3.client("sagemaker", region_name="eu-west-1")
    yield made
    made.close()


@pytest.fixture
def between(cloud, aws, monkeypatch) -> Iterator[Between]:
    running = Between(cloud)
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    yield running
    running.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/inventory.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def ask() -> Ask:
    return Asker(Settings(scan_timeout=1.0))


@pytest.fixture
def scan(
    store: Store, tmp_path: Path, kube: Callable[..., Path], api: ApiServerDouble, ask: Ask
) -> Callable[..., Scan]:
    """Scans the running cluster, or what else the kubeconfig says."""
    kube({"prod": api})

    async def run(target: str = "k8s:prod", **settings) -> Scan:
        chosen = Settings(state_folder=tmp_path, **{"cluster_reach": "proxy", "cluster_timeout": 3.0} | settings)
        (scope,) = parts_of(Scope(name="prod", targets=(target,), created_at=NOW))
        return await Runner(store, chosen, ask).run(scope)

    return run
