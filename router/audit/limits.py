"""Token buckets, and candidate rate limits simulated on the calls' own time: who would be refused, while nobody is.

A token bucket for each caller, team or route (RFC 2697 describes its like): it holds ``requests`` tokens, fills evenly
within ``seconds``, and a call that finds none is over the limit and takes none, as Envoy's local rate limit does.
"""

from collections.abc import Hashable, Mapping
from threading import Lock
from typing import Literal

from inventory.model import Access, Attribute, Call, RateLimit

MOST_BUCKETS = 100_000
"""Buckets that are kept at once. Beyond, those that were used longest ago are forgotten, which is to say full."""

_WHOLE = 1 - 1e-6
"""Tokens that count as one: moments are rounded, and one that came due just now must not be missed by that."""

TEAM = "team"
"""The attribute of a caller that names the team."""

By = Literal["principal", "team", "route"]


class Buckets:
    """Token buckets by name. A bucket that is not known is full."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._tokens: dict[Hashable, tuple[float, float]] = {}

    def wait(self, name: Hashable, limit: RateLimit, at: float) -> float:
        """Seconds from ``at``, in seconds of any one clock, until the bucket has a token; 0 where it has one."""
        tokens = self._filled(name, limit, at)[0]
        return 0.0 if tokens >= _WHOLE else (1 - tokens) * limit.seconds / limit.requests

    def take(self, name: Hashable, limit: RateLimit, at: float) -> bool:
        """Take a token where there is one. Whether there was."""
        tokens, now = self._filled(name, limit, at)
        self._tokens.pop(name, None)
        self._tokens[name] = (tokens - 1 if tokens >= _WHOLE else tokens, now)
        if len(self._tokens) > self._most:
            del self._tokens[next(iter(self._tokens))]
        return tokens >= _WHOLE

    def _filled(self, name: Hashable, limit: RateLimit, at: float) -> tuple[float, float]:
        tokens, last = self._tokens.get(name, (float(limit.requests), at))
        now = max(at, last)
        return min(float(limit.requests), tokens + (now - last) * limit.requests / limit.seconds), now


class Limiter:
    """The buckets of all candidate limits, of all gateways whose calls are recorded here. For several threads."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._buckets = Buckets(most)
        self._one_at_a_time = Lock()

    def over(
        self, call: Call, access: Access, attributes: Mapping[str, Attribute], gateway: str = ""
    ) -> tuple[By, ...]:
        """The candidate limits that a call exceeds. A gateway's calls are given in about the order they began in.

        What the gateway refused before it would have come to the limits counts for none.
        """
        if call.refused_by not in {"", "service"}:
            return ()
        at = call.at.timestamp()
        with self._one_at_a_time:
            return tuple([
                limit.by
                for limit in access.limits
                if limit.candidate
                and not self._buckets.take(
                    (call.route, "" if limit.shared else gateway, limit,
                     whose(limit.by, call.principal, call.network, attributes)),
                    limit, at,
                )
            ])  # fmt: skip


def whose(by: By, principal: str, network: str, attributes: Mapping[str, Attribute]) -> str:
    """Whose bucket a call takes from. Anonymous callers share one a network; callers without a team share one."""
    if by == "route":
        return ""
    if by == "principal":
        return principal or f"network {network}"
    team = attributes.get(TEAM, "")
    return team if isinstance(team, str) else ",".join(team)
