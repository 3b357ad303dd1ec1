"""Short, harmless pictures of what servers answered. Pure."""

import hashlib
import json
import unicodedata

LIMIT = 200
"""Characters of a rendering at most."""

_encoder = json.JSONEncoder(ensure_ascii=False)


def safe_text(text: str, limit: int = LIMIT) -> str:
    """The text without what could act on a terminal: controls, format characters and lone surrogates.

    Each becomes a visible escape. Longer texts end in an ellipsis.
    """
    head = text[: limit + 1]
    shown = "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else f"\\u{ord(char):04x}" for char in head
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def render(value: object, limit: int = LIMIT) -> str:
    """A JSON value as one bounded line. Only as much of it is written as will be shown."""
    if isinstance(value, str):
        return safe_text(json.dumps(value[: limit + 1], ensure_ascii=False), limit)
    parts: list[str] = []
    length = 0
    for part in _encoder.iterencode(value):
        parts.append(part[: limit + 1])
        length += len(part)
        if length > limit:
            break
    return safe_text("".join(parts), limit)


def render_bytes(body: bytes, limit: int = LIMIT) -> str:
    """A body that is no JSON: its text where it is text, its size and digest where it is not."""
    try:
        text = body[: 4 * limit].decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may have gone through a character: that alone does not make it binary.
        if error.start < len(body[: 4 * limit]) - 3:
            return f"{len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]}"
        text = body[: error.start].decode("utf-8")
    return safe_text(text, limit)
