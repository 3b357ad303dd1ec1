"""Routes as code: what is written is read back, and what is applied leaves nothing to do."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from making import NOW, route

from inventory.model import Backend, Comparison, Revision, RouteSpec, Shadow
from router.errors import RouteError
from router.manifest import difference, parse, render
from router.observed import Observed
from router.plan import perform, reconcile

NAMES = ["a", "b", "c", "d"]
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)
weights = st.integers(0, 100)
shadows = st.none() | st.builds(
    Shadow, backend=st.just("replacement"), percent=st.sampled_from([0.0, 0.5, 12.5]), methods=st.just(("POST",))
)
paths = texts.map(lambda text: "$['" + text.replace("'", "") + "']")
comparisons = st.builds(Comparison, ignore=st.lists(paths, max_size=2).map(tuple))


def spec_of(name: str, weight: int, port: int, shadow: Shadow | None, comparison: Comparison) -> RouteSpec:
    backends = (
        Backend(name="origin", url=f"http://127.0.0.9:{port}/ml", weight=weight, endpoint="abc234"),
        Backend(name="replacement", url="https://models.example", weight=100 - weight),
    )
    shadow = shadow if weight else None
    return route(name, backends=backends, shadow=shadow, comparison=comparison, timeout_seconds=weight / 7)


specs = st.builds(spec_of, st.sampled_from(NAMES), weights, st.sampled_from([5000, 5001]), shadows, comparisons)
states = st.lists(specs, max_size=4).map(lambda found: {one.name: one for one in found})


@example({"iris": route("iris", comparison=Comparison(ignore=("$['\x85 \u2028 é']",)))})
@given(states)
def test_what_is_written_is_read_back(state: dict[str, RouteSpec]) -> None:
    assert {one.name: one for one in parse(render(state.values()))} == state


@given(states, states, st.booleans())
def test_edits_take_one_state_to_the_other(
    current: dict[str, RouteSpec], wanted: dict[str, RouteSpec], prune: bool
) -> None:
    after = dict(current)
    for edit in difference(current, wanted.values(), prune=prune):
        assert edit.before == current.get(edit.route)
        assert edit.action == "remove" or edit.details
        if edit.after is None:
            del after[edit.route]
        else:
            after[edit.route] = edit.after
    assert after == (wanted if prune else current | wanted)
    assert difference(after, wanted.values(), prune=prune) == ()


@given(states, states)
def test_what_was_applied_leaves_an_empty_plan(current: dict[str, RouteSpec], wanted: dict[str, RouteSpec]) -> None:
    def revisions(state: dict[str, RouteSpec], number: int) -> dict[str, Revision]:
        return {
            name: Revision(route=name, number=number, spec=spec, at=NOW, who="ana", why="x", change="k")
            for name, spec in state.items()
        }

    served = Observed(routes=revisions(current, 1))
    edits = difference(current, wanted.values())
    changed = {one.route: one.after for one in edits if one.after is not None}
    desired = served.routes | revisions(changed, 2)
    after = perform(reconcile(desired.values(), served), served)
    assert {name: one.spec for name, one in after.routes.items()} == current | wanted
    assert reconcile(desired.values(), after).actions == ()


def test_edits_name_fields_before_and_after() -> None:
    before = route("iris")
    backends = (
        before.backends[0].model_copy(update={"weight": 90}),
        before.backends[1].model_copy(update={"weight": 10}),
    )
    (edit,) = difference({"iris": before}, [before.model_copy(update={"backends": backends})])
    assert edit.details == ("backends.origin.weight: 100 → 90", "backends.replacement.weight: 0 → 10")


ROUTE = "{name: a, hosts: [a.test], backends: [{name: origin, url: 'http://127.0.0.1:1', weight: 100}]}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"^f.yaml holds no list named routes: `gnomon export` shows the form$"),
        ("[]", "no list named routes"),
        ("routes: {}", "no list named routes"),
        ("routes: [", r"f\.yaml is not YAML: line 1, column 10"),
        ("routes: []\nroutes: []", r"line 2, column 1: 'routes' is given twice"),
        ("routes: []\nroles: []", "'roles' is not known here"),
        ("routes: [3]", "route number 1: Input should be a valid dictionary"),
        (f"routes: [{ROUTE.replace('weight', 'wieght')}]", r"f\.yaml: route a: backends\.0\.wieght: Extra inputs"),
        (f"routes: [{ROUTE.replace('100', '90')}]", "route a: the weights of a route's backends must add up to 100"),
        (f"routes: [{ROUTE}, {ROUTE}]", "two routes named a"),
        (f"routes: [{ROUTE}, {ROUTE.replace('name: a', 'name: b')}]", "the routes a and b both want the host a.test"),
        ("routes: !!python/object:os.system []", "not YAML"),
        ("[" * 5000, "not YAML: it is nested too deeply"),
    ],
)
def test_a_document_that_cannot_be_read_is_one_sentence_with_the_place(text: str, said: str) -> None:
    with pytest.raises(RouteError, match=said) as caught:
        parse(text, "f.yaml")
    assert "\n" not in str(caught.value)


def test_a_host_that_another_route_has_is_refused_before_anything_is_written() -> None:
    other = route("b", hosts=("A.localhost",))
    with pytest.raises(RouteError, match=r"both want the host a\.localhost"):
        difference({"b": other}, [route("a")])
    assert [edit.action for edit in difference({"b": other}, [route("a")], prune=True)] == ["create", "remove"]
