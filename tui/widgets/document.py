"""A scrolled page of lines that is laid out again for each width."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual.geometry import Region
from textual.strip import Strip
from typing_extensions import override

from tui.keymap import bindings
from tui.viewmodel.text import Line
from tui.widgets.scrolled import Scrolled
from tui.widgets.toned import TONES, Toned

Build = Callable[[int], Sequence[Line]]
"""Makes the lines for a width in cells."""


class Document(Scrolled, Toned, can_focus=True):
    """Shows lines, with the scroll kept while they change."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONES
    DEFAULT_CSS = """
    Document { overflow-x: hidden; overflow-y: scroll; padding: 0 1; }
    Document { scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[Any]] = bindings("document")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._build: Build = lambda _: ()
        self._lines: Sequence[Line] = ()

    def show(self, build: Build) -> None:
        """Show other lines; the scroll stays where it is, as far as they reach."""
        self._build = build
        self._lay_out()

    def lines_for(self, width: int) -> Sequence[Line]:
        """What it shows, laid out for a width."""
        return self._build(width)

    def home(self) -> None:
        """Back to the first line: what is shown is about something else now."""
        self.scroll_to(y=0, animate=False)

    def _do_cursor_down(self) -> None:
        self.scroll_to(y=self.scroll_y + 1, animate=False)

    def _do_cursor_up(self) -> None:
        self.scroll_to(y=self.scroll_y - 1, animate=False)

    def _do_cursor_page_down(self) -> None:
        self.scroll_to(y=self.scroll_y + self.size.height - 1, animate=False)

    def _do_cursor_page_up(self) -> None:
        self.scroll_to(y=self.scroll_y - self.size.height + 1, animate=False)

    def _do_cursor_top(self) -> None:
        self.home()

    def _do_cursor_bottom(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._lay_out()
        self.refresh()

    @override
    def render_line(self, y: int) -> Strip:
        """One line of the view."""
        at = y + round(self.scroll_y)
        width = self.scrollable_content_region.width
        if 0 <= at < len(self._lines):
            return self.strip_of(self._lines[at], width)
        return Strip.blank(width, self.rich_style)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        lines = self._build(width) if width > 0 else ()
        before, self._lines = self._lines, lines
        self.reach(len(lines))
        top = round(self.scroll_y)
        for y in range(self.size.height):
            if before[top + y : top + y + 1] != lines[top + y : top + y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))
