"""What is taken along: to the clipboard, plain ASCII and safe to paste into a terminal, or to a file."""

import csv
import io
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from inventory.model import Endpoint, Value

FIELDS = ("id", "site", "scope", "url", "address", "port", "kind", "product", "version", "server", "title", "posture",
          "presence", "governance", "exempt_until", "routing", "owner", "risk", "confidence", "first_seen",
          "last_seen")  # fmt: skip
"""The columns of a CSV file."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def value_json(value: Value | Sequence[Value]) -> str:
    """A value, or several as an array, as indented JSON in which everything but printable ASCII is escaped."""
    plain = value.model_dump(mode="json") if isinstance(value, Value) else [v.model_dump(mode="json") for v in value]
    return _json(plain)


def endpoint_json(endpoints: Sequence[Endpoint]) -> str:
    """One endpoint as an object, several as an array."""
    return value_json(endpoints[0]) if len(endpoints) == 1 else value_json(endpoints)


def urls(endpoints: Sequence[Endpoint]) -> str:
    """Where they answer, one a line, percent-encoded where a URL has no business to hold a character."""
    return "\n".join(encoded(endpoint.url) for endpoint in endpoints)


def encoded(url: str) -> str:
    """A URL in printable ASCII."""
    return "".join(c if c.isascii() and c.isprintable() and c != " " else _percent(c) for c in url)


def curl(endpoint: Endpoint) -> str:
    """A harmless request to it as a shell command: a GET that follows nothing and ends by itself.

    The address is what was scanned; what a host said of itself is quoted, and never an option.
    """
    return f"curl --silent --show-error --include --max-time 5 --globoff -- {shlex.quote(encoded(endpoint.url))}"


def row(cells: Iterable[str]) -> str:
    """Cells as one line, tabs between them."""
    return "\t".join(ascii_text(cell.replace("\t", " ")) for cell in cells)


def ascii_text(text: str) -> str:
    """The text with everything but printable ASCII as Python escapes it."""
    return "".join(c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_csv(endpoints: Iterable[Endpoint], fields: Sequence[str]) -> str:
    """Endpoints as CSV. What a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for endpoint in endpoints:
        plain = endpoint.model_dump(mode="json")
        writer.writerow([_cell(plain[name]) for name in fields])
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
    text = ascii_text(text)
    return f"'{text}" if text.startswith(_FORMULA) and not isinstance(value, (int, float)) else text


def _json(plain: Any) -> str:
    return json.dumps(plain, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
