"""An ordinary web service from the standard library alone: an operations status page. ``ADDRESS PORT``."""

import json
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STARTED = time.monotonic()


class StatusPage(BaseHTTPRequestHandler):
    """``GET /`` for people, ``GET /health`` for monitors, nothing else."""

    def do_GET(self) -> None:
        """Answer from the uptime of the process."""
        uptime = time.monotonic() - STARTED
        if self.path == "/":
            self._answer(HTTPStatus.OK, "text/html", f"<title>Status</title><h1>All well</h1><p>{uptime:.0f} s up</p>")
        elif self.path == "/health":
            self._answer(HTTPStatus.OK, "application/json", json.dumps({"status": "ok", "uptime_s": round(uptime, 1)}))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "no such page")

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), StatusPage).serve_forever()
