"""What a signature file says, validated: how a product is recognised, judged and left unharmed."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from inventory.model import Kind, Posture, Slug, Value
from scanner.exchange import Method, Request
from scanner.predicates import Condition, Pattern, compiled

_ON = re.compile(r"^(any|canary|root|(GET|HEAD|OPTIONS) /[^\s#]*)$")


def _names_a_request(text: str) -> str:
    if not _ON.match(text):
        raise ValueError(f"{text!r} must be any, canary, root, or a method and path such as 'GET /api'")
    return text


On = Annotated[str, AfterValidator(_names_a_request)]
"""Which answer is looked at: of one request, of the canary, of the root page, or any of them."""


class Layer(StrEnum):
    """How much a signature explains: a product beats the framework it is written in, which beats a server.

    An interface is a way to be asked that applications of every kind share: it tells what one that shows nothing else
    is for, and names it where no framework does.
    """

    PRODUCT = "product"
    FRAMEWORK = "framework"
    INTERFACE = "interface"
    SERVER = "server"


class Model(StrEnum):
    """Whether the product answers inference over HTTP: by its nature, never, or as its routes tell."""

    ALWAYS = "always"
    NEVER = "never"
    ROUTES = "routes"


class Signal(Value):
    """What one answer proves. ``weight`` is in nats of log-odds; ``otherwise`` counts where it is not so."""

    on: On
    when: Condition
    weight: float
    otherwise: float = 0.0
    proves: str = Field(min_length=8)


class VersionRule(Value):
    """Where the version is told: a JSON path, or a pattern with one group over a header or the body."""

    on: On
    json_: str | None = Field(default=None, alias="json")
    header: str | None = None
    pattern: Pattern | None = None


class PostureRule(Value):
    """The answer that decides the posture. Rules are tried in their order."""

    on: On
    when: Condition
    verdict: Posture = Field(alias="is")


class RouteRule(Value):
    """Where inference routes are told: every value at ``json`` (the keys of an object) fills ``{}``."""

    on: On
    json_: str = Field(alias="json")
    route: Annotated[str, Field(pattern=r"^[A-Z]+ /?\S*\{\}\S*$")]
    strip: str = ""


class Alike(Value):
    """A product that is easily taken for this one, and what tells them apart."""

    id: Slug
    tell: str = Field(min_length=8)


class Never(Value):
    """Requests that must not be sent to any host: a pattern over the path without its query.

    Where ``once`` is given, the rule holds for a host from the first answer on that meets it, and where
    ``until`` is given, up to the first answer to that request that meets ``proof``.
    """

    path: Pattern
    methods: tuple[Method, ...] = ("GET", "HEAD", "OPTIONS")
    because: str = Field(min_length=8)
    once: Condition | None = None
    until: On | None = None
    proof: Condition | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.until is None) != (self.proof is None):
            raise ValueError("until and proof are given together")
        return self

    def covers(self, request: Request) -> bool:
        """Whether the request is one that this rule is about, on the host or under an application's base."""
        if request.method not in self.methods:
            return False
        targets = {request.path.partition("?")[0], (request.relative or request.path).partition("?")[0]}
        return any(compiled(self.path).search(target) for target in targets)


class Signature(Value):
    """One product. Field by field in docs/signatures.md."""

    id: Slug
    name: str
    layer: Layer = Layer.PRODUCT
    kind: Kind
    model: Model = Model.NEVER
    about: str = Field(min_length=8)
    ports: tuple[int, ...] = ()
    stacks: tuple[Slug, ...] = ()
    refines: tuple[Slug, ...] = ()
    alike: tuple[Alike, ...] = ()
    signals: tuple[Signal, ...] = Field(min_length=1)
    version: tuple[VersionRule, ...] = ()
    posture: tuple[PostureRule, ...] = ()
    posture_note: str = ""
    routes: tuple[Annotated[str, Field(pattern=r"^[A-Z]+ /\S*$")], ...] = ()
    routes_from: tuple[RouteRule, ...] = ()
    never: tuple[Never, ...] = ()
    documents: tuple[Annotated[str, Field(pattern=r"^/")], ...] = ()
    options: Literal["answers", "unknown"] = "unknown"
    needs: tuple[str, ...] = ()
    source: str = Field(min_length=3)

    @property
    def requests(self) -> tuple[str, ...]:
        """Every request that the file may ask for, in its order, each once."""
        named = [signal.on for signal in self.signals]
        named += [rule.on for rules in (self.posture, self.version, self.routes_from) for rule in rules]
        return tuple(dict.fromkeys(on for on in named if on not in {"any", "canary", "root"}))

    def conditions(self) -> Iterator[Condition]:
        """Every condition of the file on an answer."""
        for rules in (self.signals, self.posture):
            yield from (rule.when for rule in rules)
        for rule in self.never:
            yield from (when for when in (rule.once, rule.proof) if when is not None)
