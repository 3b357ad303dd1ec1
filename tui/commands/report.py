"""``report``: what is covered, what is not and how that is known, as one HTML file."""

import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tui.output import narrate
from tui.wiring import workspace

TITLE = "Model endpoints: what is governed, and what is not"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write it; stdout by default.")
    ] = None,
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back it goes: 12h, 7d, 2w.")] = "30d",
    title: Annotated[str, typer.Option(help="What it is called.")] = TITLE,
) -> None:
    """Write a report for whoever has to believe it: an HTML file that needs no other.

    Coverage with its denominators and how it went, what is not known, the riskiest gaps, what runs against what is
    declared, the routes with the proof that there is no way around them, decisions, and the scans that all of it
    rests on.

    Examples:
      gnomon report --out model-endpoints.html

      gnomon report --since 7d --title "Week 48" > week.html

    """
    from inventory.model import utc_now
    from inventory.query import seconds_of
    from tui.report.facts import read
    from tui.report.page import page

    now = utc_now()
    begin = now - timedelta(seconds=seconds_of(since))
    with workspace(context.obj) as here:
        facts = read(here.store, now, begin)
        document = page(facts, title, here.settings.actor)
    if out is None:
        sys.stdout.write(document)
        return
    _write(out, document)
    narrate(f"{out}: {len(document.encode()) // 1024 + 1} KiB, {facts.gaps} gaps")


def _write(file: Path, document: str) -> None:
    """Write it whole or not at all: a full disk leaves what was there."""
    handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(document)
        Path(name).chmod(0o600)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
