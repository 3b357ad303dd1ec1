"""The two harmless gRPC calls, reflection and health, over HTTP/2 without TLS. Bounded in calls, bytes and time."""

import asyncio
from collections.abc import AsyncIterator

import grpc

from scanner.findings import Limits
from scanner.rpc import CALLS, HEALTH, LIST_SERVICES, REFLECTION, WHOLE_SERVER, Reply


async def ask_services(address: str, port: int, limits: Limits) -> tuple[Reply, ...]:
    """List the services by reflection (v1, then v1alpha) and check the health. Never raises for what the host does.

    At most three calls, each within ``limits.answer`` seconds and ``limits.body`` bytes; no call is retried, and no
    proxy of the environment is used.
    """
    host = f"[{address}]" if ":" in address else address
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.max_receive_message_length", limits.body),
        ("grpc.max_metadata_size", limits.header),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(f"{host}:{port}", options=options) as channel:
        replies: list[Reply] = []
        for call in REFLECTION:
            replies.append(await _stream(channel, call, limits))
            if replies[-1].code != "UNIMPLEMENTED":
                break
        if replies[-1].code not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
            replies.append(await _unary(channel, HEALTH, limits))
        return tuple(replies)


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
