"""The themes. Each defines every colour that the style sheet names; glyphs carry the meaning without them."""

import os
from collections.abc import Mapping
from typing import Any

from textual.theme import BUILTIN_THEMES, Theme

DEFAULTS = {
    "muted": "#8b95a7",
    "faint": "#4a5467",
    "info": "#6cb2e8",
    "cursor": "#2c3a52",
    "cursor-blurred": "#232c3b",
    "marked": "#3a3222",
}
"""For themes of others, which do not know these names."""


def _theme(name: str, *, dark: bool, colours: str, own: str, ansi: bool = False) -> Theme:
    base = ("primary", "secondary", "accent", "success", "warning", "error", "foreground", "background", "surface",
            "panel")  # fmt: skip
    given: dict[str, Any] = dict(zip(base, colours.split(), strict=True))
    variables = dict(zip(DEFAULTS, own.split(), strict=True))
    border = {"border": variables["faint"], "border-blurred": variables["faint"]}
    scroll = {"scrollbar": variables["faint"], "scrollbar-background": given["background"],
              "scrollbar-hover": variables["muted"], "scrollbar-background-hover": given["background"],
              "scrollbar-background-active": given["background"]}  # fmt: skip
    # The style sheets of Textual's own widgets name more colours where a theme is of the terminal's sixteen.
    theirs = BUILTIN_THEMES["ansi-dark"].variables if ansi else {}
    return Theme(name=name, dark=dark, ansi=ansi, variables={**theirs, **variables, **border, **scroll}, **given)


THEMES: tuple[Theme, ...] = (
    _theme(
        "gnomon-dark", dark=True,
        colours="#f2b84b #6cb2e8 #f2b84b #74c69d #e9965a #f0717b #d9dfea #0f141c #161d28 #1b2431",
        own="#8b95a7 #465065 #6cb2e8 #2b3a54 #212b3b #372f1e",
    ),
    _theme(
        "gnomon-light", dark=False,
        colours="#9a6200 #1f5f9e #9a6200 #1f7a4d #a84e00 #b8232f #1f2733 #fbf9f4 #f2eee5 #e9e3d6",
        own="#5f6878 #b3ab9b #1f5f9e #d9e4f2 #ebe6da #f5e7c4",
    ),
    _theme(
        "gnomon-colour-blind", dark=True,
        colours="#f0e442 #56b4e9 #f0e442 #56b4e9 #e69f00 #d55e00 #e4e8ef #0f141c #161d28 #1b2431",
        own="#98a2b3 #4d576b #cc9fd0 #2b3a54 #212b3b #37351e",
    ),
    _theme(
        "gnomon-contrast", dark=True,
        colours="#ffd75f #87d7ff #ffd75f #5fff87 #ffaf5f #ff8787 #ffffff #000000 #121212 #1c1c1c",
        own="#d0d0d0 #8a8a8a #87d7ff #004a87 #303030 #4a3f00",
    ),
    _theme(
        "gnomon-16", dark=True, ansi=True,
        colours="ansi_yellow ansi_cyan ansi_bright_yellow ansi_bright_green ansi_yellow ansi_bright_red ansi_default "
                "ansi_default ansi_default ansi_default",
        own="ansi_white ansi_bright_black ansi_bright_cyan ansi_bright_black ansi_black ansi_black",
    ),
)  # fmt: skip
"""Dark first: it is where the app starts. The last one has the terminal's own sixteen colours and background."""

SIXTEEN = THEMES[-1].name


def no_colour(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user wants no colour at all (https://no-color.org: the variable is there and not empty)."""
    return bool(environ.get("NO_COLOR"))


def chosen_theme(kept: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The theme to begin with: the one of the last session, or one that fits what the terminal can show."""
    if kept in {theme.name for theme in THEMES}:
        return str(kept)
    term, depth = environ.get("TERM", ""), environ.get("COLORTERM", "")
    poor = term in {"linux", "vt100", "vt220", "ansi"} and depth not in {"truecolor", "24bit"}
    return SIXTEEN if poor else THEMES[0].name
