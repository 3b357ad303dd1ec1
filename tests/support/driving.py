"""Driving the terminal UI by keys. Waits are on what holds, never on time."""

import asyncio
from collections.abc import Callable

from textual import events
from textual.pilot import Pilot

from tui.app import GnomonApp
from tui.screens.form import Form


def screen_text(app: GnomonApp) -> str:
    """What a person sees, line by line."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text[:width] for strip in strips[:height])


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Let the app run until something holds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not holds():
            await pilot.pause()


async def settle(pilot: Pilot[None], app: GnomonApp) -> None:
    """Let everything be read that was asked for, and drawn."""
    await pilot.pause()
    await app.settled()
    await pilot.pause()


async def go(pilot: Pilot[None], app: GnomonApp, *keys: str) -> None:
    await settle(pilot, app)
    for key in keys:
        await pilot.press(key)
        await settle(pilot, app)


async def type_text(pilot: Pilot[None], text: str) -> None:
    """As a terminal delivers a paste; single keys are pressed where they matter."""
    assert pilot.app.focused is not None
    pilot.app.focused.post_message(events.Paste(text))
    await settle(pilot, pilot.app)


async def fill_in(pilot: Pilot[None], app: GnomonApp, *texts: str | None) -> None:
    """Wait for a form, and type a text into each of its fields; None leaves one as it is."""
    await until(pilot, lambda: isinstance(app.screen, Form))
    for n, text in enumerate(texts):
        if n:
            await pilot.press("tab")
        if text is not None:
            await type_text(pilot, text)


async def confirm(pilot: Pilot[None], app: GnomonApp) -> None:
    before = len(app.session.undo)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: len(app.session.undo) > before)
    await settle(pilot, app)
