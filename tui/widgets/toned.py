"""Toned drawing: turns lines of a view model into strips in the theme's colours."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from tui.viewmodel.text import Line, Tone, fit

TONES: set[str] = {f"tone--{tone}" for tone in Tone}
"""The component classes of the tones, which the style sheet styles.

Textual inherits component classes from the first base only: each widget names these itself.
"""


class Toned(Widget):
    """A widget that draws lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONES
    _drawn_with: tuple[Style, dict[Tone, Style]] | None = None

    def strip_of(self, runs: Line, width: int, over: Style | None = None) -> Strip:
        """The line in exactly ``width`` cells. ``over`` is laid under the tones: a background, a weight."""
        own, tones = self._styles_of_tones()
        base = own if over is None else own + over
        segments: list[Segment] = []
        for text, tone in fit(runs, width):
            bare = text.lstrip(" ")
            # Blanks go by themselves: some SVG renderers swallow those that begin a text.
            if len(bare) < len(text):
                segments.append(Segment(" " * (len(text) - len(bare)), base))
            if bare:
                segments.append(Segment(bare, base + tones[tone]))
        return Strip(segments, width)

    @override
    def notify_style_update(self) -> None:
        self._drawn_with = None
        super().notify_style_update()

    def _styles_of_tones(self) -> tuple[Style, dict[Tone, Style]]:
        """The widget's own style and that of each tone: worked out once, as every line needs them."""
        if self._drawn_with is None:
            tones = {tone: self.get_component_rich_style(f"tone--{tone}", partial=True) for tone in Tone}
            self._drawn_with = self.rich_style, tones
        return self._drawn_with
