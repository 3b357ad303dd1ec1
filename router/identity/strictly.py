"""JSON and base64url as strictly as security asks: what two readers could read differently is refused. Pure.

Sources: RFC 8259, section 4 (names of an object are unique), RFC 7515, section 4 (duplicate names must be refused)
and appendix C (base64url without padding).
"""

import base64
import json
import math
import re
from typing import Any, Final, NoReturn

MOST_NESTING: Final = 32
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]*")


class JsonError(ValueError):
    """Bytes that are not one JSON object. The text completes "it is …"."""


def read_object(text: bytes) -> dict[str, Any]:
    """The JSON object in some bytes of UTF-8. Raises JsonError.

    Refused: a name twice in one object, NaN and infinities, more than 32 levels of nesting, and anything after it.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except JsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonError("not JSON") from error
    if not isinstance(value, dict):
        raise JsonError("not a JSON object")
    _check_depth(value, MOST_NESTING)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JsonError("ambiguous: it has a name twice")
    return made


def _refuse(_constant: str) -> NoReturn:
    raise JsonError("not JSON: it has a number that is none")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError("not JSON: it has a number that is none")
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise JsonError("nested too deeply")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if isinstance(one, dict | list):
            _check_depth(one, left - 1)


def decode_base64url(text: bytes) -> bytes:
    """The bytes behind base64url without padding. Raises JsonError for any other spelling of them."""
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise JsonError("not base64url")
    value = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text:
        raise JsonError("not base64url: it has bits beyond its end")
    return value
