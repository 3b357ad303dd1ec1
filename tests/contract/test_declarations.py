"""What every database promises of declarations."""

from collections.abc import Iterator

import pytest
from making import NOW, ago, scan

from inventory.model import Declaration, Ruling, ScanStatus
from inventory.store import Store, open_store

SOURCE = "catalogue:/lab/approved.csv"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def declared(key: str, **parts: object) -> Declaration:
    defaults = {"source": SOURCE, "key": key, "name": key, "scope": "list", "scan": "s1", "at": NOW}
    return Declaration.model_validate(defaults | parts)


def keys(store: Store, **options: bool) -> list[str]:
    return [one.declaration.key for one in store.declarations.list(**options)]


def test_what_is_read_again_is_one_and_the_newest_counts(store: Store) -> None:
    first, later = declared("iris", at=ago(days=2)), declared("iris", at=NOW, owner="ana", scan="s2")
    for _ in range(2):
        store.declarations.append([later])
        store.declarations.append([first, declared("churn"), first])
    kept = {one.declaration.key: one for one in store.declarations.list()}
    assert set(kept) == {"iris", "churn"}
    assert kept["iris"].declaration == later
    assert kept["iris"].last_seen == NOW


def test_only_a_complete_scan_of_the_same_scope_withdraws(store: Store) -> None:
    store.declarations.append([declared("iris", at=ago(days=1)), declared("other", scope="more", at=ago(days=1))])
    again = scan(id="s2", scope="list", ports=(), targets=(SOURCE,))
    for status in (ScanStatus.INCOMPLETE, ScanStatus.FAILED):
        assert store.declarations.settle(again.model_copy(update={"status": status})) == 0
    assert store.declarations.settle(again) == 1
    assert keys(store) == ["other"]
    assert keys(store, withdrawn=True) == ["iris", "other"]
    assert store.declarations.settle(again) == 0
    store.declarations.append([declared("iris", scan="s3")])
    assert keys(store) == ["iris", "other"]
    (back,) = (one for one in store.declarations.list() if one.declaration.key == "iris")
    assert (back.first_seen, back.withdrawn_at) == (ago(days=1), None)


def test_of_a_scan_that_is_not_complete_only_the_registries_that_were_read_to_their_end_count(store: Store) -> None:
    other = "catalogue:/lab/other.csv"
    store.declarations.append([declared("iris", at=ago(days=1)), declared("iris", source=other, at=ago(days=1))])
    again = scan(id="s2", scope="list", ports=(), targets=(SOURCE, other), status=ScanStatus.INCOMPLETE, whole=(other,))
    assert store.declarations.settle(again) == 1
    (left,) = store.declarations.list()
    assert left.declaration.source == SOURCE
    assert (store.declarations.count(SOURCE), store.declarations.count(other)) == (1, 0)


def test_what_a_source_says_is_no_more_is_withdrawn_unless_it_was_read_later(store: Store) -> None:
    store.declarations.append([declared("iris", at=ago(days=1)), declared("churn", at=NOW), declared("fraud", at=NOW)])
    assert store.declarations.withdraw(SOURCE, ["iris", "churn", "nosuch"], ago(hours=1)) == 1
    assert keys(store) == ["churn", "fraud"]
    assert store.declarations.withdraw(SOURCE, [], NOW) == 0
    assert store.declarations.withdraw_all(SOURCE, "ana", "moved", NOW) == 2
    (change,) = store.changes.list(SOURCE)
    assert (change.action, change.who, change.why, change.before) == ("withdraw", "ana", "moved", "2 declarations")
    with pytest.raises(LookupError, match="declares nothing: `gnomon declared list` shows"):
        store.declarations.withdraw_all(SOURCE, "ana", "moved", NOW)


def test_many_at_once(store: Store) -> None:
    store.declarations.append(declared(f"k{number}") for number in range(2500))
    assert len(keys(store)) == 2500


def test_a_persons_word_is_kept_and_on_record(store: Store) -> None:
    def ruling(verdict: str, why: str) -> Ruling:
        return Ruling(source=SOURCE, key="iris", endpoint="abc234", verdict=verdict, who="ana", why=why, at=NOW)

    with pytest.raises(LookupError, match="declares no 'iris': `gnomon declared list` shows what is declared"):
        store.declarations.rule(ruling("confirmed", "asked"))
    store.declarations.append([declared("iris")])
    store.declarations.rule(ruling("confirmed", "asked"))
    store.declarations.rule(ruling("rejected", "asked again"))
    assert [(one.verdict, one.why) for one in store.declarations.rulings()] == [("rejected", "asked again")]
    newest, oldest = store.changes.list("abc234")
    assert (newest.action, newest.who, newest.why) == ("reject", "ana", "asked again")
    assert (newest.before, oldest.before) == (oldest.after, None)
