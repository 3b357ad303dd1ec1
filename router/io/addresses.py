"""The addresses of this machine, or of the network namespace that this process is in."""

import contextlib
import socket
from ipaddress import IPv6Address
from pathlib import Path

_TRIE = Path("/proc/net/fib_trie")
_SIX = Path("/proc/net/if_inet6")


def own_addresses() -> tuple[str, ...]:
    """Every address that is this machine's own, sorted; those of its name where the system lists none.

    Linux lists them under /proc, without a privilege and in the right network namespace.
    """
    found: set[str] = set()
    try:
        found |= local_of_trie(_TRIE.read_text())
    except OSError:
        found |= _of_name()
    with contextlib.suppress(OSError):
        found |= {str(IPv6Address(bytes.fromhex(line.split()[0]))) for line in _SIX.read_text().splitlines()}
    return tuple(sorted(found))


def local_of_trie(text: str) -> set[str]:
    """The addresses of type LOCAL in the kernel's routing trie: a leaf's address stands on the line before its type."""
    found: set[str] = set()
    last = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.add(last)
    return found


def _of_name() -> set[str]:
    try:
        told = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return {"127.0.0.1"}
    return {"127.0.0.1", *(str(one[4][0]) for one in told)}
