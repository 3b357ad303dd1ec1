"""Descriptors, bootstrap, files, ports, counters and the last known good configuration."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, route

from inventory.model import Revision, Traffic
from router.errors import GatewayError
from router.gateways.envoy import lastgood
from router.gateways.envoy.binary import envoy_binary
from router.gateways.envoy.bootstrap import Start, bootstrap
from router.gateways.envoy.descriptors import extract, load_schema
from router.gateways.envoy.files import Files
from router.gateways.envoy.ports import listeners, require_free
from router.gateways.envoy.stats import PATTERN, delta, traffic


def test_the_binary_holds_every_message_and_a_cache_holds_the_same(tmp_path: Path) -> None:
    found = extract(envoy_binary())
    assert len(found) > 500
    first = load_schema(envoy_binary(), tmp_path)
    (kept,) = tmp_path.iterdir()
    again = load_schema(envoy_binary(), tmp_path)
    for schema in (first, again):
        schema.message("envoy.config.cluster.v3.Cluster", {"name": "x", "connect_timeout": "1s"})
    kept.write_bytes(b"\xff not descriptors")
    load_schema(envoy_binary(), tmp_path).type("envoy.config.cluster.v3.Cluster")


@pytest.mark.parametrize(
    "form",
    [
        {"nmae": "x"},
        {"name": "x", "load_assignment": {"cluster_nmae": "x"}},
        {"name": "x", "metadata": {"typed_filter_metadata": {"a": {"@type": "type.googleapis.com/no.such"}}}},
    ],
)
def test_a_misspelled_field_is_an_error_before_it_is_sent(schema: Any, form: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Cluster"):
        schema.message("envoy.config.cluster.v3.Cluster", form)


def test_an_unknown_message_names_the_remedy(schema: Any) -> None:
    with pytest.raises(GatewayError, match=r"does not know no\.such"):
        schema.type("no.such")


@pytest.mark.e2e
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_envoy_accepts_its_bootstrap(tmp_path: Path, schema: Any, address: str) -> None:
    form = bootstrap(
        Start(
            "local", address, 8780, f"{tmp_path}/x", f"{tmp_path}/a", f"{tmp_path}/p", f"{tmp_path}/c", f"{tmp_path}/q"
        )
    )
    schema.message("envoy.config.bootstrap.v3.Bootstrap", form)
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(form))
    words = [str(envoy_binary()), "--mode", "validate", "-c", str(path), "-l", "warning"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_counters_that_restart_are_counted_from_zero(before: dict[str, int], now: dict[str, int]) -> None:
    moved = delta(before, now)
    for name, value in now.items():
        had = before.get(name, 0)
        assert moved.get(name, 0) == (value if value < had else value - had)


def test_counters_become_traffic() -> None:
    names = {
        "cluster.iris|origin.upstream_rq_completed": 10,
        "cluster.iris|origin.upstream_rq_5xx": 2,
        "cluster.iris|origin.upstream_rq_total": 11,
        "cluster.iris|replacement|shadow.upstream_rq_total": 4,
        "cluster.iris|replacement|shadow.upstream_rq_5xx": 4,
        "cluster.iris|replacement|hop.upstream_rq_total": 5,
        "http.edge.no_route": 3,
    }
    moved = names | {"cluster.iris|origin.upstream_rq_time#5": 9, "cluster.iris|origin.upstream_rq_time#7": 1}
    assert traffic(moved, {"cluster.iris|origin.upstream_rq_active": 4}) == [
        Traffic(route="iris", backend="origin", requests=10, failures=2, latency={5: 9, 7: 1}, in_flight=4),
        Traffic(route="iris", backend="replacement", shadowed=4),
    ]
    assert all(re.search(PATTERN, name) for name in names)
    for other in ("cluster.iris|origin.internal.upstream_rq_5xx", "cluster.gnomon-xds.upstream_rq_total"):
        assert not re.search(PATTERN, other)


def revision(number: int) -> Revision:
    return Revision(route="iris", number=number, spec=route(), at=NOW, who="ana", why="x")


def test_the_last_good_configuration_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "gateway" / "lastgood.json"
    assert lastgood.load(path) == ()
    for number in (1, 2):
        lastgood.save(path, [revision(number).model_dump_json()])
        assert lastgood.load(path) == (revision(number),)
    assert [one.name for one in path.parent.iterdir()] == ["lastgood.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"served": [{}]}', b'{"format": 2, "served": []}', b"\xff\xfe"])
def test_a_corrupt_last_good_configuration_is_not_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lastgood.json"
    path.write_bytes(content)
    assert lastgood.load(path) == ()


def test_a_failed_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lastgood.json"
    lastgood.save(path, [revision(1).model_dump_json()])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        lastgood.save(path, [revision(2).model_dump_json()])
    assert lastgood.load(path) == (revision(1),)
    assert [one.name for one in tmp_path.iterdir()] == ["lastgood.json"]


@pytest.mark.parametrize("length", range(1, 110))
def test_every_socket_fits_whatever_the_length_of_the_state_folder(length: int) -> None:
    """Envoy puts a number behind the path for hot restarts, so that one is the longest."""
    files = Files(Path("/" + "x" * length))
    assert len(f"{files.hot}_udp_child_{2**64 - 1}") < 104
    assert len(str(files.admin)) < 104


def test_files_are_private_and_sockets_short_enough(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 10)
    files = Files(deep)
    files.prepare()
    assert len(str(files.admin)) < 104
    for folder in (files.folder, files.sockets, files.capture.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert files.capture.stat().st_mode & 0o777 == 0o600
    files.sockets.rmdir()


def test_a_state_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(GatewayError, match="set state_folder"):
        Files(tmp_path / "state").prepare()


def test_the_owner_of_a_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert listeners(port) == {os.getpid()}
        with pytest.raises(
            GatewayError, match=f"port {port} on 127.0.0.1 is in use by .*pid {os.getpid()}.*gateway_port"
        ):
            require_free("127.0.0.1", port)
    require_free("127.0.0.1", port)


def test_an_address_of_another_machine_names_its_setting() -> None:
    with pytest.raises(GatewayError, match=r"192\.0\.2\.1 is no address of this machine: set gateway_address"):
        require_free("192.0.2.1", 8780)
