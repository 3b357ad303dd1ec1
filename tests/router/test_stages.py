from itertools import product

import pytest
from making import NOW, route

from inventory.model import Backend, Revision, Routing, Shadow
from router.stages import stage, stages


@pytest.mark.parametrize(("weight", "percent"), list(product([0, 1, 99, 100], [None, 0.0, 10.0])))
def test_a_stage_is_what_callers_get(weight: int, percent: float | None) -> None:
    backends = (
        Backend(name="origin", url="http://127.0.0.9:5000", weight=weight, endpoint="abc234"),
        Backend(name="replacement", url="http://127.0.0.9:8000", weight=100 - weight),
    )
    copied = "origin" if weight == 0 else "replacement"
    shadow = None if percent is None else Shadow(backend=copied, percent=percent)
    found = stage(route(backends=backends, shadow=shadow, endpoint="abc234"))
    if weight == 0:
        assert found is Routing.ENFORCED
    elif weight < 100:
        assert found is Routing.SPLIT
    else:
        assert found is (Routing.SHADOWED if percent else Routing.FRONTED)


def test_the_furthest_of_several_routes_counts() -> None:
    fronted = route("a", endpoint="abc234")
    split = route(
        "b",
        endpoint="abc234",
        backends=(
            Backend(name="origin", url="http://127.0.0.9:5000", weight=50, endpoint="abc234"),
            Backend(name="replacement", url="http://127.0.0.9:8000", weight=50),
        ),
    )
    ownerless = route("c", backends=(Backend(name="origin", url="http://127.0.0.9:5000", weight=100),))
    served = [
        Revision(route=spec.name, number=1, spec=spec, at=NOW, who="ana", why="x")
        for spec in (split, fronted, ownerless)
    ]
    assert stages(served) == stages(reversed(served)) == {"abc234": Routing.SPLIT}


@pytest.mark.parametrize(
    ("weight", "percent", "reached"),
    [(0, 0, None), (0, 10, Routing.SHADOWED), (50, 10, Routing.SPLIT), (100, 0, Routing.ENFORCED)],
)
def test_a_replacement_that_is_an_endpoint_itself_has_a_stage(
    weight: int, percent: float, reached: Routing | None
) -> None:
    backends = (
        Backend(name="origin", url="http://127.0.0.9:5000", weight=100 - weight, endpoint="abc234"),
        Backend(name="replacement", url="http://127.0.0.9:8000", weight=weight, endpoint="def567"),
    )
    shadow = Shadow(backend="replacement", percent=percent) if percent else None
    spec = route(backends=backends, shadow=shadow, endpoint="abc234")
    found = stages([Revision(route="iris", number=1, spec=spec, at=NOW, who="ana", why="x")])
    assert found.get("def567") is reached
