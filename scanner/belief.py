"""Which product is it: independent signals of the answers so far, combined into log-odds. Pure.

Every signature starts from the same prior; each signal that holds adds its weight once, one that was
looked for in vain adds its ``otherwise``. Probability is the logistic of the sum (naive Bayes, the signals
taken as independent; Good, "Probability and the Weighing of Evidence", 1950).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from inventory.model import Evidence
from scanner.exchange import Answer
from scanner.knowledge import Knowledge
from scanner.signature import Layer, Signature

PRIOR = -4.0
PORT_HINT = 1.5
BELIEVED = 1.0
"""Log-odds from which a product is named: three to one."""
SURE = 2.5
"""Log-odds from which nothing more is asked to tell products apart."""
_STACK_HINT = 1.0
_OF_ITSELF = frozenset({"any", "canary", "root"})
"""What an answer says of itself, whatever path it was asked for."""


def probability(log_odds: float) -> float:
    """The logistic function, rounded to four digits and kept off certainty."""
    return round(min(0.995, 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))), 4)


@dataclass
class Beliefs:
    """The standing of every signature for one application. ``hear`` changes it, nothing else does."""

    knowledge: Knowledge
    port: int
    _scores: dict[str, float] = field(default_factory=dict)
    _evidence: dict[str, list[Evidence]] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)
    _best: dict[Layer, Signature | None] = field(default_factory=dict)

    def hear(self, answer: Answer, names: tuple[str, ...], *, news: bool) -> None:
        """Weigh one answer under the names it goes by (``any``, ``canary``, ``root``, ``GET /api``).

        ``news`` is False where the host answers the same to everything: then only what an answer says
        of itself (``any``, ``canary``, ``root``) speaks for a product, never that there was one.
        """
        for name in names:
            signals = self.knowledge.signals_on.get(name)
            if signals is None:
                continue
            heard = news or name in _OF_ITSELF
            holding = self.knowledge.holding(name, answer) if heard else ()
            against = self.knowledge.against[name] if name != "any" else ()
            for at in sorted({*holding, *against}) if against else holding:
                product, number, signal = signals[at]
                if (product, number) in self._counted:
                    continue
                if at in holding:
                    self._count(product, number, signal.weight, signal.proves, answer)
                else:
                    self._count(product, number, signal.otherwise, f"not so: {signal.proves}", answer)

    def _count(self, product: str, number: int, weight: float, words: str, answer: Answer) -> None:
        self._counted.add((product, number))
        self._best.clear()
        self._scores[product] = self._scores.get(product, 0.0) + weight
        self._evidence.setdefault(product, []).append(
            Evidence(signal=words, weight=weight, request=str(answer.request))
        )

    def log_odds(self, signature: Signature) -> float:
        """Where a signature stands now."""
        hint = PORT_HINT if self.port in signature.ports else 0.0
        return PRIOR + hint + self._scores.get(signature.id, 0.0)

    def evidence(self, signature: Signature) -> tuple[Evidence, ...]:
        """What was counted for and against a signature, in the order it was learnt."""
        return tuple(self._evidence.get(signature.id, ()))

    def best(self, layer: Layer) -> Signature | None:
        """The most believed signature of a layer; None where none is believed.

        A product that refines another (it is built on it and shows both's signals) wins over it.
        """
        if layer not in self._best:
            self._best[layer] = self._believed(layer)
        return self._best[layer]

    def _believed(self, layer: Layer) -> Signature | None:
        standing = {s.id: self.log_odds(s) for s in self._heard(layer)}
        believed = {name: score for name, score in standing.items() if score >= BELIEVED}
        refined = {base for name in believed for base in self.knowledge.signatures[name].refines}
        left = {name: score for name, score in believed.items() if name not in refined} or believed
        return self.knowledge.signatures[max(left, key=lambda name: (left[name], name))] if left else None

    def _heard(self, layer: Layer) -> Iterator[Signature]:
        for name in self._scores:
            signature = self.knowledge.signatures[name]
            if signature.layer is layer:
                yield signature

    def next_request(self, stacks: frozenset[str], asked: frozenset[str], *, clued_only: bool) -> tuple[str, float]:
        """The request that tells most, and how much it is expected to tell; an empty name when none does.

        The expectation is the sum, over the products it may prove, of their probability times the
        weight at stake. ``stacks`` are the frameworks and servers that were recognised: a product that
        is written in others is left out. ``clued_only`` keeps to products that something spoke for.
        """
        scores = tuple(self._scores.items())
        return _most_telling(self.knowledge, self.port, scores, stacks, asked, clued_only=clued_only)


@lru_cache(maxsize=4096)
def _most_telling(
    knowledge: Knowledge,
    port: int,
    scores: tuple[tuple[str, float], ...],
    stacks: frozenset[str],
    asked: frozenset[str],
    *,
    clued_only: bool,
) -> tuple[str, float]:
    """See ``Beliefs.next_request``. Hosts of one kind come to the same question again and again."""
    standing = dict(scores)
    gains: dict[str, float] = {}
    for signature in knowledge.products:
        score = standing.get(signature.id, 0.0)
        clued = score > 0
        if clued_only and not clued:
            continue
        log_odds = PRIOR + (PORT_HINT if port in signature.ports else 0.0) + score
        if not clued and signature.stacks:
            if stacks and stacks.isdisjoint(signature.stacks):
                continue
            log_odds += _STACK_HINT if stacks else -_STACK_HINT
        share = 1 / (1 + math.exp(-log_odds))
        for signal in signature.signals:
            if signal.on not in _OF_ITSELF and signal.on not in asked:
                gains[signal.on] = gains.get(signal.on, 0.0) + share * max(signal.weight, 0.0)
    if not gains:
        return "", 0.0
    name = max(gains, key=lambda on: (gains[on], on))
    return name, gains[name]
