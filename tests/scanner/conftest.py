"""Kubernetes API servers for the tests of the scanner: real HTTP on a free port, spoken to by the real client."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apiserver import ApiServerDouble, kubeconfig, serving


@pytest.fixture
def api() -> Iterator[ApiServerDouble]:
    """An API server that is running."""
    with serving(ApiServerDouble()) as double:
        yield double


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Writes the kubeconfig of this test: contexts by name, and what else is to be in it."""

    def write(servers: dict[str, ApiServerDouble | str], *, user: dict[str, Any] | None = None, **more: Any) -> Path:
        path = tmp_path / "kubeconfig"
        said = json.loads(kubeconfig(servers, user=user))
        for key, value in more.items():
            said[key] += value
        path.write_text(json.dumps(said))
        monkeypatch.setenv("KUBECONFIG", str(path))
        return path

    return write


@pytest.fixture
async def client(api: ApiServerDouble, kube: Callable[..., Path]) -> AsyncIterator[Any]:
    """The real client, logged in to the server."""
    from scanner.io.kubernetes import ApiServer

    kube({"prod": api})
    opened = await ApiServer.connect("prod", 1000)
    yield opened
    await opened.close()
