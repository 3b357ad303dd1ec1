"""What works on this machine and what does not: each finding with what to do about it."""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inventory.settings import Settings
from inventory.store import StoreError, open_store
from router.errors import GatewayError

LEAST_FREE_BYTES = 512 * 1024 * 1024
FILES_WANTED = 4096
CAP_NET_RAW = 13


@dataclass(frozen=True)
class Finding:
    """One check: whether it works, and what was found, with what to do where it does not."""

    check: str
    works: bool
    finding: str


def examine(settings: Settings) -> list[Finding]:
    """Check everything that gnomon needs here. Changes nothing but the schema of its own database."""
    return [
        _database(settings),
        _state_folder(settings.state_folder),
        *_envoy(settings),
        _open_files(),
        _raw_sockets(),
    ]


def examine_cluster(settings: Settings, target: str) -> list[Finding]:
    """Check that a cluster can be looked at: its context, its API server, and what may be read of it.

    Changes nothing. Raises TargetError for a target that is no one cluster.
    """
    from scanner.apiserver import ClusterError, Unanswered
    from scanner.permissions import Permission, permissions
    from scanner.sources.kubernetes import chosen, log_in
    from scanner.targets import Prefixed, TargetError, parse_target

    parsed = parse_target(target)
    if not isinstance(parsed, Prefixed) or parsed.prefix != "k8s":
        raise TargetError(f"{target!r} is no cluster: write k8s:CONTEXT")
    cluster = chosen([parsed])

    async def ask() -> list[Permission]:
        api = await log_in(cluster.context, settings.cluster_rate)
        try:
            return await permissions(api, cluster.namespaces, proxy=settings.cluster_reach in {"auto", "proxy"})
        finally:
            await api.close()

    try:
        found = asyncio.run(ask())
    except ClusterError as error:
        return [Finding("log in", False, str(error))]
    except Unanswered as error:
        return [Finding("API server", False, f"{error}: check the address, the network and the credentials")]
    there = Finding("API server", True, f"context {cluster.context} logs in, and the server answers")
    return [there, *(Finding(one.what, one.allowed, str(one)) for one in found)]


def _database(settings: Settings) -> Finding:
    try:
        with open_store(settings.database, settings) as store:
            return Finding("database", True, f"opens, and holds {store.endpoints.count()} endpoints")
    except StoreError as error:
        return Finding("database", False, f"{error}; name another by --database or GNOMON_DATABASE")


def _state_folder(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding("state folder", False, f"{existing} cannot be written: set GNOMON_STATE_FOLDER to one that can")
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        return Finding("state folder", False, f"{folder} has {free // 2**20} MiB left: make room for captures and logs")
    return Finding("state folder", True, f"{folder} can be written, {free // 2**30} GiB are free")


def _envoy(settings: Settings) -> Iterator[Finding]:
    from router.gateways.envoy.binary import envoy_binary

    try:
        binary = envoy_binary()
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (GatewayError, OSError, subprocess.SubprocessError) as error:
        yield Finding("envoy", False, f"does not run: {error}")
    else:
        version = next(
            (part for part in done.stdout.split("/") if part[:1].isdigit() and "." in part), "of some version"
        )
        yield Finding("envoy", True, f"Envoy {version} runs")
    yield _gateway_port(settings.gateway_address, settings.gateway_port)


def _gateway_port(address: str, port: int) -> Finding:
    where = f"{address}:{port}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError as error:
            advice = "a gateway that runs already, or another program: choose another by GNOMON_GATEWAY_PORT"
            return Finding("gateway port", False, f"{where} cannot be listened on ({error.strerror}): {advice}")
    return Finding("gateway port", True, f"{where} is free")


def _open_files() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FILES_WANTED:
        return Finding("open files", False, f"at most {most}: scans go slowly; raise it by `ulimit -n {FILES_WANTED}`")
    return Finding("open files", True, f"up to {'any number' if most == resource.RLIM_INFINITY else most}")


def _raw_sockets() -> Finding:
    """Raw sockets are no need: without them scans go by ordinary connections, only slower."""
    status = Path("/proc/self/status")
    effective = 0
    if status.exists():
        line = next((text for text in status.read_text().splitlines() if text.startswith("CapEff:")), "CapEff: 0")
        effective = int(line.split()[1], 16)
    if effective & (1 << CAP_NET_RAW):
        return Finding("raw sockets", True, "there: subnets on Ethernet go by SYN frames, loopback by connecting")
    return Finding(
        "raw sockets",
        True,
        "not there: scans go by connecting, which is slower, and --listen cannot be; for SYN frames and --listen run "
        f"as root, or `sudo setcap cap_net_raw+ep {_interpreter()}` (it holds for every program of that interpreter: "
        "give gnomon one of its own by `python -m venv --copies`), or give a container NET_RAW (`docker run --cap-add "
        "NET_RAW`; in a pod securityContext.capabilities.add: [NET_RAW], and hostNetwork: true to see the link)",
    )


def _interpreter() -> Path:
    """The file that capabilities are given to: they do not pass through links."""
    return Path(sys.executable).resolve()
