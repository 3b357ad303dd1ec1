"""Listens to what passes an interface: a scapy sniffer behind a filter in the kernel. Nothing is sent."""

import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from scanner.io.wire import Instruction, attach_filter
from scanner.overheard import Server

_SOL_PACKET, _STATISTICS = 263, 6
_BEGINNINGS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"HTTP")

Heard = Callable[[Server, Server, bytes], None]
"""Is told who sent a segment, to whom, and its payload: from a thread of its own."""


class Sniffer:
    """Hands on the segments with which HTTP/1 messages and TLS handshakes begin, IPv4 and IPv6.

    Raises OSError where the interface is not there or the process may not listen on it.
    """

    def __init__(self, interface: str, heard: Heard) -> None:
        # Narrowly: scapy.all takes a second and reads every protocol there is.
        from scapy.arch.linux import L2ListenSocket
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether
        from scapy.sendrecv import AsyncSniffer

        self._layers = (IP, IPv6, TCP)
        self._heard = heard
        self._dropped = 0
        self._started = threading.Event()
        self._socket = L2ListenSocket(iface=interface)
        self._socket.LL = Ether
        attach_filter(self._socket.ins, beginnings())
        self._sniffer = AsyncSniffer(
            opened_socket=self._socket, prn=self._packet, store=False, started_callback=self._started.set
        )

    def start(self) -> None:
        """Listen from now on."""
        self._sniffer.start()
        self._started.wait(5)

    def stop(self) -> None:
        """Listen no longer. What the kernel had queued is handed on before."""
        with suppress(Exception):
            self._sniffer.stop()
        self.count_drops()
        self._socket.close()

    @property
    def running(self) -> bool:
        """Whether it listens: an interface may go away."""
        return bool(self._sniffer.running)

    def count_drops(self) -> int:
        """How many segments the kernel has dropped so far, because nobody took them in time."""
        with suppress(OSError):
            # Reading it sets it back to zero.
            self._dropped += struct.unpack("II", self._socket.ins.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
        return self._dropped

    def _packet(self, packet: Any) -> None:
        ipv4, ipv6, tcp = self._layers
        network = packet.getlayer(ipv4) or packet.getlayer(ipv6)
        segment = packet.getlayer(tcp)
        if network is not None and segment is not None:
            self._heard((network.src, segment.sport), (network.dst, segment.dport), bytes(segment.payload))


def interfaces() -> list[str]:
    """The interfaces of this machine."""
    return [name for _, name in socket.if_nameindex()]


def beginnings() -> tuple[Instruction, ...]:
    """A filter: TCP whose payload begins like an HTTP/1 message or a TLS handshake, over IPv4 or IPv6.

    Fragments and extension headers of IPv6 are not followed.
    """
    words = [int.from_bytes(word, "big") for word in _BEGINNINGS]
    return _assembled(
        [
            (0x28, 12),  # the type of the frame
            (0x15, 0x0800, "ipv4", None),
            (0x15, 0x86DD, "ipv6", "drop"),
            "ipv4",
            (0x30, 23),  # the protocol
            (0x15, 6, None, "drop"),
            (0x28, 20),  # not the first fragment
            (0x45, 0x1FFF, "drop", None),
            (0xB1, 14),  # X is the length of the IP header
            (0x50, 26),
            (0x74, 4),
            (0x64, 2),
            (0x0C, 0),  # and of that of TCP
            (0x07, 0),
            (0x05, "payload"),
            "ipv6",
            (0x30, 20),
            (0x15, 6, None, "drop"),
            (0x30, 66),
            (0x74, 4),
            (0x64, 2),
            (0x04, 40),
            (0x07, 0),
            "payload",
            (0x40, 14),  # beyond the end of the frame nothing is admitted
            *((0x15, word, "take", None) for word in words),
            (0x54, 0xFFFF0000),
            (0x15, 0x16030000, "take", "drop"),
            "drop",
            (0x06, 0),
            "take",
            (0x06, 0xFFFF),
        ]
    )


def _assembled(lines: Sequence[str | tuple[Any, ...]]) -> tuple[Instruction, ...]:
    """A classic BPF program: a text is the label of what follows; None as a label goes on with the next line."""
    labels: dict[str, int] = {}
    code: list[tuple[Any, ...]] = []
    for line in lines:
        if isinstance(line, str):
            labels[line] = len(code)
        else:
            code.append(line)
    program: list[Instruction] = []
    for number, (what, operand, *jumps) in enumerate(code):
        there = [0 if label is None else labels[label] - number - 1 for label in (*jumps, None, None)[:2]]
        value = labels[operand] - number - 1 if isinstance(operand, str) else operand
        program.append((what, there[0], there[1], value))
    return tuple(program)
