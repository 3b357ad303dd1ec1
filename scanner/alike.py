"""Plain answers that came before, by their bytes: a fleet says the same again and again, and it is parsed once. Pure.

What an answer means follows from its bytes alone where it is plain: HTTP/1.1, its length told, its body as it is, the
connection kept, and nothing that depends on who was asked. All others are parsed each time.
"""

import re
from typing import Final

from scanner.exchange import Answer

MOST_BYTES: Final = 8192
"""Bytes that came together and that answers are kept of."""
_LONGEST: Final = 2048
_MOST: Final = 512

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,4})[ \t]*(?=\r\n)", re.IGNORECASE)
_NOT_PLAIN = re.compile(
    rb"\n[ \t]*(?:transfer-encoding|content-encoding|upgrade|trailer|location"
    rb"|(?:proxy-)?connection(?!:[ \t]*keep-alive\r\n))[ \t]*:",
    re.IGNORECASE,
)


class Alike:
    """What was parsed with the same limits and the same headers left out. It begins anew when it is full."""

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[int, dict[bytes, Answer]]] = {}
        self._kept = 0

    def find(self, data: bytes, at: int) -> tuple[Answer, int] | None:
        """The answer that begins there, whatever it was said to, and where it ends. None where it is to be parsed."""
        start = data.find(b"\r\n\r\n", at) + 4
        known = self._heads.get(data[at:start])
        if known is None:
            return None
        end = start + known[0]
        # One that has not come whole has a shorter body, which is none of this head.
        answer = known[1].get(data[start:end])
        return None if answer is None else (answer, end)

    def keep(self, data: bytes, answers: list[Answer]) -> None:
        """Keep the plain ones of these answers, of which some bytes were the first; a part of the last may lack."""
        at = 0
        for answer in answers:
            start = data.find(b"\r\n\r\n", at) + 4
            head, at = data[at:start], start + len(answer.body)
            if not _is_plain(head, answer) or data[start:at] != answer.body:
                return
            if len(head) + len(answer.body) <= _LONGEST:
                self._keep(head, answer)

    def _keep(self, head: bytes, answer: Answer) -> None:
        if self._kept >= _MOST:
            self._heads.clear()
            self._kept = 0
        self._kept += 1
        self._heads.setdefault(head, (len(answer.body), {}))[1][answer.body] = answer


def _is_plain(head: bytes, answer: Answer) -> bool:
    lengths = _LENGTH.findall(head)
    return (
        answer.outcome == "answered"
        and answer.status is not None
        and answer.status >= 200
        and answer.request.method != "HEAD"
        and head.startswith(b"HTTP/1.1 ")
        and len(lengths) == 1
        and int(lengths[0]) == len(answer.body)
        and _NOT_PLAIN.search(head) is None
    )
