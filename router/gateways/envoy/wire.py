"""What gnomon and a gateway of another machine say to each other beside xDS: one gRPC service, over mutual TLS.

``Attend`` is a stream both ways of small JSON messages, ``Ship`` takes lines of a log and says once they are kept,
``Renew`` signs the next certificate, ``Tunnel`` carries one connection to the authorisation service.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import grpc

SERVICE: Final = "gnomon.Fleet"
MOST_BYTES: Final = 64 * 1024 * 1024
CALLS, CAPTURE = "calls", "capture"
KIND, FILE, END = "gnomon-kind", "gnomon-file", "gnomon-end"
"""Metadata of ``Ship``: which log, which file of it, and the byte in it where these lines end."""

EXPELLED: Final = "this gateway was expelled"
BATCH: Final = 200
"""Routes in one message."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.max_send_message_length", MOST_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


def dumps(message: Any) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode()


def loads(raw: bytes) -> dict[str, Any]:
    """A message as it was sent. ValueError for what is none."""
    return dict(json.loads(raw))


def same(raw: bytes) -> bytes:
    """Bytes, as they are."""
    return raw


def handlers(attend: Any, ship: Any, renew: Any, tunnel: Any) -> Any:
    """The four methods as a handler of gRPC."""
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Attend": grpc.stream_stream_rpc_method_handler(attend, loads, dumps),
            "Ship": grpc.unary_unary_rpc_method_handler(ship, same, same),
            "Renew": grpc.unary_unary_rpc_method_handler(renew, same, same),
            "Tunnel": grpc.stream_stream_rpc_method_handler(tunnel, same, same),
        },
    )


def method(name: str) -> str:
    """The full name of a method."""
    return f"/{SERVICE}/{name}"


Stub = Callable[..., Any]


def stubs(channel: Any) -> tuple[Stub, Stub, Stub, Stub]:
    """Attend, Ship, Renew and Tunnel over a channel."""
    return (
        channel.stream_stream(method("Attend"), dumps, loads),
        channel.unary_unary(method("Ship"), same, same),
        channel.unary_unary(method("Renew"), same, same),
        channel.stream_stream(method("Tunnel"), same, same),
    )
