"""Who may call what: callers and how they prove who they are, policies, what is decided, and the record of calls."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from inventory.model.base import Moment, Slug, Value

ANONYMOUS = ""
"""The id of whoever does not say who they are. Such callers are told apart by network and client."""

Attribute = str | tuple[str, ...]
"""What is known of a caller or a route: one word, or several (groups)."""

AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How tokens may be signed: asymmetric ones only, so that no public key is ever mistaken for a secret."""


class Issuer(Value):
    """Whose tokens are believed. ``name`` is ours, ``url`` is what their tokens say (the claim ``iss``).

    ``audiences``: a token is for us where it names one of these. ``jwks_url`` None: found by discovery (OpenID
    Connect Discovery 1.0). ``subject`` is the claim that names a caller, ``attributes`` maps an attribute of ours
    to the path of a claim, with dots for nesting. ``requires`` names claims that must have one of these values.
    ``leeway_seconds`` is how far apart the clocks may be.
    """

    name: Slug
    url: str = Field(pattern=r"^https?://[^\s|]+$")
    audiences: tuple[str, ...] = Field(min_length=1)
    jwks_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256")
    subject: str = "sub"
    attributes: dict[AttributeName, str] = Field(default_factory=dict)
    requires: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    leeway_seconds: int = Field(default=60, ge=0, le=600)


class PrincipalKind(StrEnum):
    """How a caller proves who they are."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    CERTIFICATE = "certificate"
    KEY = "key"


class Principal(Value):
    """One caller as the gateway knows them.

    ``id`` is ``ISSUER-URL|SUBJECT`` for tokens, whether the issuer's own or ours in exchange, the SPIFFE id for
    certificates, and ``key:ID`` for keys. ``attributes`` are what policies may ask about.
    """

    id: str = Field(min_length=1)
    kind: PrincipalKind
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    first_seen: Moment
    last_seen: Moment


class ApiKey(Value):
    """A key for callers that cannot do better yet. ``digest`` is SHA-256 in hex: the key itself is never stored.

    ``id`` is the public part of the key.
    """

    id: str = Field(pattern=r"^[a-z0-9]{8,32}$")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    owner: str = Field(min_length=1)
    attributes: dict[AttributeName, Attribute] = Field(default_factory=dict)
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None = None
    last_used_at: Moment | None = None

    @property
    def principal(self) -> str:
        """The id of whoever uses it."""
        return f"key:{self.id}"


class Revocation(Value):
    """What is no longer believed, and until when that has to be remembered.

    ``principal``: every token and certificate of a caller that was issued before ``at``; a key for good.
    ``exchanged``: only those tokens of ours. ``token``: one token, by its id (the claim ``jti``).
    """

    kind: Literal["principal", "exchanged", "token"]
    value: str = Field(min_length=1)
    at: Moment
    until: Moment
    who: str
    why: str


Engine = Literal["cedar", "rego", "opa"]


class PolicySet(Value):
    """One immutable version of all policies. ``text`` is in the engine's language; of OPA, the URL of its decision.

    ``schema_text`` is a Cedar schema; empty means that of gnomon.
    """

    number: int = Field(ge=1)
    engine: Engine
    text: str
    schema_text: str = ""
    at: Moment
    who: str
    why: str


class PolicyState(Value):
    """Which versions count. The candidate is evaluated beside the enforced one, on the same traffic.

    ``percent`` of the callers, told apart by a hash of their id, are held to the candidate already. None: there is
    none; without an enforced version, every caller may do everything.
    """

    enforced: int | None = None
    candidate: int | None = None
    percent: int = Field(default=0, ge=0, le=100)
    version: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.percent and self.candidate is None:
            raise ValueError("a share of callers needs a candidate to be held to")
        return self


class Decision(Value):
    """What a policy set says to one question. ``policies`` are the ids of those that decided; empty: none spoke.

    ``errors`` are what went wrong while it was evaluated; a decision with errors does not allow.
    """

    allowed: bool
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class RateLimit(Value):
    """So many requests in so many seconds for each caller, each team, or the route as a whole.

    A candidate is counted and recorded, and refuses nobody. A limit that is not ``shared`` is divided among the
    gateways, each of which counts by itself. A ``shared`` one is counted together over all gateways of one gnomon,
    which ask its authorisation service for each request; where that is away, each gateway counts all of it alone.
    """

    by: Literal["principal", "team", "route"]
    requests: int = Field(ge=1)
    seconds: int = Field(default=60, ge=1, le=86_400)
    candidate: bool = True
    shared: bool = False


class Access(Value):
    """What callers of a route are held to.

    ``enforce``: policies are enforced; else they are only evaluated and recorded. ``attributes`` describe the route
    to policies (department, environment, data_class, owner, model …). ``ask``: each request is put to gnomon's
    authorisation service, which knows its time, size and network; where the service is away, ``open`` lets requests
    pass and ``closed`` refuses them. ``recorded``: a call that cannot be recorded is refused.
    """

    enforce: bool = False
    attributes: dict[AttributeName, Attribute] = Field(default_factory=dict)
    ask: Literal["never", "open", "closed"] = "never"
    limits: tuple[RateLimit, ...] = ()
    recorded: bool = False

    @model_validator(mode="after")
    def _one_limit_of_each(self) -> Self:
        kinds = [(limit.by, limit.candidate) for limit in self.limits]
        if len(set(kinds)) != len(kinds):
            raise ValueError("a route has at most one limit by principal, team and route, and one candidate of each")
        return self

    @property
    def decided_by_asking(self) -> bool:
        """Whether the answer to a question for each request is what enforces the policies."""
        return self.recorded or (self.enforce and self.ask != "never")

    @property
    def shared_limits(self) -> tuple[RateLimit, ...]:
        """The limits that are in force and counted together over gateways."""
        return tuple(limit for limit in self.limits if limit.shared and not limit.candidate)


class Call(Value):
    """One call as it is recorded. Sizes are in bytes, ``micros`` is how long it took in microseconds.

    ``principal`` is empty for callers who do not say who they are; ``network`` (/24 or /64) and ``client`` (the
    first word of the user agent) are how their owners can be found. ``enforced`` and ``candidate`` are what each
    policy version says, None where there is none; ``refused_by`` is what the gateway refused it by.
    """

    id: str
    at: Moment
    route: Slug
    revision: int
    backend: str = ""
    principal: str = ANONYMOUS
    network: str
    client: str = ""
    method: str
    path: str
    status: int
    received: int = 0
    sent: int = 0
    micros: int = 0
    model: str | None = None
    purpose: str | None = None
    refused_by: Literal["", "token", "policy", "limit", "service"] = ""
    enforced: Decision | None = None
    candidate: Decision | None = None
    over: tuple[Literal["principal", "team", "route"], ...] = ()
