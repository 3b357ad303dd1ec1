"""The themes. Each defines every colour that the style sheet names; glyphs carry the meaning without them."""

from typing import Any

from textual.theme import Theme

DEFAULTS = {
    "muted": "#8b95a7",
    "faint": "#4a5467",
    "info": "#6cb2e8",
    "cursor": "#2c3a52",
    "cursor-blurred": "#232c3b",
    "marked": "#3a3222",
}
"""For themes of others, which do not know these names."""


def _theme(name: str, *, dark: bool, colours: str, own: str) -> Theme:
    base = ("primary", "secondary", "accent", "success", "warning", "error", "foreground", "background", "surface",
            "panel")  # fmt: skip
    given: dict[str, Any] = dict(zip(base, colours.split(), strict=True))
    variables = dict(zip(DEFAULTS, own.split(), strict=True))
    border = {"border": variables["faint"], "border-blurred": variables["faint"]}
    scroll = {"scrollbar": variables["faint"], "scrollbar-background": given["background"],
              "scrollbar-hover": variables["muted"], "scrollbar-background-hover": given["background"],
              "scrollbar-background-active": given["background"]}  # fmt: skip
    return Theme(name=name, dark=dark, variables={**variables, **border, **scroll}, **given)


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
)  # fmt: skip
"""Dark first: it is where the app starts."""
