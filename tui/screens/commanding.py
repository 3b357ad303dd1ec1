"""The command line of every screen, and what its verbs do."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.suggester import Suggester
from textual.widgets import Input
from typing_extensions import override

from inventory.listing import ORDERS, Order
from inventory.store import StoreError
from tui import outside
from tui.history import Location
from tui.screens.form import Field, Form
from tui.theme.themes import THEMES
from tui.viewmodel import commandline, endpoints
from tui.viewmodel.commandline import Command, CommandError
from tui.viewmodel.text import Run, Tone, line

if TYPE_CHECKING:
    from tui.app import GnomonApp

PLACES = ("pulse", "endpoints", "gaps", "routes", "scans", "policies", "space", "help")


class CommandSuggester(Suggester):
    """Completes verbs and what can follow them."""

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = words

    @override
    async def get_suggestion(self, value: str) -> str | None:
        return commandline.completed(value, self._words)


class CommandInput(Input):
    """The line that a command is typed into."""

    BINDINGS: ClassVar[list[Any]] = [("escape", "screen.leave_command"), ("tab", "cursor_right")]


def words_of(app: "GnomonApp") -> dict[str, Sequence[str]]:
    """What can follow each verb now."""
    snapshot = app.session.snapshot
    return {
        "sort": (*ORDERS, "up", "down"),
        "columns": (*(column.id for column in endpoints.COLUMNS), "default"),
        "view": tuple(snapshot.views),
        "go": PLACES,
        "open": tuple(state.revision.route for state in snapshot.routes),
        "theme": tuple(theme.name for theme in THEMES),
    }


async def obey(app: "GnomonApp", text: str) -> str:
    """Carry out what was typed. What was wrong with it, in a sentence, or ""."""
    try:
        command = commandline.parse(text)
        if command.verb == "do":
            await app.action_perform(command.words)
            return ""
        return await _obey(app, command)
    except (CommandError, StoreError, LookupError, ValueError) as error:
        return str(error)


async def _obey(app: "GnomonApp", command: Command) -> str:
    words = command.words
    match command.verb:
        case "go":
            return await _go(app, words)
        case "open":
            return await _open(app, words)
        case "theme":
            if words not in {theme.name for theme in THEMES}:
                raise CommandError(f"there is no theme {words!r}; there are {', '.join(t.name for t in THEMES)}")
            app.theme = words
            return app.session.keep(theme=words)
        case "export":
            app.notify(await export(app, outside.path_of(words)), markup=False, timeout=6)
            return ""
    return await _of_list(app, command)


async def _go(app: "GnomonApp", place: str) -> str:
    if place not in PLACES:
        raise CommandError(f"there is no screen {place!r}; there are {', '.join(PLACES)}")
    await app.action_perform(f"go.{place}")
    return ""


async def _open(app: "GnomonApp", key: str) -> str:
    if app.session.snapshot.route(key):
        app.show(Location("routes"))
        app.open("route", key)
    else:
        found = await asyncio.to_thread(app.session.store.endpoints.get, key)
        app.show(Location("endpoints"))
        app.open("endpoint", found.id)
    return ""


async def _of_list(app: "GnomonApp", command: Command) -> str:
    """The verbs of the listings of endpoints; from any other screen they lead to the inventory."""
    from tui.screens.inventory import Inventory

    if not isinstance(app.screen, Inventory):
        app.show(Location("endpoints"))
    listing = app.get_screen("endpoints") if not isinstance(app.screen, Inventory) else app.screen
    assert isinstance(listing, Inventory)
    words = command.words
    match command.verb:
        case "filter":
            return listing.set_filter(words)
        case "view":
            return listing.use_view(words)
        case "save":
            if app.session.read_only:
                raise CommandError("this is read-only mode")
            await listing.save_view(endpoints.view_name(words))
        case "sort":
            by, _, direction = words.partition(" ")
            if by not in ORDERS or direction not in {"", "up", "down"}:
                raise CommandError(f"sort by one of {', '.join(ORDERS)}, then up or down")
            order = Order(by, direction == "down") if direction else endpoints.natural(by)
            listing.ask(listing.feed.query, order)
        case _:
            names = tuple(filter(None, words.replace(",", " ").split()))
            unknown = set(names) - {column.id for column in endpoints.COLUMNS} - {"default"}
            if unknown:
                raise CommandError(f"there is no column {', '.join(sorted(unknown))}")
            listing.show_columns(() if "default" in names else names)
    return ""


async def export(app: "GnomonApp", path: Path) -> str:
    """Write what is on the screen to a file; its ending says how. What was done, in a sentence."""
    from tui.screens.base import Page

    screen = app.screen
    if not isinstance(screen, Page):
        return "There is nothing to export here."
    forms = screen.forms()
    form = path.suffix.lower().removeprefix(".")
    if form not in forms:
        return f"Nothing was written: here a file ends in {', '.join('.' + each for each in forms)}."
    text = await screen.exported(form)
    return await asyncio.to_thread(outside.write, path, text)


def export_form(forms: Sequence[str], name: str) -> Form[Path]:
    """Ask where to write what is on the screen."""

    def read(values: Mapping[str, str]) -> Path:
        path = outside.path_of(values["file"])
        if path.suffix.lower().removeprefix(".") not in forms:
            raise ValueError(f"the file's name ends in {', '.join('.' + each for each in forms)}")
        return path

    return Form(
        "Export what is on the screen",
        [line(Run("as ", Tone.MUTED), ", ".join(forms).upper())],
        (Field("file", "To which file", f"{name}.{forms[0]}"),),
        read,
        lambda path, _: [line(_fate(path), str(path.absolute()))],
        verb="Export",
    )


def _fate(path: Path) -> Run:
    return Run("■ replaces ", Tone.WARN) if path.exists() else Run("writes ", Tone.INFO)
