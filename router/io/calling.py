"""Calls of gRPC whose messages are bytes: what a replay sends to a candidate. All the I/O of it."""

from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import grpc

_NO_ANSWER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Called(NamedTuple):
    """What a call came to. ``status`` is gRPC's number, None where nobody answered. ``cut``: there was more to read."""

    status: int | None
    messages: tuple[bytes, ...] = ()
    cut: bool = False


class Caller:
    """A connection to one server, http or https by its URL; a context manager."""

    def __init__(self, url: str, *, timeout: float, marker: str) -> None:
        """``timeout`` in seconds for each call; each says ``marker: 1``."""
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._base = parts.path.rstrip("/")
        self._timeout = timeout
        self._metadata = ((marker, "1"),)
        if parts.scheme == "https":
            self._channel = grpc.secure_channel(f"{host}:{parts.port or 443}", grpc.ssl_channel_credentials())
        else:
            self._channel = grpc.insecure_channel(f"{host}:{parts.port or 80}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, path: str, messages: Iterable[bytes], most_bytes: int) -> Called:
        """Send messages to a method, and read its answer up to so many bytes. Every kind of method is called alike."""
        under_way = self._channel.stream_stream(self._base + path)(
            iter(messages), timeout=self._timeout, metadata=self._metadata
        )
        found: list[bytes] = []
        size = 0
        try:
            for message in under_way:
                size += len(message)
                if size > most_bytes:
                    under_way.cancel()
                    return Called(0, tuple(found), cut=True)
                found.append(message)
        except grpc.RpcError:
            code = under_way.code()
            return Called(None if code in _NO_ANSWER else code.value[0], tuple(found))
        return Called(0, tuple(found))
