"""What is put on the clipboard: plain ASCII, safe to paste into a terminal."""

import json
from collections.abc import Sequence

from inventory.model import Endpoint, Value


def value_json(value: Value | Sequence[Value]) -> str:
    """A value, or several as an array, as indented JSON in which everything but printable ASCII is escaped."""
    plain = value.model_dump(mode="json") if isinstance(value, Value) else [v.model_dump(mode="json") for v in value]
    return json.dumps(plain, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def endpoint_json(endpoints: Sequence[Endpoint]) -> str:
    """One endpoint as an object, several as an array."""
    return value_json(endpoints[0]) if len(endpoints) == 1 else value_json(endpoints)


def urls(endpoints: Sequence[Endpoint]) -> str:
    """Where they answer, one a line, percent-encoded where a URL has no business to hold a character."""
    return "\n".join("".join(c if c.isascii() and c.isprintable() and c != " " else _encoded(c) for c in e.url)
                     for e in endpoints)  # fmt: skip


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
