"""``gnomon policy impact`` and ``policy diff``, on policies in Cedar."""

import json
from pathlib import Path

import pytest
from calling import append_calls, call_of_now

from inventory.model import Access, Backend, Decision, PolicyState, RouteSpec, utc_now
from inventory.store import Store, open_store

YES, NO = Decision(allowed=True, policies=("teams",)), Decision(allowed=False)


@pytest.fixture
def store(database_url: str):
    with open_store(database_url) as opened:
        yield opened


def teams(*names: str, also: str = "true") -> str:
    """A policy that lets teams in."""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"""@id("teams")
permit (principal, action, resource) when {{ principal has team && [{listed}].contains(principal.team) && {also} }};
"""


@pytest.fixture
def tried(store: Store) -> Store:
    """Ana and Bob call under an enforced version, and a candidate that Bob is not in."""
    first = store.policies.add("cedar", teams("churn", "risk"), "", who="ana", why="first")
    second = store.policies.add("cedar", teams("churn"), "", who="ana", why="second")
    state = store.policies.move(PolicyState(), PolicyState(enforced=first.number), who="ana", why="go")
    assert state is not None
    append_calls(store, [call_of_now(1, enforced=YES, candidate=NO)])
    asked = state.model_copy(update={"candidate": second.number})
    assert store.policies.move(state, asked, who="ana", why="try") is not None
    at = utc_now()
    declare(store, "https://idp|ana", "churn")
    declare(store, "https://idp|bob", "risk")
    bobs = [call_of_now(10 + n, principal="https://idp|bob", at=at, enforced=YES, candidate=NO) for n in range(5)]
    nobody = call_of_now(20, principal="", client="curl/8", at=at, enforced=YES, candidate=NO)
    append_calls(store, [call_of_now(2, at=at, enforced=YES, candidate=YES), *bobs, nobody])
    return store


def declare(store: Store, principal: str, team: str) -> None:
    from inventory.model import PrincipalKind

    store.principals.declare(principal, PrincipalKind.TOKEN, {"team": team}, who="ana", why="known")


def test_the_impact_of_the_candidate_since_it_is_one(gnomon, tried: Store):
    ran = gnomon("policy", "impact")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "identities   2 of 2 are known to the policies (100%)"
    assert lines[1] == "calls        7 of 7 were judged; 1 were anonymous"
    assert lines[2] == "anonymous    anonymous 10.0.0.0/24 curl/8 (1 calls)"
    assert [line.split()[:3] for line in lines if line.startswith("would")] == [
        ["would", "deny", "https://idp|bob"],
        ["would", "deny", "anonymous"],
    ]
    assert "2 identities would be denied" in ran.err
    assert "not to be enforced yet: it was tried for 0.0 hours, and 24 are asked for" in ran.err
    data = json.loads(gnomon("policy", "impact", "--format", "json").out)
    assert (data["candidate"], data["coverage"]["identities"], data["may_be_enforced"]) == (2, 2, False)
    assert data["impacts"][0]["calls"] == 5


def test_the_gate_has_an_exit_code_and_denials_that_somebody_answers_for(gnomon, tried: Store):
    assert gnomon("policy", "impact", "--check").code == 4
    err = gnomon("policy", "impact", "--check", "--accept", "*bob", "--accept", "anonymous *").err
    assert "nobody accepted" not in err
    assert "it was tried on 7 calls" in err


def test_without_a_candidate_there_is_nothing_to_enforce(gnomon, store: Store):
    ran = gnomon("policy", "impact", "--check")
    assert (ran.code, "there is no candidate" in ran.err) == (4, True)
    assert "nobody was seen" in ran.out


def test_what_a_text_would_have_done(gnomon, tried: Store, tmp_path: Path):
    file = tmp_path / "next.cedar"
    file.write_text(teams("risk"))
    data = json.loads(gnomon("policy", "diff", str(file), "--days", "2", "--format", "json").out)
    assert [(one["what"], one["identity"], one["calls"]) for one in data["impacts"]] == [
        ("would deny", "https://idp|ana", 2)
    ]
    assert data["coverage"]["decided"] == data["coverage"]["calls"] == 8
    assert (
        gnomon("policy", "diff", str(file), "--format", "csv")
        .out.splitlines()[0]
        .startswith("what,identity,principal,route")
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("next.txt", b"permit", "call it .cedar, .rego or .opa"),
        ("next.cedar", b"permit\xff", "is not text in UTF-8"),
        ("next.cedar", b"permit (principal", ""),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(gnomon, tmp_path: Path, name: str, text: bytes, said: str):
    file = tmp_path / name
    file.write_bytes(text)
    ran = gnomon("policy", "diff", str(file))
    assert (ran.code, ran.out, said in ran.err) == (2, "", True)


def test_calls_whose_requests_are_asked_about_are_told(gnomon, tried: Store, tmp_path: Path):
    backend = Backend(name="main", url="http://127.0.0.1:1", weight=100)
    access = Access(ask="open")
    spec = RouteSpec(name="churn", hosts=("churn.localhost",), backends=(backend,), access=access)
    tried.routes.put(spec, who="ana", why="asks")
    file = tmp_path / "next.cedar"
    file.write_text(teams("risk", also="context has size && context.size < 100 && context.hour < 24"))
    ran = gnomon("policy", "diff", str(file))
    assert "8 calls are of routes that ask for each request" in ran.err
    assert "would deny" in ran.out
