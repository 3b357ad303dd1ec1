import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inventory.model import Backend, Comparison, RouteSpec, Shadow
from inventory.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'inventory.db'}") as opened:
        yield opened


@pytest.fixture
def spec() -> RouteSpec:
    return RouteSpec(
        name="churn",
        hosts=("churn.localhost",),
        backends=(
            Backend(name="origin", url="http://127.0.0.1:5000", weight=100),
            Backend(name="replacement", url="http://127.0.0.1:5001"),
        ),
        shadow=Shadow(backend="replacement", percent=100),
        comparison=Comparison(ignore=("$.took_ms",)),
    )


@pytest.fixture
def line() -> Callable[..., bytes]:
    """One line of the capture file, as the gateway writes it."""

    def make(
        rid: str,
        role: str,
        body: object = None,
        *,
        route: str = "churn",
        rev: int = 1,
        backend: str | None = "",
        **fields: object,
    ) -> bytes:
        at = backend if backend != "" else "origin" if role == "p" else "replacement"
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        record = {
            "rid": rid,
            "role": role,
            "entry": f"{route}@{rev}",
            "cluster": at and f"{route}|{at}",
            "code": 200,
            "us": 1500,
            "rx": 10,
            "tx": len(raw),
            "sb": base64.b64encode(raw).decode(),
            "ct": "application/json",
            "method": "POST",
            "path": "/predict",
        } | fields
        return json.dumps({key: value for key, value in record.items() if value is not None}).encode() + b"\n"

    return make
