"""What every database promises of the record of calls."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from making import NOW, ago

from inventory.calls import CALLS, GENESIS, Recording
from inventory.model import Call, Decision, utc_now
from inventory.query import QueryError, parse
from inventory.store import Store, open_store
from inventory.store.calls import ReplacedError

YES, NO = Decision(allowed=True, policies=("p1",)), Decision(allowed=False, policies=("f1", "f2"), errors=("no team",))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def call(number: int = 1, **parts: object) -> Call:
    defaults = {
        "id": f"r{number}", "at": NOW - timedelta(seconds=100 - number), "route": "churn", "revision": 3,
        "principal": "https://idp|ana", "network": "10.0.0.0/24", "method": "POST", "path": "/predict", "status": 200,
    }  # fmt: skip
    return Call.model_validate(defaults | parts)


CALLS_OF_ALL_KINDS = [
    call(1, enforced=YES, candidate=NO, over=("principal", "team"), micros=900, model="Iris", received=5, sent=2**40),
    call(2, enforced=YES, candidate=YES, status=503, path="/Predict_%x", client="curl/8.0"),
    call(3, principal="", client="python-requests", refused_by="token", status=401, network="10.0.1.0/24"),
    call(4, route="iris", enforced=NO, refused_by="policy", status=403, purpose="training", over=("route",)),
    call(5, at=ago(days=3), candidate=NO),
]


class Recorder:
    """Appends as the recorder does."""

    def __init__(self, store: Store, gateway: str = "local") -> None:
        self.store, self.gateway, self.known = store, gateway, store.calls.recording(gateway)
        self.cursor = self.known.cursor if self.known else 0

    def append(self, *calls: Call, lost: int = 0) -> None:
        self.cursor += 10 * len(calls)
        then = Recording(self.gateway, "1:2", self.cursor, 0, 0, 7, NOW)
        self.known = self.store.calls.append(calls, then, after=self.known, lost=lost)


def tamper(url: str, statement: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        assert connection.execute(sa.text(statement)).rowcount > 0
    engine.dispose()


def test_calls_come_back_as_they_were(store: Store) -> None:
    Recorder(store).append(*CALLS_OF_ALL_KINDS)
    assert sorted(store.calls.list(), key=lambda one: one.id) == CALLS_OF_ALL_KINDS
    assert store.calls.count() == 5
    assert [one.id for one in store.calls.list(since=ago(hours=1), limit=2)] == ["r4", "r3"]
    assert [one.id for one in store.calls.list(until=ago(hours=1))] == ["r5"]


@pytest.mark.parametrize(
    "text",
    [
        "enforced:allow", "enforced:deny", "candidate:deny", "-candidate:*", "candidate:allow,deny",
        "status:503", "status:5*", "status>300", "micros>800", "sent>1000000", "over:*", "over:principal,*team*",
        "over:route", "principal:*ana", "-principal:*", "route:churn", "route:CHU*", "-route:iris", "path:/predict_%x",
        "path:*_*", "at<1d", "at>1d", "model:iris", "purpose:*", "client:curl*", "requests", "ana", "refused_by:token",
        "-refused_by:* enforced:allow candidate:deny", "network:10.0.1.0/24", "method:post", "revision:3",
    ],
)  # fmt: skip
def test_filters_select_in_sql_what_they_select_in_python(store: Store, text: str) -> None:
    calls = [*CALLS_OF_ALL_KINDS, call(6, at=utc_now() - timedelta(hours=2))]
    Recorder(store).append(*calls)
    query = parse(text, grammar=CALLS)
    expected = {one.id for one in calls if query.matches(one, utc_now())}
    assert {one.id for one in store.calls.list(text)} == expected
    assert store.calls.count(text) == len(expected)


def test_a_field_of_endpoints_is_none_of_calls(store: Store) -> None:
    with pytest.raises(QueryError, match=r"there is no field 'posture'; the fields are id, route, principal"):
        store.calls.list("posture:open")


def test_alike_calls_are_counted_together(store: Store) -> None:
    Recorder(store).append(*CALLS_OF_ALL_KINDS, *(call(10 + at, enforced=YES, candidate=NO) for at in range(7)))
    most, *others = store.calls.tallies()
    assert (most.principal, most.network, most.client, most.calls) == ("https://idp|ana", "", "", 7)
    assert (most.enforced, most.candidate) == (YES, NO)
    assert most.first_at == NOW - timedelta(seconds=90)
    [anonymous] = [one for one in others if not one.principal]
    assert (anonymous.network, anonymous.client, anonymous.refused_by) == ("10.0.1.0/24", "python-requests", "token")
    assert sum(one.calls for one in store.calls.tallies("route:churn")) == 11


def test_a_recorder_that_was_killed_goes_on_where_it_was(store: Store) -> None:
    one = Recorder(store)
    one.append(call(1), call(2), lost=3)
    other = Recorder(store)
    assert (other.known, other.cursor) == (one.known, 20)
    other.append(call(3))
    with pytest.raises(ReplacedError, match="recorded by somebody else"):
        one.append(call(3))
    assert [each.id for each in store.calls.list()] == ["r3", "r2", "r1"]
    assert store.calls.recordings() == [other.known]
    assert other.known is not None
    assert (other.known.recorded, other.known.lost, other.known.behind) == (3, 3, 7)


def test_the_chain_of_several_gateways_is_whole(store: Store) -> None:
    assert store.calls.verify() == (0, 0, 0, 0, 0, GENESIS, None, "")
    first, second = Recorder(store), Recorder(store, "second")
    for number in range(5):
        first.append(call(number), call(number + 10))
        second.append(call(number + 20), lost=1)
    first.append()
    checked = store.calls.verify()
    head = store.calls.head()
    assert head is not None
    assert checked == (10, 15, 5, 1, 10, head.digest, None, "")
    assert store.calls.verify((head.number, head.digest)).broken is None


@pytest.mark.parametrize(
    ("statement", "broken", "why"),
    [
        ("UPDATE call SET principal = 'eve' WHERE id = 'r3'", 3, "was changed"),
        ("UPDATE call SET number = 99 WHERE id = 'r3'", 3, "was changed"),
        ("DELETE FROM call WHERE id = 'r2'", 2, "had 1 calls, and 0 are there"),
        ("UPDATE call_batch SET lost = 0 WHERE number = 2", 2, "was changed"),
        ("UPDATE call_batch SET digest = previous WHERE number = 2", 2, "was changed"),
        ("DELETE FROM call_batch WHERE number = 1", 1, "batch 1 is missing"),
        ("DELETE FROM call_batch WHERE number = 3", 3, "batch 3 is missing"),
        ("DELETE FROM call_batch WHERE number = 5", 5, "1 of the last calls of the gateway local are missing"),
        ("DELETE FROM call_batch", 1, "5 of the last calls"),
        ("UPDATE call_batch SET previous = digest WHERE number = 4", 4, "does not follow"),
    ],
)
def test_the_first_batch_that_was_changed_is_found(
    store: Store, database_url: str, statement: str, broken: int, why: str
) -> None:
    recorder = Recorder(store)
    for number in range(1, 6):
        recorder.append(call(number), lost=1)
    tamper(database_url, statement)
    checked = store.calls.verify()
    assert (checked.broken, why in checked.why) == (broken, True), checked.why


def test_gateways_that_record_at_once_make_one_chain(store: Store) -> None:
    def record(gateway: str) -> None:
        recorder = Recorder(store, gateway)
        for number in range(8):
            recorder.append(call(number), call(number + 10))

    with ThreadPoolExecutor() as pool:
        list(pool.map(record, ["first", "second", "third"]))
    assert store.calls.verify()[:2] == (24, 48)
    assert store.calls.verify().broken is None


def test_a_chain_that_was_made_anew_is_told_by_a_digest_that_was_kept(store: Store) -> None:
    Recorder(store).append(call(1))
    assert "another one" in store.calls.verify((1, "0" * 64)).why
    assert store.calls.verify((7, "0" * 64)).broken == 2


def test_old_batches_go_whole_and_what_is_left_is_still_a_chain(store: Store, database_url: str) -> None:
    recorder = Recorder(store)
    for hours in (50, 40, 30, 20, 10):
        recorder.append(call(hours, at=ago(hours=hours)), call(hours + 1, at=ago(hours=hours - 8)))
    assert store.calls.prune(ago(hours=25), who="ana", why="30 days are enough") == 4
    assert store.calls.prune(ago(hours=25), who="ana", why="again") == 0
    checked = store.calls.verify()
    assert (checked.oldest, checked.head, checked.broken) == (3, 5, None)
    [change] = store.changes.list(subject="calls")
    assert (change.who, change.after) == ("ana", "up to batch 2; 4 calls of local")
    assert store.calls.prune(NOW, who="ana", why="all of it") == 4
    assert store.calls.verify().oldest == 5
    recorder.append(call(60))
    assert store.calls.verify().broken is None
    tamper(database_url, "DELETE FROM call_batch WHERE number = 5")
    assert store.calls.verify().broken == 5
