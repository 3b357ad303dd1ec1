"""The conversation with one listener: every answer so far, the cap on requests, and when to stop. Sans-I/O."""

from collections.abc import Generator
from dataclasses import dataclass, field

from scanner.exchange import Answer, Method, Request

Asking = Generator[Request, Answer, Answer]

CANARY = "/-/routes"
"""Asked first. No framework serves it and it is harmless everywhere: Ray Serve, where any other unknown path
may run a deployment, answers this one itself; on every other host it is simply a path that is not there."""

_STRIKES = 2


@dataclass
class Dialogue:
    """What was asked and answered. ``ask`` yields requests that are new, and answers the rest from memory.

    A host that stalls once, or gives no answer twice, is not asked again; ``stalled`` tells.
    """

    most: int
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: int = 0
    strikes: int = 0
    stalled: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more may be asked."""
        return self.stalled or self.asked >= self.most

    def ask(self, method: Method, path: str, base: str = "", ahead: tuple[Request, ...] = ()) -> Asking:
        """The answer to a request under an application's base path, asked at most once.

        ``ahead`` are requests that are asked next, whatever the answer is.
        """
        new = (one for one in ahead if str(one) not in self.answers)
        request = Request(method, base + path, path, tuple(new)[: max(0, self.most - self.asked - 1)])
        known = self.answers.get(str(request))
        if known is not None:
            return known
        if self.over:
            return Answer(request, outcome="unasked")
        answer = yield request
        if answer.outcome == "forbidden":
            return answer
        self.asked += 1
        self.answers[str(request)] = answer
        self._judge(answer)
        return answer

    def _judge(self, answer: Answer) -> None:
        if answer.outcome == "timeout":
            self.stalled = True
        if answer.status is None or answer.outcome in {"too-large", "closed"}:
            self.strikes += 1
            self.stalled = self.stalled or self.strikes >= _STRIKES
