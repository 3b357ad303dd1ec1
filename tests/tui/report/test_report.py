"""The report of a real store: what it says is what the store says, and it needs nothing from anywhere."""

from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from making import LISTENER, ago, identified, observation, route, scan

from inventory.model import Account, ApiKey, Loss, Postured, Scope, Seal, Verdict, utc_now
from inventory.store import Store, open_store

HOSTILE = "<script>fetch('http://192.0.2.1')</script>"


@pytest.fixture
def store(database_url: str) -> Store:
    """One model behind a route that can be gone around, one in the open with a hostile title, and a lossy scan."""
    now = utc_now()
    account = Account(planned=10, answered=2, refused=6, lost=2)
    with open_store(database_url) as opened:
        opened.scopes.save(Scope(name="lab", targets=("127.0.0.0/24",), created_at=now))
        opened.scans.save(scan(started_at=now, ended_at=now, account=account, loss=Loss(asked=100, unanswered=25)))
        other = LISTENER.model_copy(update={"port": 8888})
        opened.observations.append([
            observation(identified(), at=now),
            observation(Postured(posture="open", decided_by="GET /"), at=now),
            observation(identified(product="fastapi", title=HOSTILE), listener=other, at=now),
        ])  # fmt: skip
        found = opened.endpoints.refold([LISTENER, other], now)
        known = next(one for one in found if one.product == "flask")
        opened.triage.apply([known.id], owner=f"team {HOSTILE}", who="ana", why=HOSTILE)
        opened.routes.put(route(endpoint=known.id), who="ana", why="adopt")
        opened.seals.put(
            Seal(endpoint=known.id, route="iris", at=now, who="ana", why="x", vantage="desk",
                 verdict=Verdict.BYPASS, reason="10.0.0.5:8000 answered 200"),
            known.routing,
        )  # fmt: skip
        opened.keys.add(
            ApiKey(id="k" * 8, digest="0" * 64, owner="ana", created_at=now, expires_at=now + timedelta(days=1)),
            who="ana", why="for now",
        )  # fmt: skip
        yield opened


def test_it_says_what_the_store_says(gnomon, store: Store, tmp_path: Path):
    file = tmp_path / "report.html"
    done = gnomon("report", "--out", str(file), "--title", "Week 48 & <all>")
    assert done.code == 0, done.err
    assert str(file) in done.err
    document = file.read_text(encoding="utf-8")
    said = unescape(document)
    assert "Week 48 &amp; &lt;all&gt;" in document
    for metric in store.coverage.metrics():
        assert f"{metric.part:,} of {metric.whole:,} {metric.unit}" in said
    for one in store.pages.worst(10):
        assert one.url in said
    assert "bypassed, " in said
    assert "from desk: 10.0.0.5:8000 answered 200" in said
    assert "25.00 %" in said
    assert "No registry, gateway or list of approved endpoints was read" in said
    assert "kkkkkkkk" in said
    assert "0" * 64 not in document


def test_nothing_that_a_host_or_a_person_said_is_markup_and_nothing_is_fetched(gnomon, store: Store):
    document = gnomon("report").out
    assert "<script" not in document
    assert "team &lt;script&gt;" in document
    assert "default-src 'none'" in document
    for word in (' src="', ' href="', "url(", "@import"):
        assert word not in document


def test_an_empty_inventory_claims_nothing(gnomon):
    document = gnomon("report").out
    assert "There is no route: nothing is behind the gateway." in document
    assert "100 %" not in document
    assert "unknown" in document


def test_a_period_leaves_out_what_is_older(gnomon, store: Store):
    old = scan(id="old", scope="older", started_at=ago(days=400), ended_at=ago(days=400))
    store.scans.save(old)
    assert "older" not in gnomon("report").out
    assert "older" in gnomon("report", "--since", "900d").out
    wrong = gnomon("report", "--since", "soon")
    assert wrong.code == 2


def test_a_folder_that_is_not_there_leaves_nothing_behind(gnomon, store: Store, tmp_path: Path):
    done = gnomon("report", "--out", str(tmp_path / "none" / "report.html"))
    assert done.code in {1, 2}
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()
