"""The last known good configuration: the revisions that the gateway acknowledged, kept on disk.

A file holds all of them, and a log beside it, of one line each, what was served or withdrawn since that was written.
"""

import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
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
    return tuple(_followed(path, kept.served)) if kept.format == 1 else ()


def _followed(path: Path, served: Iterable[Revision]) -> Iterable[Revision]:
    """What is served after all that the log says. A line that was cut off is the end of it."""
    found = {one.route: one for one in served}
    try:
        lines = _log_of(path).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return found.values()
    except OSError as error:
        log.warning("what was served since %s was written cannot be read: %s", path, type(error).__name__)
        return found.values()
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            said = json.loads(line)
            if "gone" in said:
                found.pop(said["gone"], None)
            else:
                revision = Revision.model_validate(said["served"])
                found[revision.route] = revision
        except (ValueError, TypeError, KeyError):
            log.warning("line %d of %s cannot be read: it ends there", number, _log_of(path))
            break
    return found.values()


def has_log(path: Path) -> bool:
    """Whether anything was served or withdrawn since all was written."""
    return _log_of(path).exists()


def append(path: Path, served: Iterable[Revision], gone: Iterable[str]) -> None:
    """Say in the log what is served anew, and what no longer. OSError, and nothing said, where it cannot be kept."""
    lines = [f'{{"served":{one.model_dump_json()}}}\n' for one in served]
    lines += [json.dumps({"gone": route}) + "\n" for route in gone]
    if not lines:
        return
    handle = os.open(_log_of(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "ab") as out:
        size = out.tell()
        try:
            out.write("".join(lines).encode())
            out.flush()
            os.fsync(out.fileno())
        except OSError:
            os.ftruncate(out.fileno(), size)
            raise


def _log_of(path: Path) -> Path:
    return path.with_suffix(".log")


def save(path: Path, served: Iterable[str]) -> None:
    """Keep what is served, given as the JSON of each revision: all anew. OSError where it cannot be kept."""
    write(path, chain(('{"format":1,"served":[',), listed(served), ("]}",)))
    _log_of(path).unlink(missing_ok=True)


def listed(texts: Iterable[str]) -> Iterator[str]:
    """The items of a JSON list, empty texts aside, each but the first with a comma before it."""
    comma = ""
    for text in filter(None, texts):
        yield f"{comma}{text}"
        comma = ","


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


def write(path: Path, text: str | Iterable[str]) -> None:
    """Write a file, given as a text or its parts, so that a reader sees all of it or what was there before.

    OSError where it cannot be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as out:
            for part in (text,) if isinstance(text, str) else text:
                out.write(part.encode())
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
