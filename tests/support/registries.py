"""A registry's HTTP server for tests of sources."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answered = tuple[int, Any, dict[str, str]]
Answer = Callable[[str, dict[str, str]], Answered]
Post = Callable[[str, dict[str, str], bytes], Answered]


class Registry:
    """An HTTP server that answers GETs as ``answer`` says, POSTs as ``post`` does.

    ``asked`` are the requests: path and headers; ``methods`` are theirs, of a POST with its body.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.methods: list[str] = []
        self.answer: Answer = lambda path, headers: (404, {}, {})
        self.post: Post = lambda path, headers, body: (404, {}, {})
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.methods.append(self.command)
                self.reply(registry.answer(self.path, self.asked()))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                registry.methods.append(f"POST {body.decode(errors='replace')}")
                self.reply(registry.post(self.path, self.asked(), body))

            def asked(self) -> dict[str, str]:
                headers = {name.lower(): value for name, value in self.headers.items()}
                registry.asked.append((self.path, headers))
                return headers

            def reply(self, answered: Answered) -> None:
                status, body, extra = answered
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the library's names

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
