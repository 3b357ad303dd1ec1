"""Frames out of and into one Ethernet interface, many a system call: AF_PACKET with sendmmsg and recvmmsg.

Sources: packet(7), sendmmsg(2), recvmmsg(2), and the kernel's networking/filter.rst for the filter.
"""

import ctypes
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from scanner.io.frames import STRIDE, Frames

BATCH = 1024

_SOL_PACKET, _STATISTICS, _QDISC_BYPASS, _IGNORE_OUTGOING = 263, 6, 20, 23
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 26, 33, 32
_ETHERNET_ANY, _ETHERNET_IP = 0x0003, 0x0800
_RECEIVE_BUFFER, _SEND_BUFFER = 256 << 20, 4 << 20
_FULL = frozenset({errno.ENOBUFS, errno.EAGAIN, errno.ENOMEM, errno.EINTR})
_FULL_WAIT = 0.001

Instruction = tuple[int, int, int, int]
"""Code, jump where true, jump where false, operand."""


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


class _Messages:
    """An array of messages, each over its own row of one buffer."""

    def __init__(self, rows: int, stride: int, length: int) -> None:
        self.frames: Frames = np.zeros((rows, stride), dtype=np.uint8)
        self._vectors = (_Vector * rows)()
        self.array = (_Message * rows)()
        base = self.frames.ctypes.data
        for row in range(rows):
            self._vectors[row] = _Vector(base + row * stride, length)
            header = self.array[row].header
            header.vectors, header.vector_count = ctypes.addressof(self._vectors[row]), 1
        at = _Message.length.offset // 4
        words = np.frombuffer(memoryview(self.array), dtype=np.uint32).reshape(rows, ctypes.sizeof(_Message) // 4)
        self.lengths: NDArray[np.uint32] = words[:, at]


_libc = ctypes.CDLL(None, use_errno=True)


class Sender:
    """Sends frames out of an interface. Raises OSError where raw sockets are not to be had.

    Fill rows of ``frames``, then ``send``. ``in_batches`` False sends with one system call a frame, which
    is also what happens where the kernel has no sendmmsg.
    """

    def __init__(self, interface: str, length: int, *, in_batches: bool = True) -> None:
        self._messages = _Messages(BATCH, STRIDE, length)
        self._length = length
        self.frames = self._messages.frames
        self.waits = 0
        self._in_batches = in_batches
        self._socket = _packet_socket(0)
        try:
            self._socket.bind((interface, 0))
            with suppress(OSError):
                self._socket.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        except OSError:
            self._socket.close()
            raise

    def send(self, count: int) -> None:
        """Send the first ``count`` frames, each exactly once. A full queue is waited for. Raises OSError."""
        sent = 0
        while sent < count:
            try:
                sent += self._some(sent, count) if self._in_batches else self._one(sent)
            except OSError as error:
                if error.errno == errno.ENOSYS and self._in_batches:
                    self._in_batches = False
                elif error.errno in _FULL:
                    self.waits += 1
                    # The socket counts as writable while the queue of the device is full: only time helps.
                    time.sleep(_FULL_WAIT)
                else:
                    raise

    def _some(self, sent: int, count: int) -> int:
        start = ctypes.byref(self._messages.array, sent * ctypes.sizeof(_Message))
        done = int(_libc.sendmmsg(self._socket.fileno(), start, count - sent, 0))
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return done

    def _one(self, row: int) -> int:
        self._socket.send(self.frames[row, : self._length].tobytes())
        return 1

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


class Receiver:
    """Takes in the frames of one interface that a filter admits. Raises OSError like ``Sender``."""

    def __init__(self, interface: str, program: Sequence[Instruction], *, stride: int = 128) -> None:
        self._messages = _Messages(BATCH, stride, stride)
        self.dropped = 0
        self._socket = _packet_socket(0)
        try:
            # The filter comes before the protocol: nothing else is ever queued.
            attach_filter(self._socket, program)
            with suppress(OSError):
                self._socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            self._socket.setblocking(False)
            self._socket.bind((interface, _ETHERNET_ANY))
        except OSError:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def receive(self, patience: float) -> tuple[Frames, NDArray[np.uint32]]:
        """Frames and their lengths, cut to the stride: none after ``patience`` seconds of nothing.

        They are good until the next call.
        """
        self._poll.poll(patience * 1000)
        count = int(_libc.recvmmsg(self._socket.fileno(), self._messages.array, BATCH, 0, None))
        count = max(0, count)
        return self._messages.frames[:count], self._messages.lengths[:count]

    def count_drops(self) -> int:
        """How many admitted frames the kernel has dropped so far, for want of room or of our time."""
        raw = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        # Reading it sets it back to zero.
        self.dropped += struct.unpack("II", raw)[1]
        return self.dropped

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def _packet_socket(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, protocol)


def attach_filter(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Have the kernel admit only what a classic BPF program accepts."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(held)))


def answers_to(port: int) -> tuple[Instruction, ...]:
    """A filter: IPv4, no fragment, TCP to ``port``, which is even, or the next one, and SYN-ACK or the RST to a SYN."""
    return (
        (0x28, 0, 0, 12),  # the type of the frame
        (0x15, 0, 12, _ETHERNET_IP),
        (0x30, 0, 0, 23),  # the protocol
        (0x15, 0, 10, 6),
        (0x28, 0, 0, 20),  # more fragments, or not the first
        (0x45, 8, 0, 0x3FFF),
        (0xB1, 0, 0, 14),  # from here on relative to the end of the IP header
        (0x48, 0, 0, 16),
        (0x54, 0, 0, 0xFFFE),
        (0x15, 0, 4, port),
        (0x50, 0, 0, 27),
        (0x54, 0, 0, 0x17),
        (0x15, 2, 0, 0x12),
        (0x15, 1, 0, 0x14),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFF),
    )


def arp_replies() -> tuple[Instruction, ...]:
    """A filter: ARP replies for IPv4."""
    return (
        (0x28, 0, 0, 12),
        (0x15, 0, 3, 0x0806),
        (0x28, 0, 0, 20),
        (0x15, 0, 1, 2),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )


def echo_replies() -> tuple[Instruction, ...]:
    """A filter: ICMPv6 echo replies without extension headers."""
    return (
        (0x28, 0, 0, 12),
        (0x15, 0, 5, 0x86DD),
        (0x30, 0, 0, 20),
        (0x15, 0, 3, 58),
        (0x30, 0, 0, 54),
        (0x15, 0, 1, 129),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )
