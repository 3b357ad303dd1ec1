"""A laboratory for comparisons: two network namespaces, a wire between them, and ordinary web hosts beyond it.

``with Lab(...) as lab`` makes it and ``lab.run`` measures a command in the near namespace. Whatever was
made is gone afterwards, also after Ctrl-C; what a killed run left behind is removed by the next one.
Run: python benchmarks/lab.py says whether this machine can make one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from types import FrameType
from typing import Self

PREFIX = "gnomon-lab"
GATEWAY, CLIENT = "10.230.0.1", "10.230.0.2"
READY_SECONDS = 10.0

SITES = {
    "shop": "<!doctype html><html><head><title>Corner Bakery</title></head><body><h1>Fresh bread</h1>"
    '<p>Open from six.</p><a href="/contact.html">Contact</a></body></html>',
    "stock": "<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1>"
    "<p>If you see this page, the web server is successfully installed and working.</p></body></html>",
    "empty": "",
}
"""The pages of the hosts, by turns of the last digit of their address; ``empty`` has none and answers 403."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command cost, and what it wrote. ``megabytes`` is the peak of its largest process."""

    seconds: float
    cpu: float
    megabytes: float
    out: str


def missing() -> list[str]:
    """What this machine lacks for a laboratory, each as a clause; empty where it can make one."""
    lacks = [] if os.geteuid() == 0 else ["it must be run as root, because network namespaces are made"]
    packages = {"ip": "iproute2", "nginx": "nginx-light", "setpriv": "util-linux"}
    return lacks + [f"{tool} is missing: install {package}" for tool, package in packages.items() if not _which(tool)]


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Lab:
    """Networks that answer, networks that are silent, and what listens there.

    ``present`` networks answer at every address: RST at a closed port. ``silent`` networks are routed
    and answer nothing. ``listeners`` are (address, port) pairs where a web server accepts; the address
    ``*`` means all that are present. One nginx process serves them all, or ``server``, a command in nginx's place.
    """

    def __init__(
        self,
        present: list[str],
        silent: list[str],
        listeners: list[tuple[str, int]],
        server: list[str] | None = None,
    ) -> None:
        self._present = [IPv4Network(network) for network in present]
        self._silent = [IPv4Network(network) for network in silent]
        self._listeners = listeners
        self._server = server
        self._stack = ExitStack()
        self._near, self._far = (f"{PREFIX}-{os.getpid()}-{end}" for end in ("near", "far"))
        self.folder = Path()

    def __enter__(self) -> Self:
        """Make it. RuntimeError with one sentence where that fails; nothing is left then."""
        clear(PREFIX)
        previous = signal.signal(signal.SIGTERM, terminated)
        self._stack.callback(signal.signal, signal.SIGTERM, previous)
        try:
            self.folder = Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{PREFIX}-{os.getpid()}-"))
            )
            self._wire()
            self._serve()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove it."""
        self._stack.close()

    def run(self, command: list[str], limit: float, environment: dict[str, str] | None = None) -> Spent:
        """Run a command in the near namespace and measure it. RuntimeError where it fails or takes too long."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            began = time.monotonic()
            process = subprocess.Popen(
                ["ip", "netns", "exec", self._near, *command], stdout=out, stderr=err, env=environment
            )
            alarm = threading.Timer(limit, process.kill)
            alarm.start()
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            finally:
                alarm.cancel()
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            if process.returncode:
                why = err.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {why}")
            text = out.read().decode(errors="replace")
        return Spent(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text)

    def _wire(self) -> None:
        for name in (self._near, self._far):
            _ip("netns", "add", name)
            self._stack.callback(remove, name)
        _ip("link", "add", "wire", "netns", self._near, "type", "veth", "peer", "name", "wire", "netns", self._far)
        for name, address in ((self._near, CLIENT), (self._far, GATEWAY)):
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "wire")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "wire", "up")
        # Local and blackhole routes stand for thousands of addresses without the cost of any.
        for network in self._present:
            _ip("-n", self._far, "route", "add", "local", str(network), "dev", "lo")
        for network in self._silent:
            _ip("-n", self._far, "route", "add", "blackhole", str(network))
        for network in self._present + self._silent:
            _ip("-n", self._near, "route", "add", str(network), "via", GATEWAY)

    def _serve(self) -> None:
        for name, page in SITES.items():
            site = self.folder / name
            site.mkdir()
            if page:
                (site / "index.html").write_text(page, encoding="utf-8")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(_nginx(self.folder, self._listeners), encoding="utf-8")
        command = self._server or [_which("nginx") or "nginx", "-c", str(configuration)]
        words = ["setpriv", "--pdeathsig", "TERM", *command]
        with (self.folder / "server.log").open("wb") as log:
            server = subprocess.Popen(["ip", "netns", "exec", self._far, *words], stdout=log, stderr=log)
        self._stack.callback(_end, server)
        deadline = time.monotonic() + READY_SECONDS
        while _listening(server.pid) < len(self._listeners):
            if server.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-500:]
                raise RuntimeError(f"the server does not listen in the laboratory: {said}")
            time.sleep(0.01)


def _nginx(folder: Path, listeners: list[tuple[str, int]]) -> str:
    listen = "".join(f"    listen {address}:{port} backlog=4096;\n" for address, port in listeners)
    kept = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        "daemon off;\nmaster_process off;\nworker_rlimit_nofile 16384;\n"
        f"pid {folder}/nginx.pid;\nerror_log stderr crit;\nevents {{ worker_connections 8192; }}\n"
        f"http {{\n  access_log off;\n{kept}"
        "  types { text/html html; }\n  default_type text/plain;\n"
        "  map $server_addr $site { ~[0-4]$ shop; ~[5-7]$ stock; default empty; }\n"
        f"  server {{\n{listen}    root {folder}/$site;\n  }}\n}}\n"
    )


def _listening(pid: int) -> int:
    """How many TCP sockets listen in the namespace of a process."""
    try:
        rows = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        inside = Path(f"/proc/{pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return 0
    return sum(row.split()[3] == "0A" for row in rows) if inside else 0


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`ip {' '.join(words)}` failed, is this a privileged machine? {done.stderr.strip()}")
    return done.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove(name: str) -> None:
    """Remove a namespace of ours, and end what still runs inside."""
    inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    for pid in inside.stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def clear(prefix: str) -> None:
    """Remove the namespaces and folders of laboratories whose process is no more."""
    for name in re.findall(rf"^{prefix}-\d+-(?:near|far)\b", _ip("netns", "list"), re.MULTILINE):
        if not Path("/proc", name.split("-")[2]).exists():
            remove(name)
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}-*-*"):
        if not Path("/proc", folder.name.split("-")[2]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def terminated(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that whatever was made is removed. For ``signal.signal``."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    lacks = missing()
    if lacks:
        print(f"no laboratory here: {'; '.join(lacks)}")
        return 0
    with Lab(["10.231.0.0/30"], ["10.231.1.0/30"], [("*", 80)]) as lab:
        look = "import urllib.request as u; print(u.urlopen('http://10.231.0.1', timeout=5).status)"
        print(f"a laboratory can be made here; a host of it answered {lab.run([sys.executable, '-c', look], 20).out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
