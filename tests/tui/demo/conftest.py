"""Real sockets that answer by a script."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

Serve = Callable[..., Awaitable[tuple[str, int]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that sends the given bytes to one request after the other, then closes."""
    servers: list[asyncio.Server] = []

    async def start(*answers: bytes, close: bool = True) -> tuple[str, int]:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                for answer in answers:
                    head = await reader.readuntil(b"\r\n\r\n")
                    for line in head.lower().split(b"\r\n"):
                        if line.startswith(b"content-length:"):
                            await reader.readexactly(int(line.split(b":")[1]))
                    writer.write(answer)
                    await writer.drain()
                if not close:
                    await reader.read()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(converse, "127.0.0.1", 0)
        servers.append(server)
        address, port = server.sockets[0].getsockname()
        return address, port

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()
