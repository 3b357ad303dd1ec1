"""What is asked of a Kubernetes API server, whatever speaks to it, and what may go wrong. Pure."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

IN_CLUSTER = "in-cluster"
"""Stands for the cluster that gnomon itself runs in."""


class ClusterError(RuntimeError):
    """A cluster that cannot be asked. Its text is one sentence, without credentials."""


class Unanswered(RuntimeError):  # noqa: N818 - a state, not a fault
    """A request that got no answer that can be used. ``status`` is there where an HTTP status was."""

    def __init__(self, why: str, *, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(why)
        self.status = status
        self.body = body


class Silent(Unanswered):
    """An answer that goes on, of which nothing came for too long."""


@dataclass(frozen=True)
class Reply:
    """One answer. Header names are in lower case; ``whole`` is False where the body was cut off at its bound."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    whole: bool = True
    reason: str = ""

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object; empty where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Api(Protocol):
    """An API server. ``requests`` counts what was sent to it."""

    requests: int

    @property
    def host(self) -> str:
        """The server's URL."""
        ...

    async def get(
        self,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        most: int = ...,
        seconds: float = ...,
        body: Any = None,
    ) -> Reply:
        """Send one request, and read its answer up to ``most`` bytes and ``seconds``. Raises Unanswered."""
        ...

    def lines(self, path: str, query: Sequence[tuple[str, str]], *, silence: float) -> AsyncIterator[bytes]:
        """The lines of an answer that goes on. Raises Unanswered, Silent after ``silence`` seconds of nothing."""
        ...

    async def close(self) -> None:
        """Drop every connection."""
        ...
