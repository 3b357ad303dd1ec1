"""The manifests in deploy/ grant what gnomon reads, and nothing more."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from scanner.cluster.resources import RESOURCES
from scanner.permissions import ASKING

FOLDER = Path(__file__).parent.parent / "deploy"
ASKED = {("", f"{through}/proxy", "get") for through, _ in ASKING}
NAMED = ("", "namespaces", "get")


def granted(file: str) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for one in yaml.safe_load_all((FOLDER / file).read_text()):
        for rule in one.get("rules", ()):
            found |= set(product(rule["apiGroups"], rule["resources"], rule["verbs"]))
    return found


def reading(*, cluster: bool) -> set[tuple[str, str, str]]:
    read = [one for one in RESOURCES if cluster or one.namespaced]
    return {(one.group, one.plural, verb) for one, verb in product(read, ("list", "watch"))}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("kubernetes-read.yaml", reading(cluster=True) | {NAMED}),
        ("kubernetes-ask.yaml", ASKED),
        ("kubernetes-namespace.yaml", reading(cluster=False) | ASKED | {NAMED}),
    ],
)
def test_a_role_grants_what_is_read_and_nothing_more(file, wanted):
    assert granted(file) == wanted


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("kubernetes-*.yaml")))
def test_no_role_grants_a_secret_or_a_change(file):
    for group, resource, verb in granted(file):
        assert verb in {"get", "list", "watch"}
        assert resource not in {"secrets", "configmaps", "pods/exec", "pods/log", "nodes/proxy", "*"}
        assert group != "*"
    bound = [one for one in yaml.safe_load_all((FOLDER / file).read_text()) if one["kind"].endswith("Binding")]
    assert [one["roleRef"]["name"] for one in bound]
