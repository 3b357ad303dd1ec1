"""Applications in pods, served over real HTTP on loopback."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Churn model", "version": "1"},
    "paths": {"/predict": {"post": {"summary": "Predict", "requestBody": {"content": {"application/json": {"schema": {
        "type": "object", "properties": {"features": {"type": "array", "items": {"type": "number"}}}}}}}}}},
}  # fmt: skip


class Model(BaseHTTPRequestHandler):
    """A model as FastAPI would describe it, which writes down what reached it."""

    seen: list[tuple[str, str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self.path == "/":
            self.answer(307, b"", ("Location", "/docs"))
        elif self.path == "/docs":
            self.answer(
                200, b'<html><title>Docs</title><a href="/openapi.json">x</a></html>', ("Content-Type", "text/html")
            )
        elif self.path == "/openapi.json":
            self.answer(200, json.dumps(OPENAPI).encode(), ("Content-Type", "application/json"))
        else:
            self.answer(404, b'{"detail":"Not Found"}', ("Content-Type", "application/json"))

    do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's names

    def answer(self, code: int, body: bytes, header: tuple[str, str]) -> None:
        self.send_response(code)
        self.send_header(*header)
        self.send_header("Set-Cookie", "session=from-the-pod")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "uvicorn"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def application(
    host: str, port: int, kind: type[Model] = Model, *, tls: ssl.SSLContext | None = None
) -> Iterator[list[tuple[str, str, dict[str, str]]]]:
    """Serve a model at an address until the end of the block. Gives what reaches it."""
    handler = type("Handler", (kind,), {"seen": []})
    server = ThreadingHTTPServer((host, port), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield handler.seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
