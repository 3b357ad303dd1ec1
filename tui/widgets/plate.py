"""Lines that are as high as they are many: a document that does not scroll."""

from collections.abc import Sequence
from typing import Any

from textual.geometry import Size
from textual.strip import Strip
from typing_extensions import override

from tui.viewmodel.text import Line
from tui.widgets.document import Build
from tui.widgets.toned import Toned


class Plate(Toned):
    """Shows lines, all of them."""

    DEFAULT_CSS = "Plate { height: auto; width: 1fr; }"

    def __init__(self, build: Build | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._build: Build = build or (lambda _: ())

    def show(self, build: Build) -> None:
        """Show other lines."""
        self._build = build
        self.refresh(layout=True)

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are for that width."""
        return len(self._build(width))

    @override
    def render_line(self, y: int) -> Strip:
        """One line."""
        lines: Sequence[Line] = self._build(self.size.width)
        return self.strip_of(lines[y] if y < len(lines) else (), self.size.width)
