"""Whether two answers say the same: by status, by content type, by what their bodies mean. Pure.

The outcome is symmetric, and an answer agrees with itself wherever it can be read. What was not captured
whole is incomparable, never in agreement.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from router.shadow import bodies, sse
from router.shadow.bodies import BeyondBoundsError, UnreadableError, UnreadMessagesError
from router.shadow.records import GRPC, Record
from router.shadow.render import render_bytes, safe_text
from router.shadow.rules import CONTENT_TYPE, STATUS, Rules
from router.shadow.tree import Difference, TooMuchWorkError, differences


class Outcome(StrEnum):
    """What comparing two answers came to."""

    AGREE = "agree"
    DIFFER = "differ"
    INCOMPARABLE = "incomparable"


class Result(NamedTuple):
    """An outcome with its reason: the differing places, or why there is nothing to compare.

    ``unread`` says why the messages of gRPC answers were not read, so that status and size decided.
    """

    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    unread: str = ""


AGREED = Result(Outcome.AGREE)

_CALLER_LEFT = frozenset({"DC", "DR"})
_OVER_BUDGET = "UO"
_UNFLAGGED = frozenset({"", "-"})
_GRPC_MESSAGES = frozenset({GRPC, f"{GRPC}+proto"})
_GRPC_SIZE_RATIO = 1.1
GRPC_STATUS = "grpc-status"
SIZE = "size"


Read = Callable[[bytes, str], object]
"""What the messages of a gRPC answer say, by its bytes and its request's path. Raises UnreadMessagesError."""


def compare(
    primary: Record, shadow: Record, rules: Rules, *, max_mirrored_bytes: int | None = None, read: Read | None = None
) -> Result:
    """Compare both answers of one request. ``read`` reads messages of gRPC; without it, status and size decide.

    ``max_mirrored_bytes`` is the size above which the gateway keeps requests from the shadow; the 413 that
    it then answers itself is no difference of the shadow's.
    """
    if _identical(primary, shadow):
        return AGREED
    not_asked = _not_answered(primary, shadow, max_mirrored_bytes)
    if not_asked:
        return Result(Outcome.INCOMPARABLE, reason=not_asked)
    if primary.code != shadow.code and (not rules.ignore_status or not shadow.code):
        return _differ(STATUS, str(primary.code), _status(shadow), "the status codes differ")
    kinds = _kinds(primary.content_type, shadow.content_type)
    if kinds[0] != kinds[1] and not rules.ignore_content_type:
        return _differ(CONTENT_TYPE, kinds[0], kinds[1], "the content types differ")
    if kinds[0].startswith(GRPC):
        return _compare_grpc(primary, shadow, kinds, rules, read)
    if (differs := _size(primary, shadow, rules.size_ratio)) is not None:
        return differs
    if not primary.complete or not shadow.complete:
        return Result(Outcome.INCOMPARABLE, reason="truncated")
    same_coding = primary.content_encoding.lower() == shadow.content_encoding.lower()
    if primary.body == shadow.body and same_coding:
        return AGREED
    try:
        return _compare_bodies(primary, shadow, kinds, rules)
    except (BeyondBoundsError, TooMuchWorkError) as error:
        return Result(Outcome.INCOMPARABLE, reason=str(error))


def _identical(primary: Record, shadow: Record) -> bool:
    """Whether both are whole and the same to the byte, so that no rule can tell them apart. Most of what agrees is."""
    return (
        primary.code == shadow.code != 0
        and primary.flagged in _UNFLAGGED
        and shadow.flagged in _UNFLAGGED
        and primary.content_type == shadow.content_type
        and primary.content_encoding == shadow.content_encoding
        and primary.body == shadow.body
        and primary.sent == shadow.sent == len(shadow.body)
        and not primary.content_type.startswith(GRPC)
    )


@lru_cache(256)
def _kinds(primary: str, shadow: str) -> tuple[str, str]:
    return bodies.media_type(primary), bodies.media_type(shadow)


def _compare_grpc(primary: Record, shadow: Record, kinds: tuple[str, str], rules: Rules, read: Read | None) -> Result:
    """A call by its status and what its messages say; by the size of the answer where they cannot be read."""
    if primary.grpc_status != shadow.grpc_status and not rules.ignore_status:
        statuses = str(primary.grpc_status), str(shadow.grpc_status)
        return _differ(GRPC_STATUS, statuses[0], statuses[1], "the calls' statuses differ")
    if read is None:
        return _size(primary, shadow, rules.size_ratio or _GRPC_SIZE_RATIO) or AGREED
    if (differs := _size(primary, shadow, rules.size_ratio)) is not None:
        return differs
    try:
        found = differences(*_messages(primary, shadow, kinds, read), rules)
    except UnreadMessagesError as error:
        by_size = _size(primary, shadow, rules.size_ratio or _GRPC_SIZE_RATIO) or AGREED
        return by_size._replace(unread=str(error))
    except TooMuchWorkError as error:
        return Result(Outcome.INCOMPARABLE, reason=str(error))
    return Result(Outcome.DIFFER, found) if found else AGREED


def _messages(primary: Record, shadow: Record, kinds: tuple[str, str], read: Read) -> tuple[object, object]:
    """What both answers say."""
    if not _GRPC_MESSAGES.issuperset(kinds):
        raise UnreadMessagesError("the answers' type is not that of plain gRPC")
    if not primary.complete or not shadow.complete:
        raise UnreadMessagesError("an answer is longer than is kept")
    first = read(primary.body, primary.path)
    # The shadow's side of the capture does not have the request's path.
    return first, first if shadow.body == primary.body else read(shadow.body, primary.path)


def _size(primary: Record, shadow: Record, ratio: float | None) -> Result | None:
    """That one body is too much larger than the other; None where none is, or where sizes do not matter."""
    if ratio is None or primary.sent is None or shadow.sent is None:
        return None
    small, large = sorted((primary.sent, shadow.sent))
    if large <= small * ratio:
        return None
    sizes = f"{primary.sent} bytes", f"{shadow.sent} bytes"
    return _differ(SIZE, *sizes, f"the larger body is more than {ratio:g} times the smaller")


def _status(shadow: Record) -> str:
    return str(shadow.code) if shadow.code else f"no answer ({shadow.flags})"


def _not_answered(primary: Record, shadow: Record, max_mirrored_bytes: int | None) -> str:
    primary_flags, shadow_flags = _flags(primary), _flags(shadow)
    if primary_flags & _CALLER_LEFT or primary.code == 0:
        return "the caller left"
    if _OVER_BUDGET in shadow_flags:
        return "over the shadow's budget"
    if shadow.cut:
        return "the shadow's answer is larger than is read"
    # Without a reason it was the gateway that gave the copy up: its cluster went while it was under way.
    if shadow_flags & _CALLER_LEFT or not (shadow.code or shadow_flags):
        return "the copy was cut off"
    oversize = max_mirrored_bytes is not None and (primary.received or 0) > max_mirrored_bytes
    if oversize and shadow.code == 413 and primary.code != 413:
        return "the request is too large to be copied"
    return ""


def _flags(record: Record) -> set[str]:
    return set(record.flags.split(",")) if record.flags else set()


def _compare_bodies(primary: Record, shadow: Record, kinds: tuple[str, str], rules: Rules) -> Result:
    first, second = _opened(primary), _opened(shadow)
    if first is None or second is None:
        if first is second:
            return _compare_bytes(primary.body, shadow.body)
        return _differ("body", _shown(first), _shown(second), "one body is not in the encoding it declares")
    if first == second:
        return AGREED
    documents = _document(first, kinds[0]), _document(second, kinds[1])
    if documents[0] is not None and documents[1] is not None:
        found = differences(documents[0].value, documents[1].value, rules)
        return Result(Outcome.DIFFER, found) if found else AGREED
    if documents[0] is None and documents[1] is None:
        return _compare_bytes(first, second)
    return _differ("body", _shown(first), _shown(second), "only one of the bodies is what its type says")


def _opened(record: Record) -> bytes | None:
    """The body without its encoding; None where it is corrupt."""
    try:
        return bodies.decoded(record.body, record.content_encoding)
    except UnreadableError:
        return None


def _document(body: bytes, kind: str) -> bodies.Document | None:
    """What a body means, where its type says how to read it. None for bytes."""
    try:
        if bodies.is_json(kind) or not kind:
            return bodies.parse_json(body)
        if bodies.is_json_lines(kind):
            return bodies.parse_json_lines(body)
        if kind == "text/event-stream":
            return bodies.Document(sse.document(body))
    except ValueError as error:
        if isinstance(error, BeyondBoundsError):
            raise
    return None


def _compare_bytes(primary: bytes, shadow: bytes) -> Result:
    if primary == shadow:
        return AGREED
    return _differ("body", render_bytes(primary), render_bytes(shadow), "the bytes differ")


def _shown(opened: bytes | None) -> str:
    return "corrupt" if opened is None else render_bytes(opened)


def _differ(path: str, primary: str, shadow: str, why: str) -> Result:
    return Result(Outcome.DIFFER, (Difference(path, path, safe_text(primary), safe_text(shadow), why),))
