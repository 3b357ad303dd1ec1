"""What is kept on disk: all anew now and then, and between, a line for each change."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NOW, route

from inventory.model import Revision
from router.gateways.envoy import keeper, lastgood
from router.gateways.envoy.bootstrap import Start
from router.gateways.envoy.files import Files
from router.gateways.envoy.keeper import Keeper, kept_form
from router.governance import Governance

START = Start("local", "127.0.0.1", 1, *("/nowhere",) * 5)
NOBODY = Governance()


def revision(name: str, number: int = 1) -> Revision:
    spec = route(name, hosts=(f"{name}.localhost",))
    return Revision(route=name, number=number, spec=spec, at=NOW, who="ana", why="x")


def scopes(form: dict[str, Any]) -> list[str]:
    manager = form["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    listed = manager["scoped_routes"]["scoped_route_configurations_list"]["scoped_route_configurations"]
    return [one["name"] for one in listed]


def clusters(form: dict[str, Any]) -> list[str]:
    return [one["name"].partition("@")[0] for one in form["static_resources"]["clusters"]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    found = Files(tmp_path)
    found.prepare()
    return found


def test_all_is_written_first_and_then_only_what_changed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Keeper(files, START)
    served = {name: revision(name) for name in ("iris", "rose")}
    assert kept.keep(served, NOBODY)
    assert scopes(kept_form(files, START)) == ["iris.localhost", "rose.localhost"]
    before = files.standalone.read_bytes()
    monkeypatch.setattr(keeper, "SHARE", 1e9)
    assert kept.keep(served, NOBODY, whole=True)
    changed = {"iris": revision("iris", 2), "lily": revision("lily")}
    assert not kept.keep(changed, NOBODY)
    assert files.standalone.read_bytes() == before
    assert {(one.route, one.number) for one in lastgood.load(files.lastgood)} == {("iris", 2), ("lily", 1)}
    assert scopes(kept_form(files, START)) == ["iris.localhost", "lily.localhost"]
    assert files.lastgood.with_suffix(".log").stat().st_mode & 0o077 == 0
    # Nothing new is nothing to say; asked for all, the log has had its day.
    size = files.lastgood.with_suffix(".log").stat().st_size
    assert not kept.keep(changed, NOBODY)
    assert files.lastgood.with_suffix(".log").stat().st_size == size
    assert kept.keep(changed, NOBODY, whole=True)
    assert not lastgood.has_log(files.lastgood)
    assert "lily/origin" in clusters(json.loads(files.standalone.read_bytes()))


def test_with_no_route_the_configuration_is_one_all_the_same(files: Files) -> None:
    assert Keeper(files, START).keep({}, NOBODY)
    assert scopes(kept_form(files, START)) == ["nobody"]
    assert clusters(kept_form(files, START)) == ["gnomon-authorize"]


NAMES = st.sampled_from(["iris", "rose", "lily"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=8), st.integers(0, 400))
def test_the_log_says_what_became_of_every_route_up_to_where_it_was_cut(
    steps: list[tuple[str, bool]], cut: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lastgood.json"
        lastgood.save(path, [])
        states: list[dict[str, int]] = [{}]
        sizes = [0]
        for number, (name, serve) in enumerate(steps, 1):
            lastgood.append(path, [revision(name, number)] if serve else [], [] if serve else [name])
            states.append({**states[-1], name: number} if serve else {k: v for k, v in states[-1].items() if k != name})
            sizes.append(path.with_suffix(".log").stat().st_size)
        log = path.with_suffix(".log")
        if steps:
            left = max(0, sizes[-1] - cut)
            log.write_bytes(log.read_bytes()[:left])
            whole = max(index for index, size in enumerate(sizes) if size <= left)
            assert {one.route: one.number for one in lastgood.load(path)} == states[whole]


def test_a_line_that_cannot_be_read_is_where_the_log_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lastgood.json"
    lastgood.save(path, [])
    lastgood.append(path, [revision("iris")], [])
    with path.with_suffix(".log").open("ab") as log:
        log.write(b'{"served": 5}\n')
    lastgood.append(path, [revision("rose")], [])
    assert [one.route for one in lastgood.load(path)] == ["iris"]
    assert "line 2 of" in caplog.text
