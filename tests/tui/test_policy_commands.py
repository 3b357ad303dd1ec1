"""``gnomon policy`` as typed: files checked and tested, versions kept, tried, enforced and taken back."""

import json
from pathlib import Path
from typing import Any

import pytest
from making import route

from inventory.model import Access, PolicyState, Principal, PrincipalKind, utc_now
from inventory.store import open_store

CEDAR = """
@id("own-team")
permit(principal, action, resource) when { principal has team && resource has team && principal.team == resource.team };
"""
STRICT = '@id("nobody")\nforbid(principal, action, resource);\n'
CASES = """
cases:
  - {name: own, principal: {id: 'i|ana', attributes: {team: risk}}, route: {id: iris, attributes: {team: risk}},
     expect: allow, by: [own-team]}
  - {name: other, principal: {id: 'i|bo', attributes: {team: churn}}, route: {id: iris, attributes: {team: risk}},
     expect: deny}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "access.cedar").write_text(CEDAR)
    (tmp_path / "strict.cedar").write_text(STRICT)
    (tmp_path / "cases.yaml").write_text(CASES)
    return tmp_path


@pytest.fixture
def known(database_url: str) -> str:
    with open_store(database_url) as store:
        spec = route("iris", endpoint=None, access=Access(attributes={"team": "risk"}))
        store.routes.put(spec, who="ana", why="adopted")
        now = utc_now()
        caller = {"kind": PrincipalKind.TOKEN, "first_seen": now, "last_seen": now}
        store.principals.seen(
            [
                Principal(id="i|ana", attributes={"team": "risk"}, **caller),
                Principal(id="i|bo", attributes={"team": "churn"}, **caller),
            ]
        )
    return database_url


def state(url: str) -> PolicyState:
    with open_store(url) as store:
        return store.policies.state()


def test_a_file_is_checked_and_its_cases_are_tested(gnomon, files: Path) -> None:
    checked = gnomon("policy", "check", str(files / "access.cedar"))
    assert (checked.code, checked.err) == (0, f"{files / 'access.cedar'} can be used: 1 policy\n")
    tested = gnomon("policy", "test", str(files / "access.cedar"), str(files / "cases.yaml"))
    assert (tested.code, tested.out, tested.err) == (0, "", "2 of 2 cases are as expected\n")
    failed = gnomon("policy", "test", str(files / "strict.cedar"), str(files / "cases.yaml"), "-f", "json")
    assert failed.code == 1
    own, other = json.loads(failed.out)
    assert (own["case"], own["decided"], own["by"], own["why"]) == (
        "own",
        "deny",
        ["nobody"],
        "it was denied by nobody",
    )
    assert (other["case"], other["why"]) == ("other", "")
    (files / "size.cedar").write_text('@id("s") permit(principal, action, resource) when { context has size };')
    assert "context.size is known of a request alone" in gnomon("policy", "check", str(files / "size.cedar")).err


def test_a_version_is_kept_tried_enforced_and_taken_back(gnomon, known: str, files: Path) -> None:
    assert gnomon("policy", "list", "-f", "json").out == "[]\n"
    kept = gnomon("policy", "add", str(files / "access.cedar"), "--why", "first")
    assert (kept.code, kept.err.startswith("version 1 is kept")) == (0, True)
    assert gnomon("policy", "add", str(files / "strict.cedar")).code == 0
    assert state(known) == PolicyState()
    assert gnomon("policy", "candidate", "1").code == 0
    refused = gnomon("policy", "promote", "--percent", "50")
    assert refused.code == 4
    assert "not to be enforced yet: it was tried for 0.0 hours" in refused.err
    assert state(known).percent == 0
    forced = gnomon("policy", "promote", "--percent", "50", "--force", "--why", "a lab")
    assert (forced.code, forced.err.splitlines()[-1]) == (0, "50 % of the callers are held to version 1")
    assert gnomon("policy", "promote", "--force").code == 0
    assert (state(known).enforced, state(known).candidate) == (1, None)
    listed = json.loads(gnomon("policy", "list", "-f", "json").out)
    assert [(one["number"], one["counts"], one["why"]) for one in listed] == [
        (2, "", "by command line"), (1, "enforced", "first"),
    ]  # fmt: skip
    assert gnomon("policy", "show").out.strip() == CEDAR.strip()
    back = gnomon("policy", "rollback")
    assert back.err == "no version is enforced, version 1 is the candidate and binds 50 % of the callers\n"
    assert (state(known).enforced, state(known).candidate, state(known).percent) == (None, 1, 50)
    assert gnomon("policy", "candidate", "0").code == 0
    assert state(known).candidate is None


def test_a_decision_is_explained_by_its_policies(gnomon, known: str, files: Path) -> None:
    for name in ("access", "strict"):
        gnomon("policy", "add", str(files / f"{name}.cedar"))
    gnomon("policy", "candidate", "1")
    gnomon("policy", "promote", "--force")
    gnomon("policy", "candidate", "2")
    said = json.loads(gnomon("policy", "explain", "i|ana", "iris", "-f", "json").out)
    assert said["attributes"] == {"team": "risk"}
    assert said["decisions"] == [
        {"version": "enforced 1", "decision": "allow", "by": "own-team", "binds": "yes"},
        {"version": "candidate 2", "decision": "deny", "by": "nobody", "binds": "no"},
    ]
    shown = gnomon("policy", "explain", "i|bo", "iris")
    assert "no policy spoke" in shown.out
    assert "forbid" in shown.err
    assert "iris enforces no policies" in shown.err
    anonymous: Any = json.loads(gnomon("policy", "explain", "", "iris", "-f", "json").out)
    assert anonymous["decisions"][0]["decision"] == "deny"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("policy", "check", "x.txt"), "is in no language that is known by its name"),
        (("policy", "check", "missing.cedar"), "cannot be read: No such file"),
        (("policy", "check", "broken.cedar"), "the policies are not Cedar"),
        (("policy", "check", "types.cedar"), "problem"),
        (("policy", "test", "access.cedar", "broken.cedar"), "the cases"),
        (("policy", "test", "access.cedar", "bad.yaml"), "the cases: cases.0.name"),
        (("policy", "candidate", "7"), "there is no version 7"),
        (("policy", "promote"), "there is no candidate"),
        (("policy", "rollback"), "nothing counted before"),
        (("policy", "show"), "no version is enforced"),
        (("policy", "explain", "i|nobody", "iris"), "no caller 'i|nobody'"),
        (("policy", "explain", "i|ana", "none"), "none"),
    ],
)
def test_bad_input_is_one_sentence(
    gnomon, known: str, files: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(files)
    (files / "broken.cedar").write_text("permit(")
    (files / "types.cedar").write_text("permit(principal, action, resource) when { principal.tem == 1 };")
    (files / "bad.yaml").write_text("cases: [{route: iris, expect: maybe}]")
    done = gnomon(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
