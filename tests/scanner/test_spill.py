from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.model import Exposed, Listener, Observation, Scan, ScanStatus, Scheme, utc_now
from inventory.store import Store, open_store
from scanner.spill import recover, spill

NOW = utc_now()
SCAN = Scan(
    id="s1",
    scope="lab",
    site="default",
    source="subnet",
    targets=("127.0.0.1/32",),
    ports=(80,),
    started_at=NOW,
    ended_at=NOW,
    status=ScanStatus.INCOMPLETE,
    reason="the database failed",
)
FOUND = [
    Observation(
        scan="s1",
        scope="lab",
        listener=Listener(site="default", address="127.0.0.1", port=port),
        at=NOW,
        fact=Exposed(scheme=Scheme.HTTP),
    )
    for port in (80, 81, 82)
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'inventory.db'}") as opened:
        yield opened


def test_what_was_spilled_comes_back_once(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "unsaved"
    path = spill(folder, SCAN, FOUND)
    content = path.read_bytes()
    assert recover(folder, store) == 3
    assert not path.exists()
    assert store.scans.get("s1") == SCAN
    assert len(store.endpoints.list()) == 3
    # Killed between storing and removing the file: the next start meets it again.
    path.write_bytes(content)
    assert recover(folder, store) == 0
    assert len(store.endpoints.list()) == 3


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"{}\n", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_set_aside(store: Store, tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "unsaved"
    path = spill(folder, SCAN, FOUND)
    (folder / "a.unsaved.jsonl").write_bytes(content)
    assert recover(folder, store) == 3
    assert not path.exists()
    assert [left.read_bytes() for left in folder.iterdir()] == [content]
    assert recover(folder, store) == 0


def test_no_folder_is_nothing_to_do(store: Store, tmp_path: Path) -> None:
    assert recover(tmp_path / "none", store) == 0
