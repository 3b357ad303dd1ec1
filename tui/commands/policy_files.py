"""Policies in files, read for commands: as a version that is not kept, and as the engine that decides by it."""

from pathlib import Path
from typing import TYPE_CHECKING

from tui.exits import CommandError
from tui.output import narrate
from tui.wiring import policy_loader

if TYPE_CHECKING:
    from inventory.model import PolicySet
    from router.policy import PolicyEngine

ENGINES = {".cedar": "cedar", ".rego": "rego", ".opa": "opa"}
MOST_BYTES = 4 * 1024 * 1024


def version_of(file: Path, schema: Path | None = None) -> "PolicySet":
    """A file as a version that is not kept. CommandError where it cannot be read."""
    from inventory.model import PolicySet, utc_now

    engine = ENGINES.get(file.suffix)
    if engine is None:
        raise CommandError(f"{file} is in no language that is known by its name: call it .cedar, .rego or .opa")
    fields = {
        "number": 1,
        "engine": engine,
        "text": read_text(file),
        "schema_text": read_text(schema) if schema else "",
    }
    return PolicySet.model_validate({**fields, "at": utc_now(), "who": "nobody", "why": "a file"})


def read_text(file: Path) -> str:
    """The text of a file. CommandError where it cannot be read, or is too large."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise CommandError(f"{file} is larger than {MOST_BYTES >> 20} MiB")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not text in UTF-8") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def engine_of(version: "PolicySet") -> "PolicyEngine":
    """The engine of a version; every problem of one that cannot be used is told."""
    from router.policy.errors import PolicyError

    try:
        return policy_loader()(version)
    except PolicyError as error:
        if len(error.problems) > 1:
            for problem in error.problems:
                narrate(problem)
        raise
