import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from scanner.io.frames import LENGTH, STRIDE, Sequence, Templates, folded, parse
from scanner.io.lanes import template
from scanner.io.ways import Way
from scanner.spans import Spans

OURS, NEXT_HOP = "02:00:00:00:00:01", "02:00:00:00:00:02"
SOURCES = ("10.0.0.1", "172.31.255.254")
PORT = 40000

addresses = st.integers(0, 2**32 - 1)
ports = st.integers(0, 65535)
octets = st.binary(min_size=128, max_size=128)


def dotted(number: int) -> str:
    return ".".join(str(octet) for octet in number.to_bytes(4, "big"))


def built(source: str, destination: int, port: int, sequence: int) -> bytes:
    segment = TCP(sport=PORT, dport=port, seq=sequence, flags="S", window=1024, options=[("MSS", 1460)])
    packet = IP(src=source, dst=dotted(destination), id=0, flags="DF", ttl=64) / segment
    return bytes(Ether(src=OURS, dst=NEXT_HOP) / packet)


@given(st.lists(st.tuples(st.integers(0, 1), addresses, ports, addresses), min_size=1, max_size=16))
def test_frames_are_what_scapy_builds(probes):
    next_hop = bytes.fromhex(NEXT_HOP.replace(":", ""))
    ways = [Way(Spans(), "eth0", OURS, source, "10.0.0.254") for source in SOURCES]
    templates = Templates([template(way, next_hop, PORT) for way in ways])
    which, destinations, numbers, sequence = (list(column) for column in zip(*probes, strict=True))
    frames = np.full((len(probes), STRIDE), 0xEE, dtype=np.uint8)
    templates.fill(
        frames,
        np.array(which),
        np.array(destinations, dtype=np.uint32),
        np.array(numbers, dtype=np.uint16),
        np.array(sequence, dtype=np.uint32),
    )
    assert [bytes(frame[:LENGTH]) for frame in frames] == [
        built(SOURCES[way], destination, port, number) for way, destination, port, number in probes
    ]


def test_a_template_of_another_length_is_refused():
    with pytest.raises(ValueError, match="58 bytes"):
        Templates([bytes(LENGTH - 1)])


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_folding_is_the_sum_of_ones_complement(sums):
    expected = [0xFFFF - ((one % 0xFFFF) or (0xFFFF if one else 0)) for one in sums]
    assert folded(np.array(sums, dtype=np.uint32)).tolist() == expected


def received(frames: list[bytes]):
    return parsed(frames)[0]


def parsed(frames: list[bytes]):
    rows = np.zeros((len(frames), 128), dtype=np.uint8)
    for row, frame in zip(rows, frames, strict=True):
        row[: len(frame)] = np.frombuffer(frame[:128], dtype=np.uint8)
    return parse(rows, np.array([min(len(frame), 128) for frame in frames], dtype=np.uint32), PORT)


@given(addresses, ports, addresses, st.integers(0, 10), st.sampled_from(["SA", "RA"]))
def test_answers_are_read_as_scapy_reads_them(address, port, acknowledged, words, flags):
    options = [("NOP", None)] * (4 * words)
    packet = IP(src=dotted(address), dst="10.0.0.1", options=b"\x01" * (4 * words))
    frame = bytes(Ether() / packet / TCP(sport=port, dport=PORT, ack=acknowledged, flags=flags, options=options))
    answers = received([frame])
    again = Ether(frame)
    assert dotted(int(answers.addresses[0])) == again[IP].src
    assert int(answers.ports[0]) == again[TCP].sport
    assert int(answers.sequence[0]) == (again[TCP].ack - 1) % 2**32
    assert bool(answers.open[0]) == (flags == "SA")


GOOD = {"dport": PORT, "sport": 80, "ack": 7, "flags": "SA"}


@pytest.mark.parametrize(
    "frame",
    [
        Ether() / IP() / TCP(**GOOD | {"dport": PORT + 2}),
        Ether() / IP() / TCP(**GOOD | {"dport": PORT - 1}),
        Ether() / IP() / TCP(**GOOD | {"flags": "S"}),
        Ether() / IP() / TCP(**GOOD | {"flags": "A"}),
        Ether() / IP() / TCP(**GOOD | {"flags": "R"}),
        Ether() / IP() / TCP(**GOOD | {"flags": "FA"}),
        Ether() / IP(frag=1) / TCP(**GOOD),
        Ether() / IP(flags="MF") / TCP(**GOOD),
        Ether() / IP(proto=17) / TCP(**GOOD),
        Ether(type=0x86DD) / IP() / TCP(**GOOD),
        Ether() / IP(ihl=4) / TCP(**GOOD),
        Ether() / IP(version=6) / TCP(**GOOD),
    ],
)
def test_what_is_no_answer_to_us_is_left_out(frame):
    assert len(received([bytes(Ether() / IP() / TCP(**GOOD))]).ports) == 1
    assert [len(answers.ports) for answers in parsed([bytes(frame)])] == [0, 0]


def test_answers_to_control_probes_are_known_by_their_port():
    frames = [bytes(Ether() / IP() / TCP(**GOOD | {"dport": PORT + own, "sport": 80 + own})) for own in (0, 1, 1, 0)]
    assert [answers.ports.tolist() for answers in parsed(frames)] == [[80, 80], [81, 81]]


@settings(max_examples=50)
@given(st.lists(octets, min_size=1, max_size=20), st.integers(0, 128))
def test_garbage_is_read_without_harm(frames, length):
    rows = np.frombuffer(b"".join(frames), dtype=np.uint8).reshape(len(frames), 128)
    answers, controls = parse(rows, np.full(len(frames), length, dtype=np.uint32), PORT)
    assert len(answers.ports) + len(controls.ports) <= (0 if length < 54 else len(frames))


@given(addresses, ports, addresses, ports)
def test_sequences_depend_on_the_pair_and_the_key(address, port, other, other_port):
    def of(key: bytes, *pair: int) -> int:
        sequence = Sequence(key)
        return int(sequence.of(np.array(pair[:1], dtype=np.uint32), np.array(pair[1:], dtype=np.uint16))[0])

    first, second = bytes(range(16)), bytes(range(1, 17))
    assert of(first, address, port) == of(first, address, port)
    assert of(first, address, port) != of(second, address, port)
    if (address, port) != (other, other_port):
        assert of(first, address, port) != of(first, other, other_port)
