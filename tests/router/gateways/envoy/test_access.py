"""What a route's callers are held to, as what Envoy's filters are told."""

import itertools
from typing import Any

import pytest
from making import route

from inventory.model import Access, RateLimit
from router.gateways.envoy.access import ASK, LIMIT, RBAC, per_route
from router.governance import Held

KINDS = list(itertools.product((False, True), ("never", "open", "closed"), (False, True), (None, False, True)))


def told(enforce: bool, ask: Any, recorded: bool, shared: bool | None) -> dict[str, Any]:
    limits = () if shared is None else (RateLimit(by="route", requests=10, candidate=False, shared=shared),)
    access = Access(enforce=enforce, ask=ask, recorded=recorded, limits=limits)
    return per_route(route("iris", access=access), Held(gateways=5))


@pytest.mark.parametrize(("enforce", "ask", "recorded", "shared"), KINDS)
def test_policies_are_decided_ahead_or_by_asking_and_limits_are_counted_here_always(
    enforce: bool, ask: str, recorded: bool, shared: bool | None
) -> None:
    made = told(enforce, ask, recorded, shared)
    asked = recorded or (enforce and ask != "never")
    assert (RBAC in made) == (enforce and not asked), "what is decided by asking is not decided ahead, and the reverse"
    ways = [kind for kind, name in ASK.items() if name in made]
    if recorded:
        assert ways == ["closed"]
    elif asked:
        assert ways == [ask]
    else:
        assert ways == (["open"] if shared else [])
    assert (LIMIT in made) == (shared is not None)
    if shared is not None:
        (descriptor,) = made[LIMIT]["descriptors"]
        assert descriptor["token_bucket"]["max_tokens"] == (10 if shared else 2)


def test_a_shared_candidate_asks_nothing() -> None:
    access = Access(limits=(RateLimit(by="route", requests=10, shared=True),))
    made = per_route(route("iris", access=access), Held())
    assert not made.keys() & {*ASK.values(), LIMIT}
