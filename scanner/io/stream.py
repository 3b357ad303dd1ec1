"""A TCP connection, with TLS where it is wanted, as calls from a reactor: no task and no future of its own."""

import asyncio
import errno
import socket
import ssl
from typing import Protocol

from scanner.io.reactor import READ, WRITE, Reactor
from scanner.io.tls import TlsSession

# The plain type of sockets and plain numbers: their Python shells cost as much as the system calls.
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_SOCKET_LEVEL, _ERROR = int(socket.SOL_SOCKET), int(socket.SO_ERROR)
_TCP, _NODELAY = int(socket.IPPROTO_TCP), int(socket.TCP_NODELAY)
_LATER = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR})


class Owner(Protocol):
    """Who a stream reports to. After ``stream_ended`` it is closed and reports nothing more."""

    def stream_opened(self) -> None:
        """The connection, with its TLS handshake, stands."""

    def stream_received(self, data: bytes | memoryview) -> None:
        """The peer said something. The data may be used during the call only."""

    def stream_ended(self, why: str) -> None:
        """It is over: ``refused``, ``timeout``, ``reset``, ``tls``, or ``closed`` by the peer."""


class Stream:
    """One connection. ``open`` it, then ``write`` once the owner was told that it stands.

    Nothing is read before the first ``write``: what a host says before it is asked waits for the first question.
    """

    __slots__ = ("_file", "_owner", "_reactor", "_reading", "_socket", "_tls", "_unsent")

    def __init__(self, owner: Owner, reactor: Reactor, tls: TlsSession | None = None) -> None:
        self._owner = owner
        self._reactor = reactor
        self._tls = tls
        self._socket: socket.SocketType | None = None
        self._file = -1
        self._unsent = b""
        self._reading = False

    def open(self, address: str, port: int) -> None:
        """Begin to connect. The owner is told of everything that comes of it, never before this returns."""
        try:
            self._socket = socket.SocketType(_IPV6 if ":" in address else _IPV4, _STREAM)
            self._file = self._socket.fileno()
            code = self._socket.connect_ex(_target(address, port))
        except (OSError, ValueError) as error:
            code = getattr(error, "errno", None) or errno.EINVAL
        if code and code not in _LATER:
            asyncio.get_running_loop().call_soon(self._end, _failure(code))
        else:
            self._reactor.watch(self._file, WRITE, self._connected)

    def write(self, data: bytes) -> None:
        """Send bytes, now or as soon as there is room."""
        if self._tls is not None:
            self._tls.encrypt(data)
            data = self._tls.outgoing()
        self._send(data)
        if not self._reading:
            self._reading = True
            self._watch()
            if self._tls is not None:
                # What came with the end of the handshake is read already.
                asyncio.get_running_loop().call_soon(self._decrypt, b"")

    def close(self) -> None:
        """Drop the connection at once, without waiting for the peer. The owner hears nothing more."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._reactor.forget(self._file)
            sock.close()

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the peer showed, in DER; None without TLS."""
        return self._tls.certificate if self._tls is not None and self._tls.established else None

    def _end(self, why: str) -> None:
        self.close()
        self._owner.stream_ended(why)

    def _watch(self) -> None:
        """Be called for what is of interest just now; a failure is always told."""
        if self._socket is not None:
            events = (READ if self._reading else 0) | (WRITE if self._unsent else 0)
            self._reactor.change(self._file, events, self._ready)

    def _connected(self, _events: int) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(_SOCKET_LEVEL, _ERROR)
        if code:
            self._end(_failure(code))
            return
        self._socket.setsockopt(_TCP, _NODELAY, 1)
        if self._tls is None:
            self._watch_nothing_yet()
            self._owner.stream_opened()
        else:
            self._reading = True
            self._watch()
            self._shake_hands(b"")

    def _watch_nothing_yet(self) -> None:
        self._reactor.change(self._file, 0, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE and self._unsent:
            self._send_rest()
        if events & ~WRITE and self._socket is not None:
            self._read()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            size = self._socket.recv_into(self._reactor.buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end("reset")
            return
        if not size:
            self._end("closed" if self._tls is None or self._tls.established else "tls")
            return
        data = memoryview(self._reactor.buffer)[:size]
        if self._tls is None:
            self._owner.stream_received(data)
        elif self._tls.established:
            self._decrypt(data)
        else:
            self._shake_hands(data)

    def _shake_hands(self, data: bytes | memoryview) -> None:
        assert self._tls is not None
        try:
            done = self._tls.handshake(data)
        except (ssl.SSLError, ValueError) as error:
            agreed = "NO_APPLICATION_PROTOCOL" not in str(getattr(error, "reason", ""))
            self._end("tls" if agreed else "alpn")
            return
        self._send(self._tls.outgoing())
        if done and self._socket is not None:
            self._reading = False
            self._watch()
            self._owner.stream_opened()

    def _decrypt(self, data: bytes | memoryview) -> None:
        assert self._tls is not None
        if self._socket is None:
            return
        try:
            said, over = self._tls.decrypt(data)
        except ssl.SSLError:
            self._end("reset")
            return
        self._send(self._tls.outgoing())
        if said:
            self._owner.stream_received(said)
        if over and self._socket is not None:
            self._end("closed")

    def _send(self, data: bytes) -> None:
        if self._socket is None or not data:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._send_now(data)
        if sent < len(data):
            self._unsent = data[sent:]
            self._watch()

    def _send_now(self, data: bytes) -> int:
        assert self._socket is not None
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # The end is told by the next read, after what the peer may still have said.
            return len(data)

    def _send_rest(self) -> None:
        self._unsent = self._unsent[self._send_now(self._unsent) :]
        if not self._unsent:
            self._watch()


def _target(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if "%" not in address:
        return address, port
    # Only getaddrinfo knows zones such as "%eth0".
    return socket.getaddrinfo(address, port, _IPV6, flags=socket.AI_NUMERICHOST)[0][4]  # type: ignore[return-value]


def _failure(code: int) -> str:
    return {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}.get(code, "reset")
