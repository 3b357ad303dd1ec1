"""The record of calls, pure: what a filter may ask of it, its canonical form, the chain of its batches, its figures.

Each batch of calls has a digest over its calls and over the digest of the batch before (a hash chain: Haber and
Stornetta, How to Time-Stamp a Digital Document, 1991). Whoever knows the digest of one batch can tell whether any call
up to it was changed, added or taken away. Somebody who may write the database can make the whole chain anew: against
that, a digest has to be kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from inventory.model import Call, Decision
from inventory.query import Grammar

CALLS = Grammar(
    text={
        name: name
        for name in (
            "id", "route", "principal", "network", "client", "method", "path", "backend", "model", "purpose",
            "refused_by", "enforced", "candidate", "over",
        )
    },
    numbers={name: name for name in ("status", "revision", "micros", "received", "sent")},
    ages={"at": "at"},
    words=("id", "route", "principal", "client", "path", "model"),
)  # fmt: skip
"""What a filter may ask of a call."""

COLUMNS = (
    "number", "batch", "gateway", "id", "at", "route", "revision", "backend", "principal", "network", "client",
    "method", "path", "status", "received", "sent", "micros", "model", "purpose", "refused_by", "enforced",
    "enforced_by", "candidate", "candidate_by", "over",
)  # fmt: skip
"""What is kept of a call, in the order in which its digest is made."""

GENESIS = "0" * 64
"""The digest before the first batch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ERROR = "\t"
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Recording(NamedTuple):
    """How far one gateway's log was recorded.

    ``file`` is the identity of the file and ``cursor`` the byte up to which its lines are in the store. ``recorded``
    and ``lost`` are calls since the beginning, ``behind`` the bytes that still waited at the moment ``at``.
    """

    gateway: str
    file: str
    cursor: int
    recorded: int
    lost: int
    behind: int
    at: datetime


class Batch(NamedTuple):
    """One link of the chain. ``lost`` are the calls that were known to be lost when it was written."""

    number: int
    gateway: str
    first_at: datetime
    last_at: datetime
    calls: int
    lost: int
    digest: str
    previous: str


class Checked(NamedTuple):
    """What was found when the chain was walked. ``broken`` is the first batch that is wrong, ``why`` a sentence.

    ``oldest`` and ``head`` are the first and the last batch, 0 where there is none; ``digest`` is the last one's.
    """

    batches: int
    calls: int
    lost: int
    oldest: int
    head: int
    digest: str
    broken: int | None = None
    why: str = ""


class Tally(NamedTuple):
    """How many calls were alike: the same caller, route and decisions.

    ``network`` and ``client`` tell anonymous callers apart and are empty for others. ``over`` are the candidate limits
    that were exceeded, with commas.
    """

    principal: str
    network: str
    client: str
    route: str
    enforced: Decision | None
    candidate: Decision | None
    refused_by: str
    over: str
    calls: int
    first_at: datetime
    last_at: datetime


def row_of(call: Call, gateway: str) -> dict[str, Any]:
    """What is kept of a call, but for its number and batch."""
    row = {name: getattr(call, name) for name in _PLAIN}
    row["gateway"] = gateway
    row["over"] = ",".join(call.over)
    for which, decision in (("enforced", call.enforced), ("candidate", call.candidate)):
        row[which] = None if decision is None else decision.allowed
        row[f"{which}_by"] = decided_by(decision)
    return row


_PLAIN = tuple(name for name in Call.model_fields if name not in {"enforced", "candidate", "over"})


def call_of(row: Any) -> Call:
    """The call that a row holds. The row's values are attributes."""
    return Call(
        **{name: getattr(row, name) for name in _PLAIN},
        enforced=decision_of(row.enforced, row.enforced_by),
        candidate=decision_of(row.candidate, row.candidate_by),
        over=tuple(filter(None, row.over.split(","))),
    )


def decided_by(decision: Decision | None) -> str:
    """The ids of the policies that decided, a line each, and then the errors, which begin with a tab."""
    if decision is None or not (decision.policies or decision.errors):
        return ""
    return "\n".join([*map(_line, decision.policies), *(_ERROR + _line(one) for one in decision.errors)])


def decision_of(allowed: bool | None, by: str) -> Decision | None:
    """The decision that two columns hold."""
    if allowed is None:
        return None
    lines = by.split("\n") if by else []
    return Decision(
        allowed=allowed,
        policies=tuple(one for one in lines if not one.startswith(_ERROR)),
        errors=tuple(one[1:] for one in lines if one.startswith(_ERROR)),
    )


def _line(text: str) -> str:
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def digest_of(previous: str, number: int, gateway: str, lost: int, rows: Iterable[Sequence[Any]]) -> str:
    """The digest of a batch, SHA-256 in hex. ``rows`` have the values of ``COLUMNS``, by the calls' numbers."""
    lines = [previous, _encode([number, gateway, lost])]
    for row in rows:
        values = list(row)
        values[_AT] = (values[_AT] - _EPOCH) // _MICROSECOND
        lines.append(_encode(values))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


_AT = COLUMNS.index("at")
