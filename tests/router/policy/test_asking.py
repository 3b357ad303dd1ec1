"""What a gateway tells of one request becomes a question, or is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.policy.asking import AskedError, told

NOW = datetime(2026, 11, 28, 3, 30, tzinfo=UTC)


def ask(target: str = "/iris/v1/predict?key=1", method: str = "POST", **headers: str) -> Any:
    return told(method, target, {name.replace("_", "-"): value for name, value in headers.items()}, NOW)


def test_everything_that_is_known_of_a_request_is_told() -> None:
    asked = ask(x_gnomon_size="12", x_gnomon_address="10.0.0.5", x_purpose="billing", x_gnomon_claims='{"iss": "i"}')
    assert (asked.route, asked.principal, asked.claims) == ("iris", "", {"iss": "i"})
    assert asked.context == {
        "hour": 3, "weekday": 5, "now": int(NOW.timestamp()), "method": "POST", "path": "/v1/predict", "size": 12,
        "purpose": "billing", "network": "10.0.0.5",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "principal"),
    [
        ({"x_gnomon_iss": "https://i", "x_gnomon_sub": "ana", "x_gnomon_peer": "spiffe://lab/x"}, "https://i|ana"),
        ({"x_gnomon_sub": "key:abc"}, "key:abc"),
        ({"x_gnomon_peer": "spiffe://lab/x"}, "spiffe://lab/x"),
        ({"x_gnomon_peer": "-"}, ""),
        ({"x_gnomon_iss": "https://i"}, ""),
    ],
)
def test_who_calls(headers: dict[str, str], principal: str) -> None:
    assert ask(**headers).principal == principal


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/", {}),
        ("", {}),
        ("/iris", {}),
        ("/iris/x", {"x_gnomon_address": "here"}),
        ("/iris/x", {"x_gnomon_claims": "{"}),
    ],
)
def test_what_no_gateway_tells_is_refused(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(AskedError):
        ask(target, **headers)


@given(st.text(), st.dictionaries(st.sampled_from(["x_gnomon_size", "x_gnomon_claims", "x_purpose"]), st.text()))
def test_whatever_is_told_is_bounded_or_refused(target: str, headers: dict[str, str]) -> None:
    try:
        asked = ask(target, **headers)
    except AskedError:
        return
    assert len(str(asked.context["path"])) <= 4096
    assert int(asked.context["size"]) >= 0
