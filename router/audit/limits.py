"""Candidate rate limits, simulated on the calls' own time: who would be refused, while nobody is. Pure.

A token bucket for each caller, team or route (RFC 2697 describes its like): it holds ``requests`` tokens, fills evenly
within ``seconds``, and a call that finds none is over the limit and takes none, as Envoy's local rate limit does.
"""

from collections.abc import Mapping
from typing import Literal

from inventory.model import Access, Attribute, Call, RateLimit

MOST_BUCKETS = 100_000
"""Buckets that are kept at once. Beyond, those that were used longest ago are forgotten, which is to say full."""

TEAM = "team"
"""The attribute of a caller that names the team."""

By = Literal["principal", "team", "route"]


class Limiter:
    """The buckets of all candidate limits of one gateway."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: dict[tuple[str, RateLimit, str], tuple[float, float]] = {}

    def over(self, call: Call, access: Access, attributes: Mapping[str, Attribute]) -> tuple[By, ...]:
        """The candidate limits that a call exceeds. Calls are given in about the order in which they began.

        What the gateway refused before it would have come to the limits counts for none.
        """
        if call.refused_by not in {"", "service"}:
            return ()
        at = call.at.timestamp()
        exceeded = (
            limit.by
            for limit in access.limits
            if limit.candidate and not self._takes(call.route, limit, whose(limit.by, call, attributes), at)
        )
        return tuple(exceeded)

    def _takes(self, route: str, limit: RateLimit, who: str, at: float) -> bool:
        key = route, limit, who
        tokens, last = self._buckets.pop(key, (float(limit.requests), at))
        now = max(at, last)
        tokens = min(float(limit.requests), tokens + (now - last) * limit.requests / limit.seconds)
        there = tokens >= 1
        self._buckets[key] = (tokens - 1 if there else tokens, now)
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return there


def whose(by: By, call: Call, attributes: Mapping[str, Attribute]) -> str:
    """Whose bucket a call takes from. Anonymous callers share one a network; callers without a team share one."""
    if by == "route":
        return ""
    if by == "principal":
        return call.principal or f"network {call.network}"
    team = attributes.get(TEAM, "")
    return team if isinstance(team, str) else ",".join(team)
