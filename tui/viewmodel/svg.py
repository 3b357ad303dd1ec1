"""Pictures that need nothing from any other host: pure text in, text out."""

import re

_FONT_FACE = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)
_FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_LEARN_MORE = re.compile(r"<!--.*?-->", re.DOTALL)


def self_contained(svg: str) -> str:
    """The picture without the web font that Rich would have a viewer fetch, and without comments.

    Spaces are marked to be kept, because some viewers trim them even where they do not break.
    """
    bare = _LEARN_MORE.sub("", _FONT_FACE.sub("", svg))
    spaced = bare.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return re.sub(r"font-family:\s*Fira Code,?\s*monospace", f"font-family: {_FONTS}", spaced)
