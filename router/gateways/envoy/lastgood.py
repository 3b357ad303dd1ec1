"""The last known good configuration: the revisions that the gateway acknowledged, kept on disk."""

import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from inventory.model import Revision, Value
from router.governance import Governance

log = logging.getLogger(__name__)


class LastGood(Value):
    """The file's content. ``format`` is raised whenever an older program could misread it."""

    format: int = 1
    served: tuple[Revision, ...] = ()


def load(path: Path) -> tuple[Revision, ...]:
    """What was kept; nothing where there is no file, and nothing, with a warning, where it cannot be read."""
    try:
        kept = LastGood.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        log.warning("the last good configuration %s cannot be read, and is not used: %s", path, type(error).__name__)
        return ()
    return kept.served if kept.format == 1 else ()


def save(path: Path, served: Iterable[str]) -> None:
    """Keep what is served, given as the JSON of each revision. OSError where it cannot be kept."""
    write(path, f'{{"format":1,"served":[{",".join(served)}]}}')


def governance(path: Path) -> Governance:
    """What was enforced when last heard of.

    Where nothing was kept, or what was cannot be read, nobody is known: routes that enforce policies let nobody in.
    """
    try:
        return Governance.read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Governance()
    except (OSError, ValueError) as error:
        log.warning("what was enforced, %s, cannot be read, and nobody is known: %s", path, type(error).__name__)
        return Governance()


def write(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or what was there before. OSError where it cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
