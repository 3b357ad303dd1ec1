"""Pictures of the screens for the documentation: ``python -m tui.picture DATABASE FOLDER``.

Each is an SVG of a fixed size, drawn by Textual from a real store. It names no other
host, so that a viewer fetches nothing.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from inventory.model import utc_now
from inventory.settings import Settings
from inventory.store import Store, StoreError, open_store
from tui.app import GnomonApp
from tui.viewmodel.svg import self_contained

SIZE = (132, 36)
"""Columns and rows of a picture."""
PICTURES: Mapping[str, tuple[str, ...]] = {
    "pulse": (),
    "endpoints": ("2",),
    "endpoint": ("2", "enter"),
    "gaps": ("3",),
    "routes": ("4",),
    "route": ("4", "enter"),
    "adopt": ("2", "a"),
    "space": ("3", "M"),
    "policies": ("6",),
}
"""The keys that lead to each pictured screen."""


async def pictures(
    store: Store,
    names: Sequence[str] = tuple(PICTURES),
    size: tuple[int, int] = SIZE,
    clock: Callable[[], datetime] = utc_now,
    theme: str = "gnomon-dark",
    settings: Settings | None = None,
) -> dict[str, str]:
    """An SVG of each named screen on what the store holds now. ``size`` is in columns and rows.

    What a person kept of their own sessions is left out, unless ``settings`` name their folder. Raises StoreError
    where the store could not be read: a picture of that would pass for one of an inventory.
    """
    if settings is None:
        with tempfile.TemporaryDirectory() as folder:
            return await pictures(store, names, size, clock, theme, Settings(state_folder=Path(folder)))
    drawn: dict[str, str] = {}
    for name in names:
        app = GnomonApp(store, settings, clock=clock)
        app.theme = theme
        async with app.run_test(size=size) as pilot:
            await app.settled()
            for key in PICTURES[name]:
                await pilot.press(key)
                await app.settled()
            await pilot.pause()
            if not app.session.loaded or app.session.stale_since is not None:
                raise StoreError(app.session.stale_why)
            drawn[name] = self_contained(app.export_screenshot(title="gnomon", simplify=True))
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures as NAME.svg into a folder. Returns an exit code: 0, or 2 for a database that can't be read."""
    parser = argparse.ArgumentParser(prog="python -m tui.picture", description=__doc__)
    parser.add_argument("database", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--theme", default="gnomon-dark")
    given = parser.parse_args(arguments)
    try:
        with open_store(given.database) as store:
            drawn = asyncio.run(pictures(store, theme=given.theme))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        (given.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
