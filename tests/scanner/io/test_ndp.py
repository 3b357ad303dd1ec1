"""Who is on a link by IPv6. See the conftest for the two namespaces."""

import struct
from contextlib import suppress
from ipaddress import IPv6Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from scanner.io.ndp import echoed, neighbours

REACHABLE, STALE, FAILED = 0x02, 0x04, 0x20

ASK = """
import json, sys, threading
from ipaddress import IPv6Network
from scanner.io.ndp import heard, known, links_of

told = []
for link in links_of(IPv6Network(sys.argv[1])):
    told.append({
        "interface": link.interface, "source": link.source, "network": str(link.network), "unfit": link.unfit,
        "known": sorted(map(str, known(link))),
        "heard": {str(one): hardware for one, hardware in heard(link, threading.Event()).items()},
    })
print(json.dumps(told))
"""

SCAN = """
import asyncio, json, sys
from pathlib import Path
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.findings import Finding
from scanner.runner import Runner

async def ask(listener):
    return (Finding(fact=Exposed(scheme=Scheme.TCP)),)

folder, exclude, quiet = sys.argv[1:]
settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), scan_timeout=0.5)
scope = Scope(
    name="link", targets=("fd00:71::/64",), exclude=tuple(exclude.split()), quiet=tuple(filter(None, [quiet])),
    ports="8000-8003", created_at=utc_now(),
)

async def run(store):
    stop = asyncio.Event()
    report = lambda progress: stop.set() if progress.quiet_until else None
    return await Runner(store, settings, ask).run(scope, stop=stop, report=report)

with open_store(settings.database) as store:
    scan = asyncio.run(run(store))
    found = [[one.address, one.port] for one in store.endpoints.list()]
    evidence = [[one.source, one.signal] for end in store.endpoints.list() for one in end.evidence]
    told = scan.model_dump(mode="json", include={"status", "reason", "targets", "ports", "account"})
    print(json.dumps({**told, "found": found, "evidence": evidence}))
"""

CHECK = """
import asyncio, json
from inventory.model import Scope, utc_now
from inventory.settings import Settings
from scanner.sources import choose
from scanner.sources.subnet import prepare

scope = Scope(name="link", targets=("fd00:71::/64", "10.72.0.0/30"), ports="8000-8003", created_at=utc_now())
run = asyncio.run(prepare(scope, choose(scope.targets)[1], None, Settings()))
print(json.dumps({"targets": run.targets, "ports": run.ports, "planned": run.account.planned}))
"""


def entry(index: int, address: IPv6Address, hardware: bytes, state: int = REACHABLE) -> bytes:
    attributes = struct.pack("=HH", 20, 1) + address.packed
    if hardware:
        attributes += struct.pack("=HH", 4 + len(hardware), 2) + hardware + bytes(-len(hardware) % 4)
    body = struct.pack("=BxxxiHBB", 10, index, state, 0, 1) + attributes
    return struct.pack("=IHHII", 16 + len(body), 28, 2, 1, 7) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 7, 0)


@given(st.lists(st.tuples(st.integers(1, 99), st.ip_addresses(v=6), st.binary(min_size=6, max_size=6)), max_size=20))
def test_every_neighbour_of_the_kernels_table_is_read(entries: list[tuple[int, IPv6Address, bytes]]) -> None:
    message = b"".join(entry(*one) for one in entries)
    expected = [(index, address, hardware.hex(":")) for index, address, hardware in entries]
    assert neighbours(message) == (expected, True)
    assert neighbours(message + DONE) == (expected, False)


def test_who_did_not_answer_is_no_neighbour() -> None:
    there, gone, asked = (IPv6Address(f"fd00::{number}") for number in (1, 2, 3))
    message = entry(2, there, b"\2\0\0\0\0\1", STALE) + entry(2, gone, b"\2\0\0\0\0\2", FAILED) + entry(2, asked, b"")
    assert neighbours(message) == ([(2, there, "02:00:00:00:00:01")], True)


def test_an_error_of_the_kernel_is_an_error() -> None:
    with pytest.raises(PermissionError):
        neighbours(struct.pack("=IHHIIi", 20, 2, 0, 1, 0, -1))


@given(st.binary(max_size=200))
def test_no_message_is_read_beyond_its_end(message: bytes) -> None:
    with suppress(OSError):
        found, _ = neighbours(message)
        assert len(found) <= len(message) // 28


def test_only_answers_to_our_own_echo_count() -> None:
    replies = [
        Ether(src="02:00:00:00:00:07") / IPv6(src="fd00::7") / ICMPv6EchoReply(id=5),
        Ether(src="02:00:00:00:00:08") / IPv6(src="fd00::8") / ICMPv6EchoReply(id=6),
        Ether(src="02:00:00:00:00:09") / IPv6(src="fd00::9") / ICMPv6EchoRequest(id=5),
    ]
    frames = np.zeros((4, 128), dtype=np.uint8)
    for row, packet in enumerate([*replies, replies[0]]):
        octets = bytes(packet)
        frames[row, : len(octets)] = np.frombuffer(octets, dtype=np.uint8)
    lengths = np.array([62, 62, 62, 61], dtype=np.uint32)
    assert list(echoed(frames, lengths, 5)) == [(IPv6Address("fd00::7"), "02:00:00:00:00:07")]


def on_one_link(lab, *addresses):
    lab.ip("-n", lab.near, "address", "add", "fd00:71::1/64", "dev", "near0", "nodad")
    for address in addresses:
        lab.ip("-n", lab.far, "address", "add", f"{address}/64", "dev", "far0", "nodad")


def test_whoever_answers_an_echo_is_found_with_its_hardware(lab):
    on_one_link(lab, "fd00:71::feed:beef:1:2")
    (told,) = lab.scan(ASK, "fd00:71::/64")
    assert (told["interface"], told["source"], told["network"]) == ("near0", "fd00:71::1", "fd00:71::/64")
    assert told["unfit"] is None
    (hardware,) = told["heard"].values()
    assert list(told["heard"]) == ["fd00:71::feed:beef:1:2"]
    assert hardware == lab.hardware()


def test_who_answers_no_echo_is_known_where_the_kernel_spoke_with_it(lab):
    on_one_link(lab, "fd00:71::2")
    lab.rule("icmpv6 type echo-request drop")
    assert [one["heard"] for one in lab.scan(ASK, "fd00:71::/64")] == [{}]
    lab.speak("fd00:71::2", "fd00:71::1")
    (told,) = lab.scan(ASK, "fd00:71::/64")
    assert (told["known"], told["heard"]) == (["fd00:71::2"], {})


def test_only_the_part_of_a_network_that_is_on_a_link_is_asked(lab):
    on_one_link(lab, "fd00:71::2")
    (told,) = lab.scan(ASK, "fd00:71::/48")
    assert (told["network"], list(told["heard"])) == ("fd00:71::/64", ["fd00:71::2"])
    (told,) = lab.scan(ASK, "fd00:71:0:0:8000::/65")
    assert (told["network"], told["heard"]) == ("fd00:71:0:0:8000::/65", {})
    assert lab.scan(ASK, "fd00:72::/64") == []
    assert lab.scan(ASK, "fe80::/64") == []


def test_a_scan_is_about_the_neighbours_that_it_found_and_claims_nobody_else(lab, serve, tmp_path):
    on_one_link(lab, "fd00:71::2", "fd00:71::3")
    serve([("fd00:71::2", 8001), ("fd00:71::3", 8001)])
    lab.rule("ip6 daddr fd00:71::3 tcp flags syn counter")
    for address in ("fd00:71::2", "fd00:71::3"):
        lab.speak(address, "fd00:71::1")
    told = lab.scan(SCAN, str(tmp_path), "fd00:71::3", "")
    assert (told["status"], told["found"]) == ("complete", [["fd00:71::2", 8001]])
    assert "of fd00:71::/64 2 neighbours were found on near0, and who else is there is unknown" in told["reason"]
    assert (told["targets"], told["ports"]) == (["fd00:71::2/127"], [8000, 8001, 8002, 8003])
    account = {name: count for name, count in told["account"].items() if count}
    assert account == {"planned": 8, "answered": 1, "refused": 3, "excluded": 4}
    assert ["ndp", lab.hardware()] in [[source, signal.split()[2].strip(",")] for source, signal in told["evidence"]]
    assert lab.counted() == [0]


RESUMED = """
import asyncio, json, sys
from pathlib import Path
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.findings import Finding
from scanner.runner import Runner

async def ask(listener):
    return (Finding(fact=Exposed(scheme=Scheme.TCP)),)

async def main(runner, scope, percent):
    stop = asyncio.Event()
    report = lambda state: stop.set() if state.rate and state.percent >= percent else None
    return await runner.run(scope, stop=stop, report=report, resume=True)

folder, rate, percent = sys.argv[1:]
settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), scan_timeout=0.5)
targets = ("fd00:71::/64",)
scope = Scope(name="lab", targets=targets, ports="8000-8099", rate=int(rate), created_at=utc_now())
with open_store(settings.database) as store:
    scan = asyncio.run(main(Runner(store, settings, ask), scope, float(percent)))
    print(json.dumps({"id": scan.id, "status": scan.status, "reason": scan.reason, **scan.account.model_dump(),
        "found": sorted([one.address, one.port] for one in store.endpoints.list())}))
"""


def test_a_scan_of_neighbours_goes_on_with_those_it_had_found(lab, serve, tmp_path):
    on_one_link(lab, "fd00:71::2")
    serve([("fd00:71::2", 8001), ("fd00:71::2", 8098)])
    lab.rule("icmpv6 type echo-request counter")
    lab.rule("tcp flags syn counter")
    first = lab.scan(RESUMED, str(tmp_path), "40", "20")
    asked, begun = lab.counted()
    assert (first["status"], asked > 0, 0 < begun < 100) == ("incomplete", True, True)
    # Somebody who comes later is found by the next scan.
    on_link = ("-n", lab.far, "address", "add", "fd00:71::3/64", "dev", "far0", "nodad")
    lab.ip(*on_link)
    told = lab.scan(RESUMED, str(tmp_path), "2000", "101")
    assert (told["id"], told["status"]) == (first["id"], "complete")
    assert f"it went on after {begun} probes" in told["reason"]
    assert told["reason"].count("1 neighbour was found on near0") == 1
    assert told["found"] == [["fd00:71::2", 8001], ["fd00:71::2", 8098]]
    assert (told["planned"], told["answered"], told["refused"]) == (100, 2, 98)
    assert lab.counted() == [asked, 100]


def test_no_echo_to_all_nodes_is_sent_where_somebody_is_excluded(lab, serve, tmp_path):
    on_one_link(lab, "fd00:71::2", "fd00:71::3")
    serve([("fd00:71::2", 8001), ("fd00:71::3", 8001)])
    lab.rule("icmpv6 type echo-request counter")
    told = lab.scan(SCAN, str(tmp_path), "fd00:71::3", "")
    assert (told["status"], told["found"]) == ("complete", [])
    assert (
        "on near0 only the kernel was asked who is in fd00:71::/64: an echo to all nodes would reach" in told["reason"]
    )
    assert lab.counted() == [0]
    told = lab.scan(SCAN, str(tmp_path), "", "")
    # A station answers from one of its addresses.
    assert len(told["found"]) == 1
    assert lab.counted() != [0]


def test_a_scan_that_is_only_checked_sends_nothing(lab):
    on_one_link(lab, "fd00:71::2")
    lab.rule("icmpv6 type echo-request counter")
    told = lab.scan(CHECK)
    assert told == {"targets": ["10.72.0.0/30"], "ports": [8000, 8001, 8002, 8003], "planned": 16}
    assert lab.counted() == [0]


def test_nobody_is_asked_in_quiet_hours(lab, tmp_path):
    on_one_link(lab, "fd00:71::2")
    lab.rule("icmpv6 type echo-request counter")
    told = lab.scan(SCAN, str(tmp_path), "", "00:00-24:00")
    assert (told["status"], told["targets"], told["found"]) == ("incomplete", [], [])
    assert lab.counted() == [0]


def test_who_may_send_no_frames_asks_the_kernel_alone_and_says_so(lab, serve, tmp_path):
    on_one_link(lab, "fd00:71::2")
    serve([("fd00:71::2", 8001)])
    told = lab.scan(SCAN, str(tmp_path), "", "", frames=False)
    assert (told["status"], told["found"], told["targets"]) == ("incomplete", [], [])
    why = "only the kernel was asked who is in fd00:71::/64: this process may not open raw sockets (CAP_NET_RAW)"
    assert f"on near0 {why}" in told["reason"]
    assert "no neighbour was found on near0" in told["reason"]
    lab.speak("fd00:71::2", "fd00:71::1")
    told = lab.scan(SCAN, str(tmp_path), "", "", frames=False)
    assert (told["status"], told["found"]) == ("incomplete", [["fd00:71::2", 8001]])
