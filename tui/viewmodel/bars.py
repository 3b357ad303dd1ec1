"""Bars out of line characters: proportions that read without colour and add up exactly."""

from collections.abc import Sequence
from typing import NamedTuple

from tui.viewmodel.text import Line, Run, Tone, line

_TEXTURES = "━╍═┄"
_SPARKS = "▁▂▃▄▅▆▇█"


class Share(NamedTuple):
    """One part of a stacked bar: how much of the whole, in any unit that all parts share."""

    amount: float
    tone: Tone
    texture: str = "━"


def bar(fraction: float | None, width: int, tone: Tone = Tone.ACCENT) -> Line:
    """A bar of ``width`` cells, filled to the fraction in half cells. None draws a dotted track.

    Anything above zero shows at least a sliver and anything below one leaves a gap, so that 0 % and
    100 % are only ever drawn for exactly those.
    """
    if width <= 0:
        return ()
    if fraction is None:
        return line(Run("·" * width, Tone.FAINT))
    halves = round(min(max(fraction, 0.0), 1.0) * width * 2)
    if fraction > 0:
        halves = max(halves, 1)
    if fraction < 1:
        halves = min(halves, width * 2 - 1)
    full, rest = divmod(halves, 2)
    filled = "━" * full + ("╸" if rest else "")
    return line(Run(filled, tone), Run("─" * (width - len(filled)), Tone.FAINT))


def apportion(amounts: Sequence[float], cells: int) -> list[int]:
    """How many of ``cells`` each amount gets: in proportion, summing exactly, and never none for a positive one.

    Largest remainders (Hamilton's method) after one cell is set aside for each positive amount, as far
    as the cells last.
    """
    total = sum(amount for amount in amounts if amount > 0)
    if total <= 0 or cells <= 0:
        return [0] * len(amounts)
    positive = sorted((i for i, amount in enumerate(amounts) if amount > 0), key=lambda i: -amounts[i])
    given = [0] * len(amounts)
    for i in positive[:cells]:
        given[i] = 1
    spare = cells - sum(given)
    wanted = {i: max(amounts[i] / total * cells - given[i], 0.0) for i in positive}
    scale = spare / sum(wanted.values()) if sum(wanted.values()) > 0 else 0.0
    for i in positive:
        given[i] += int(wanted[i] * scale)
    by_remainder = sorted(positive, key=lambda i: (-(wanted[i] * scale % 1), i))
    for i in by_remainder[: cells - sum(given)]:
        given[i] += 1
    return given


def stacked(shares: Sequence[Share], width: int) -> Line:
    """Parts of a whole side by side, in ``width`` cells. A whole of zero draws an empty dotted track."""
    cells = apportion([share.amount for share in shares], width)
    if not sum(cells):
        return line(Run("·" * max(width, 0), Tone.FAINT))
    pairs = zip(shares, cells, strict=True)
    return line(*(Run(share.texture * count, share.tone) for share, count in pairs))


def texture(index: int) -> str:
    """The fill of the n-th part of a stacked bar: neighbours differ also where there is no colour."""
    return _TEXTURES[index % len(_TEXTURES)]


def spark(values: Sequence[float], width: int, most: float | None = None) -> str:
    """The last ``width`` values as a line of small columns, padded on the left.

    They are scaled to ``most``, and where that is None to the largest of them.
    """
    if width <= 0:
        return ""
    shown = [max(value, 0.0) for value in values][-width:]
    top = max(shown, default=0.0) if most is None else most
    drawn = "".join(_SPARKS[round(value / top * 7)] if top else _SPARKS[0] for value in shown)
    return drawn.rjust(width)
