"""Which names belong to which route, where some share a host by paths."""

import pytest
from making import NOW, route

from inventory.model import Revision
from router import manifest
from router.errors import RouteError
from router.observed import Observed
from router.plan import reconcile


def revision(name: str, host: str, path: str = "") -> Revision:
    spec = route(name, hosts=(host,), path=path)
    return Revision(route=name, number=1, spec=spec, at=NOW, who="ana", why="x")


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (("h", "/a"), ("h", "/b"), ""),
        (("h", "/a"), ("h", "/a/b"), ""),
        (("h", "/a"), ("H", "/a"), "the path h/a belongs to the route a"),
        (("h", ""), ("h", "/a"), "the whole host h belongs to the route a"),
        (("h", "/a"), ("h", ""), "paths of the host h belong to other routes, such as a"),
        (("h", ""), ("i", "/a"), ""),
    ],
)
def test_a_host_is_one_routes_or_paths_of_it_are(first: tuple[str, str], second: tuple[str, str], why: str) -> None:
    one, other = revision("a", *first), revision("b", *second)
    plan = reconcile([one, other], Observed(routes={"a": one}, rejected={}))
    assert len(plan.refused) == bool(why)
    assert all(why in error for error in plan.refused.values())
    specs = [found.spec for found in (one, other) if found.spec is not None]
    if why:
        with pytest.raises(RouteError):
            manifest.check(specs)
    else:
        assert plan.refused == {}
        manifest.check(specs)


def test_a_path_goes_out_and_comes_back_as_yaml() -> None:
    spec = revision("a", "h", "/models/iris").spec
    assert spec is not None
    text = manifest.render([spec])
    assert "path: /models/iris" in text
    assert manifest.parse(text, "f.yaml") == (spec,)
