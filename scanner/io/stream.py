"""A TCP connection, with TLS where it is wanted, as calls from the event loop: no task, no future, no copy of its own.

asyncio's transports cost several times as much for a connection that carries a handful of requests, which is
what questions to thousands of hosts are made of.
"""

import asyncio
import errno
import socket
import ssl
from typing import Protocol
from weakref import WeakKeyDictionary

from scanner.io.tls import TlsSession

_CHUNK = 64 * 1024
_TCP, _NODELAY = int(socket.IPPROTO_TCP), int(socket.TCP_NODELAY)
_LATER = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR})
_BUFFERS: WeakKeyDictionary[asyncio.AbstractEventLoop, bytearray] = WeakKeyDictionary()


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

    def __init__(self, owner: Owner, tls: TlsSession | None = None) -> None:
        self._owner = owner
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._file = -1
        self._unsent = b""
        self._reading = False
        self._buffer = _BUFFERS.setdefault(self._loop, bytearray(_CHUNK))

    def open(self, address: str, port: int) -> None:
        """Begin to connect. The owner is told of everything that comes of it, never before this returns."""
        try:
            # A zone ("%eth0") is known to getaddrinfo only.
            target = (address, port)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if "%" in address:
                target = socket.getaddrinfo(address, port, family, flags=socket.AI_NUMERICHOST)[0][4]  # type: ignore[assignment]
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._file = self._socket.fileno()
            code = self._socket.connect_ex(target)
        except (OSError, ValueError):
            code = errno.EINVAL
        if self._socket is None or (code and code not in _LATER):
            self._loop.call_soon(self._end, _failure(code))
        else:
            self._loop.add_writer(self._file, self._connected)

    def write(self, data: bytes) -> None:
        """Send bytes, now or as soon as there is room."""
        if not self._reading:
            self._read_on()
        if self._tls is not None:
            self._tls.encrypt(data)
            data = self._tls.outgoing()
        self._send(data)

    def close(self) -> None:
        """Drop the connection at once, without waiting for the peer. The owner hears nothing more."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._loop.remove_reader(self._file)
            self._loop.remove_writer(self._file)
            sock.close()

    @property
    def certificate(self) -> bytes | None:
        """The certificate that the peer showed, in DER; None without TLS."""
        return self._tls.certificate if self._tls is not None and self._tls.established else None

    def _end(self, why: str) -> None:
        self.close()
        self._owner.stream_ended(why)

    def _connected(self) -> None:
        assert self._socket is not None
        self._loop.remove_writer(self._file)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(_failure(code))
            return
        self._socket.setsockopt(_TCP, _NODELAY, 1)
        if self._tls is None:
            self._owner.stream_opened()
        else:
            self._loop.add_reader(self._file, self._readable)
            self._shake_hands(b"")

    def _read_on(self) -> None:
        self._reading = True
        if self._socket is not None:
            self._loop.add_reader(self._file, self._readable)
            if self._tls is not None:
                self._loop.call_soon(self._decrypt, b"")

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            size = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end("reset")
            return
        if not size:
            self._end("closed" if self._tls is None or self._tls.established else "tls")
            return
        data = memoryview(self._buffer)[:size]
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
        except (ssl.SSLError, ValueError):
            self._end("tls")
            return
        self._send(self._tls.outgoing())
        if done and self._socket is not None:
            self._loop.remove_reader(self._file)
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
        if self._socket is None or not (data or self._unsent):
            return
        if not self._unsent:
            sent = self._send_now(data)
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._file, self._writable)
        self._unsent += data

    def _send_now(self, data: bytes) -> int:
        assert self._socket is not None
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # The end is told by the next read, after what the peer may still have said.
            return len(data)

    def _writable(self) -> None:
        assert self._socket is not None
        self._unsent = self._unsent[self._send_now(self._unsent) :]
        if not self._unsent:
            self._loop.remove_writer(self._file)


def _failure(code: int) -> str:
    return {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}.get(code, "reset")
