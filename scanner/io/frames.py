"""SYN frames and their answers as arrays: filling, checksums, validation. Pure: nothing is sent.

A frame of the template has zeros where the destination, its port and the sequence number belong,
so that its sums need no more than those added (RFC 1624 on incremental checksums; the one's
complement sum of RFC 1071 may be folded at the end). The sequence number is a keyed hash of the
destination, and an answer acknowledges it plus one: who did not see the probe cannot answer it
(Bernstein's SYN cookies, turned around, as in ZMap, USENIX Security 2013).
"""

import secrets
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Numbers, Ports

Frames: TypeAlias = NDArray[np.uint8]
"""One frame a row."""

LENGTH = 58
"""Bytes of a frame: Ethernet 14, IP 20, TCP 20 and 4 of its one option, the segment size."""

STRIDE = 64
_IP, _TCP = 14, 34
_SYN_ACK, _RST = 0x12, 0x04
_FLAGS = 0x17


class Sequence:
    """Keyed numbers of 32 bits for (address, port): a finaliser of 64 bits (Stafford's variant 13) over a secret.

    It is quick and no cipher: it keeps out answers that belong to no probe and senders who guess.
    """

    def __init__(self, key: bytes = b"") -> None:
        key = key or secrets.token_bytes(16)
        self._first = np.uint64(int.from_bytes(key[:8], "big"))
        self._second = np.uint64(int.from_bytes(key[8:16], "big"))

    def of(self, addresses: Numbers, ports: Ports) -> Numbers:
        """The number of each pair."""
        values = addresses.astype(np.uint64) << np.uint64(16)
        values |= ports
        values += self._first
        values ^= values >> np.uint64(30)
        values *= np.uint64(0xBF58476D1CE4E5B9)
        values ^= self._second
        values ^= values >> np.uint64(27)
        values *= np.uint64(0x94D049BB133111EB)
        values ^= values >> np.uint64(31)
        return values.astype(np.uint32)


def folded(sums: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """The checksums of one's complement sums below 2^32."""
    sums = (sums >> 16) + (sums & 0xFFFF)
    sums = (sums >> 16) + (sums & 0xFFFF)
    checksums: NDArray[np.uint16] = (~sums & 0xFFFF).astype(np.uint16)
    return checksums


def _sum(octets: bytes) -> int:
    return int(np.frombuffer(octets, dtype=">u2").sum(dtype=np.uint32))


class Templates:
    """The frames of some ways, zero where the destination belongs, and their sums.

    Every template is ``LENGTH`` long: Ethernet, IP without options, TCP with one option.
    """

    def __init__(self, frames: list[bytes]) -> None:
        if any(len(frame) != LENGTH for frame in frames):
            raise ValueError(f"a template has {LENGTH} bytes")
        self._rows = np.frombuffer(b"".join(frames), dtype=np.uint8).reshape(len(frames), LENGTH)
        self._ip = np.array([_sum(frame[_IP:_TCP]) for frame in frames], dtype=np.uint32)
        # The pseudo header of RFC 9293, 3.1: source, destination, protocol, length of the segment.
        length = LENGTH - _TCP
        pseudo = (_sum(frame[26:34]) + 6 + length for frame in frames)
        tcp = [own + _sum(frame[_TCP:]) for own, frame in zip(pseudo, frames, strict=True)]
        self._tcp = np.array(tcp, dtype=np.uint32)

    def fill(self, into: Frames, which: NDArray[np.intp], addresses: Numbers, ports: Ports, sequence: Numbers) -> None:
        """Write a frame into each row of ``into``, which has ``STRIDE`` columns. ``which`` names the templates."""
        count = len(addresses)
        rows = into[:count]
        rows[:, :LENGTH] = self._rows[0] if len(self._rows) == 1 else self._rows[which]
        rows[:, 30:34] = addresses.astype(">u4").view(np.uint8).reshape(count, 4)
        rows[:, 36:38] = ports.astype(">u2").view(np.uint8).reshape(count, 2)
        rows[:, 38:42] = sequence.astype(">u4").view(np.uint8).reshape(count, 4)
        destination = (addresses >> 16) + (addresses & 0xFFFF)
        ip = folded(self._ip[which] + destination)
        tcp = folded(self._tcp[which] + destination + ports + (sequence >> 16) + (sequence & 0xFFFF))
        rows[:, 24:26] = ip.astype(">u2").view(np.uint8).reshape(count, 2)
        rows[:, 50:52] = tcp.astype(">u2").view(np.uint8).reshape(count, 2)


@dataclass(frozen=True, slots=True)
class Answers:
    """Segments that came back, one an index: whose, what they acknowledge less one, and whether they are SYN-ACK."""

    addresses: Numbers
    ports: Ports
    sequence: Numbers
    open: NDArray[np.bool_]


def parse(frames: Frames, lengths: NDArray[np.uint32], port: int) -> tuple[Answers, Answers]:
    """The SYN-ACKs and acknowledging RSTs among received frames; whatever else is left out.

    First those to ``port``, which is even, then those to the next one. Rows may hold anything: nothing is
    read beyond a frame's length.
    """
    header = (frames[:, 14] & 0x0F).astype(np.intp) * 4
    tcp = np.minimum(_IP + header, frames.shape[1] - 20)
    rows = np.arange(len(frames))
    flags = frames[rows, tcp + 13] & _FLAGS
    ours = (frames[rows, tcp + 2].astype(np.uint32) << 8) | frames[rows, tcp + 3]
    is_open = flags == _SYN_ACK
    refused = flags == (_RST | 0x10)
    good = (is_open | refused) & (ours & 0xFFFE == port) & (frames[:, 14] >> 4 == 4) & (frames[:, 23] == 6)
    good &= (frames[:, 12] == 0x08) & (frames[:, 13] == 0) & (header >= 20) & (_IP + header + 20 <= lengths)
    good &= ((frames[:, 20] & 0x3F) == 0) & (frames[:, 21] == 0)
    return _read(frames, tcp, is_open, good & (ours == port)), _read(frames, tcp, is_open, good & (ours != port))


def _read(frames: Frames, tcp: NDArray[np.intp], is_open: NDArray[np.bool_], which: NDArray[np.bool_]) -> Answers:
    kept, at = frames[which], tcp[which]
    rows = np.arange(len(kept))
    return Answers(
        addresses=_number(kept, rows, np.full(len(kept), 26)),
        ports=((kept[rows, at].astype(np.uint16) << 8) | kept[rows, at + 1]).astype(np.uint16),
        sequence=_number(kept, rows, at + 8) - np.uint32(1),
        open=is_open[which],
    )


def _number(frames: Frames, rows: NDArray[np.intp], at: NDArray[np.intp]) -> Numbers:
    octets = frames[rows[:, None], at[:, None] + np.arange(4)]
    return np.ascontiguousarray(octets).view(">u4").reshape(len(rows)).astype(np.uint32)
