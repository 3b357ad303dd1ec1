"""What the enforced and the candidate policies say of each call. Pure, but for what the engines remember.

A question is asked once and remembered until the policies, the route, the caller's attributes or the hour are others:
calls of the same caller to the same route have the same answer. Where the gateway asks for each request
(``Access.ask``), the question holds what is known of the request, and the answer is shared by requests that are alike
in all that the policies look at.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from inventory.model import Access, ApiKey, Attribute, Call, Decision, Issuer
from router.policy import PolicyEngine, Question
from router.policy.effective import context_at

MOST_REMEMBERED = 200_000
"""Answers that are remembered at once. Beyond, all are forgotten: a caller can make up identities, not memory."""

NOTHING = Access()


class InForce(NamedTuple):
    """What is in force while calls are recorded. ``version`` is another one whenever anything of the rest is.

    ``issuers`` are by URL, ``keys`` by id and ``routes`` by name. An engine is None where there is no such version.
    ``percent`` of the callers are held to the candidate.
    """

    version: Hashable = None
    enforced: PolicyEngine | None = None
    candidate: PolicyEngine | None = None
    issuers: Mapping[str, Issuer] = {}
    keys: Mapping[str, ApiKey] = {}
    routes: Mapping[str, Access] = {}
    percent: int = 0


class Asked(NamedTuple):
    """A call to be decided, the attributes of its caller, and the caller's address."""

    call: Call
    attributes: Mapping[str, Attribute]
    address: str


class Decider:
    """Decides calls by two policy versions. Not for several threads at once."""

    def __init__(self) -> None:
        self._version: Hashable = object()
        self._enforced = _Memory(None)
        self._candidate = _Memory(None)

    def decide(self, asked: Sequence[Asked], in_force: InForce) -> list[tuple[Decision | None, Decision | None]]:
        """The enforced and the candidate decision of each call; None where there is no such version."""
        if in_force.version != self._version:
            self._version = in_force.version
            self._enforced, self._candidate = _Memory(in_force.enforced), _Memory(in_force.candidate)
        questions = [question_of(one, in_force.routes.get(one.call.route, NOTHING)) for one in asked]
        return list(zip(self._enforced.answers(questions), self._candidate.answers(questions), strict=True))


def question_of(asked: Asked, access: Access) -> Question:
    """What the gateway asked, or would have asked, for a call: at the call's own time."""
    call = asked.call
    context: dict[str, str | int | bool] = {**context_at(call.at, exact=access.ask != "never")}
    if access.ask != "never":
        context |= {
            "method": call.method,
            "path": call.path,
            "size": call.received,
            "network": asked.address,
            "purpose": call.purpose or "",
        }
    return Question(call.principal, asked.attributes, call.route, access.attributes, context)


class _Memory:
    """One engine, and what it has answered."""

    def __init__(self, engine: PolicyEngine | None) -> None:
        self._engine = engine
        self._known: dict[Hashable, Decision] = {}
        mentions = engine.mentions() if engine is not None else frozenset()
        self._looks_at = None if mentions is None else {
            name.removeprefix("context.") for name in mentions if name.startswith("context.")
        }  # fmt: skip

    def answers(self, questions: Sequence[Question]) -> Sequence[Decision | None]:
        if self._engine is None:
            return [None] * len(questions)
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        keys = [self._key(question) for question in questions]
        new = {key: question for key, question in zip(keys, questions, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._engine.decide(list(new.values())), strict=True))
        return [self._known[key] for key in keys]

    def _key(self, question: Question) -> Hashable:
        context = question.context
        # Decisions ahead of requests are made anew each hour, and not each second.
        names: list[str] = []
        if "path" in context:
            names = sorted(context if self._looks_at is None else self._looks_at & context.keys())
        hour = int(context["now"]) // 3600
        attributes = tuple(sorted(question.attributes.items())) if question.attributes else ()
        return question.principal, question.route, hour, attributes, tuple((name, context[name]) for name in names)
