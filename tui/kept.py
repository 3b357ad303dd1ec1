"""What the terminal UI keeps from one session to the next: theme, columns, orders and saved views."""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from inventory.model import Value

FILE = "screen.json"


class View(Value):
    """A filter under a name, with the order it is looked at in."""

    filter: str = ""
    by: str = "risk"
    descending: bool = True


class Kept(Value):
    """Everything that is kept. ``columns`` and ``orders`` are by screen; an empty tuple of columns is the default."""

    theme: str | None = None
    columns: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    orders: dict[str, View] = Field(default_factory=dict)
    views: dict[str, View] = Field(default_factory=dict)


def load(folder: Path) -> Kept:
    """What was kept in a folder. What cannot be read is as if it had never been kept: it is comfort, not data."""
    try:
        return Kept.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError, ValueError):
        return Kept()


def save(folder: Path, kept: Kept) -> None:
    """Keep it, for the user alone, all or nothing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{FILE}.{os.getpid()}"
    plain: dict[str, Any] = kept.model_dump(mode="json")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(plain, file, indent=2)
    draft.replace(folder / FILE)
