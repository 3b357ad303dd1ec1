"""A bar of one line, parts of which can be clicked."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.strip import Strip
from typing_extensions import override

from tui.viewmodel.text import Line, fit, width_of
from tui.widgets.toned import Toned


class Item(NamedTuple):
    """A part of a bar. ``action`` is performed on a click; None does nothing."""

    runs: Line
    action: str | None = None


class Bar(Toned):
    """Items from the left and from the right edge; where they meet, the left ones are cut."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"

    def __init__(self, perform: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._perform = perform
        self._left: tuple[Item, ...] = ()
        self._right: tuple[Item, ...] = ()

    @property
    def left(self) -> tuple[Item, ...]:
        """The items at the left edge."""
        return self._left

    def show(self, left: tuple[Item, ...], right: tuple[Item, ...] = ()) -> None:
        """Show other items. Nothing is drawn where they are the same."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    @override
    def render_line(self, y: int) -> Strip:
        """The bar's only line."""
        width = self.size.width
        right = tuple(run for item in self._right for run in item.runs)
        left = tuple(run for item in self._left for run in item.runs)
        room = max(width - width_of(right), 0)
        return self.strip_of((*fit(left, room), *right), width)

    def on_click(self, event: events.Click) -> None:
        """Carry out what was clicked."""
        if action := self._action_at(event.x):
            self._perform(action)

    def _action_at(self, x: int) -> str | None:
        right = sum(width_of(item.runs) for item in self._right)
        start = self.size.width - right
        for items, at in ((self._right, start), (self._left, 0)):
            for item in items:
                size = sum(cell_len(run.text) for run in item.runs)
                if at <= x < at + size:
                    return item.action
                at += size  # noqa: PLW2901 - the next item starts where this one ends
        return None
