"""Pure: what a gateway is to enforce of all that was decided about callers. Made by ``router.governor``.

A gateway enforces this by itself, without asking gnomon: whose tokens it believes, which tokens no longer, and who
may call which route.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from pydantic import Field

from inventory.model import Revocation, Value


class Trusted(Value):
    """One issuer, with its public keys (a JWKS as JSON text). ``own``: tokens that gnomon gives in exchange.

    ``subject`` and ``team`` are the paths of the claims that hold them, with dots for nesting. ``requires`` are claims
    that must have one of these values.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    keys: str
    subject: str = "sub"
    team: str | None = None
    leeway_seconds: int = 60
    requires: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    own: bool = False


class RouteRule(NamedTuple):
    """Who may call a route: what callers get who are not known, and the ids of those who get the opposite."""

    default_allowed: bool
    exceptions: frozenset[str] = frozenset()


NOBODY = RouteRule(default_allowed=False)
"""What holds for a route that enforces policies while nothing is known of them."""


class Governance(Value):
    """What one gateway enforces. ``rules`` are of the routes that enforce policies, by name.

    ``gateways`` is how many share the limits of rates: each has an equal part. ``certificates``: callers may prove who
    they are by one.
    """

    trusted: tuple[Trusted, ...] = ()
    revoked: tuple[Revocation, ...] = ()
    rules: dict[str, RouteRule] = Field(default_factory=dict)
    gateways: int = Field(default=1, ge=1)
    certificates: bool = False

    def of(self, route: str) -> "Held":
        """What is particular to one route."""
        return Held(self.rules.get(route, NOBODY), self.gateways, bool(self.trusted), self.certificates)

    def kept(self) -> str:
        """As JSON text, for the last good configuration."""
        return self.model_dump_json()

    @classmethod
    def read(cls, text: str) -> Self:
        """What ``kept`` wrote. ValueError where it is not that."""
        return cls.model_validate_json(text)


class Held(NamedTuple):
    """What a route's callers are held to beside its specification."""

    rule: RouteRule = NOBODY
    gateways: int = 1
    tokens: bool = False
    certificates: bool = False


def split(principal: str) -> tuple[str, str]:
    """An id of a principal as issuer and subject. Only tokens have both: keys and certificates have no issuer."""
    issuer, bar, subject = principal.partition("|")
    return (issuer, subject) if bar else ("", principal)


def changed(before: Governance, after: Governance) -> frozenset[str]:
    """The routes whose callers are held to something else than before. ``ALL`` where every route is."""
    if (before.gateways, before.certificates, bool(before.trusted)) != (
        after.gateways,
        after.certificates,
        bool(after.trusted),
    ):
        return frozenset({ALL})
    names: Mapping[str, Any] = {**before.rules, **after.rules}
    return frozenset(name for name in names if before.rules.get(name) != after.rules.get(name))


ALL = "*"


def losing(before: Mapping[str, RouteRule], after: Mapping[str, RouteRule], principals: Iterable[str]) -> set[str]:
    """Who may no longer call a route that they could call before. A route that is new took nothing from anybody."""
    pairs = [(before[route], rule) for route, rule in after.items() if route in before and before[route] != rule]
    return {who for who in principals if any(allows(old, who) and not allows(new, who) for old, new in pairs)}


def allows(rule: RouteRule, principal: str) -> bool:
    """Whether a rule lets a caller in."""
    return rule.default_allowed != (principal in rule.exceptions)
