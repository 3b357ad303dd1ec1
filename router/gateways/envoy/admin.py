"""Envoy's administration interface, over its Unix socket. Blocking: async code calls it in a thread."""

import http
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from router.gateways.envoy import stats

_LONG = 15.0
"""Seconds that Envoy may need for all counters."""
_PIECE = 1024 * 1024
MOST = 64 * 1024 * 1024
"""Bytes of an answer that are read at most."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("admin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, target: str, *, method: str = "GET", timeout: float = 2.0) -> tuple[int, str]:
    """Status and body of one request. OSError where nobody answers on the socket, or too late (seconds)."""
    with _answer(path, target, method, timeout) as answer:
        return answer.status, answer.read(MOST).decode("utf-8", "replace")


@contextmanager
def _answer(path: Path, target: str, method: str = "GET", timeout: float = 2.0) -> Iterator[http.client.HTTPResponse]:
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, target)
        yield connection.getresponse()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{path} did not answer in HTTP: {error!r}") from error
    finally:
        connection.close()


def ready(path: Path) -> bool:
    """Whether Envoy is there and has its first configuration."""
    try:
        return ask(path, "/ready")[0] == http.HTTPStatus.OK
    except OSError:
        return False


def alive(path: Path) -> bool:
    """Whether Envoy answers at all."""
    try:
        ask(path, "/ready")
    except OSError:
        return False
    return True


def epoch(path: Path) -> int | None:
    """How many hot restarts led to the Envoy that answers; None where none answers."""
    try:
        options = json.loads(ask(path, "/server_info")[1])["command_line_options"]
    except (OSError, ValueError, KeyError):
        return None
    return int(options.get("restart_epoch", 0))


def warming(path: Path) -> bool:
    """Whether clusters wait for the names of their servers. OSError where Envoy cannot be asked."""
    found = counters(path, r"^cluster_manager\.warming_clusters$")
    return found.get("cluster_manager_warming_clusters", 0) > 0


def counters(path: Path, pattern: str) -> dict[str, int]:
    """Counters, gauges and histograms whose name matches a pattern of RE2. OSError where Envoy cannot be asked.

    Named as ``stats.parse`` names them, and read as they come: ten thousand busy routes have a million. Only the form
    for Prometheus is made from the values that are used: for any other, Envoy's main thread goes through every cluster,
    and takes in no change meanwhile.
    """
    with _answer(path, f"/stats/prometheus?usedonly&filter={quote(pattern)}", timeout=_LONG) as answer:
        return stats.parse(_lines(answer))


def _lines(answer: http.client.HTTPResponse) -> Iterator[str]:
    rest = b""
    while piece := answer.read(_PIECE):
        whole, _, rest = (rest + piece).rpartition(b"\n")
        yield from whole.decode("utf-8", "replace").split("\n")
    yield rest.decode("utf-8", "replace")
