"""Who is on a link: how long answers are waited for, and sweeps of a real one. See the conftest for the namespaces."""

from hypothesis import given
from hypothesis import strategies as st

from scanner.io.arp import LEAST_PATIENCE, PATIENCE, patience

SWEEP = """
import json, sys, threading, time
import numpy as np
from scanner.io.arp import sweep
from scanner.io.ways import find_ways
from scanner.pacing import Pacer
from scanner.batches import Members
from scanner.spans import Spans
from scanner.targets import parse_network

way = find_ways(Spans.of([parse_network(sys.argv[1])])).ways[0]
members = Members(way.addresses)
asked = members.at(np.arange(len(way.addresses), dtype=np.uint64))
began = time.monotonic()
found = sweep(way.interface, way.hardware, way.source, asked, Pacer(float(sys.argv[2])), threading.Event())
hardware = sorted({bytes(row).hex(":") for row in found.hardware})
print(json.dumps({
    "asked": len(asked), "found": found.addresses.tolist(), "hardware": hardware, "seconds": time.monotonic() - began,
}))
"""


@given(st.floats(0.01, 1), st.integers(0, 100_000), st.floats(0, 10))
def test_answers_are_never_waited_for_longer_than_asked_nor_shorter_than_the_slowest(most, answers, slowest):
    assert min(most, max(slowest, LEAST_PATIENCE)) <= patience(most, answers, slowest) <= most


def test_only_a_link_that_answered_a_thousand_times_is_known_to_be_quick():
    assert patience(PATIENCE, 999, 0.001) == PATIENCE
    assert patience(PATIENCE, 1000, 0.001) == LEAST_PATIENCE
    assert patience(PATIENCE, 1000, 0.05) == 0.2
    assert patience(PATIENCE, 1000, 0.4) == PATIENCE


def test_a_large_link_that_loses_requests_is_found_all_the_same(lab):
    lab.ip("-n", lab.near, "address", "add", "10.74.255.1/16", "dev", "near0")
    lab.ip("-n", lab.far, "route", "add", "10.74.255.1/32", "dev", "far0")
    lab.ip("-n", lab.far, "route", "add", "local", "10.74.8.0/21", "dev", "lo")
    lab.arp_rule("numgen random mod 100 < 10 drop")
    told = lab.scan(SWEEP, "10.74.0.0/20", "100000")
    present = range((10 << 24) + (74 << 16) + (8 << 8), (10 << 24) + (74 << 16) + (16 << 8))
    # Of 2,048 stations two requests leave twenty unfound, three two, and four hardly one.
    assert set(told["found"]) <= set(present)
    assert len(told["found"]) >= 2048 - 3
    assert len(told["hardware"]) == 1


def test_a_sweep_keeps_to_the_limit_and_repeats_only_silence(lab):
    lab.ip("-n", lab.far, "route", "add", "local", "10.71.0.128/25", "dev", "lo")
    lab.arp_rule("arp operation request counter")
    told = lab.scan(SWEEP, "10.71.0.0/24", "400")
    # 10.71.0.1 is our own, and the broadcast address, which the route is about as well, is nobody's.
    assert (told["asked"], len(told["found"])) == (255, 1 + 127)
    assert lab.counted("arp") == [255 + 127]
    # The last of them is due so many intervals after the first.
    assert told["seconds"] >= (255 + 127 - 1) / 400
