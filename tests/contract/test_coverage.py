"""What coverage rests on, on both databases: every authorised scope, and the last scan of each, however old."""

from making import NOW, ago, scan

from inventory.model import ScanStatus, Scope
from inventory.store import open_store


def test_a_scope_counts_though_its_scan_was_long_ago_or_never_was(database_url: str):
    with open_store(database_url) as store:
        for name in ("rare", "never"):
            store.scopes.save(Scope(name=name, targets=("10.9.0.0/24",), created_at=NOW))
        cut = scan(id="rare-cut", scope="rare", status=ScanStatus.INCOMPLETE, started_at=ago(days=300))
        whole = scan(id="rare-whole", scope="rare", started_at=ago(days=301), ended_at=ago(days=301))
        for one in (cut, whole, *(scan(id=f"{hour}", scope="often", started_at=ago(hours=hour)) for hour in range(5))):
            store.scans.save(one)
        assert [one.id for one in store.scans.latest(2)] == ["0", "1", "rare-cut", "rare-whole"]
        (complete,) = (one for one in store.coverage.metrics() if one.name == "complete")
        assert (complete.part, complete.whole) == (1, 3)
        assert store.coverage.report().coverage.metrics == store.coverage.metrics()
        whys = {gap.subject: gap.why for gap in store.coverage.scope_gaps()}
        assert set(whys) == {"rare", "never"}
        assert whys["never"] == "authorised, and no scan of it has ended"
