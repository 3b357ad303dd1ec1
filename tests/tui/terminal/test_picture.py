import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from inventory.store import Store
from tui.picture import PICTURES, main, pictures

NAMESPACES = {"http://www.w3.org/2000/svg"}


async def test_the_same_inventory_at_the_same_moment_is_the_same_picture(store: Store, now) -> None:
    first = await pictures(store, ("routes",), clock=lambda: now)
    assert first == await pictures(store, ("routes",), clock=lambda: now)


def test_the_module_writes_small_pictures_that_name_no_other_host(template: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tui.picture", f"sqlite:///{template}", str(tmp_path / "pictures")],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    drawn = {path.stem: path.read_text() for path in (tmp_path / "pictures").iterdir()}
    assert drawn.keys() == PICTURES.keys()
    for name, svg in drawn.items():
        ET.fromstring(svg)
        assert len(svg.encode()) < 150_000, name
        named = set(re.findall(r"https?://[^\s\"'<&]+", svg)) - NAMESPACES
        assert all(url.startswith(("http://127.0.0.", "http://churn", "http://10.0.0.8:8000")) for url in named), named
        assert "@font-face" not in svg
        assert "url(http" not in svg
    assert "governed" in drawn["pulse"].replace("&#160;", " ")
    assert "churn" in drawn["routes"]


def test_a_database_that_cannot_be_read_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mysql://x/y", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_screen_that_could_not_be_read_is_no_picture(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "inventory.db"
    shutil.copy(template, file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE scan")
    assert main([f"sqlite:///{file}", str(tmp_path / "pictures")]) == 2
    said = capsys.readouterr().err
    assert "scan" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "pictures").exists()
