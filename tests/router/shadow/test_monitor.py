"""The monitor on real files and a real database, as the gateway and kills treat it."""

import asyncio
import stat
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from following import DEADLINE, append, running, until

from inventory.model import RouteSpec, ShadowEvidence
from inventory.store import Store, StoreError
from router.shadow.monitor import Monitor
from router.shadow.pair import Window
from router.shadow.tail import prepare

Line = Callable[..., bytes]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return tmp_path / "capture" / "pairs.jsonl"


@pytest.fixture
def routed(store: Store, spec: RouteSpec) -> Store:
    store.routes.put(spec, who="test", why="to be shadowed")
    return store


def the_evidence(store: Store) -> ShadowEvidence:
    rows = store.shadow.of("churn")
    return rows[0] if rows else ShadowEvidence.model_construct(pairs=0, lost=0, agreed=0, lost_reasons={})


def pairs(line: Line, *rids: str) -> list[bytes]:
    return [line(rid, role, {"class": 1, "took_ms": hash(role)}) for rid in rids for role in "ps"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def readable_by_all(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    path.chmod(0o644)


def renamed(path: Path, to: str) -> BinaryIO:
    """Rename a file that something still writes to."""
    writer = path.open("ab", buffering=0)
    path.rename(path.with_name(to))
    return writer


def content(path: Path) -> bytes:
    return path.read_bytes().strip(b"\0")


async def test_pairs_in_the_file_become_evidence_in_the_store(routed: Store, capture: Path, line: Line) -> None:
    monitor = Monitor(routed, capture)
    async with running(monitor):
        await until(capture.exists)
        append(capture, *pairs(line, "a", "b"), line("c", "p", {"class": 1}), line("c", "s", {"class": 2}))
        await until(lambda: the_evidence(routed).pairs == 3)
    evidence = the_evidence(routed)
    assert (evidence.agreed, evidence.lost, evidence.incomparable) == (2, 0, 0)
    assert (evidence.primary, evidence.shadow) == ("origin", "replacement")
    assert evidence.primary_p50 == pytest.approx(1.5, rel=0.02)
    assert evidence.lower_bound is not None
    assert 0 < evidence.lower_bound < 2 / 3
    assert [(d.path, d.primary, d.shadow, d.operation) for d in evidence.disagreements] == [
        ("$.class", "1", "2", "POST /predict")
    ]


async def test_what_was_compared_is_deleted_and_what_waits_is_kept(routed: Store, capture: Path, line: Line) -> None:
    waiting = line("w", "p", {"class": 1})
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a", "b"), waiting)
        await until(lambda: content(capture) == waiting)
        assert mode(capture) == 0o600
        assert mode(capture.parent) == 0o700
    assert the_evidence(routed).pairs == 2


async def test_a_file_that_others_could_read_is_closed_to_them(routed: Store, capture: Path, line: Line) -> None:
    readable_by_all(capture)
    async with running(Monitor(routed, capture)):
        await until(lambda: mode(capture) == 0o600)


async def test_lines_that_are_no_records_are_counted_and_passed_over(
    routed: Store, capture: Path, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(routed, capture)
    async with running(monitor):
        await until(capture.exists)
        bad = [b"not json\n", b"[]\n", b"\xff\xfe\n", b'{"role":"p"}\n', b"[" * 200_000 + b"\n"]
        append(capture, *bad, b"x" * 3_000_000, b"\n", *pairs(line, "a"))
        await until(lambda: the_evidence(routed).pairs == 1)
    assert monitor.malformed == 6
    assert "could not be read" in caplog.text


async def test_a_partial_last_line_waits_for_its_end(routed: Store, capture: Path, line: Line) -> None:
    whole = b"".join(pairs(line, "a"))
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        for at in range(0, len(whole), 97):
            append(capture, whole[at : at + 97])
            await asyncio.sleep(0)
        await until(lambda: the_evidence(routed).pairs == 1)


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_restart_goes_on_where_the_last_one_was(
    routed: Store, capture: Path, line: Line, waiting: bool
) -> None:
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a"), *([line("w", "p", {"class": 1})] if waiting else []))
        append(capture, *pairs(line, "b"))
        await until(lambda: the_evidence(routed).pairs == 2)
    append(capture, line("w", "s", {"class": 1}), *pairs(line, "c"))
    async with running(Monitor(routed, capture)):
        await until(lambda: the_evidence(routed).pairs == 3 + waiting)
    assert the_evidence(routed).agreed == 3 + waiting
    assert the_evidence(routed).lost == 0


async def test_a_kill_between_saving_and_deleting_counts_nothing_twice(
    routed: Store, capture: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("router.shadow.tail.Tail.delete", lambda self, up_to: None)
        async with running(Monitor(routed, capture)):
            await until(capture.exists)
            append(capture, *pairs(line, "a", "b"), line("b2", "p", 1), line("b2", "p", 1))
            await until(lambda: the_evidence(routed).pairs == 2 and the_evidence(routed).lost == 1)
    assert content(capture).count(b"\n") == 6
    append(capture, line("b2", "s", 1))
    async with running(Monitor(routed, capture)):
        await until(lambda: the_evidence(routed).pairs == 3)
        await until(lambda: content(capture) == b"")
    assert (the_evidence(routed).pairs, the_evidence(routed).lost) == (3, 1)


async def test_a_database_that_fails_for_a_while_loses_nothing(
    routed: Store, capture: Path, line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter(["save", "save", "history", "of", "save"])
    real = {name: getattr(part, name) for part, name in _parts(routed)}
    upcoming = [next(failures)]

    def failing(name: str) -> Callable[..., object]:
        def call(*args: object) -> object:
            if upcoming[0] == name:
                upcoming[0] = next(failures, "")
                raise StoreError("the disk is full")
            return real[name](*args)

        return call

    for part, name in _parts(routed):
        monkeypatch.setattr(part, name, failing(name))
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a", "b"))
        await until(lambda: upcoming[0] == "history")
        routed.routes.put(_touched(routed), who="test", why="to make the monitor ask again")
        append(capture, *pairs(partial(line, rev=2), "c", "d"))
        await until(lambda: upcoming[0] == "")
        await until(lambda: the_evidence(routed).pairs == 4)
    assert the_evidence(routed).agreed == 4
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("away", [False, True], ids=["behind", "without a database"])
async def test_what_waits_too_long_is_given_up_and_counted(
    routed: Store, capture: Path, line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    away: bool,
) -> None:  # fmt: skip
    prepare(capture)
    lines = [line(f"r{number}", role, {"class": "x" * 8_000}) for number in range(200) for role in "ps"]
    append(capture, *lines)
    failing, version = [away], routed.version

    def asked() -> int:
        if failing[0]:
            raise StoreError("the database is away")
        return version()

    monkeypatch.setattr(routed, "version", asked)
    async with running(Monitor(routed, capture, most_waiting=sum(map(len, lines)) // 2)):
        await until(lambda: "given up unread" in caplog.text)
        failing[0] = False
        await until(lambda: the_evidence(routed).pairs + the_evidence(routed).lost_reasons.get("shed", 0) == 200)
    assert 100 <= the_evidence(routed).lost_reasons["shed"] < 200
    assert the_evidence(routed).lost == sum(the_evidence(routed).lost_reasons.values())


def _parts(store: Store) -> list[tuple[object, str]]:
    return [(store.shadow, "save"), (store.routes, "history"), (store.shadow, "of")]


def _touched(store: Store) -> RouteSpec:
    revision = store.routes.get("churn")
    assert revision is not None
    assert revision.spec is not None
    return revision.spec.model_copy(update={"timeout_seconds": 31.0})


async def test_rotation_by_others_loses_nothing(routed: Store, capture: Path, line: Line) -> None:
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a"), line("x", "p", {"class": 1}))
        writer = renamed(capture, "elsewhere")
        append(capture, line("x", "s", {"class": 1}), *pairs(line, "b"))
        await until(lambda: the_evidence(routed).pairs == 3)
        with writer:
            writer.write(b"".join(pairs(line, "late")))
        await until(lambda: the_evidence(routed).pairs == 4)
    assert the_evidence(routed).agreed == 4


async def test_truncation_by_others_starts_over_at_the_beginning(routed: Store, capture: Path, line: Line) -> None:
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a", "b", "c"))
        # Saved comes before deleted. Whoever truncates between the two may lose what is written at once.
        await until(lambda: the_evidence(routed).pairs == 3 and not capture.read_bytes().strip(b"\0"))
        with capture.open("r+b") as file:
            file.truncate(0)
        append(capture, *pairs(line, "d"))
        await until(lambda: the_evidence(routed).pairs == 4)
    append(capture, *pairs(line, "e"))
    async with running(Monitor(routed, capture)):
        await until(lambda: the_evidence(routed).pairs == 5)


async def test_a_large_file_is_rotated_where_the_gateway_can_reopen_it(
    routed: Store, capture: Path, line: Line
) -> None:
    reopened = asyncio.Event()

    async def reopen() -> None:
        reopened.set()

    async with running(Monitor(routed, capture, reopen=reopen, rotate_at=2000)):
        await until(capture.exists)
        append(capture, *pairs(line, *map(str, range(20))))
        await asyncio.wait_for(reopened.wait(), DEADLINE)
        append(capture, *pairs(line, "after"))
        await until(lambda: the_evidence(routed).pairs == 21)
        await until(lambda: not capture.with_name("pairs.jsonl.old").exists())


async def test_an_answer_without_its_counterpart_is_lost_with_its_reason(
    routed: Store, capture: Path, line: Line
) -> None:
    async with running(Monitor(routed, capture, window=Window(seconds=0.3))):
        await until(capture.exists)
        append(capture, line("a", "p", 1), line("b", "s", 1))
        await until(lambda: the_evidence(routed).lost == 2)
        await until(lambda: content(capture) == b"")
    assert the_evidence(routed).lost_reasons == {"late": 2}
    assert the_evidence(routed).lower_bound is None


async def test_answers_of_routes_and_backends_that_do_not_exist_are_counted_apart(
    routed: Store, capture: Path, line: Line
) -> None:
    monitor = Monitor(routed, capture)
    async with running(monitor):
        await until(capture.exists)
        append(capture, line("a", "p", 1, route="other"), line("a", "s", 1, route="other"))
        append(capture, line("b", "p", 1, backend="nobody"), line("b", "s", 1), *pairs(line, "c"))
        await until(lambda: the_evidence(routed).pairs == 1)
    assert monitor.unknown == 2


async def test_evidence_starts_anew_with_other_backends_and_survives_other_weights(
    routed: Store, capture: Path, line: Line, spec: RouteSpec
) -> None:
    async with running(Monitor(routed, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a"))
        await until(lambda: the_evidence(routed).pairs == 1)
        origin, replacement = spec.backends
        shifted = (
            origin.model_copy(update={"weight": 95}),
            replacement.model_copy(update={"weight": 5}),
        )
        routed.routes.put(spec.model_copy(update={"backends": shifted}), who="test", why="shift")
        append(capture, *(line("b", role, 1, rev=2) for role in "ps"))
        await until(lambda: the_evidence(routed).pairs == 2)
        moved = (origin, replacement.model_copy(update={"url": "http://127.0.0.1:5002"}))
        routed.routes.put(spec.model_copy(update={"backends": moved}), who="test", why="another model")
        append(capture, *(line("c", role, 1, rev=3) for role in "ps"))
        await until(lambda: the_evidence(routed).pairs == 1)


async def test_bad_rules_make_pairs_incomparable_and_say_so(
    store: Store, capture: Path, line: Line, spec: RouteSpec
) -> None:
    rules = spec.comparison.model_copy(update={"ignore": ("took_ms",)})
    store.routes.put(spec.model_copy(update={"comparison": rules}), who="test", why="a mistake")
    async with running(Monitor(store, capture)):
        await until(capture.exists)
        append(capture, *pairs(line, "a"))
        await until(lambda: the_evidence(store).incomparable == 1)
    assert list(the_evidence(store).incomparable_reasons) == ["the route's comparison rules cannot be used"]


async def test_cancelling_closes_the_file_and_leaves_no_thread_at_work(
    routed: Store, capture: Path, line: Line
) -> None:
    task = asyncio.create_task(Monitor(routed, capture).run(asyncio.Event()))
    await until(capture.exists)
    append(capture, *pairs(line, *map(str, range(2000))))
    await until(lambda: the_evidence(routed).pairs > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with running(Monitor(routed, capture)):
        await until(lambda: the_evidence(routed).pairs == 2000)


async def test_it_stops_although_the_gateway_goes_on_writing(routed: Store, capture: Path, line: Line) -> None:
    prepare(capture)
    enough = threading.Event()

    def write() -> None:
        at = 0
        while not enough.is_set():
            append(capture, *pairs(line, *(str(each) for each in range(at, at + 20))))
            at += 20

    writer = threading.Thread(target=write)
    writer.start()
    try:
        async with running(Monitor(routed, capture)):
            await until(lambda: the_evidence(routed).pairs > 0)
        assert not enough.is_set()
    finally:
        enough.set()
        writer.join()
    async with running(Monitor(routed, capture)):
        await until(lambda: content(capture) == b"")
    assert the_evidence(routed).lost == 0


PROGRAM = """
import asyncio, sys
from pathlib import Path
from inventory.store import open_store
from router.shadow.monitor import Monitor
asyncio.run(Monitor(open_store(sys.argv[1]), Path(sys.argv[2])).run(asyncio.Event()))
"""


async def test_kills_at_any_moment_lose_and_repeat_nothing(
    routed: Store, capture: Path, line: Line, tmp_path: Path
) -> None:
    prepare(capture)
    total = 0
    for pause in (0.0, 0.011, 0.037):
        command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path / 'inventory.db'}", str(capture)]
        process = await asyncio.create_subprocess_exec(*command)
        try:
            before = the_evidence(routed).pairs
            append(capture, line(f"half{total}", "p", {"class": 1}))
            for _ in range(40):
                append(capture, *pairs(line, *(str(total + at) for at in range(10))))
                total += 10
                await asyncio.sleep(pause)
            await until(lambda before=before: the_evidence(routed).pairs > before)
        finally:
            process.kill()
            await process.wait()
        append(capture, line(f"half{total - 400}", "s", {"class": 1}))
        total += 1
    async with running(Monitor(routed, capture)):
        await until(lambda: content(capture) == b"")
    evidence = the_evidence(routed)
    assert (evidence.pairs, evidence.agreed, evidence.lost) == (total, total, 0)
