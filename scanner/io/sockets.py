"""What the kernel tells about sockets, routes and limits. Nothing is sent."""

import errno
import os
import resource
import socket
import struct

_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_FEWEST = 16
_FIRST_REPETITION = 1.0
"""Seconds after which Linux sends a SYN again; then it doubles (RFC 6298, and tcp(7))."""
_PROTOCOL_TCP, _TCP_INFO = int(socket.IPPROTO_TCP), 11
_TCP_INFO_LENGTH, _TOTAL_RETRANSMISSIONS = 104, 100


def most_in_flight(wanted: int, reserve: int) -> int:
    """How many sockets may be open at once when ``reserve`` files are left to the rest of the process.

    Raises the soft limit of open files toward the hard one where that helps. At least 16, where as many are wanted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + reserve
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(_FEWEST, soft - reserve))


def frames_within(timeout: float) -> int:
    """How many SYNs the kernel sends to a silent port within ``timeout`` seconds."""
    frames, due = 1, _FIRST_REPETITION
    while due < timeout:
        frames, due = frames + 1, 2 * due + _FIRST_REPETITION
    return frames


def retransmissions(sock: socket.SocketType) -> int:
    """How many frames the kernel had to send again on a connection (``tcpi_total_retrans`` of tcp(7))."""
    try:
        raw = sock.getsockopt(_PROTOCOL_TCP, _TCP_INFO, _TCP_INFO_LENGTH)
    except OSError:
        return 0
    return int(struct.unpack_from("I", raw, _TOTAL_RETRANSMISSIONS)[0]) if len(raw) >= _TCP_INFO_LENGTH else 0


def connected_to_itself(sock: socket.SocketType) -> bool:
    """Whether a connection has no other end.

    On its own host a socket that is given the very port it connects to meets itself (the
    simultaneous open of RFC 9293, 3.5): a port that looks open and is not.
    """
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False


def has_route(address: str) -> bool:
    """Whether this machine has a way to an address and an address of its own to send from.

    Nothing is sent: connecting a datagram socket only looks up the route.
    """
    try:
        with socket.socket(_IPV6 if ":" in address else _IPV4, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
    except OSError:
        return False
    return True


def is_broadcast(address: str) -> bool:
    """Whether an address is that of a whole network of this machine. Nothing is sent, as in ``has_route``."""
    if ":" in address:
        return False
    with socket.socket(_IPV4, socket.SOCK_DGRAM) as sock:
        return sock.connect_ex((address, 9)) == errno.EACCES


def reason_of(code: int) -> str:
    """An errno in words, with its name."""
    return f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"
