"""What a GraphQL document would do, told before it is sent. Pure."""

import re

_WORD = re.compile(r"\w+|[^\w\s]", re.ASCII)
_CLOSING = {"{": "}", "(": ")", "[": "]"}
_HARMLESS = {"query", "fragment", "{"}


def only_queries(document: str) -> bool:
    """Whether every operation in it is a query, so that a server which runs it changes nothing.

    Strict where that costs nothing: texts and comments, in which brackets could hide, make it False. Values belong
    into variables.
    """
    if '"' in document or "#" in document:
        return False
    open_brackets: list[str] = []
    begins = True
    for word in _WORD.findall(document):
        if begins and word not in _HARMLESS:
            return False
        begins = False
        if word in _CLOSING:
            open_brackets.append(_CLOSING[word])
        elif word in _CLOSING.values():
            if not open_brackets or open_brackets.pop() != word:
                return False
            begins = word == "}" and not open_brackets
    return begins and "{" in document
