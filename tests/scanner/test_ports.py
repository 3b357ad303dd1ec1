import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.ports import MODEL_PORTS, PortsError, describe_ports, parse_ports


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", (80,)),
        ("8000-8002,80, 8001", (80, 8000, 8001, 8002)),
        ("65535", (65535,)),
        ("all", tuple(range(1, 65536))),
        ("model", tuple(sorted(MODEL_PORTS))),
        ("model,65000", (*sorted(MODEL_PORTS), 65000)),
    ],
)
def test_ports_are_read(text: str, ports: tuple[int, ...]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize("text", ["", ",", "0", "65536", "80-", "-80", "http", "80;81", "8 0", "1-2-3", "٨٠"])
def test_malformed_ports_are_named(text: str) -> None:
    with pytest.raises(PortsError, match="is not a port"):
        parse_ports(text)


def test_a_range_that_ends_before_it_begins_is_turned_round_in_the_sentence() -> None:
    with pytest.raises(PortsError, match="write 80-90"):
        parse_ports("443,90-80")


@given(st.sets(st.integers(1, 65535), min_size=1, max_size=60))
def test_a_description_reads_back(ports: set[int]) -> None:
    assert parse_ports(describe_ports(ports)) == tuple(sorted(ports))


def test_the_model_list_is_a_probe_budget_and_argues_for_each_port() -> None:
    assert len(MODEL_PORTS) <= 100
    assert all(MODEL_PORTS.values())
    assert {80, 443, 5000, 8000, 8080, 8501, 8888, 11434} <= MODEL_PORTS.keys()
