"""The protocol machine against a simulated node that checks the order in which things arrive."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from router.gateways.envoy.sync import BATCH, CLUSTER, ROUTE, SCOPE, NodeSync, Request, Resource, Response, Target

World = Mapping[str, tuple[int, frozenset[str]]]
"""Routes by name: a version, and the clusters they name."""


def target_of(world: World) -> Target:
    clusters = {name for _, needs in world.values() for name in needs}
    return {
        CLUSTER: {name: Resource("1", b"") for name in clusters},
        ROUTE: {name: Resource(f"{version} {sorted(needs)}", b"", needs) for name, (version, needs) in world.items()},
        SCOPE: {f"{name}.test": Resource("1", name.encode(), needs) for name, (_, needs) in world.items()},
    }


class Node:
    """What Envoy does with responses; it fails the test when a route names a cluster that is not there."""

    def __init__(self, target: Target, refuses: frozenset[str] = frozenset()) -> None:
        self.target = target
        self.sync = NodeSync(target)
        self.has: dict[str, dict[str, str]] = {CLUSTER: {}, ROUTE: {}, SCOPE: {}}
        self.needs: dict[str, frozenset[str]] = {}
        self.refuses = refuses
        self.subscribed: set[str] = set()
        self.sent: list[Response] = []

    def connect(self, *, again: bool = False) -> None:
        if again:
            self.sync = NodeSync(self.target)
            self.sync.complete = True
        self.sync.receive(Request(CLUSTER, initial=self.has[CLUSTER]))
        self.sync.receive(Request(SCOPE, initial=self.has[SCOPE]))
        if self.subscribed:
            self.sync.receive(Request(ROUTE, tuple(sorted(self.subscribed)), initial=self.has[ROUTE]))

    def change(self, target: Target) -> None:
        for kind in self.target:
            touched = {*self.target[kind], *target[kind]}
            self.target[kind].clear()
            self.target[kind].update(target[kind])
            self.sync.touch(kind, touched)

    def settle(self, order: int = 0) -> None:
        for _ in range(100):
            responses = list(self.sync.responses())
            if not responses:
                return
            for response in responses[order % len(responses) :] + responses[: order % len(responses)]:
                self.take(response)
        raise AssertionError("the exchange does not end")

    def take(self, response: Response, sent: Target | None = None) -> None:
        """``sent`` is the target when the response was made, where it has changed since."""
        self.sent.append(response)
        bad = [name for name in response.names if name in self.refuses]
        for name in response.names:
            if name in bad:
                continue
            resource = (sent or self.target)[response.type][name]
            if response.type == ROUTE:
                assert resource.needs <= set(self.has[CLUSTER]), "a route came before its clusters"
                self.needs[name] = resource.needs
            self.has[response.type][name] = resource.version
        for name in response.removed:
            self.remove(response.type, name)
        error = f"no: {bad}" if bad else None
        self.sync.receive(Request(response.type, nonce=response.nonce, error=error))
        if response.type == SCOPE:
            self.follow_scopes()

    def remove(self, kind: str, name: str) -> None:
        self.has[kind].pop(name, None)
        if kind == CLUSTER:
            serving = [route for route in self.has[ROUTE] if f"{route}.test" in self.has[SCOPE]]
            assert not [route for route in serving if name in self.needs[route]], "a cluster went before its routes"

    def follow_scopes(self) -> None:
        wanted = {name.removesuffix(".test") for name in self.has[SCOPE]}
        new, old = wanted - self.subscribed, self.subscribed - wanted
        self.subscribed = wanted
        for name in old:
            self.has[ROUTE].pop(name, None)
        if new or old:
            self.sync.receive(Request(ROUTE, tuple(sorted(new)), tuple(sorted(old))))


clusters = st.frozensets(st.sampled_from(["k1", "k2", "k3", "k4"]), min_size=1)
worlds = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(st.integers(1, 3), clusters))


@settings(max_examples=300)
@given(st.lists(worlds, min_size=1, max_size=5), st.integers(0, 3), st.booleans())
def test_a_node_gets_all_of_every_target_in_a_safe_order(targets: list[World], order: int, again: bool) -> None:
    node = Node(target_of({}))
    node.sync.complete = True
    node.connect()
    for world in targets:
        node.change(target_of(world))
        node.settle(order)
        if again:
            node.connect(again=True)
            node.settle(order)
        assert node.has == {kind: {name: one.version for name, one in names.items()}
                            for kind, names in node.target.items()}  # fmt: skip


@settings(max_examples=300)
@given(worlds, worlds, worlds)
def test_a_target_that_changes_while_answers_are_under_way_arrives_all_the_same(
    before: World, between: World, after: World
) -> None:
    node = Node(target_of({}))
    node.sync.complete = True
    node.connect()
    node.change(target_of(before))
    node.settle()
    node.change(target_of(between))
    while responses := list(node.sync.responses()):
        sent = {kind: dict(names) for kind, names in node.target.items()}
        node.change(target_of(after))
        for response in responses:
            node.take(response, sent)
    assert node.has == {kind: {name: one.version for name, one in names.items()}
                        for kind, names in node.target.items()}  # fmt: skip


@given(worlds)
def test_a_node_that_has_it_all_is_sent_nothing(world: World) -> None:
    node = Node(target_of(world))
    node.connect()
    node.settle()
    node.sent.clear()
    node.connect(again=True)
    node.settle()
    assert not any(response.names or response.removed for response in node.sent)
    assert node.sent == [] or not world


@given(worlds, worlds)
def test_nothing_is_removed_until_all_is_known(before: World, after: World) -> None:
    node = Node(target_of(before))
    node.connect()
    node.settle()
    node.change(target_of(after))
    node.settle()
    assert not any(response.removed for response in node.sent)
    assert set(node.has[CLUSTER]) >= set(target_of(before)[CLUSTER])


def test_what_is_refused_is_known_by_name_even_in_a_batch_and_stops_nothing_else() -> None:
    world = {f"r{number}": (1, frozenset({f"k{number}"})) for number in range(BATCH + 40)}
    node = Node(target_of(world), refuses=frozenset({"k7", "r9"}))
    node.sync.complete = True
    node.connect()
    node.settle()
    assert node.sync.refusal(CLUSTER, "k7", "1")
    assert node.sync.refusal(ROUTE, "r9", "1 ['k9']")
    assert set(world) - set(node.has[ROUTE]) == {"r7", "r9"}
    assert "r7.test" not in node.has[SCOPE]
    assert node.sync.acknowledged(ROUTE, "r8") == "1 ['k8']"
    assert node.sync.refusal(ROUTE, "r8", "1 ['k8']") is None


def test_a_node_that_has_nothing_learns_of_all_hosts_at_once_so_that_it_serves_all_or_none() -> None:
    world = {f"r{number}": (1, frozenset({"k"})) for number in range(BATCH + 40)}
    node = Node(target_of(world))
    node.sync.complete = True
    node.connect()
    assert not node.sync.caught_up()
    node.settle()
    scopes = [one for one in node.sent if one.type == SCOPE]
    assert [len(one.names) for one in scopes] == [len(world)]
    assert node.sync.caught_up()
    node.change(target_of({**world, "late": (1, frozenset({"k"}))}))
    assert not node.sync.caught_up()
    node.settle()
    assert node.sync.caught_up()


def test_hosts_of_which_one_is_refused_are_sent_again_one_by_one() -> None:
    node = Node(target_of({f"r{number}": (1, frozenset({"k"})) for number in range(BATCH)}), frozenset({"r7.test"}))
    node.sync.complete = True
    node.connect()
    node.settle()
    assert len(node.has[SCOPE]) == BATCH - 1
    assert node.sync.refusal(SCOPE, "r7.test", "1")


def test_a_refused_version_is_not_sent_again_and_the_next_one_is() -> None:
    node = Node(target_of({"a": (1, frozenset({"k1"}))}))
    node.connect()
    node.settle()
    node.refuses = frozenset({"a"})
    node.change(target_of({"a": (2, frozenset({"k1"}))}))
    node.settle()
    sent = len(node.sent)
    node.change(target_of({"a": (2, frozenset({"k1"}))}))
    node.settle()
    assert len(node.sent) == sent
    node.refuses = frozenset()
    node.change(target_of({"a": (3, frozenset({"k1"}))}))
    node.settle()
    assert node.has[ROUTE] == {"a": "3 ['k1']"}
    assert node.sync.refusal(ROUTE, "a", "2 ['k1']") is None


def test_routes_wait_until_the_names_of_new_clusters_are_resolved() -> None:
    node = Node(target_of({"a": (1, frozenset({"k1"}))}))
    node.target[CLUSTER]["k1"] = Resource("1", b"", resolves=True)
    node.connect()
    node.settle()
    assert node.sync.warming == {"k1"}
    assert node.has[SCOPE] == {}
    node.sync.warming.clear()
    node.settle()
    assert node.has[ROUTE] == {"a": "1 ['k1']"}


def test_a_node_that_gets_nothing_is_told_so_once() -> None:
    node = Node(target_of({}))
    node.connect()
    node.settle()
    assert [(one.type, one.names, one.removed) for one in node.sent] == [(CLUSTER, (), ()), (SCOPE, (), ())]


def test_strange_words_of_a_node_are_ignored() -> None:
    node = Node(target_of({}))
    node.sync.receive(Request("type.googleapis.com/other", ("x",)))
    node.sync.receive(Request(CLUSTER, nonce="99", error="what?"))
    assert not any(response.names or response.removed for response in node.sync.responses())
    node.sync.receive(Request(CLUSTER, nonce="no such nonce"))
    assert list(node.sync.responses()) == []
