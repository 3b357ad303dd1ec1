"""``gnomon audit``: the record on the command line."""

import csv
import io
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from calling import append_calls, call_of_now

from inventory.model import Decision, PrincipalKind, utc_now
from inventory.store import open_store

YES, NO = Decision(allowed=True, policies=("teams",)), Decision(allowed=False, errors=("no team",))


@pytest.fixture
def recorded(database_url: str) -> str:
    """Three calls, one of them long ago, and something lost."""
    with open_store(database_url) as store:
        append_calls(store, [call_of_now(1, enforced=YES, candidate=NO, micros=1500, path="/\x1b[2J")])
        append_calls(store, [call_of_now(2, at=utc_now() - timedelta(days=3))])
        append_calls(store, [call_of_now(3, principal="", client="curl/8", status=401, refused_by="token")], lost=4)
    return database_url


def test_calls_in_every_format(gnomon, recorded: str):
    table = gnomon("audit")
    assert table.code == 0
    assert "anonymous 10.0.0.0/24 curl/8" in table.out
    assert "\x1b" not in table.out
    assert table.err.splitlines()[0] == "2 of 2 calls in 1d"
    assert "gateway local: 4 calls were lost" in table.err
    rows = json.loads(gnomon("audit", "candidate:deny", "enforced:allow", "--format", "json").out)
    assert [(one["id"], one["enforced"], one["enforced_by"], one["candidate_errors"]) for one in rows] == [
        ("r1", "allow", ["teams"], ["no team"])
    ]
    rows = list(csv.DictReader(io.StringIO(gnomon("audit", "-f", "csv", "--since", "7d", "--", "-status:401").out)))
    assert [one["id"] for one in rows] == ["r1", "r2"]
    assert gnomon("audit", "--limit", "1").err.splitlines()[0] == "1 of 2 calls in 1d"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("audit", "posture:open"), "there is no field 'posture'"),
        (("audit", "--since", "soon"), "'soon' is not an age"),
        (("audit", "--known", "1:ab"), "--known is for --verify"),
        (("audit", "--verify", "--known", "1:ab"), "'1:ab' is not a batch and its digest"),
        (("audit", "--verify", "route:x"), "leave the filter"),
        (("audit", "--changes", "route:x"), "--changes takes no filter"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(gnomon, arguments: tuple[str, ...], said: str):
    ran = gnomon(*arguments)
    assert (ran.code, ran.out, said in ran.err) == (2, "", True), ran.err


def test_whether_the_record_is_whole(gnomon, recorded: str):
    ran = gnomon("audit", "--verify")
    assert (ran.code, ran.err) == (0, "the record is whole\n")
    known = ran.out.split("known")[1].strip()
    assert gnomon("audit", "--verify", "--known", known).code == 0
    other = gnomon("audit", "--verify", "--known", f"3:{'0' * 64}", "-f", "json")
    assert (other.code, json.loads(other.out)["broken"]) == (1, 3)
    engine = sa.create_engine(recorded)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE call SET status = 200 WHERE id = 'r3'"))
    engine.dispose()
    ran = gnomon("audit", "--verify")
    assert (ran.code, "batch 3 was changed" in ran.err) == (1, True)


def test_nothing_is_recorded(gnomon):
    assert gnomon("audit", "--verify").out == "nothing is recorded\n"
    assert gnomon("audit", "-f", "json").out == "[]\n"


def test_what_people_decided_is_there_too(gnomon, database_url: str):
    with open_store(database_url) as store:
        store.principals.declare("spiffe://lab/x", PrincipalKind.CERTIFICATE, {"team": "x"}, who="ana", why="theirs")
    ran = gnomon("audit", "--changes")
    assert "principal:spiffe://lab/x" in ran.out
    assert "theirs" in ran.out
