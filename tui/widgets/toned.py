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
    _drawn_with: dict[Style | None, tuple[Style, dict[Tone, Style]]] | None = None

    def strip_of(self, runs: Line, width: int, over: Style | None = None) -> Strip:
        """The line in exactly ``width`` cells. ``over`` is laid under the tones: a background, a weight."""
        base, tones = self._styles_of_tones(over)
        segments: list[Segment] = []
        for text, tone in fit(runs, width):
            bare = text.lstrip(" ")
            # Blanks go by themselves: some SVG renderers swallow those that begin a text.
            if len(bare) < len(text):
                segments.append(Segment(" " * (len(text) - len(bare)), base))
            if bare:
                segments.append(Segment(bare, tones[tone]))
        return Strip(segments, width)

    @override
    def notify_style_update(self) -> None:
        self._drawn_with = None
        super().notify_style_update()

    def _styles_of_tones(self, over: Style | None) -> tuple[Style, dict[Tone, Style]]:
        """The style of blanks and of each tone over a background: worked out once, as every line needs them."""
        known = self._drawn_with
        if known is None:
            known = self._drawn_with = {}
        if over not in known:
            base = self.rich_style if over is None else self.rich_style + over
            known[over] = base, {t: base + self.get_component_rich_style(f"tone--{t}", partial=True) for t in Tone}
        return known[over]
