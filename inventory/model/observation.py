"""Observations: one fact, seen by one scan at one moment, with its evidence. Append-only."""

import hashlib
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field

from inventory.model.base import Moment, Slug, Value
from inventory.model.cluster import ClusterFact
from inventory.model.vocabulary import Kind, Posture, Scheme

Confidence = Annotated[float, Field(ge=0.0, le=1.0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Listener(Value):
    """Something that accepts connections: an address and port within a site."""

    site: Slug
    address: str
    port: Port

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


MOST_INPUTS = 32
"""Names of what a route takes, or a model is declared to take, that are kept."""


class InferenceRoute(Value):
    """A method and path that runs a model. ``takes`` names what its requests hold, where that is described."""

    method: str
    path: str
    takes: tuple[str, ...] = ()


class Asked(Value):
    """One request that was sent to a listener, and a digest of what came back.

    The method ``GRPC`` stands for a call of gRPC's own reflection or health service.

    ``status`` is None where no HTTP answer came; ``outcome`` then names why (``timeout``, ``reset``,
    ``invalid-http``, ``too-large``). ``digest`` is of the bounded body, SHA-256 in hex.
    """

    method: Literal["GET", "HEAD", "OPTIONS", "GRPC"]
    path: str
    status: int | None = None
    outcome: str = "answered"
    digest: str | None = None
    bytes: int = Field(default=0, ge=0)
    milliseconds: float = Field(default=0.0, ge=0.0)


class Evidence(Value):
    """Why something is believed: the signal in words, how far it counts, and the request that showed it.

    ``weight`` is in nats of log-odds: positive speaks for the conclusion, negative against it.
    """

    signal: str
    weight: float = 0.0
    request: str | None = None
    source: str = "probe"


class Exposed(Value):
    """The listener accepted a connection."""

    fact: Literal["exposed"] = "exposed"
    scheme: Scheme


class Certificate(Value):
    """The certificate that the listener showed. Names come from its subject and alternative names."""

    fact: Literal["certificate"] = "certificate"
    names: tuple[str, ...] = ()
    issuer: str | None = None
    not_after: Moment | None = None
    key_digest: str


class Identified(Value):
    """What application answers under a base path.

    ``conclusive`` is False where the questions ended early (a slow host, a cap); such a fact never
    replaces a conclusive one. ``needs`` names what a gateway must carry (``websocket``,
    ``streaming``, ``grpc``).
    """

    fact: Literal["identified"] = "identified"
    kind: Kind
    product: str | None = None
    version: str | None = None
    server: str | None = None
    title: str | None = None
    is_model_endpoint: bool = False
    confidence: Confidence = 0.0
    inference_routes: tuple[InferenceRoute, ...] = ()
    needs: tuple[str, ...] = ()
    schema_digest: str | None = None
    catch_all: bool = False
    conclusive: bool = True


class Postured(Value):
    """Whether a stranger may use the application, and the request that decided it."""

    fact: Literal["postured"] = "postured"
    posture: Posture
    decided_by: str | None = None


class Questioned(Value):
    """Everything one scan asked the listener, in order."""

    fact: Literal["questioned"] = "questioned"
    requests: tuple[Asked, ...]


class Owned(Value):
    """Who is said to own the application, by what, and how far that can be relied on."""

    fact: Literal["owned"] = "owned"
    owner: str
    said_by: str
    confidence: Confidence = 1.0


Fact = Annotated[
    Exposed | Certificate | Identified | Postured | Questioned | Owned | ClusterFact, Field(discriminator="fact")
]


class Observation(Value):
    """One fact about the application under ``base_path`` of a listener.

    Its ``id`` is a digest of all of it, so that the same observation written twice is one.
    """

    scan: str
    scope: Slug
    listener: Listener
    base_path: str = "/"
    at: Moment
    fact: Fact
    evidence: tuple[Evidence, ...] = ()

    @cached_property
    def canonical(self) -> str:
        """All of it as JSON, always the same for the same observation."""
        return self.model_dump_json()

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """The observation whose ``canonical`` was that text. Raises ValidationError for any other text."""
        observation = cls.model_validate_json(text)
        observation.__dict__["canonical"] = text
        return observation

    @cached_property
    def id(self) -> str:
        """BLAKE2b of the canonical JSON, 128 bits in hex."""
        return hashlib.blake2b(self.canonical.encode(), digest_size=16).hexdigest()
