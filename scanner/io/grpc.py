"""The two harmless gRPC calls, reflection and health, with or without TLS. Bounded in calls, bytes and time."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from scanner.findings import Limits
from scanner.io.http2 import tls_for_http2
from scanner.rpc import CALLS, HEALTH, LIST_SERVICES, REFLECTION, WHOLE_SERVER, Reply

_CHUNK = 64 * 1024


async def ask_services(address: str, port: int, limits: Limits, *, tls: bool = False) -> tuple[Reply, ...]:
    """List the services by reflection (v1, then v1alpha) and check the health. Never raises for what the host does.

    At most three calls, each within ``limits.answer`` seconds and ``limits.body`` bytes; no call is retried, and no
    proxy of the environment is used. Within TLS any certificate is taken, which grpcio itself cannot do: it speaks to
    a socket of ours, and the tunnel behind it encrypts.
    """
    host = f"[{address}]" if ":" in address else address
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", limits.body),
        ("grpc.max_metadata_size", limits.header),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if tls:
        options.append(("grpc.default_authority", f"{host}:{port}"))
        async with _tunnel(address, port, limits) as target:
            return await _ask(target, options, limits)
    return await _ask(f"{host}:{port}", options, limits)


async def _ask(target: str, options: list[tuple[str, int | str]], limits: Limits) -> tuple[Reply, ...]:
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        replies: list[Reply] = []
        for call in REFLECTION:
            replies.append(await _stream(channel, call, limits))
            if replies[-1].code != "UNIMPLEMENTED":
                break
        if replies[-1].code not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
            replies.append(await _unary(channel, HEALTH, limits))
        return tuple(replies)


@contextlib.asynccontextmanager
async def _tunnel(address: str, port: int, limits: Limits) -> AsyncIterator[str]:
    """A Unix socket in a folder of our own whose connections go on within TLS, as a target of grpcio."""
    pipes: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        pipes.add(task)
        try:
            async with asyncio.timeout(limits.connect + limits.answer):
                far_reader, far_writer = await asyncio.open_connection(
                    address, port, ssl=tls_for_http2(), server_hostname="", limit=_CHUNK
                )
            try:
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except (OSError, TimeoutError):
            pass  # grpcio is told by the end of the connection
        finally:
            writer.transport.abort()

    with tempfile.TemporaryDirectory(prefix="gnomon-") as folder:
        path = str(Path(folder) / "tunnel")
        server = await asyncio.start_unix_server(accept, path)
        try:
            yield f"unix:{path}"
        finally:
            server.close()
            for task in pipes:
                task.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


async def _stream(channel: grpc.aio.Channel, call: str, limits: Limits) -> Reply:
    assert call in CALLS
    answers = channel.stream_stream(call)(_one(LIST_SERVICES), timeout=limits.answer)
    try:
        async with asyncio.timeout(limits.answer):
            body = await answers.read()
            if body is not grpc.aio.EOF:
                return Reply(call, "OK", body)
            return Reply(call, (await answers.code()).name)
    except TimeoutError:
        return Reply(call, "DEADLINE_EXCEEDED")
    except grpc.aio.AioRpcError as error:
        return Reply(call, error.code().name)
    finally:
        answers.cancel()


async def _one(message: bytes) -> AsyncIterator[bytes]:
    yield message


async def _unary(channel: grpc.aio.Channel, call: str, limits: Limits) -> Reply:
    assert call in CALLS
    try:
        async with asyncio.timeout(limits.answer):
            return Reply(call, "OK", await channel.unary_unary(call)(WHOLE_SERVER, timeout=limits.answer))
    except TimeoutError:
        return Reply(call, "DEADLINE_EXCEEDED")
    except grpc.aio.AioRpcError as error:
        return Reply(call, error.code().name)
