"""What the questions to one listener come to, and how much they may cost."""

from collections.abc import Awaitable, Callable

from pydantic import Field

from inventory.model import Evidence, Fact, Listener, Value

TLS_PORTS = frozenset({443, 636, 8443, 9443, 6443, 10443, 4443})
"""Ports where TLS is tried before plain HTTP."""


class Limits(Value):
    """What one listener may cost. Times in seconds, sizes in bytes.

    ``requests`` is a hard cap on HTTP requests. ``host`` bounds all the questions together; what was
    learnt until then is still reported, as inconclusive.
    """

    connect: float = Field(default=2.0, gt=0)
    answer: float = Field(default=5.0, gt=0)
    host: float = Field(default=30.0, gt=0)
    body: int = Field(default=256 * 1024, ge=1024)
    header: int = Field(default=32 * 1024, ge=1024)
    requests: int = Field(default=40, ge=1)


class Finding(Value):
    """One fact about the application under ``base_path`` of a listener, before it is dated and stored."""

    base_path: str = "/"
    fact: Fact
    evidence: tuple[Evidence, ...] = ()


Ask = Callable[[Listener], Awaitable[tuple[Finding, ...]]]
"""Puts every question to one listener, within its own limits of time and size. Raises AskingEnded."""


class AskingEnded(OSError):  # noqa: N818 - a state, not a fault
    """Nobody can be asked any more, and who was being asked was not asked to the end."""

    def __init__(self) -> None:
        super().__init__("a process that asks what was found has ended: scan again with --resume")
