"""Seals: what was tried to show that an endpoint is reached through the gateway alone, and what came of it."""

from enum import StrEnum

from pydantic import Field

from inventory.model.base import Moment, Slug, Value


class Direct(StrEnum):
    """What a direct path did when it was tried, without credentials, from where the trial stood.

    ``open``: bytes came back. ``refused`` and ``silent``: no connection. ``closed``: a connection that was ended
    without a byte, as by a mesh that takes strangers for strangers. ``unknown``: it could not be tried, or accepted
    and said nothing.
    """

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    CLOSED = "closed"
    UNKNOWN = "unknown"

    @property
    def is_shut(self) -> bool:
        """Whether nobody gets through."""
        return self in {Direct.REFUSED, Direct.SILENT, Direct.CLOSED}


class Verdict(StrEnum):
    """What the trials of one moment come to."""

    SEALED = "sealed"
    BYPASS = "bypass"
    UNPROVED = "unproved"


class Path(Value):
    """One direct way to an endpoint. ``name`` is said in Host and SNI where it is no address."""

    via: str
    host: str
    port: int = Field(ge=1, le=65535)
    tls: bool = False
    name: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Tried(Value):
    """One direct path, what it did, and from which address it was tried. ``words`` tell more, for a person."""

    path: Path
    did: Direct
    words: str
    source: str | None = None


class Control(Value):
    """The same question put through the gateway in the same minute: whether the trial's own way there works.

    ``status`` is the HTTP status that came; None for none, and ``words`` say why.
    """

    address: str
    host: str
    status: int | None = None
    words: str = ""

    @property
    def holds(self) -> bool:
        """Whether the gateway led to something that lives: an answer, and not the gateway's own that there is none."""
        return self.status is not None and self.status < 500


class Seal(Value):
    """The trials of one endpoint at one moment, from one vantage: appended, never edited.

    ``reason`` is one sentence. ``vantage`` names the machine that tried.
    """

    number: int = 0
    endpoint: str
    route: Slug
    at: Moment
    who: str
    why: str
    vantage: str
    verdict: Verdict
    reason: str
    tried: tuple[Tried, ...] = ()
    control: Control | None = None
