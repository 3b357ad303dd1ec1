"""What leaves the terminal UI: files that it writes, and the pager that it lends the terminal to."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

LONGEST_OSC52 = 74_994
"""Characters. More than 100,000 bytes of Base64 are dropped by xterm, and by terminals that follow it."""


def path_of(text: str) -> Path:
    """The file that a person means, with ``~`` as their home."""
    return Path(text.strip()).expanduser()


def write(path: Path, text: str) -> str:
    """Write a file for the user alone, all or nothing. Says what was done, or why it was not, in one sentence."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        return f"Nothing was written: {path}: {error.strerror}."
    return f"Written to {path}."


def page(app: App[Any], text: str) -> None:
    """Show a text in the user's pager, in the terminal that the UI leaves for that long."""
    pager = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    with tempfile.NamedTemporaryFile("w", prefix="gnomon-", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        try:
            with app.suspend():
                subprocess.run([*pager, file.name], check=False)  # noqa: S603 - the user's own choice of a program
        except SuspendNotSupported:
            app.notify("There is no terminal here to show a pager in: copy it instead.", markup=False)
        except OSError as error:
            app.notify(f"The pager {pager[0]} cannot be run: {error.strerror}.", severity="error", markup=False)
