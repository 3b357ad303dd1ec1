"""SYN scans of real servers across a real link. See the conftest for the two namespaces."""

import subprocess
import sys
import threading
import time

import pytest

from inventory.store import open_store

SCAN = """
import json, sys, threading, time
from collections import Counter
from scanner.batches import batches
from scanner.io.packets import SynScan
from scanner.io.ways import find_ways
from scanner.manners import Manners
from scanner.plan import make_plan
from scanner.ports import parse_ports
from scanner.tally import Tally
from scanner.targets import Addresses, parse_network

PER_HOST = None
networks, ports, rate, timeout, stop_after = sys.argv[1:]
plan = make_plan([Addresses(parse_network(one)) for one in networks.split(",")], parse_ports(ports), key=b"test")
found = find_ways(plan.addresses)
plan = plan.within(found.addresses)
total, answered, stations = Counter(), [], {}

def deliver(tally):
    answered.extend(tally.answered)
    stations.update(tally.stations)
    total.update(refused=tally.refused, silent=tally.silent, lost=tally.lost.total(), forbidden=tally.forbidden)
    if total["refused"] >= int(stop_after):
        scan.stop()

manners = Manners.at(float(rate), per_host=PER_HOST)
scan = SynScan(batches(plan), found.ways, manners, deliver, timeout=float(timeout))
began = time.monotonic()
scan.run()
threads = [one.name for one in threading.enumerate() if one is not threading.main_thread()]
print(json.dumps({
    "planned": len(plan), "answered": sorted(answered), "sent": scan.sent, "seconds": scan.last_sent - began,
    "reasons": found.reasons, "gateways": [way.gateway for way in found.ways], "threads": threads, **total,
    "controls": manners.meter.loss.asked, "unanswered": manners.meter.loss.unanswered,
    "slowest": manners.back_off.slowest, "stations": stations,
    "rate": manners.meter.loss.rate, "missed": manners.meter.loss.missed,
}))
"""

OPEN = [(f"10.72.{number % 4}.{number}", 8000 + number % 4) for number in range(3, 120)]


def scanned(lab, networks, ports="8000-8003", rate=200_000, timeout=0.6, stop_after=10**9):
    return lab.scan(SCAN, networks, ports, str(rate), str(timeout), str(stop_after))


def test_what_is_found_is_the_truth(lab, serve):
    lab.rule("ip daddr 10.72.2.0/24 counter drop")
    lab.rule("tcp flags syn ip daddr 10.72.0.0/22 tcp dport 8000-8003 counter")
    lab.rule("tcp flags syn counter")
    serve(OPEN)
    told = scanned(lab, "10.72.0.0/22")
    visible = sorted(list(pair) for pair in OPEN if not pair[0].startswith("10.72.2."))
    assert told["answered"] == visible
    assert told["planned"] == 4096
    assert (told["silent"], told["lost"], told["forbidden"]) == (1024, 0, 0)
    assert told["refused"] == 4096 - 1024 - len(visible)
    assert told["gateways"] == ["10.71.0.2"]
    assert told["threads"] == []
    # Every pair was probed once, the silent ones twice, a sample again, and nothing beside the plan at all.
    assert told["sent"] == 4096 + 1024 + told["controls"]
    assert lab.counted() == [2048, 3072 + told["controls"], 3072 + told["controls"]]
    assert 400 <= told["controls"] < 3072
    assert (told["unanswered"], told["rate"]) == (0, 0.0)


def test_neighbours_are_asked_for_and_who_is_not_there_is_sent_nothing(lab, serve):
    serve([("10.71.0.2", 8001), ("10.72.0.9", 8002)])
    told = scanned(lab, "10.71.0.0/24,10.72.0.8/30")
    assert told["answered"] == [["10.71.0.2", 8001], ["10.72.0.9", 8002]]
    # The scanner's own address has no link; of the 255 others one is there.
    assert told["reasons"] == ["this machine reaches its own addresses without a link"]
    assert told["planned"] == 255 * 4 + 16
    assert (told["refused"], told["silent"]) == (3 + 15, 254 * 4)
    assert told["sent"] == 20 + 20
    assert list(told["stations"]) == ["10.71.0.2"]
    assert sorted(told["gateways"], key=str) == ["10.71.0.2", None]


def test_stations_are_asked_for_until_no_more_turn_up(lab):
    lab.ip("-n", lab.far, "route", "add", "local", "10.71.0.128/26", "dev", "lo")
    lab.arp_rule("numgen random mod 100 < 30 drop")
    told = scanned(lab, "10.71.0.128/26", "8000")
    # Two requests would miss six of sixty-four, five one in four hundred: three are out of the question.
    assert told["refused"] >= 62
    assert told["refused"] + told["silent"] == 64


def test_several_interfaces_and_routes_go_in_one_scan(lab, serve):
    lab.ip("link", "add", "near1", "netns", lab.near, "type", "veth", "peer", "name", "far1", "netns", lab.far)
    lab.ip("-n", lab.near, "address", "add", "10.73.0.1/24", "dev", "near1")
    lab.ip("-n", lab.far, "address", "add", "10.73.0.2/24", "dev", "far1")
    for space, link in ((lab.near, "near1"), (lab.far, "far1")):
        lab.ip("-n", space, "link", "set", link, "up")
    lab.ip("-n", lab.near, "route", "add", "10.74.0.0/24", "via", "10.73.0.2")
    lab.ip("-n", lab.far, "route", "add", "local", "10.74.0.0/24", "dev", "lo")
    serve([("10.72.0.9", 8001), ("10.74.0.9", 8002), ("10.73.0.2", 8003)])
    told = scanned(lab, "10.72.0.0/24,10.74.0.0/24,10.73.0.0/24")
    assert told["answered"] == [["10.72.0.9", 8001], ["10.73.0.2", 8003], ["10.74.0.9", 8002]]
    assert sorted(told["gateways"], key=str) == ["10.71.0.2", "10.73.0.2", None]
    assert told["refused"] == 2 * 1024 - 2 + 3


def test_an_interface_of_a_vlan_goes_by_frames(lab, serve):
    for space, link in ((lab.near, "near0"), (lab.far, "far0")):
        command = ["ip", "-n", space, "link", "add", "link", link, "name", "tagged", "type", "vlan", "id", "7"]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("this kernel knows no VLANs")
        lab.ip("-n", space, "address", "add", f"10.75.0.{1 if space == lab.near else 2}/24", "dev", "tagged")
        lab.ip("-n", space, "link", "set", "tagged", "up")
    serve([("10.75.0.2", 8001)])
    told = scanned(lab, "10.75.0.0/28")
    assert told["answered"] == [["10.75.0.2", 8001]]
    assert told["reasons"] == ["this machine reaches its own addresses without a link"]


def test_an_interface_without_a_link_layer_is_said_to_go_by_connecting(lab):
    made = ["ip", "-n", lab.near, "tuntap", "add", "tunnel", "mode", "tun"]
    if subprocess.run(made, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody make tunnels")
    lab.ip("-n", lab.near, "address", "add", "10.76.0.1", "peer", "10.76.0.2", "dev", "tunnel")
    lab.ip("-n", lab.near, "link", "set", "tunnel", "up")
    told = scanned(lab, "10.76.0.2,10.72.0.1")
    assert told["reasons"] == ["tunnel is a point-to-point interface, without a link layer to send frames on"]
    assert (told["planned"], told["refused"]) == (4, 4)


def test_a_router_that_is_not_there_is_silence(lab):
    subprocess.run(["ip", "-n", lab.near, "route", "add", "10.73.0.0/24", "via", "10.71.0.77"], check=True)
    told = scanned(lab, "10.73.0.0/24")
    assert (told["silent"], told["sent"]) == (1024, 0)


@pytest.mark.parametrize("percent", [5, 20])
def test_loss_is_measured_and_repetitions_find_what_it_took(lab, serve, percent):
    serve(OPEN)
    lab.rule("ip daddr 10.72.2.0/24 drop")
    lab.rule(f"tcp flags syn numgen random mod 100 < {percent} counter drop")
    told = scanned(lab, "10.72.0.0/22")
    visible = sum(not address.startswith("10.72.2.") for address, _ in OPEN)
    # Each is missed with a probability of a thousandth at most; three of ninety is out of the question.
    assert visible - len(told["answered"]) <= 2
    assert told["refused"] + told["silent"] + len(told["answered"]) == 4096
    # Four standard deviations of what the sample can tell.
    share = percent / 100
    assert abs(told["rate"] - share) <= 4 * (share * (1 - share) / told["controls"]) ** 0.5
    assert told["missed"] < 0.02
    assert lab.counted()[0] > 0


def test_a_host_gets_no_more_than_its_cap_and_the_others_are_not_held_up(lab):
    lab.rule("tcp flags syn ip daddr 10.72.0.1 counter")
    told = lab.scan(
        SCAN.replace("PER_HOST = None", "PER_HOST = 20"), "10.72.0.0/30", "8000-8009", "5000", "0.6", "999999"
    )
    assert (told["refused"], told["silent"]) == (40, 0)
    # Forty probes to four hosts and as many control probes: each host gets its twenty one by one.
    assert told["sent"] == 80
    assert lab.counted() == [20]
    assert 19 / 20 <= told["seconds"] <= 40


@pytest.mark.parametrize("rate", [500, 5000])
def test_a_rate_is_held(lab, rate):
    lab.rule("ip daddr 10.72.1.0/24 drop")
    told = scanned(lab, "10.72.0.0/23", "8000" if rate == 500 else "8000-8015", rate=rate)
    # A scan of 256 or 4,096 answering and as many silent pairs, asked twice; the ARP request is no probe.
    assert told["sent"] == (3 * 256 if rate == 500 else 3 * 4096) + told["controls"]
    assert told["seconds"] >= (told["sent"] - 1) / rate * 0.99


def test_stopping_ends_it_and_counts_nothing_that_is_in_flight(lab):
    told = scanned(lab, "10.72.0.0/16", rate=5000, stop_after=300)
    counted = told["refused"] + told["silent"] + told["lost"]
    assert 300 <= counted <= told["sent"] < 30_000
    assert told["threads"] == []


SMALL_BUFFER = """
from scanner.io import packets, wire

wire._RECEIVE_BUFFER = 4096
packets._ATTEMPTS_AFTER_DROPS = 0
"""


def test_what_the_kernel_dropped_is_lost_and_never_silent(lab, serve):
    serve(OPEN)
    arguments = ("10.72.0.0/22", "8000-8003", "1000000", "0.8", str(10**9))
    told = lab.scan(SMALL_BUFFER + SCAN, *arguments)
    assert told["lost"] > 0
    assert told["silent"] == 0
    assert told["refused"] + told["lost"] + len(told["answered"]) == 4096


BATCHLESS = """
import json, sys
import numpy as np
from scanner.io.wire import Sender

sender = Sender("near0", 60, in_batches=sys.argv[1] == "batches")
frame = bytes.fromhex("ffffffffffff0200000000010800") + bytes(46)
sender.frames[:, :60] = np.frombuffer(frame, dtype=np.uint8)
before = int(open("/proc/net/dev").read().split("near0:")[1].split()[9])
sender.send(1000)
sender.send(24)
print(json.dumps(int(open("/proc/net/dev").read().split("near0:")[1].split()[9]) - before))
"""


@pytest.mark.parametrize("way", ["batches", "singly"])
def test_every_frame_goes_exactly_once(lab, way):
    assert lab.scan(BATCHLESS, way) == 1024


SOURCE = """
import asyncio, json
from contextlib import aclosing
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from scanner.findings import Finding
from scanner.sources import choose
from scanner.sources.subnet import prepare
import sys

async def ask(listener):
    return (Finding(fact=Exposed(scheme=Scheme.TCP)),)

async def main():
    targets = tuple(sys.argv[2].split(","))
    scope = Scope(name="lab", targets=targets, ports="8000-8003", rate=100000, created_at=utc_now())
    settings = Settings(scan_timeout=0.5, discovery=sys.argv[1])
    run = await prepare(scope, choose(targets)[1], ask, settings)
    found, failure = [], ""
    try:
        async with aclosing(run.observe("s1", asyncio.Event())) as updates:
            async for update in updates:
                found += [[one.listener.address, one.listener.port] for one in update.observations]
    except RuntimeError as error:
        failure = str(error)
    account = update.account
    print(json.dumps({"found": sorted(found), "planned": account.planned, "answered": account.answered,
        "refused": account.refused, "silent": account.silent, "unprobed": account.unprobed,
        "notes": run.notes, "shortfalls": run.shortfalls, "failure": failure}))

asyncio.run(main())
"""
BOTH = "10.72.0.0/24,127.0.0.0/28"


@pytest.mark.parametrize(
    ("discovery", "notes"),
    [("auto", ["some ports were probed by connecting: loopback has no link layer"]), ("connect", [])],
)
def test_a_scan_takes_the_best_way_to_each_address(lab, serve, discovery, notes):
    serve([("10.72.0.9", 8000), ("10.72.0.10", 8003)])
    told = lab.scan(SOURCE, discovery, BOTH)
    assert told["found"] == [["10.72.0.10", 8003], ["10.72.0.9", 8000]]
    assert told["planned"] == 272 * 4
    assert (told["answered"], told["refused"], told["silent"], told["unprobed"]) == (2, 272 * 4 - 2, 0, 0)
    assert (told["notes"], told["shortfalls"], told["failure"]) == (notes, [], "")


def test_where_frames_must_go_and_cannot_nothing_is_sent(lab):
    told = lab.scan(SOURCE, "syn", BOTH)
    assert (
        told["failure"]
        == "the setting discovery is 'syn', which cannot reach every address: loopback has no link layer"
    )
    assert told["unprobed"] == 272 * 4
    assert lab.scan(SOURCE, "syn", "10.72.0.0/24")["refused"] == 1024


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

folder, rate = sys.argv[1:]
settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), scan_timeout=0.5)
targets = ("10.72.0.0/20",)
scope = Scope(name="lab", targets=targets, ports="8000-8003", rate=int(rate), created_at=utc_now())
with open_store(settings.database) as store:
    scan = asyncio.run(Runner(store, settings, ask).run(scope, resume=True))
    found = sorted(endpoint.address for endpoint in store.endpoints.list())
    print(json.dumps({"found": found, "status": scan.status, "id": scan.id, **scan.account.model_dump(),
        "controls": scan.loss.asked}))
"""


def test_a_killed_scan_goes_on_where_it_was(lab, serve, tmp_path):
    serve(OPEN)
    lab.rule("tcp flags syn counter")
    command = ["ip", "netns", "exec", lab.near, sys.executable, "-c", RESUMED, str(tmp_path), "3000"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    with open_store(f"sqlite:///{tmp_path}/inventory.db") as store:
        while not ((scans := store.scans.list()) and scans[0].checkpoint and scans[0].checkpoint.position > 3000):
            assert time.monotonic() < deadline
            assert killed.poll() is None
            threading.Event().wait(0.05)
        killed.kill()
        killed.wait()
        scans = store.scans.list()
    sent = lab.counted()[0]
    settled = scans[0].checkpoint.position
    told = lab.scan(RESUMED, str(tmp_path), "100000")
    assert (told["id"], told["status"]) == (scans[0].id, "complete")
    assert told["found"] == sorted(address for address, _ in OPEN)
    assert (told["planned"], told["answered"], told["refused"]) == (16384, len(OPEN), 16384 - len(OPEN))
    # Repeated is what waited for an answer at that very moment, whenever the last word in the database was.
    assert 16384 <= lab.counted()[0] - told["controls"] < 16384 * 1.01
    assert 3000 < settled <= sent < 16384


def test_the_silent_are_asked_as_often_as_ever_however_often_a_scan_is_killed(lab, serve, tmp_path):
    serve(OPEN)
    lab.rule("ip daddr 10.72.0.0/20 tcp flags syn tcp sport & 1 == 0 counter")
    lab.rule("ip daddr 10.72.8.0/21 drop")
    command = ["ip", "netns", "exec", lab.near, sys.executable, "-c", RESUMED, str(tmp_path), "2000"]
    with open_store(f"sqlite:///{tmp_path}/inventory.db") as store:
        for share in (0.1, 0.2, 0.3):
            killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            deadline = time.monotonic() + 40
            while not ((scans := store.scans.list()) and scans[0].account.probed > share * 16384):
                assert time.monotonic() < deadline
                assert killed.poll() is None
                threading.Event().wait(0.05)
            killed.kill()
            killed.wait()
    told = lab.scan(RESUMED, str(tmp_path), "100000")
    assert (told["id"], told["status"]) == (scans[0].id, "complete")
    assert told["found"] == sorted(address for address, _ in OPEN)
    assert (told["silent"], told["refused"], told["lost"]) == (8192, 8192 - len(OPEN), 0)
    # A kill costs what had just gone a second time: less than a hundredth.
    assert 16384 + 8192 <= lab.counted()[0] < 16384 * 1.03 + 8192
