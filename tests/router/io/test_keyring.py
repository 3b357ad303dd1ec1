"""Signing keys on disk survive what happens to disks and processes."""

import errno
import os
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from making import NOW

from router.identity.signing import AHEAD, PERIOD, REMAINS, signer_at
from router.io.keyring import Keyring

DUE = NOW + PERIOD - AHEAD


def test_keys_rotate_with_overlap_and_for_nobody_else_to_read(tmp_path: Path):
    ring = Keyring(tmp_path / "signing")
    (first,) = ring.turn(NOW)
    assert stat.S_IMODE((tmp_path / "signing").stat().st_mode) == 0o700
    (file,) = (tmp_path / "signing").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Keyring(ring.folder).turn(NOW) == (first,)
    both = ring.turn(DUE)
    assert len(both) == 2
    assert signer_at(both, DUE) == first
    second = signer_at(both, DUE + AHEAD)
    assert second != first
    still = ring.turn(DUE + AHEAD + REMAINS - timedelta(seconds=1))
    assert {one.kid for one in still} == {one.kid for one in both}
    assert ring.turn(DUE + AHEAD + REMAINS) == (second,)
    assert len(list(ring.folder.iterdir())) == 1


def test_a_full_disk_leaves_the_old_key_signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    ring = Keyring(tmp_path)
    before = ring.turn(NOW)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert ring.turn(DUE) == before
        assert ring.turn(DUE) == before
        assert [one.message for one in caplog.records if one.levelname == "WARNING"] == [
            f"signing keys cannot be renewed in {tmp_path}: No space left on device"
        ]
        with pytest.raises(OSError, match="No space left"):
            Keyring(tmp_path / "other").turn(NOW)
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert len(ring.turn(DUE)) == 2


def test_what_is_damaged_or_was_readable_is_not_used(tmp_path: Path, caplog):
    ring = Keyring(tmp_path)
    (first,) = ring.turn(NOW)
    (path,) = tmp_path.iterdir()
    path.chmod(0o644)
    (second,) = ring.turn(NOW)
    assert second.kid != first.kid
    assert "others may read it" in caplog.text
    (tmp_path / f"{second.kid}.json").write_text('{"kid": "half')
    (third,) = ring.turn(NOW)
    assert third.kid not in {first.kid, second.kid}
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("step", ["mkstemp", "write", "fsync", "replace", "unlink"])
def test_killed_at_any_step_the_next_start_goes_on(tmp_path: Path, step: str):
    """A real process kills itself in the middle of the rotation; the first key is whole and signs."""
    program = f"""
import os, pathlib, signal, sys, tempfile
from datetime import datetime, timedelta
from router.io.keyring import Keyring
ring, now = Keyring(pathlib.Path({str(tmp_path)!r})), datetime.fromisoformat({NOW.isoformat()!r})
ring.turn(now)
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
owner = {{"mkstemp": tempfile, "write": os, "fsync": os, "replace": pathlib.Path, "unlink": pathlib.Path}}[{step!r}]
if {step!r} == "write":
    os.fdopen = lambda *a: type("F", (), {{"write": die, "__enter__": lambda s: s, "__exit__": die}})()
else:
    setattr(owner, {step!r}, die)
ring.turn(now + timedelta(seconds={(PERIOD - AHEAD).total_seconds()}))
ring.turn(now + timedelta(seconds={(PERIOD + REMAINS).total_seconds()}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL, done.stderr
    keys = Keyring(tmp_path).turn(DUE)
    assert len(keys) == 2
    assert signer_at(keys, DUE) == min(keys, key=lambda one: one.signs_from)
    assert not list(tmp_path.glob(".new-*"))
