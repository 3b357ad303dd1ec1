"""What Envoy sends becomes what policies are told, and bad input a refusal."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Decision
from router.policy.asking import AskingError, answer, asked

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
FULL = {
    "x-gnomon-identity": "https://login.example|ana", "x-gnomon-route": "iris", "x-gnomon-size": "12",
    "x-forwarded-for": "203.0.113.9, 10.1.2.3", "x-purpose": "research",
}  # fmt: skip


def test_what_is_known_is_told():
    found = asked("POST", "/predict?x=1", FULL, NOW)
    assert (found.principal, found.route) == ("https://login.example|ana", "iris")
    assert found.context == {
        "now": 1772638200, "hour": 15, "weekday": 2, "method": "POST", "path": "/predict", "size": 12,
        "network": "10.1.2.3", "purpose": "research",
    }  # fmt: skip


def test_what_is_not_known_is_left_out():
    found = asked("GET", "/", {"x-gnomon-route": "iris"}, NOW)
    assert found.principal == ""
    assert not {"size", "network", "purpose"} & set(found.context)


def test_the_gateways_address_counts_before_a_list():
    assert asked("GET", "/", FULL | {"x-gnomon-address": "::ffff:10.9.9.9"}, NOW).context["network"] == "10.9.9.9"


@pytest.mark.parametrize(
    "bad",
    [{"x-gnomon-route": ""}, {"x-gnomon-size": "-1"}, {"x-gnomon-size": "\u0663"}, {"x-gnomon-size": "9" * 30},
     {"x-gnomon-address": "here"}, {"x-purpose": "x" * 3000}, {"x-gnomon-identity": "x" * 3000}],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(bad: dict[str, str]):
    with pytest.raises(AskingError):
        asked("GET", "/", FULL | bad, NOW)


@given(st.lists(st.text(max_size=50), max_size=5), st.booleans())
def test_an_answer_fits_into_a_header(ids: list[str], allowed: bool):
    status, policies = answer(Decision(allowed=allowed, policies=tuple(ids)))
    assert status == (200 if allowed else 403)
    assert policies.isascii()
    assert policies.isprintable()
