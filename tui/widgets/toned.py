"""Toned drawing: turns lines of a view model into strips in the theme's colours."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Spacing
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from tui.viewmodel.text import Line, Tone, fit

TONES: set[str] = {f"tone--{tone}" for tone in Tone}
"""The component classes of the tones, which the style sheet styles.

Textual inherits component classes from the first base only: each widget names these itself.
"""

NO_GUTTER = Spacing()


class Toned(Widget):
    """A widget that draws lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONES
    _drawn_with: dict[Style | None, tuple[Style, dict[Tone, Style]]] | None = None

    @override
    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a region. A widget without a frame has nothing to be added to them, and is drawn at once.

        Textual's own way makes three more strips of each line; that is most of what a page of rows costs.
        """
        if self.styles.gutter != NO_GUTTER or self.opacity != 1.0:
            return super().render_lines(crop)
        background, filters = self.background_colors[1], self.get_line_filters()
        whole = crop.column_span == (0, self.size.width)
        strips = []
        for y in crop.line_range:
            strip = self.render_line(y)
            for each in filters:
                strip = strip.apply_filter(each, background)
            strips.append(strip if whole else strip.crop(*crop.column_span))
        return strips

    def strip_of(self, runs: Line, width: int, over: Style | None = None) -> Strip:
        """The line in exactly ``width`` cells. ``over`` is laid under the tones: a background, a weight."""
        base, tones = self._styles_of_tones(over)
        segments: list[Segment] = []
        blanks = 0
        for text, tone in fit(runs, width):
            bare = text.lstrip(" ")
            # Blanks go by themselves: some SVG renderers swallow those that begin a text.
            blanks += len(text) - len(bare)
            if bare:
                if blanks:
                    segments.append(Segment(" " * blanks, base))
                    blanks = 0
                segments.append(Segment(bare, tones[tone]))
        if blanks:
            segments.append(Segment(" " * blanks, base))
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
