"""Words over a pair of sockets: each arrives as it was said, however the stream is cut."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.io.words import Kind, Words

Said = tuple[int, Kind, bytes]
WORDS = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(Kind), st.binary(max_size=200)), min_size=1, max_size=20
)


class Cut:
    """Hears a stream in pieces of some sizes, over and over."""

    def __init__(self, heard: list[Said], sizes: list[int]) -> None:
        self.words = Words(lambda *word: heard.append(word), lambda: None)
        self._sizes = sizes

    def hear(self, stream: bytes) -> None:
        while stream:
            for size in self._sizes:
                self.words.data_received(stream[:size])
                stream = stream[size:]


async def stream_of(said: list[Said]) -> bytes:
    """What goes over the socket when these are said."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        _, words = await loop.create_connection(lambda: Words(lambda *_: None, lambda: None), sock=ours)
        for word in said:
            words.say(*word)
        words.close()
        theirs.setblocking(False)
        stream = b""
        while piece := await loop.sock_recv(theirs, 65536):
            stream += piece
        return stream


@given(WORDS, st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_each_word_is_heard_as_it_was_said(said: list[Said], sizes: list[int]) -> None:
    heard: list[Said] = []

    async def run() -> None:
        Cut(heard, sizes).hear(await stream_of(said))

    asyncio.run(run())
    assert heard == said


@pytest.mark.parametrize("length", [0, 1, 3_000_000])
async def test_long_words_come_whole_and_the_end_is_told(length: int) -> None:
    heard: list[Said] = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    _, here = await loop.create_connection(lambda: Words(lambda *_: None, lambda: None), sock=ours)
    await loop.create_connection(lambda: Words(lambda *word: heard.append(word), ended.set), sock=theirs)
    here.say(7, Kind.FOUND, b"x" * length)
    here.close()
    async with asyncio.timeout(10):
        await ended.wait()
    assert heard == [(7, Kind.FOUND, b"x" * length)]
