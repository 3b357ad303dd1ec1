"""A caller's connection: HTTP/1.1 with keep-alive on asyncio streams, which hides no failure.

It neither retries nor follows redirects: what a request came to is what the caller sees.
"""

import asyncio
from dataclasses import dataclass
from typing import Self

MAX_BODY_BYTES = 4 * 1024 * 1024


class CallError(Exception):
    """A request that got no usable answer. Its text says why in a few words."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Header names are in lower case; of a repeated header the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to an address and port, opened by the first request and again after each close."""

    def __init__(self, address: str, port: int, host: str | None = None) -> None:
        self._address, self._port = address, port
        self._host = host or f"{address}:{port}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def request(self, method: str, path: str, body: bytes = b"", seconds: float = 10.0) -> Answer:
        """Send one request and read its whole answer within ``seconds``. Raises CallError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(method, path, body)
        except TimeoutError as error:
            self.close()
            raise CallError(f"no answer within {seconds:g} s") from error
        except (OSError, EOFError) as error:
            self.close()
            raise CallError(f"connection failed: {type(error).__name__}") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise CallError(f"not an HTTP answer: {error}") from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _exchange(self, method: str, path: str, body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._address, self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        status_line, _, header_lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").partition("\r\n")
        version, status = status_line.split(" ", 2)[:2]
        if not version.startswith("HTTP/1."):
            raise ValueError("no status line")
        pairs = (line.partition(":") for line in header_lines.splitlines() if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        answer_body, delimited = await _read_body(reader, method, int(status), headers)
        if not delimited or version == "HTTP/1.0" or headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(status), headers, answer_body)


async def _read_body(
    reader: asyncio.StreamReader, method: str, status: int, headers: dict[str, str]
) -> tuple[bytes, bool]:
    """The body, and whether it ended before the connection did (RFC 9112, section 6.3)."""
    if method == "HEAD" or status in {204, 304}:
        return b"", True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader), True
    if "content-length" in headers:
        length = int(headers["content-length"])
        if not 0 <= length <= MAX_BODY_BYTES:
            raise ValueError(f"a body of {length} bytes")
        return await reader.readexactly(length), True
    body = bytearray()
    while chunk := await reader.read(65536):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("a body without end")
    return bytes(body), False


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise ValueError("chunks without end")
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk that does not end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # a trailer field
    return bytes(body)
