"""What was sent to whom, and the refusal of what must never be sent. No request goes out around it."""

import hashlib
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from inventory.model import Asked, Listener
from scanner.exchange import Answer, Request
from scanner.knowledge import Knowledge
from scanner.rpc import CALLS, Reply

ALLOWED = frozenset({"GET", "HEAD", "OPTIONS"})
_TARGET = re.compile(r"/[\x21-\x7e]*")
_ASKED = TypeAdapter(tuple[Asked, ...])


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not sent, and the rule that forbade it."""

    listener: Listener
    request: str
    because: str


@dataclass
class _Page:
    asked: list[dict[str, Any]] = field(default_factory=list)
    awake: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)


class Ledger:
    """The account of one scan. It is asked before and told after every request.

    Rules with a condition sleep until an answer of that listener wakes them, and are settled by the
    answer that proves them needless. ``calls`` counts the gRPC calls, of which only reflection and health
    exist. Pages are dropped with ``close``; totals and the latest refusals (at most ``keep``) stay.
    """

    def __init__(self, knowledge: Knowledge, keep: int = 1000) -> None:
        self._knowledge = knowledge
        self._pages: dict[Listener, _Page] = {}
        self._latest: tuple[Listener | None, _Page] = (None, _Page())
        self.methods: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.refusals: deque[Refusal] = deque(maxlen=keep)

    @property
    def requests(self) -> int:
        """How many requests were sent in all."""
        return self.methods.total()

    def refusal(self, listener: Listener, request: Request) -> str | None:
        """Why the request must not be sent to the listener; None where it may. A refusal is recorded."""
        because = self._why_not(self._page(listener), request)
        if because is not None:
            self.refusals.append(Refusal(listener, str(request), because))
        return because

    def permits(self, listener: Listener, request: Request) -> bool:
        """Whether a request may be sent now, before it is known that it will be: a refusal is not recorded."""
        return self._why_not(self._page(listener), request) is None

    def record(self, listener: Listener, answer: Answer) -> None:
        """Write down that a request was sent, and what its answer wakes or settles."""
        page = self._page(listener)
        request = answer.request
        self.methods[request.method] += 1
        # Made into values all together, which costs a third of one by one.
        page.asked.append(
            {
                "method": request.method,
                "path": request.path[:2048],
                "status": answer.status,
                "outcome": answer.outcome,
                "digest": answer.digest,
                "bytes": len(answer.body),
                "milliseconds": round(answer.milliseconds, 1),
            }
        )
        page.awake.update(self._knowledge.waking(answer))
        for number, rule in self._knowledge.settled_by(request):
            if rule.proof is not None and rule.proof.holds(answer):
                page.settled.add(number)

    def record_call(self, listener: Listener, reply: Reply) -> None:
        """Write down that a gRPC call was made. ValueError for one that is never to be made."""
        if reply.call not in CALLS:
            raise ValueError(f"{reply.call} is neither reflection nor health")
        self.calls[reply.call] += 1
        asked = {
            "method": "GRPC",
            "path": reply.call,
            "outcome": "answered" if reply.code == "OK" else reply.code.lower().replace("_", "-"),
            "digest": hashlib.sha256(reply.body).hexdigest() if reply.body else None,
            "bytes": len(reply.body),
        }
        self._page(listener).asked.append(asked)

    def asked(self, listener: Listener) -> tuple[Asked, ...]:
        """What was asked of the listener so far, in order."""
        return _ASKED.validate_python(self._page(listener).asked)

    def close(self, listener: Listener) -> tuple[Asked, ...]:
        """The listener's page, which is then forgotten here."""
        asked = self.asked(listener)
        self._pages.pop(listener, None)
        self._latest = (None, _Page())
        return asked

    def _page(self, listener: Listener) -> _Page:
        # Most calls are about the same listener as the one before, and a listener is dear to look up.
        if self._latest[0] is not listener:
            self._latest = (listener, self._pages.setdefault(listener, _Page()))
        return self._latest[1]

    def _why_not(self, page: _Page, request: Request) -> str | None:
        if request.method not in ALLOWED:
            return f"{request.method} is not one of GET, HEAD and OPTIONS"
        if not _TARGET.fullmatch(request.path):
            return "a request target is an absolute path of printable ASCII"
        for number in self._knowledge.covering(request):
            rule = self._knowledge.never[number]
            if rule.once is None or (number in page.awake and number not in page.settled):
                return rule.because
        return None
