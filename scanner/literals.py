"""What a text must contain for a regular expression to match it: a cheap test before the dear one. Pure."""

import re

_ODD_FOLDS = "\u0130\u0131\u017f\u212a"
"""Letters that a pattern without regard to case takes for i, s or k, though their lower case is not that."""

_BEYOND = re.compile(r"\(\?[aiLmsux-]*x|\\[xuUN0-9]")
"""Verbose patterns, and escapes that are longer than two characters: nothing is said of these."""

_QUANTIFIER = re.compile(r"\{\d*,?\d*\}")
_PLAIN = re.compile(r"[^\\\[\](){}|?*+.^$]")


def folded(text: str) -> str | None:
    """The text in lower case for ``may_occur``; None where lower case does not tell what a pattern would match."""
    if not text.isascii() and any(letter in text for letter in _ODD_FOLDS):
        return None
    return text.lower()


def may_occur(literals: tuple[str, ...], lower: str | None) -> bool:
    """Whether a pattern with these literals may match a text that was folded."""
    return not literals or lower is None or any(literal in lower for literal in literals)


def literals_of(pattern: str) -> tuple[str, ...]:
    """Words in lower case, one of which is in every text that the pattern matches without regard to case.

    Empty where no such words are known. It looks at the pattern's outermost level only: groups, classes and
    whatever is optional count for nothing.
    """
    if _BEYOND.search(pattern):
        return ()
    words = [_longest(alternative) for alternative in _alternatives(pattern)]
    return tuple(words) if all(words) else ()


def _longest(runs: list[str]) -> str:
    return max((run.lower() for run in runs if run.isascii()), key=len, default="")


def _alternatives(pattern: str) -> list[list[str]]:
    """For each outermost alternative, the runs of characters that it cannot do without."""
    found: list[list[str]] = [[""]]
    at = 0
    while at < len(pattern):
        piece, at = _piece(pattern, at)
        runs = found[-1]
        if piece == "|":
            found.append([""])
        elif piece in {"?", "*"} or (piece[0] == "{" and len(piece) > 1):
            # What stands before may be missing; a lazy or possessive mark after a quantifier costs nothing here.
            runs[-1] = runs[-1][:-1]
            runs.append("")
        elif len(piece) == 1 and _PLAIN.match(piece):
            runs[-1] += piece
        elif len(piece) == 2 and piece[0] == "\\" and not piece[1].isalnum():
            runs[-1] += piece[1]
        else:
            runs.append("")
    return found


def _piece(pattern: str, at: int) -> tuple[str, int]:
    """The smallest whole piece at a position, and where the next begins: a character, an escape, a class, a group."""
    first = pattern[at]
    if first == "\\":
        end = at + 2
    elif first == "[":
        end = _end_of_class(pattern, at)
    elif first == "(":
        end = _end_of_group(pattern, at)
    elif first == "{" and (quantifier := _QUANTIFIER.match(pattern, at)):
        end = quantifier.end()
    else:
        end = at + 1
    return pattern[at:end], end


def _end_of_class(pattern: str, at: int) -> int:
    at += 2 if pattern[at + 1 : at + 2] == "^" else 1
    at += 1 if pattern[at : at + 1] == "]" else 0
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _end_of_group(pattern: str, at: int) -> int:
    depth = 0
    while at < len(pattern):
        here = pattern[at]
        if here == "\\":
            at += 2
            continue
        if here == "[":
            at = _end_of_class(pattern, at)
            continue
        depth += (here == "(") - (here == ")")
        at += 1
        if depth == 0:
            break
    return at
