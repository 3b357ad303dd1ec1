"""``policy impact`` and ``policy diff``, with a small engine in place of a policy language."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from calling import Groups, append_calls, call_of_now

from inventory.model import Access, Backend, Decision, PolicySet, PolicyState, RouteSpec, utc_now
from inventory.store import Store, open_store
from tui.commands import policy_impact
from tui.exits import CommandError
from tui.wiring import Options

YES, NO = Decision(allowed=True, policies=("teams",)), Decision(allowed=False)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(database_url: str):
    with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of the group. A policy text is the teams that it lets in."""
    monkeypatch.setattr(policy_impact, "policy_loader", lambda: lambda version: Groups(*version.text.split()))
    app = typer.Typer()
    policy_impact.register(app)

    def go(*arguments: str) -> tuple[int, str, str]:
        code = app(list(arguments), standalone_mode=False, obj=Options(database_url))
        return (code or 0, *capsys.readouterr())

    return go


@pytest.fixture
def tried(store: Store) -> Store:
    """Ana and Bob call under an enforced version, and a candidate that Bob is not in."""
    first = store.policies.add("cedar", "churn risk", "", who="ana", why="first")
    second = store.policies.add("cedar", "churn", "", who="ana", why="second")
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


def test_the_impact_of_the_candidate_since_it_is_one(run: Run, tried: Store):
    code, out, err = run("impact")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "identities   2 of 2 are known to the policies (100%)"
    assert lines[1] == "calls        7 of 7 were judged; 1 were anonymous"
    assert lines[2] == "anonymous    anonymous 10.0.0.0/24 curl/8 (1 calls)"
    assert [line.split()[:3] for line in lines if line.startswith("would")] == [
        ["would", "deny", "https://idp|bob"],
        ["would", "deny", "anonymous"],
    ]
    assert "2 identities would be denied" in err
    assert "not to be enforced yet: it was tried for 0.0 hours, and 24 are asked for" in err
    data = json.loads(run("impact", "--format", "json")[1])
    assert (data["candidate"], data["coverage"]["identities"], data["may_be_enforced"]) == (2, 2, False)
    assert data["impacts"][0]["calls"] == 5


def test_the_gate_has_an_exit_code_and_denials_that_somebody_answers_for(run: Run, tried: Store):
    assert run("impact", "--check")[0] == 4
    _, _, err = run("impact", "--check", "--accept", "*bob", "--accept", "anonymous *")
    assert "nobody accepted" not in err
    assert "it was tried on 7 calls" in err


def test_without_a_candidate_there_is_nothing_to_enforce(run: Run, store: Store):
    code, out, err = run("impact", "--check")
    assert (code, "there is no candidate" in err) == (4, True)
    assert "nobody was seen" in out


def test_what_a_text_would_have_done(run: Run, tried: Store, tmp_path: Path):
    file = tmp_path / "next.cedar"
    file.write_text("risk")
    data = json.loads(run("diff", str(file), "--days", "2", "--format", "json")[1])
    assert [(one["what"], one["identity"], one["calls"]) for one in data["impacts"]] == [
        ("would deny", "https://idp|ana", 2)
    ]
    assert data["coverage"]["decided"] == data["coverage"]["calls"] == 8
    assert run("diff", str(file), "--format", "csv")[1].splitlines()[0].startswith("what,identity,principal,route")


def test_a_text_in_no_known_language_is_one_sentence(run: Run, tmp_path: Path):
    file = tmp_path / "next.txt"
    file.write_text("risk")
    with pytest.raises(CommandError, match=r"call it \.cedar or \.rego"):
        run("diff", str(file))
    file = tmp_path / "next.cedar"
    file.write_bytes(b"permit\xff")
    with pytest.raises(CommandError, match="is not text in UTF-8"):
        run("diff", str(file))


def test_calls_whose_requests_are_asked_about_are_told(
    run: Run, tried: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def load(version: PolicySet) -> Groups:
        return Groups(*version.text.split(), looks_at=frozenset({"context.size", "context.hour"}))

    monkeypatch.setattr(policy_impact, "policy_loader", lambda: load)
    backend = Backend(name="main", url="http://127.0.0.1:1", weight=100)
    access = Access(ask="open")
    spec = RouteSpec(name="churn", hosts=("churn.localhost",), backends=(backend,), access=access)
    tried.routes.put(spec, who="ana", why="asks")
    file = tmp_path / "next.cedar"
    file.write_text("risk")
    _, out, err = run("diff", str(file))
    assert "8 calls are of routes that ask for each request" in err
    assert "would deny" in out
