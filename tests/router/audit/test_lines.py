"""Lines of the gateway's, honest ones and hostile ones."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from calling import line_of
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Call, Issuer, PrincipalKind
from router.audit.lines import MalformedLineError, client_of, lost_of, mark, network_of, parse, refused_by

IDP = Issuer(
    name="idp",
    url="https://idp",
    audiences=("gnomon",),
    attributes={"team": "org.team", "groups": "groups", "cost": "https://lab/cost"},
)
ISSUERS = {IDP.url: IDP}
NOBODY = {"claims": None}
TREES = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def test_a_call_of_an_issuers_caller() -> None:
    told = {"org": {"team": "churn"}, "groups": ["a", 7, {"x": 1}], "https://lab/cost": True}
    claims = {"iss": IDP.url, "sub": "ana", **told}
    line = parse(line_of(claims=claims), ISSUERS)
    assert line is not None
    call = Call.model_validate(line.call.model_dump())
    assert call == Call(
        id="r1", at=datetime.fromtimestamp(1_795_800_001, UTC), route="churn", revision=3, backend="main",
        principal="https://idp|ana", network="10.1.2.0/24", client="python-requests/2.32", method="POST",
        path="/predict", status=200, received=10, sent=20, micros=900,
    )  # fmt: skip
    assert (line.kind, line.address) == (PrincipalKind.TOKEN, "10.1.2.3")
    assert line.attributes == {"team": "churn", "groups": ("a", "7"), "cost": "true"}


@pytest.mark.parametrize(
    ("parts", "principal", "kind"),
    [
        ({"id": "https://idp|bob"}, "https://idp|bob", PrincipalKind.TOKEN),
        ({"id": "spiffe://lab/x", "peer": "spiffe://lab/y"}, "spiffe://lab/x", PrincipalKind.CERTIFICATE),
        (NOBODY | {"peer": "spiffe://lab/y"}, "spiffe://lab/y", PrincipalKind.CERTIFICATE),
        ({"id": "key:abcd1234"}, "key:abcd1234", PrincipalKind.KEY),
        ({"claims": {"iss": "https://other", "sub": "ana"}}, "https://other|ana", PrincipalKind.TOKEN),
        ({"claims": {"sub": "ana"}}, "", None),
        ({"claims": {"iss": "https://idp", "sub": 7}}, "", None),
        ({"claims": "ana"}, "", None),
    ],
)  # fmt: skip
def test_who_called(parts: dict[str, Any], principal: str, kind: PrincipalKind | None) -> None:
    line = parse(line_of(**parts), ISSUERS)
    assert line is not None
    assert (line.call.principal, line.kind, line.attributes) == (principal, kind, None)


@pytest.mark.parametrize(
    ("details", "status", "refused"),
    [
        ("rbac_access_denied_matched_policy[churn]", 403, "policy"),
        ("jwt_authn_access_denied{Jwt_is_expired}", 401, "token"),
        ("local_rate_limited", 429, "limit"),
        ("request_rate_limited", 429, "limit"),
        ("ext_authz_denied", 403, "service"),
        ("ext_authz_denied", 429, "limit"),
        ("ext_authz_error", 403, "service"),
        ("via_upstream", 429, ""),
        ("", 0, ""),
    ],
)
def test_what_refused(details: str, status: int, refused: str) -> None:
    assert refused_by(details, status) == refused


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, line_of(at=None), line_of(at="1"), line_of(at=True),
        line_of(at=10**30), line_of(route="Churn"), line_of(route="a b"), line_of(code=-1), line_of(rx=1.5),
        line_of(path=["x"]), line_of(ua={"a": 1}), line_of(code="12345678901234567890"),
    ],
)  # fmt: skip
def test_what_is_no_line_is_refused(broken: bytes) -> None:
    with pytest.raises(MalformedLineError):
        parse(broken, ISSUERS)


def test_a_request_to_no_route_is_no_call() -> None:
    assert parse(line_of(route=None), ISSUERS) is None
    assert parse(line_of(route="-"), ISSUERS) is None


@given(
    st.dictionaries(
        st.sampled_from(["rid", "id", "ua", "path", "method", "model", "purpose", "addr", "peer", "det"]),
        st.text(max_size=3000) | st.just("\ud800\x00\x1b[2J") | st.just("x" * 5000),
    ),
    st.dictionaries(st.sampled_from(["rev", "code", "rx", "tx", "us"]), st.integers(0, 10**40)),
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
)
def test_whatever_callers_send_is_bounded_and_can_be_stored(
    texts: dict[str, str], numbers: dict[str, int], claims: Any
) -> None:
    line = parse(line_of(**(texts | numbers | {"claims": {"iss": IDP.url, "sub": "ana", "groups": claims}})), ISSUERS)
    assert line is not None
    call = Call.model_validate(line.call.model_dump())
    said = [value for value in call.model_dump().values() if isinstance(value, str)]
    assert all(one.isprintable() and len(one) <= 1100 and one.encode() is not None for one in said)
    assert call.sent <= 2**53
    assert max(call.status, call.revision, call.micros) < 2**31
    assert len(str(line.attributes)) < 64 * 2000


def test_networks_and_clients() -> None:
    assert network_of("::ffff:10.1.2.3") == "10.1.2.0/24"
    assert network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("a pipe") == ""
    assert client_of(" curl/8 (x)") == "curl/8"
    assert client_of("-") == client_of("  ") == ""


@given(st.integers(1, 2**53), st.integers(40, 900))
def test_a_mark_says_how_many_and_nothing_else_does(lost: int, length: int) -> None:
    made = mark(lost, length)
    assert (len(made), lost_of(made), b"\n" in made) == (length, lost, False)
    assert lost_of(line_of()) == lost_of(b'{"lost": "x"}') == lost_of(b'{"lost":') == lost_of(b'{"lost":true}') == 0


def test_what_a_claim_names_cannot_nest_without_end() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"org": deep}
    line = parse(line_of(claims=deep | {"iss": IDP.url, "sub": "ana"}), ISSUERS)
    assert line is not None
    assert json.dumps(line.attributes) == "{}"
