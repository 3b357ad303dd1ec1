"""Who owns a port. Two programs must never share the gateway's."""

import contextlib
import errno
import socket
from pathlib import Path

from router.errors import GatewayError

_LISTEN = "0A"

CAN_TELL = Path("/proc/net/tcp").exists()
"""Whether this system tells who listens where."""


def require_free(address: str, port: int) -> None:
    """GatewayError, naming the port, its owner where that can be known, and the setting, unless the port is free."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            raise GatewayError(_why(address, port, error)) from error


def taken(address: str, port: int) -> GatewayError:
    """The error for a port that another program listens on."""
    return GatewayError(_why(address, port, OSError(errno.EADDRINUSE, "Address already in use")))


def _why(address: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        names = sorted({name for pid in listeners(port) if (name := _name(pid))})
        owner = f"another program ({', '.join(names)})" if names else "another program"
        return f"port {port} on {address} is in use by {owner}: end it, or set gateway_port to a free port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address} is no address of this machine: set gateway_address to one that is"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges that this user lacks: set gateway_port to 1024 or above"
    return f"the gateway cannot listen on {address}, port {port}: {error.strerror or error}"


def listeners(port: int) -> set[int]:
    """The processes that listen on a TCP port, as far as this user may see. Empty where there is no /proc."""
    inodes = _inodes(port)
    found: set[int] = set()
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        found.add(int(process.name))
    return found


def _inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def _name(pid: int) -> str:
    """The name of a process in printable characters; empty where it is gone."""
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        return "".join(letter for letter in name if letter.isprintable()) + f", pid {pid}"
    return ""
