"""Looking at what a change concerns finds what looking at everything finds."""

from hypothesis import given
from hypothesis import strategies as st
from making import NOW

from inventory.model import Revision, RouteSpec
from router.catalogue import Catalogue
from router.observed import Observed, Rejection
from router.plan import hosts_of, reconcile

NAMES = ["a", "b", "c", "d", "e"]


def revision(name: str, number: int, host: str | None, change: str, removed: bool) -> Revision:
    backend = {"name": "origin", "url": "http://127.0.0.9:5000", "weight": 100, "endpoint": f"id-{name}"}
    spec = RouteSpec.model_validate({"name": name, "hosts": (host or f"{name}.test",), "backends": (backend,)})
    return Revision(
        route=name, number=number, spec=None if removed else spec, at=NOW, who="ana", why="x", change=change
    )


revisions = st.builds(
    revision,
    st.sampled_from(NAMES),
    st.integers(1, 3),
    st.sampled_from([None, "one.test", "TWO.test"]),
    st.sampled_from(["", "k1", "k2"]),
    st.booleans(),
)
desires = st.lists(revisions, max_size=8).map(lambda found: list({one.route: one for one in found}.values()))
rejections = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Rejection, number=st.integers(1, 3), error=st.just("no"))
)


def servable(found: list[Revision]) -> dict[str, Revision]:
    kept: dict[str, Revision] = {}
    for one in found:
        taken = {host for other in kept.values() for host in hosts_of(other.spec)}
        if one.spec is not None and not taken & set(hosts_of(one.spec)):
            kept[one.route] = one
    return kept


def catalogue_of(desired: list[Revision], observed: Observed) -> Catalogue:
    made = Catalogue()
    made.observe(NAMES, observed)
    made.desire(desired)
    return made


@given(desires, desires.map(servable), rejections, st.sets(st.sampled_from(NAMES)))
def test_a_part_is_planned_as_the_whole_is(
    desired: list[Revision], served: dict[str, Revision], rejected: dict[str, Rejection], touched: set[str]
) -> None:
    observed = Observed(routes=served, rejected=rejected)
    made = catalogue_of(desired, observed)
    around = made.around(touched)
    assert touched <= around
    whole, part = reconcile(desired, observed), reconcile(*made.part(around))
    assert part.actions == tuple(action for action in whole.actions if action.route in around)
    assert part.refused == {route: why for route, why in whole.refused.items() if route in around}


@given(desires, st.lists(desires.map(servable), min_size=1, max_size=4))
def test_what_is_told_piece_by_piece_is_what_was_told_last(
    desired: list[Revision], served: list[dict[str, Revision]]
) -> None:
    made = Catalogue()
    for one in served:
        made.desire(desired)
        made.observe(NAMES, Observed(routes=one))
    assert made.served == served[-1]
    assert {one.route for one in made.serving([f"id-{name}" for name in NAMES])} == set(served[-1])
    assert made.around(["a"]) == catalogue_of(desired, Observed(routes=served[-1])).around(["a"])
