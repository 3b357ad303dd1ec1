"""How often Python looks for garbage in a process of gnomon."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG_OBJECTS = 50_000


def collect_seldom() -> None:
    """Look for cycles of garbage after 50,000 new objects instead of 700. Once a process, before it imports the rest.

    Imports make objects that stay, conversations with hosts make many that live for a moment: neither is garbage
    in cycles, and looking for it takes a fifth of a start and of a scan.
    """
    gc.set_threshold(max(_YOUNG_OBJECTS, gc.get_threshold()[0]), *gc.get_threshold()[1:])


def leave_garbage() -> None:
    """Look for no more garbage: the process ends, and all that it has goes with it.

    Python would go through every object three times on its way out, which takes as long as a third of a short scan.
    """
    gc.freeze()


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Do not look for garbage within, where a great many objects are made that all stay.

    Each look goes through all that was made so far, so that what makes a million objects would spend as long on
    finding that none is garbage. Threads share the setting: it is for seconds, not for a command.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
