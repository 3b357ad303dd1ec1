"""What takes long to begin, begun before the command that needs it is loaded.

Only ``scan`` has such a thing: the process that sends frames loads numpy and scapy, half a second of work for a
second core while this process loads the command and opens the store.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

VALUED_BEFORE = {"--database", "--config"}
"""The options before a command that take a value."""

FLAGS = {"--allow-public", "--resume", "--explain", "--help", "-h"}
"""The options of ``scan`` that take none."""

_HELP = {"--help", "-h"}
_SENDS_NOTHING = _HELP | {"--explain", "--listen", "--for"}


@contextmanager
def begin_ahead(arguments: Sequence[str]) -> Iterator[None]:
    """Begin what a command with these arguments will probably need. What nobody took ends with the block."""
    targets = targets_of(arguments)
    with _sender() if targets and _may_be_framed(targets) else nullcontext():
        yield


def command_of(arguments: Sequence[str]) -> str | None:
    """The name of the command among arguments, if help on all of them is not what is asked for. Pure."""
    first = _first(arguments)
    return None if first is None or _HELP.intersection(arguments[:first]) else arguments[first]


def targets_of(arguments: Sequence[str]) -> list[str]:
    """The targets that arguments have scanned, as they stand there. None where another command is named. Pure.

    Nor has a stored scope any: what is in it, the store knows.
    """
    first = _first(arguments)
    if first is None or arguments[first] != "scan":
        return []
    words = arguments[first + 1 :]
    if any(word.partition("=")[0] in _SENDS_NOTHING for word in words):
        return []
    return [words[position] for position in _positions(words, FLAGS.__contains__)]


def _first(arguments: Sequence[str]) -> int | None:
    """Where the command stands."""
    return next(_positions(arguments, lambda option: option not in VALUED_BEFORE), None)


def _positions(words: Sequence[str], is_flag: Callable[[str], bool]) -> Iterator[int]:
    """Where words are neither options nor their values."""
    value, ended = False, False
    for position, word in enumerate(words):
        if ended or value or not word.startswith("-") or word == "-":
            if not value:
                yield position
            value = False
        elif word == "--":
            ended = True
        else:
            value = "=" not in word and not is_flag(word)


def _may_be_framed(targets: Sequence[str]) -> bool:
    from scanner.io.ways import may_send_frames
    from scanner.targets import may_be_framed

    return any(map(may_be_framed, targets)) and may_send_frames()


def _sender() -> AbstractContextManager[None]:
    from scanner.io.prober import spare

    return spare()
