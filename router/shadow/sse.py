"""Server-sent events as one JSON document, so that streams compare by what they say and not by their chunks.

Source of the format: the HTML standard, section "Parsing an event stream". Chat completions are put together:
the pieces of each choice's text become one text, since two servers cut the same answer differently.
"""

import json
from typing import Any

_END = "[DONE]"


def document(body: bytes) -> object:
    """The events of a stream: a chat completion put together, or the list of events with their data.

    UnicodeDecodeError (a ValueError) where the stream is not UTF-8.
    """
    events = _events(body.decode("utf-8-sig"))
    chunks = [event["data"] for event in events if event["data"] != _END]
    if chunks and all(_is_chat_chunk(chunk) for chunk in chunks):
        return _completion(chunks, ended=len(chunks) < len(events))
    return events


def _events(text: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    data: list[str] = []
    name = "message"
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # The last event counts although the stream ended without the empty line: it was sent, so it is compared.
    for line in [*lines, ""]:
        if not line:
            if data:
                events.append({"event": name, "data": _value("\n".join(data))})
            data, name = [], "message"
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return events


def _value(data: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data


def _is_chat_chunk(chunk: object) -> bool:
    if not isinstance(chunk, dict) or not isinstance(chunk.get("choices"), list):
        return False
    return all(
        isinstance(choice, dict) and isinstance(choice.get("delta", choice.get("text")), dict | str)
        for choice in chunk["choices"]
    )


def _completion(chunks: list[Any], *, ended: bool) -> object:
    whole: dict[str, Any] = {}
    choices: dict[str, dict[str, Any]] = {}
    for chunk in chunks:
        whole |= {key: value for key, value in chunk.items() if key != "choices"}
        for choice in chunk["choices"]:
            told = choices.setdefault(str(choice.get("index", 0)), {})
            delta = choice.get("delta")
            pieces = delta if isinstance(delta, dict) else {"text": choice.get("text", delta)}
            for key, piece in pieces.items():
                told[key] = _joined(key, told.get(key), piece)
            if choice.get("finish_reason") is not None:
                told["finish_reason"] = choice["finish_reason"]
    return whole | {"choices": choices, "ended": ended}


def _joined(key: str, before: object, piece: object) -> object:
    if isinstance(before, str) and isinstance(piece, str) and key != "role":
        return before + piece
    if isinstance(before, list) and isinstance(piece, list):
        return before + piece
    return before if piece is None else piece
