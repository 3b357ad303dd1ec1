"""A scan of declarations over real files and a real HTTP server, into a real inventory."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inventory.model import Declaration, Scan, Scope, utc_now
from inventory.settings import Settings
from inventory.store import Store, open_store
from scanner.runner import Runner

Read = Callable[..., tuple[Scan, dict[str, Declaration]]]
Answer = Callable[[str, dict[str, str]], tuple[int, Any, dict[str, str]]]


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


class Registry:
    """An HTTP server that answers as ``answer`` says. ``asked`` are the requests: path and headers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: Answer = lambda path, headers: (404, {}, {})
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                registry.asked.append((self.path, headers))
                status, body, extra = registry.answer(self.path, headers)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", extra.pop("Content-Length", str(len(data))))
                for name, value in extra.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr("scanner.io.api.time.sleep", lambda seconds: None)
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "KONG_ADMIN_TOKEN", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Registry()
    yield running
    running.close()
