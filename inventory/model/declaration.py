"""Declarations: what a registry, a list or a gateway's configuration says is supposed to exist."""

from enum import StrEnum
from typing import Literal

from inventory.model.base import Moment, Slug, Value


class DeclarationKind(StrEnum):
    """What is declared: an endpoint that is supposed to run, a gateway's way to one, or a model that may be served."""

    ENDPOINT = "endpoint"
    ROUTE = "route"
    MODEL = "model"


class DeclarationState(StrEnum):
    """Whether it is supposed to be there still."""

    ACTIVE = "active"
    RETIRED = "retired"


class Declaration(Value):
    """One thing that one source declares. ``source`` and ``key`` together name it.

    ``urls`` are where it is supposed to answer; of a route, where callers reach it, and ``backends`` the
    URLs that it leads to. ``places`` are the sockets (``10.0.0.5:8000``) of what it says runs, that is of the
    backends of a route and else of the URLs, with names resolved when the source was read. ``workload`` is
    ``NAMESPACE/KIND/NAME``; ``workload_uids`` are of those that its own cluster says run for it. ``model``,
    ``model_version`` and ``artifact`` (a model's URI) tell what it serves; ``operations`` (``POST /predict``)
    how it is called, ``inputs`` the names of what it takes. ``details`` are further facts in words, such as who
    may invoke it.
    """

    source: str
    key: str
    kind: DeclarationKind = DeclarationKind.ENDPOINT
    name: str
    state: DeclarationState = DeclarationState.ACTIVE
    site: Slug = "default"
    urls: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    workload: str | None = None
    workload_uids: tuple[str, ...] = ()
    image: str | None = None
    product: str | None = None
    model: str | None = None
    model_version: str | None = None
    artifact: str | None = None
    operations: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    owner: str | None = None
    details: tuple[str, ...] = ()
    scope: Slug
    scan: str
    at: Moment

    @property
    def id(self) -> str:
        """How a person names it."""
        return f"{self.source} {self.key}"

    @property
    def running(self) -> tuple[str, ...]:
        """The URLs of what it says runs: the backends of a route, the URLs of anything else."""
        return self.backends if self.kind is DeclarationKind.ROUTE else self.urls


class Registered(Value):
    """A declaration as the store keeps it. ``withdrawn_at``: since then its source, read to the end, has it no more."""

    declaration: Declaration
    first_seen: Moment
    last_seen: Moment
    withdrawn_at: Moment | None = None


class Ruling(Value):
    """What a person decided about a declaration and an endpoint: the same thing, or certainly not. Kept for good."""

    source: str
    key: str
    endpoint: str
    verdict: Literal["confirmed", "rejected"]
    who: str
    why: str
    at: Moment
