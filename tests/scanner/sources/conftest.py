"""Scans of declarations over real files and a real HTTP server, and of clusters, into a real inventory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiserver import ApiServerDouble
from making import NOW
from registries import Registry

from inventory.model import Declaration, Scan, Scope, utc_now
from inventory.settings import Settings
from inventory.store import Store, open_store
from scanner.asking import asker
from scanner.runner import Runner
from scanner.scopes import parts_of
from scanner.sources import Ask

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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/inventory.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def ask() -> Ask:
    return asker(Settings(scan_timeout=1.0))


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
