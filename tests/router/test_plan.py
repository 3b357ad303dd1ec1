from hypothesis import given
from hypothesis import strategies as st
from making import NOW

from inventory.model import Revision, RouteSpec
from router.observed import Observed, Rejection
from router.plan import Limits, Step, hosts_of, perform, reconcile

NAMES = ["a", "b", "c", "d"]


def revision(name: str, number: int = 1, host: str | None = None, port: int = 5000, weight: int = 100) -> Revision:
    backends = (
        {"name": "origin", "url": f"http://127.0.0.9:{port}", "weight": weight},
        {"name": "replacement", "url": "http://127.0.0.9:8000", "weight": 100 - weight},
    )
    spec = RouteSpec.model_validate({"name": name, "hosts": (host or f"{name}.test",), "backends": backends})
    return Revision(route=name, number=number, spec=spec, at=NOW, who="ana", why="a test")


revisions = st.builds(
    revision,
    st.sampled_from(NAMES),
    st.integers(1, 3),
    st.sampled_from([None, "shared.test", "SHARED.test"]),
    st.sampled_from([5000, 5001]),
    st.sampled_from([0, 50, 100]),
)


def by_route(found: list[Revision]) -> dict[str, Revision]:
    return {one.route: one for one in found}


def without_collisions(found: list[Revision]) -> dict[str, Revision]:
    """What a gateway can serve: no host twice."""
    kept: dict[str, Revision] = {}
    hosts: set[str] = set()
    for name, one in by_route(found).items():
        if not hosts & set(hosts_of(one.spec)):
            kept[name] = one
            hosts |= set(hosts_of(one.spec))
    return kept


changes = st.sampled_from(["", "", "k1", "k2"])
revisions = st.builds(lambda one, change: one.model_copy(update={"change": change}), revisions, changes)
many = st.lists(revisions, max_size=6)
rejections = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Rejection, number=st.integers(1, 3), error=st.just("no")), max_size=2
)
states = st.builds(Observed, routes=many.map(without_collisions), rejected=rejections)
desires = many.map(lambda found: list(by_route(found).values()))


@given(states)
def test_equal_states_give_an_empty_plan(observed: Observed) -> None:
    same = observed.model_copy(update={"rejected": {}})
    assert reconcile(same.routes.values(), same).actions == ()


@given(desires, states)
def test_after_a_plan_nothing_is_left_to_do(desired: list[Revision], observed: Observed) -> None:
    after = perform(reconcile(desired, observed), observed)
    assert reconcile(desired, after).actions == ()


@given(desires, states)
def test_every_plan_can_be_undone(desired: list[Revision], observed: Observed) -> None:
    plan = reconcile(desired, observed)
    assert perform(plan.inverse(), perform(plan, observed)) == observed
    back = plan.inverse().inverse()
    assert [(one.step, one.route, one.before, one.after, one.backend) for one in back.actions] == [
        (one.step, one.route, one.before, one.after, one.backend) for one in plan.actions
    ]


@given(desires, states)
def test_backends_are_made_ready_before_and_let_go_after(desired: list[Revision], observed: Observed) -> None:
    for plan in (reconcile(desired, observed), reconcile(desired, observed).inverse()):
        steps = [list(Step).index(action.step) for action in plan.actions]
        warm, retire = list(Step).index(Step.WARM), list(Step).index(Step.RETIRE)
        for route_name in plan.routes:
            own = [step for step, action in zip(steps, plan.actions, strict=True) if action.route == route_name]
            assert own == sorted(own, key=lambda step: (step != warm, step == retire))


@given(desires, states)
def test_no_host_is_ever_served_by_two_routes(desired: list[Revision], observed: Observed) -> None:
    after = perform(reconcile(desired, observed), observed)
    hosts = [host for one in after.routes.values() for host in hosts_of(one.spec)]
    assert len(hosts) == len(set(hosts))


@given(desires, states)
def test_what_was_desired_is_served_or_its_refusal_explained(desired: list[Revision], observed: Observed) -> None:
    plan = reconcile(desired, observed)
    after = perform(plan, observed)
    for one in desired:
        assert after.routes.get(one.route) == one or plan.refused[one.route]
    assert all(action.reason for action in plan.actions)


@given(desires, states, st.integers(1, 3))
def test_limits_bound_each_plan_and_all_of_them_arrive(desired: list[Revision], observed: Observed, most: int) -> None:
    state, plans = observed, 0
    while (plan := reconcile(desired, state, Limits(routes=most))).actions:
        alone = {one.change for one in plan.actions}
        assert len(plan.routes) <= most or (len(alone) == 1 and alone != {""})
        state, plans = perform(plan, state), plans + 1
        assert plans < 20
    # A route that goes may free a host for one that had been refused: the end is settled all the same.
    assert reconcile(desired, state).actions == ()


def test_a_weight_moves_no_backend() -> None:
    observed = Observed(routes={"a": revision("a", 1, weight=100)})
    plan = reconcile([revision("a", 2, weight=50)], observed)
    assert [action.step for action in plan.actions] == [Step.SERVE]
    assert plan.actions[0].reason == "revision 1 is served, 2 is desired: a test"


def test_a_backend_that_moves_is_made_ready_first_and_its_old_place_let_go_last() -> None:
    observed = Observed(routes={"a": revision("a", 1, port=5000)})
    plan = reconcile([revision("a", 2, port=5001)], observed)
    assert [action.step for action in plan.actions] == [Step.WARM, Step.SERVE, Step.RETIRE]
    assert [action.backend.port for action in plan.actions if action.backend] == [5001, 5000]


def test_a_refused_revision_waits_for_a_newer_one() -> None:
    observed = Observed(
        routes={"a": revision("a", 1)}, rejected={"a": Rejection(number=2, error="the gateway says no")}
    )
    plan = reconcile([revision("a", 2)], observed)
    assert plan.actions == ()
    assert plan.refused == {"a": "the gateway refused revision 2: the gateway says no"}
    assert reconcile([revision("a", 3)], observed).changes() == {"a": revision("a", 3)}


def test_the_route_that_is_served_keeps_its_host() -> None:
    observed = Observed(routes={"b": revision("b", host="shared.test")})
    plan = reconcile([revision("a", host="Shared.test"), revision("b", host="shared.test")], observed)
    assert plan.refused == {"a": "the host shared.test belongs to the route b"}
    assert plan.actions == ()


def test_a_removed_route_is_withdrawn_before_its_backends_go() -> None:
    observed = Observed(routes={"a": revision("a")})
    plan = reconcile([], observed)
    assert [action.step for action in plan.actions] == [Step.WITHDRAW, Step.RETIRE, Step.RETIRE]
    removed = Revision(route="a", number=2, spec=None, at=NOW, who="ana", why="x")
    assert reconcile([removed], observed).changes() == plan.changes() == {"a": None}


def test_one_refusal_refuses_its_whole_change_removals_included() -> None:
    observed = Observed(
        routes={"b": revision("b"), "c": revision("c")}, rejected={"a": Rejection(number=1, error="no")}
    )
    removed = Revision(route="b", number=2, spec=None, at=NOW, who="ana", why="x", change="k")
    changed = [revision("a").model_copy(update={"change": "k"}), revision("c", 2).model_copy(update={"change": "k"})]
    plan = reconcile([*changed, removed, revision("d")], observed)
    assert plan.changes() == {"d": revision("d")}
    assert plan.refused["b"] == "it was to change together with a, and the gateway refused revision 1: no"
    assert set(plan.refused) == {"a", "b", "c"}


def test_a_change_is_never_divided_by_a_limit() -> None:
    together = [revision(name).model_copy(update={"change": "k"}) for name in "bcd"]
    plan = reconcile([revision("a"), *together], Observed(), Limits(routes=2))
    assert (plan.routes, plan.postponed) == (("a",), 3)
    plan = reconcile(together, Observed(), Limits(routes=2))
    assert (set(plan.routes), plan.postponed) == (set("bcd"), 0)
    assert plan.together("b") == frozenset("bcd")
