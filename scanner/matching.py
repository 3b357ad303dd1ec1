"""Many conditions on an answer, arranged so that an answer is held against few of them. Pure.

Most conditions need something that most answers lack: a value of a header, a title, a key in a JSON object, a word in
the body. Each condition stands under one thing that it needs, and is only looked at where the answer has it.
"""

from collections.abc import Iterator, Sequence

from scanner.exchange import Answer
from scanner.literals import literals_of, may_occur
from scanner.predicates import Condition, JsonCondition, found

_MOST_TEXTS = 2048
_LONGEST_TEXT = 256


class _Patterns:
    """Which of some patterns occur in a short text. Hosts say the same few texts again and again."""

    def __init__(self) -> None:
        self._patterns: list[tuple[str, int]] = []
        self._known: dict[str, tuple[int, ...]] = {}

    def add(self, pattern: str, position: int) -> None:
        self._patterns.append((pattern, position))

    def occurring(self, text: str) -> tuple[int, ...]:
        """The positions of the patterns that occur in the text."""
        known = self._known.get(text)
        if known is None:
            known = tuple(position for pattern, position in self._patterns if found(pattern, text))
            if len(text) <= _LONGEST_TEXT and len(self._known) < _MOST_TEXTS:
                self._known[text] = known
        return known


class Index:
    """Conditions by what they need. ``holding`` tells the same as asking every one of them."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = tuple(conditions)
        self._of_status: dict[int | None, list[int]] = {}
        self._of_header: dict[str, _Patterns] = {}
        self._of_title = _Patterns()
        self._of_key: dict[str, list[int]] = {}
        self._of_json: list[int] = []
        self._of_body: list[tuple[tuple[str, ...], int]] = []
        for position, condition in enumerate(self._conditions):
            self._file(position, condition)

    def holding(self, answer: Answer) -> tuple[int, ...]:
        """The positions of the conditions that hold for an answer, in their order."""
        if answer.status is None:
            return ()
        return tuple(sorted(at for at in self._candidates(answer) if self._conditions[at].holds(answer)))

    def _file(self, position: int, needs: Condition) -> None:
        if needs.header:
            name, pattern = next(iter(needs.header.items()))
            self._of_header.setdefault(name, _Patterns()).add(pattern, position)
        elif needs.title is not None and not found(needs.title, ""):
            self._of_title.add(needs.title, position)
        elif needs.json_ is not None:
            key = _key_needed(needs.json_)
            (self._of_key.setdefault(key, []) if key else self._of_json).append(position)
        elif needs.body is not None:
            self._of_body.append((literals_of(needs.body), position))
        else:
            statuses = needs.status if isinstance(needs.status, tuple) else (needs.status,)
            for status in statuses:
                self._of_status.setdefault(status, []).append(position)

    def _candidates(self, answer: Answer) -> Iterator[int]:
        yield from self._of_status.get(None, ())
        yield from self._of_status.get(answer.status, ())
        if self._of_header:
            for name, value in answer.by_name.items():
                patterns = self._of_header.get(name)
                if patterns is not None:
                    yield from patterns.occurring(value)
        if answer.title:
            yield from self._of_title.occurring(answer.title)
        if self._of_body:
            lower = answer.lower
            for literals, position in self._of_body:
                if may_occur(literals, lower):
                    yield position
        if self._of_key or self._of_json:
            yield from self._by_document(answer)

    def _by_document(self, answer: Answer) -> Iterator[int]:
        document = answer.document
        if document is None:
            return
        yield from self._of_json
        if isinstance(document, dict):
            for key, positions in self._of_key.items():
                if key in document:
                    yield from positions


def _key_needed(condition: JsonCondition) -> str:
    """A key that the outermost object must have; empty where there is none such."""
    for path in (*condition.has, *condition.equals, *condition.matches):
        key = path.partition(".")[0].removesuffix("[]")
        if key:
            return key
    return next(iter(condition.only or ()), "")
