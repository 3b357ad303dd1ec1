"""One contract for every database: the same suite on SQLite and on a real PostgreSQL."""

import select as waiting
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import LISTENER, NOW, ago, identified, observation, observations, route, scan
from sqlalchemy import create_engine, select, text

from inventory.fold import fold
from inventory.lifecycle import TransitionError
from inventory.listing import ORDERS, CursorError, Order, place_key
from inventory.model import (
    Account,
    Exposed,
    GatewayStatus,
    Governance,
    Listener,
    Presence,
    Refusal,
    Routing,
    Sample,
    ScanStatus,
    Schedule,
    Scheme,
    Scope,
    ShadowEvidence,
    Traffic,
    utc_now,
)
from inventory.query import QueryError, parse, value_of
from inventory.store import Store, StoreError, open_store, paging
from inventory.store.facets import facet_id, facet_values
from inventory.store.tables import FacetRow

SCOPE = Scope(name="lab", targets=("127.0.0.0/24",), exclude=("127.0.0.7",), ports="80,5000", created_at=NOW)
EXAMPLES = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def see(store: Store, *seen) -> list:
    store.observations.append(seen)
    return store.endpoints.refold({o.listener for o in seen}, NOW)


def test_scopes_schedules_and_scans_come_back_as_they_went(store: Store):
    schedule = Schedule(name="nightly", scope="lab", cron="0 3 * * *", next_run_at=NOW)
    run = scan(account=Account(planned=5, answered=5))
    store.scopes.save(SCOPE)
    store.schedules.save(schedule)
    store.scans.save(run.model_copy(update={"status": ScanStatus.RUNNING}))
    store.scans.save(run)
    assert (store.scopes.get("lab"), store.schedules.get("nightly"), store.scans.get("s1")) == (
        SCOPE,
        schedule,
        run,
    )
    assert (store.scopes.list(), store.schedules.list(), store.scans.list()) == ([SCOPE], [schedule], [run])
    assert store.scopes.remove("lab")
    assert store.schedules.list() == []
    assert not store.scopes.remove("lab")
    assert store.scans.list(scope="other") == []
    newest, oldest = store.changes.list(subject="scope:lab")
    assert (oldest.action, oldest.after, newest.action, newest.before) == (
        "authorise", SCOPE.model_dump_json(), "withdraw", SCOPE.model_dump_json(),
    )  # fmt: skip


def test_scans_are_listed_newest_first(store: Store):
    for number in range(4):
        store.scans.save(scan(id=f"s{number}", started_at=ago(hours=number)))
    assert [s.id for s in store.scans.list(limit=3)] == ["s0", "s1", "s2"]


def test_the_same_observation_twice_is_one(store: Store):
    seen = [observation(Exposed(scheme=Scheme.HTTP)), observation(identified())]
    assert store.observations.append(seen) == 2
    assert store.observations.append([*seen, observation(identified(version="2"))]) == 1
    assert len(store.observations.of(LISTENER)) == 3


@EXAMPLES
@given(st.lists(observations, min_size=1, max_size=8))
def test_the_stored_endpoints_are_the_fold_of_everything_stored(store: Store, seen):
    see(store, *seen)
    everything = store.observations.of(LISTENER)
    laid_over = {"id", "presence", "risk", "risk_reasons"}
    stored = {e.url: e.model_dump(exclude=laid_over) for e in store.endpoints.list()}
    assert stored == {e.url: e.model_dump(exclude=laid_over) for e in fold(everything)}
    before = store.endpoints.list()
    store.endpoints.refold([LISTENER], NOW)
    assert store.endpoints.list() == before


@EXAMPLES
@given(st.lists(observations, min_size=1, max_size=6))
def test_what_is_taken_in_is_kept_and_folded_in_one_step(store: Store, seen):
    here = [one.model_copy(update={"listener": Listener(site="taken", address="127.0.0.9", port=5000 + n % 3)})
            for n, one in enumerate(seen)]  # fmt: skip
    before = sum(len(store.observations.of(one)) for one in {each.listener for each in here})
    added = store.endpoints.take_in(here, utc_now())
    kept = [one for listener in {each.listener for each in here} for one in store.observations.of(listener)]
    assert len(kept) - before == added
    assert {one.id for one in here} <= {one.id for one in kept}
    taken = store.endpoints.list("site:taken")
    store.endpoints.refold({one.listener for one in here}, utc_now())
    assert store.endpoints.list("site:taken") == taken
    assert store.endpoints.take_in(here, utc_now()) == 0
    assert store.observations.seen_by(here[0].scan) >= {
        (one.listener.address, one.listener.port) for one in here if one.scan == here[0].scan
    }
    assert store.observations.seen_by("no such scan") == frozenset()


def test_what_cannot_be_folded_is_not_kept_either(store: Store):
    seen = [observation(identified(), listener=Listener(site="torn", address="127.0.0.9", port=1))]
    with patch("inventory.store.folding.refold", side_effect=StoreError("the disk is full")), pytest.raises(StoreError):
        store.endpoints.take_in(seen, utc_now())
    assert store.observations.of(seen[0].listener) == []


FILTERS = [
    "", "flask", "kind:notebook", "-kind:notebook", "product:f*", "owner:*", "-owner:*", "risk>40",
    "seen<3h", "seen>3h", "new<2h", "model:yes", "model:no", "posture:open,protected", "title:a_b",
    "title:a%b", "port<5001",
    'title:"A[b"', "url:*/ml/iris", "port:5*", "confidence>0.5", "127.0.0", "scheme:https -version:*",
]  # fmt: skip


@EXAMPLES
@given(st.lists(observations, max_size=6), st.sampled_from(FILTERS), st.sampled_from(FILTERS))
def test_a_filter_selects_in_sql_what_it_selects_in_python(store: Store, seen, one: str, two: str):
    titles = [observation(identified(title=t), listener=Listener(site="t", address="127.0.0.2", port=n + 1))
              for n, t in enumerate(["a_b", "a%b", "axb", "A[b"])]  # fmt: skip
    see(store, *seen, *titles)
    everything = store.endpoints.list()
    query = parse(f"{one} {two}")
    expected = [e.id for e in everything if query.matches(e, utc_now())]
    assert [e.id for e in store.endpoints.list(f"{one} {two}")] == expected
    assert store.endpoints.count(f"{one} {two}") == len(expected)


def test_listing_pages_and_mistakes(store: Store):
    for port in range(1, 6):
        see(
            store,
            observation(identified(), listener=Listener(site="default", address="127.0.0.9", port=port)),
        )
    first = store.endpoints.page(limit=3)
    assert [e.port for e in first.rows] == [1, 2, 3]
    rest = store.endpoints.page(limit=3, after=first.after)
    assert ([e.port for e in rest.rows], rest.after) == ([4, 5], None)
    with pytest.raises(QueryError):
        store.endpoints.list("colour:red")
    for wrong in ("x", "", "bnVsbA", "é"):
        with pytest.raises(CursorError):
            store.endpoints.page(after=wrong)


SORT_KEYS = {"endpoint": None, "seen": "last_seen", "new": "first_seen"}


@EXAMPLES
@given(
    st.lists(observations, max_size=8),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(
        [
            "",
            "kind:notebook",
            "port<5003",
            "127.0.0.9",
            "address:127.0.0.*",
            "id:*a*",
            "owner:* seen<9w",
            "port:5001 seen<9w -owner:*",
            "kind:notebook new<9w address:127.*",
            "127.0.0.9 kind:notebook",
            "-flask ana",
        ]
    ),
    st.sampled_from([0, 20_000]),
)
def test_the_pages_of_any_order_and_filter_are_the_whole_sorted_list(
    store: Store, seen, by: str, descending: bool, limit: int, filter_text: str, few: int
):
    here = [one.model_copy(update={"listener": Listener(site="t", address="127.0.0.9", port=5000 + n % 4)})
            for n, one in enumerate(seen)]  # fmt: skip
    see(store, *here)
    order = Order(by, descending=descending)
    paged, after = [], None
    with patch.object(paging, "FEW", few), patch.object(paging, "LISTED", few):
        while True:
            part = store.endpoints.page(filter_text, order=order, limit=limit, after=after)
            paged += part.rows
            after = part.after
            if after is None:
                break
    query = parse(filter_text)
    expected = [e for e in store.endpoints.list() if query.matches(e, utc_now())]

    def place(e):
        return place_key(e.address, e.port, e.id)

    if by in SORT_KEYS:
        expected.sort(key=lambda e: (getattr(e, SORT_KEYS[by] or "port"), place(e)), reverse=descending)
    else:
        expected.sort(key=place)
        expected.sort(key=lambda e: (value_of(e, by) is None, value_of(e, by) or 0), reverse=descending)
    assert [e.id for e in paged] == [e.id for e in expected]


def test_what_changed_since_a_version_is_told_once(store: Store):
    start = store.version()
    (one,) = see(store, observation(identified()))
    (two,) = see(store, observation(identified(), listener=Listener(site="t", address="127.0.0.2", port=1)))
    changed = store.endpoints.changed(start)
    assert ({e.id for e in changed.endpoints}, changed.version) == ({one.id, two.id}, store.version())
    store.triage.apply([two.id], owner="ana", who="bo", why="x")
    later = store.endpoints.changed(changed.version)
    assert [(e.id, e.owner) for e in later.endpoints] == [(two.id, "ana")]
    assert store.endpoints.changed(later.version).endpoints == ()
    assert store.endpoints.changed(start, limit=1).more


@EXAMPLES
@given(st.lists(st.lists(observations, min_size=1, max_size=4), max_size=3))
def test_facets_count_what_is_there(store: Store, batches):
    for batch in batches:
        see(store, *batch)
    with store._database.read() as session:
        rows = session.connection().execute(select(FacetRow.__table__)).mappings().all()
        facets = dict(session.connection().execute(text("SELECT id, facet FROM endpoint")).all())
    everything = store.endpoints.list()
    assert all(facets[one.id] == facet_id(facet_values(one)) for one in everything)
    counted = Counter(facets.values())
    assert {row["id"]: row["count"] for row in rows} == counted


def test_an_exemption_ends_by_itself_when_it_is_looked_at(store: Store):
    (one,) = see(store, observation(identified()))
    end = utc_now() + timedelta(days=1)
    store.triage.apply([one.id], governance=Governance.EXEMPT, exempt_until=end, who="bo", why="x")
    assert store.endpoints.renew(end - timedelta(seconds=1)) <= 1
    assert store.endpoints.get(one.id).governance is Governance.EXEMPT
    assert store.endpoints.renew(end) == 1
    assert store.endpoints.get(one.id).governance is Governance.UNREVIEWED
    assert store.endpoints.renew(end) == 0


def test_an_endpoint_is_found_by_the_beginning_of_its_id(store: Store):
    (endpoint,) = see(store, observation(identified()))
    assert store.endpoints.get(endpoint.id[:5]) == endpoint
    for wrong in ("", "zzz", "%"):
        with pytest.raises(LookupError, match="no endpoint"):
            store.endpoints.get(wrong)


def test_absence_counts_in_complete_scans_only(store: Store):
    see(
        store,
        observation(identified(), at=ago(hours=5)),
        observation(Exposed(scheme=Scheme.HTTP), at=ago(hours=5)),
    )
    cut = scan(id="cut", started_at=ago(hours=4), status=ScanStatus.INCOMPLETE)
    store.scans.save(cut)
    store.endpoints.settle(cut, NOW)
    assert store.endpoints.list()[0].presence is Presence.SEEN
    for hours, expected in ((3, Presence.STALE), (2, Presence.GONE)):
        complete = scan(id=f"s-{hours}", started_at=ago(hours=hours))
        store.scans.save(complete)
        store.endpoints.settle(complete, NOW)
        assert store.endpoints.list()[0].presence is expected
    see(store, observation(Exposed(scheme=Scheme.HTTP), scan="back"))
    assert store.endpoints.list()[0].presence is Presence.SEEN


def test_decisions_survive_every_fold_and_are_on_record(store: Store):
    (endpoint,) = see(store, observation(identified()))
    store.triage.apply([endpoint.id], owner="ana", who="bo", why="asked her")
    store.triage.apply([endpoint.id], governance=Governance.BLOCKED, who="bo", why="leaks")
    store.endpoints.set_routing(endpoint.id, Routing.SPLIT)
    (again,) = see(store, observation(identified(version="2"), scan="s2"))
    assert (again.owner, again.governance, again.routing) == ("ana", Governance.BLOCKED, Routing.SPLIT)
    newest, oldest = store.changes.list(subject=endpoint.id)
    assert (newest.who, newest.action, newest.why, oldest.action) == ("bo", "decide", "leaks", "assign")
    assert newest.before == oldest.after
    (freed,) = store.triage.apply([endpoint.id], owner="", who="bo", why="she left")
    assert freed.owner is None


def test_a_refused_decision_changes_nothing(store: Store):
    (endpoint,) = see(store, observation(identified()))
    version = store.version()
    with pytest.raises(LookupError):
        store.triage.apply([endpoint.id, "none"], owner="ana", who="bo", why="x")
    with pytest.raises(TransitionError):
        store.triage.apply([endpoint.id], governance=Governance.EXEMPT, who="bo", why="x")
    assert store.endpoints.list()[0].owner is None
    assert (store.changes.list(), store.version()) == ([], version)


def test_routes_are_revisions(store: Store):
    first = store.routes.put(route(), who="ana", why="adopt")
    second = store.routes.put(route(timeout_seconds=5), who="ana", why="slower")
    store.routes.put(route("other"), who="ana", why="adopt")
    assert [first.number, second.number] == [1, 2]
    assert [r.route for r in store.routes.list()] == ["iris", "other"]
    assert store.routes.get("iris") == second
    assert store.routes.remove("iris", who="ana", why="done").spec is None
    assert [r.route for r in store.routes.list()] == ["other"]
    assert [r.number for r in store.routes.history("iris")] == [3, 2, 1]
    with pytest.raises(LookupError, match="no route 'iris'"):
        store.routes.remove("iris", who="ana", why="again")
    assert [c.action for c in store.changes.list(subject="route:iris")] == ["release", "route", "route"]


@pytest.mark.parametrize("asked", ["routes.since", "version"])
def test_what_is_asked_past_the_session_fails_as_all_else_does(database_url: str, asked: str):
    with open_store(database_url) as store:
        ask = partial(store.routes.since, 0) if asked == "routes.since" else store.version
        ask()
        engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text(f"DROP TABLE {'revision' if asked == 'routes.since' else 'clock'}"))
        engine.dispose()
        with pytest.raises(StoreError):
            ask()


def test_reports_and_counts_come_back(store: Store):
    status = GatewayStatus(id="local", address="a:1", healthy=True, heartbeat_at=NOW, revisions={"iris": 2})
    evidence = ShadowEvidence(route="iris", primary="a", shadow="b", pairs=5, agreed=4, updated_at=NOW)
    store.gateways.report(status)
    version = store.version()
    store.gateways.beat(GatewayStatus(id="local", address="a:1", healthy=True, heartbeat_at=ago(seconds=-1)))
    assert store.gateways.heartbeats() == {"local": ago(seconds=-1)}
    assert store.version() == version, "a heartbeat wakes nobody"
    assert store.gateways.list()[0].revisions == {"iris": 2}
    store.shadow.save(evidence)
    store.shadow.save_traffic([Traffic(route="iris", backend="a", requests=7)])
    assert store.version() == version + 2
    assert store.gateways.list()[0].heartbeat_at == ago(seconds=-1)
    assert store.shadow.of("iris") == [evidence]
    assert store.shadow.traffic("iris")[0].requests == 7


def test_a_gateway_tells_of_the_routes_that_changed(store: Store):
    why = Refusal(error="no such field", number=4)
    store.gateways.report(
        GatewayStatus(id="local", address="a:1", healthy=True, heartbeat_at=NOW, revisions={"iris": 2, "churn": 1})
    )
    store.gateways.tell("local", {"iris": 3, "churn": None}, {})
    store.gateways.tell("local", {"wine": None}, {"wine": why})
    (status,) = store.gateways.list()
    assert (status.revisions, status.refused) == ({"iris": 3}, {"wine": why})
    assert store.gateways.of("wine")[0].refused == {"wine": why}
    assert store.gateways.of("wine")[0].revisions == {}
    store.gateways.tell("local", {"wine": 5}, {})
    assert store.gateways.of("wine")[0].refused == {}


def test_samples_are_kept_for_a_while_and_bounded(store: Store):
    def sample(backend: str = "a", **parts: float) -> Sample:
        return Sample(route="iris", backend=backend, at=ago(**parts), seconds=15, requests=4, latency={5: 3, 7: 1})

    ages = [{"seconds": 0}, {"hours": 3}, {"hours": 3, "seconds": 15}, {"hours": 3, "minutes": 20}, {"days": 8}]
    version = store.version()
    store.traffic.append(sample(**parts) for parts in ages)
    store.traffic.append([sample("b", hours=3)])
    assert store.version() == version, "a sample wakes nobody"
    for _ in range(2):
        store.traffic.thin(NOW)
        kept = store.traffic.series("iris", ago(days=30))
        assert [(one.backend, one.requests, one.seconds) for one in kept] == [
            ("a", 4, 600), ("a", 4, 600), ("a", 4, 600), ("b", 4, 600), ("a", 4, 15),
        ]  # fmt: skip
    assert store.traffic.series("iris", ago(minutes=1)) == [sample()]
    assert store.traffic.series("wine", ago(days=30)) == []
    store.traffic.thin(NOW, most=2)
    assert [one.backend for one in store.traffic.series("iris", ago(days=30))] == ["a", "b", "a"]
    store.shadow.save_traffic([Traffic(route="iris", backend="a", requests=7, latency={5: 7})])
    assert store.traffic.totals() == store.shadow.traffic("iris")


def test_a_change_of_several_routes_is_one_or_none(store: Store):
    one, two = route("one"), route("two")
    first = store.routes.change({"one": one, "two": two}, who="ana", why="both")
    assert len({revision.change for revision in first} - {""}) == 1
    with pytest.raises(LookupError, match="'two' is at revision 1 by now, not 0"):
        store.routes.change({"one": None, "two": None}, who="bo", why="x", after={"one": 1, "two": 0})
    assert [revision.number for revision in store.routes.list()] == [1, 1]
    cursor = store.routes.since(0).cursor
    assert store.routes.since(cursor) == ([], cursor)
    (removed,) = store.routes.change({"one": None}, who="bo", why="done", after={"one": 1})
    assert removed.change == ""
    assert store.routes.since(cursor).revisions == [removed]
    assert [revision.route for revision in store.routes.list()] == ["two"]
    assert store.routes.revision("one", 1) == first[0]
    assert store.routes.revision("one", 9) is None


def test_a_write_rings_the_bell_of_everyone_who_listens(database_url: str):
    with open_store(database_url) as listening, open_store(database_url) as writing:
        bells = [bell for bell in (listening.bell(), listening.bell()) if bell is not None]
        assert len(bells) == 2
        try:
            for number in range(3):
                writing.routes.put(route("iris"), who="ana", why=str(number))
                for bell in bells:
                    assert waiting.select([bell], [], [], 10)[0]
                    bell.heard()
            version = writing.version()
            writing.shadow.save(ShadowEvidence(route="iris", primary="a", shadow="b", updated_at=NOW))
            writing.shadow.save_traffic([Traffic(route="iris", backend="a", requests=7)])
            writing.gateways.tell("local", {"iris": 3, "churn": None}, {})
            assert writing.version() == version + 3, "who asks learns of counts, and of what gateways have"
            assert not waiting.select(bells, [], [], 0)[0], "and nobody is woken for them"
        finally:
            for bell in bells:
                bell.close()


def test_a_lease_has_one_holder_until_it_ends(store: Store):
    assert store.leases.acquire("scan:lab", "a", 60)
    assert store.leases.acquire("scan:lab", "a", 0)
    assert store.leases.acquire("scan:lab", "b", 60)
    assert not store.leases.acquire("scan:lab", "a", 60)
    assert (store.leases.holder("scan:lab"), store.leases.holder("scan:other")) == ("b", None)
    store.leases.release("scan:lab", "a")
    assert not store.leases.acquire("scan:lab", "a", 60)
    store.leases.release("scan:lab", "b")
    assert store.leases.acquire("scan:lab", "a", 60)


def test_many_writers_lose_nothing(database_url: str):
    with open_store(database_url) as one, open_store(database_url) as two:
        before = one.version()

        def write(store: Store, site: str) -> None:
            for port in range(1, 21):
                see(
                    store,
                    observation(identified(), listener=Listener(site=site, address="127.0.0.1", port=port)),
                )

        threads = [threading.Thread(target=write, args=(s, n)) for s, n in ((one, "a"), (two, "b"), (one, "c"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.endpoints.count() == 60
        assert two.version() == before + 120


def test_writers_that_meet_at_one_listener_lose_neither_sightings_nor_decisions(database_url: str):
    stores = [open_store(database_url) for _ in range(3)]
    (known,) = see(stores[0], observation(identified()))

    def scanning(store: Store, name: str) -> None:
        for number in range(8):
            see(store, observation(identified(version=f"{number}"), scan=f"{name}{number}", at=ago(hours=-number)))

    def deciding(store: Store) -> None:
        for number in range(8):
            store.triage.apply([known.id], owner=f"owner-{number}", who="bo", why=f"{number}")

    work = [(scanning, stores[0], "a"), (scanning, stores[1], "b"), (deciding, stores[2])]
    threads = [threading.Thread(target=do, args=arguments) for do, *arguments in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one,) = stores[0].endpoints.list()
    assert (one.version, one.owner, one.last_seen) == ("7", "owner-7", ago(hours=-7))
    assert len(stores[1].observations.of(LISTENER)) == 17
    assert [change.why for change in stores[1].changes.list(known.id)] == [f"{n}" for n in reversed(range(8))]
    assert [p for p in stores[0].upkeep.check() if "presence" not in p.detail and "risk" not in p.detail] == []
    for store in stores:
        store.close()
