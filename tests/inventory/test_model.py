"""Values refuse what makes no sense, with words."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, observations, route, scan
from pydantic import ValidationError

from inventory.model import Account, Backend, Observation, RouteSpec, Schedule, Scope, Shadow


@given(observations)
def test_an_observation_survives_its_json_and_keeps_its_id(seen: Observation):
    again = Observation.model_validate_json(seen.model_dump_json())
    assert again == seen
    assert again.id == seen.id


@given(st.lists(observations, min_size=2, max_size=6))
def test_ids_tell_observations_apart(seen):
    assert len({o.id for o in seen}) == len({o.model_dump_json() for o in seen})


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="time zone"):
        Scope(name="lab", targets=("127.0.0.0/24",), created_at=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a.b", "x" * 64])
def test_names_fit_a_host_label(name: str):
    with pytest.raises(ValidationError):
        Scope(name=name, targets=("127.0.0.0/24",), created_at=NOW)


def test_an_account_cannot_hold_more_than_was_planned():
    with pytest.raises(ValidationError, match="planned"):
        Account(planned=1, answered=2)
    account = Account(planned=10, answered=1, refused=2, silent=3, lost=1, excluded=1, forbidden=1)
    assert (account.probed, account.unprobed) == (7, 1)


@pytest.mark.parametrize(
    ("address", "port", "covered"),
    [
        ("127.0.0.9", 5000, True),
        ("127.0.0.9", 5001, False),
        ("127.0.1.9", 5000, False),
        ("127.0.0.7", 5000, False),
    ],
)
def test_a_scan_covers_its_targets_and_ports_less_its_exclusions(address: str, port: int, covered: bool):
    assert scan(exclude=("127.0.0.7/32",)).covers(address, port) is covered


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://u:p@a", "http://a?x=1", "http://a:99999", "a:80"])
def test_a_backend_is_a_plain_http_url(url: str):
    with pytest.raises(ValidationError):
        Backend(name="a", url=url)


def test_a_backend_knows_its_parts():
    backend = Backend(name="a", url="https://models.example/ml/iris/")
    assert (backend.host, backend.port, backend.base_path, backend.tls) == (
        "models.example",
        443,
        "/ml/iris",
        True,
    )


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"backends": (Backend(name="a", url="http://a", weight=99),)}, "add up to 100"),
        (
            {"backends": (Backend(name="a", url="http://a", weight=100), Backend(name="a", url="http://b"))},
            "share a name",
        ),
        ({"shadow": Shadow(backend="nobody", percent=1)}, "not a backend"),
        ({"shadow": Shadow(backend="origin", percent=1)}, "its own shadow"),
    ],
)
def test_a_route_is_consistent(parts, words):
    with pytest.raises(ValidationError, match=words):
        route(**parts)


def test_the_primary_has_the_largest_share():
    spec: RouteSpec = route()
    assert spec.primary.name == "origin"


@pytest.mark.parametrize("parts", [{}, {"cron": "* * * * *", "interval_seconds": 5}])
def test_a_schedule_has_one_trigger(parts):
    with pytest.raises(ValidationError, match="not both"):
        Schedule(name="a", scope="lab", **parts)
