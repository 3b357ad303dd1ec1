"""Routes as code, by the command line."""

import json
from pathlib import Path

import pytest
from making import route

from inventory.store import open_store
from router.desired import shift
from router.manifest import render


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(render([route("iris"), route("wine")]))
    return path


def test_what_is_exported_applies_to_nothing(gnomon, file: Path) -> None:
    planned = json.loads(gnomon("plan", "-f", str(file), "--format", "json").out)
    assert [(row["action"], row["route"]) for row in planned] == [("create", "iris"), ("create", "wine")]
    dry = gnomon("apply", "-f", str(file), "--dry-run")
    assert (dry.code, "create" in dry.out, "2 routes would change" in dry.err) == (0, True, True)
    assert json.loads(gnomon("routes", "--format", "json").out) == []
    applied = gnomon("apply", "-f", str(file), "--why", "the first", "--wait", "0")
    assert (applied.code, "2 routes are on record, but 2 of 2 are not in force" in applied.err) == (3, True)
    assert gnomon("export").out == file.read_text()
    again = gnomon("apply", "-f", str(file))
    assert (again.code, "nothing to change" in again.err) == (0, True)
    assert gnomon("export", "wine").out == render([route("wine")])


def test_what_the_file_does_not_name_stays_unless_pruned(gnomon, file: Path, database_url: str) -> None:
    gnomon("apply", "-f", str(file), "--wait", "0")
    file.write_text(render([shift(route("iris"), {"origin": 90, "replacement": 10})]))
    planned = gnomon("plan", "-f", str(file))
    assert "backends.origin.weight: 100 → 90; backends.replacement.weight: 0 → 10" in planned.out
    assert "wine" not in planned.out
    refused = gnomon("apply", "-f", str(file), "--prune", "--limit", "1", "--wait", "0")
    assert (refused.code, "would touch 2 routes" in refused.err) == (4, True)
    assert gnomon("apply", "-f", str(file), "--prune", "--wait", "0").code == 3
    with open_store(database_url) as store:
        assert [one.route for one in store.routes.list()] == ["iris"]
    dry = gnomon("rollback", "iris", "--whole", "--dry-run")
    assert (dry.code, "route wine" in dry.out) == (0, True)
    assert gnomon("rollback", "iris", "--whole", "--wait", "0").code == 3
    assert gnomon("export").out == render([route("iris"), route("wine")])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("apply", "-f", "none.yaml"), 2, "none.yaml cannot be read: No such file"),
        (("plan", "-f", "none.yaml"), 2, "none.yaml cannot be read: No such file"),
        (("export", "none"), 2, "no route 'none'"),
        (("rollback", "iris", "--whole", "--to", "1"), 2, "give one of them"),
        (("rollback", "iris"), 2, "no earlier revision"),
        (("rollback", "iris", "--whole"), 2, "changed no other route"),
    ],
)
def test_mistakes(gnomon, database_url: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    with open_store(database_url) as store:
        store.routes.put(route("iris"), who="ana", why="x")
    ran = gnomon(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err


def test_going_back_passes_over_what_a_gateway_refused(gnomon, database_url: str) -> None:
    with open_store(database_url) as store:
        spec = route("iris")
        back = "rolled back: the gateway refused revision 3 of iris: x"
        for seconds, who, why in ((1, "ana", "a"), (2, "ana", "b"), (3, "ana", "bad"), (2, "gnomon", back)):
            store.routes.put(spec.model_copy(update={"timeout_seconds": float(seconds)}), who=who, why=why)
    assert gnomon("rollback", "iris", "--wait", "0").code == 3
    with open_store(database_url) as store:
        latest = store.routes.get("iris")
    assert latest is not None
    assert latest.spec is not None
    assert latest.spec.timeout_seconds == 1
