"""Policies at the command line: from a file to what is enforced and one step back, and how commands end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from making import route
from policies import CEDAR, REGO

from inventory.model import Access, PolicyState
from inventory.store import open_store

CASES = """
cases:
  - name: analysts may read production
    principal: {id: ana, attributes: {groups: [analysts]}}
    route: {id: iris, attributes: {environment: production}}
    expect: allow
    by: [analysts-read-production]
  - name: nothing large
    principal: {id: ana, attributes: {groups: [analysts]}}
    route: {id: iris, attributes: {environment: production}}
    context: {size: 5000}
    expect: deny
    by: [nothing-large]
  - {name: nobody else, route: {id: iris}, expect: deny}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "p.cedar").write_text(CEDAR)
    (tmp_path / "p.rego").write_text(REGO)
    (tmp_path / "cases.yaml").write_text(CASES)
    return tmp_path


def state(url: str) -> PolicyState:
    with open_store(url) as store:
        return store.policies.state()


def test_a_file_is_checked(gnomon: Callable[..., Any], files: Path):
    ran = gnomon("policy", "check", str(files / "p.cedar"))
    assert (ran.code, ran.out) == (0, "")
    assert "depends on context.size: only routes that ask per request can decide this" in ran.err
    assert "context.hour" not in ran.err
    (files / "bad.cedar").write_text("permit(principal, action, resource) when { principal.shoe == resource.hat };")
    ran = gnomon("policy", "check", str(files / "bad.cedar"))
    assert (ran.code, "attribute `shoe`" in ran.err) == (2, True)
    assert gnomon("policy", "check", str(files / "cases.yaml")).code == 2
    assert gnomon("policy", "check", str(files / "none.cedar")).code == 2


@pytest.mark.parametrize("name", ["p.cedar", "p.rego"])
def test_cases_pass_in_both_languages(gnomon: Callable[..., Any], files: Path, name: str):
    ran = gnomon("policy", "test", str(files / name), str(files / "cases.yaml"))
    assert (ran.code, ran.out) == (0, "")
    assert "3 of 3 cases are decided as expected" in ran.err


def test_a_case_that_fails_is_shown_and_ends_with_1(gnomon: Callable[..., Any], files: Path):
    wrong = CASES.replace("by: [nothing-large]", "by: [not-at-night]").replace("expect: deny}", "expect: allow}")
    (files / "cases.yaml").write_text(wrong)
    ran = gnomon("policy", "test", str(files / "p.cedar"), str(files / "cases.yaml"), "--format", "json")
    assert ran.code == 1
    assert [(one["case"], one["expected"], one["decided"], one["by"]) for one in json.loads(ran.out)] == [
        ("nothing large", "deny by not-at-night", "deny", "nothing-large"),
        ("nobody else", "allow", "deny", ""),
    ]
    (files / "cases.yaml").write_text("cases: [{name: x}]")
    assert gnomon("policy", "test", str(files / "p.cedar"), str(files / "cases.yaml")).code == 2


def test_from_a_file_to_what_is_enforced_and_back(gnomon: Callable[..., Any], files: Path, database_url: str):
    assert gnomon("policy", "promote").code == 2
    assert gnomon("policy", "rollback").code == 2
    assert gnomon("policy", "add", str(files / "p.cedar"), "--why", "first").code == 0
    assert gnomon("policy", "add", str(files / "p.rego")).code == 0
    assert gnomon("policy", "show", "1").out.strip() == CEDAR.strip()
    assert gnomon("policy", "candidate", "3").code == 2
    assert "version 1 is tried, 0 %" in gnomon("policy", "candidate", "1").err
    gnomon("policy", "promote", "--percent", "10")
    assert state(database_url) == PolicyState(candidate=1, percent=10, version=2)
    gnomon("policy", "promote")
    assert state(database_url) == PolicyState(enforced=1, version=3)
    assert gnomon("policy", "candidate", "1").code == 2
    gnomon("policy", "rollback")
    assert state(database_url) == PolicyState(candidate=1, percent=10, version=4)
    gnomon("policy", "rollback")
    assert state(database_url) == PolicyState(enforced=1, version=5)
    rows = json.loads(gnomon("policy", "list", "--format", "json").out)
    assert [(one["number"], one["engine"], one["state"], one["why"]) for one in rows] == [
        (2, "rego", "", "by command line"),
        (1, "cedar", "enforced", "first"),
    ]


def test_which_policy_decided_is_explained_for_both_versions(
    gnomon: Callable[..., Any], files: Path, database_url: str
):
    with open_store(database_url) as store:
        access = Access(attributes={"department": "fraud"})
        store.routes.put(route("iris").model_copy(update={"access": access}), who="ana", why="adopted")
    for name in ("p.cedar", "p.rego"):
        gnomon("policy", "add", str(files / name))
    gnomon("policy", "candidate", "1")
    gnomon("policy", "promote")
    gnomon("policy", "candidate", "2")
    ran = gnomon("policy", "explain", "ana", "iris", "--attribute", "department=fraud")
    assert ran.code == 0
    assert "bound by version 1" in ran.out
    assert 'enforced, version 1: allow\n  by own-department\n    @id("own-department")' in ran.out
    assert "candidate, version 2: allow\n  by own-department" in ran.out
    shown = json.loads(gnomon("policy", "explain", "", "iris", "--format", "json").out)
    assert [(one["role"], one["allowed"], one["policies"]) for one in shown["versions"]] == [
        ("enforced", False, []), ("candidate", False, []),
    ]  # fmt: skip
    assert gnomon("policy", "explain", "ana", "none").code == 2
    assert gnomon("policy", "explain", "ana", "iris", "--attribute", "x").code == 2
