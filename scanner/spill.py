"""Results that the store would not take, kept in files until it does."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from inventory.model import Observation, Scan
from inventory.store import Store

log = logging.getLogger(__name__)

_SUFFIX = ".unsaved.jsonl"


def spill(folder: Path, scan: Scan, observations: Sequence[Observation]) -> Path:
    """Write a scan and observations to a file of their own, whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{scan.id}{_SUFFIX}"
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(scan.model_dump_json() + "\n")
        file.writelines(observation.model_dump_json() + "\n" for observation in observations)
    draft.chmod(0o600)
    draft.replace(path)
    return path


def recover(folder: Path, store: Store) -> int:
    """Give the store what earlier scans could not. How many observations were new to it.

    A file is removed after its content is stored: an interruption repeats it, and the same
    observation twice is one. A file that cannot be read stays, under another name.
    """
    recovered = 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            scan, *observations = _read(path)
        except (OSError, ValueError, ValidationError) as error:
            log.warning("%s cannot be read and is set aside: %s", path, error)
            path.replace(path.with_suffix(".unreadable"))
            continue
        assert isinstance(scan, Scan)
        kept = [one for one in observations if isinstance(one, Observation)]
        store.scans.save(scan)
        recovered += store.endpoints.take_in(kept, scan.ended_at or scan.started_at)
        path.unlink()
    return recovered


def _read(path: Path) -> Iterator[Scan | Observation]:
    with path.open(encoding="utf-8") as file:
        yield Scan.model_validate(json.loads(next(file, "")))
        for line in file:
            yield Observation.model_validate(json.loads(line))
