"""A small policy engine in Python, and lines as a gateway writes them."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from inventory.calls import Recording
from inventory.model import Call, Decision, utc_now
from inventory.store import Store
from router.policy import Question


class Groups:
    """A policy set: whoever has one of the groups of a route may call it. It counts what it is asked."""

    def __init__(self, *allowed: str, looks_at: frozenset[str] | None = frozenset({"principal.team"})) -> None:
        self.allowed, self.looks_at, self.asked = allowed, looks_at, 0

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        self.asked += len(questions)
        return [self._one(question) for question in questions]

    def mentions(self) -> frozenset[str] | None:
        return self.looks_at

    def _one(self, question: Question) -> Decision:
        if question.context.get("size", 0) == 13:
            return Decision(allowed=False, errors=("thirteen cannot be judged",))
        team = question.attributes.get("team")
        return Decision(allowed=True, policies=(f"team-{team}",)) if team in self.allowed else Decision(allowed=False)


def line_of(number: int = 1, **parts: Any) -> bytes:
    """A line of the gateway's log, with its newline. None leaves a key out."""
    fields = {
        "rid": f"r{number}", "at": str(1_795_800_000_000 + number * 1000), "route": "churn", "rev": 3,
        "backend": "main",        "claims": {"iss": "https://idp", "sub": "ana", "org": {"team": "churn"}},
        "addr": "10.1.2.3", "ua": "python-requests/2.32 (x)", "method": "POST", "path": "/predict?x=1", "code": 200,
        "det": "via_upstream", "flags": "-", "rx": 10, "tx": 20, "us": 900, "model": None, "purpose": None,
    } | parts  # fmt: skip
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode() + b"\n"


def append_calls(store: Store, calls: Sequence[Call], *, lost: int = 0) -> None:
    """Append a batch to the record, as the recorder of the gateway ``local`` does."""
    known = store.calls.recording("local")
    cursor = (known.cursor if known else 0) + 100
    then = Recording("local", "1:2", cursor, 0, 0, 0, utc_now())
    store.calls.append(calls, then, after=known, lost=lost)


def call_of_now(number: int = 1, **parts: object) -> Call:
    """A call of a few seconds ago."""
    fields = {
        "id": f"r{number}", "at": utc_now() - timedelta(seconds=10), "route": "churn", "revision": 1,
        "principal": "https://idp|ana", "network": "10.0.0.0/24", "method": "POST", "path": "/predict", "status": 200,
    }  # fmt: skip
    return Call.model_validate(fields | parts)
