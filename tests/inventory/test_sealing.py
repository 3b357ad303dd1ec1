"""Which direct paths there are, and what trials of them prove, as cross products."""

from itertools import product

import pytest
from making import NOW, endpoint

from inventory.model import Control, Direct, Exposure, Path, Place, Tried, Verdict
from inventory.sealing import direct_paths, judge

GATEWAY = "10.0.0.1"
HERE = "10.0.0.9"
ALIVE = Control(address=f"{GATEWAY}:8780", host="iris.localhost", status=404)
SHUT = [did for did in Direct if did.is_shut]


def tried(did: Direct, source: str | None = HERE, port: int = 8000) -> Tried:
    return Tried(path=Path(via="address", host="10.0.0.5", port=port), did=did, words=f"is {did}", source=source)


@pytest.mark.parametrize("dids", [one for size in (1, 2, 3) for one in product(Direct, repeat=size)])
def test_verdict_over_every_combination(dids: tuple[Direct, ...]):
    verdict, reason = judge([tried(did, port=8000 + n) for n, did in enumerate(dids)], ALIVE, {GATEWAY})
    if Direct.OPEN in dids:
        expected = Verdict.BYPASS
    elif all(did.is_shut for did in dids):
        expected = Verdict.SEALED
    else:
        expected = Verdict.UNPROVED
    assert verdict is expected
    assert reason


@pytest.mark.parametrize("control", [
    None,
    Control(address="a:1", host="h", words="refuses connections"),
    *(Control(address="a:1", host="h", status=status) for status in (500, 502, 503, 504)),
])  # fmt: skip
def test_without_a_control_nothing_is_sealed_but_an_open_path_is_open(control: Control | None):
    for did in SHUT:
        assert judge([tried(did)], control, {GATEWAY}).verdict is Verdict.UNPROVED
    assert judge([tried(Direct.OPEN)], control, {GATEWAY}).verdict is Verdict.BYPASS


@pytest.mark.parametrize("did", Direct)
def test_the_gateways_own_machine_proves_nothing(did: Direct):
    verdict, reason = judge([tried(did, source=GATEWAY)], ALIVE, {GATEWAY})
    assert verdict is Verdict.UNPROVED
    assert "another machine" in reason


def test_no_path_proves_nothing():
    assert judge([], ALIVE, set()).verdict is Verdict.UNPROVED


def test_every_way_is_a_path_once_and_the_gateway_is_none():
    place = Place(
        id="p", site="lab", address="10.0.0.6", port=80, url="http://10.0.0.6/", first_seen=NOW, last_seen=NOW
    )
    exposures = (
        Exposure(via="pod", url="http://10.0.0.5:8000/"),
        Exposure(via="node-port", url="https://10.0.0.7:30080"),
        Exposure(via="service", url="http://iris.ml.svc"),
        Exposure(via="ingress", url="https://models.example/iris"),
        Exposure(via="gateway", url=f"http://{GATEWAY}:8780/"),
    )
    one = endpoint(address="10.0.0.5", port=8000, places=(place,), exposures=exposures)
    found = direct_paths(one, {(GATEWAY, 8780)})
    assert [(path.via, str(path), path.tls, path.name) for path in found] == [
        ("address", "10.0.0.5:8000", False, None),
        ("address", "10.0.0.6:80", False, None),
        ("node-port", "10.0.0.7:30080", True, None),
        ("service", "iris.ml.svc:80", False, "iris.ml.svc"),
        ("ingress", "models.example:443", True, "models.example"),
    ]
