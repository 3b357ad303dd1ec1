"""``gnomon gateway``: invitations, who has joined, and who is refused."""

import json
from pathlib import Path

import pytest

from inventory.model import Member, utc_now
from inventory.store import open_store


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gnomon: object) -> None:
    del gnomon  # It takes the environment away, which is set after it.
    monkeypatch.setenv("GNOMON_JOIN_ADDRESS", "127.0.0.2")
    monkeypatch.setenv("GNOMON_STATE_FOLDER", str(tmp_path / "state"))


@pytest.mark.usefixtures("listening")
def test_an_invitation_prints_a_token_that_is_kept_nowhere(gnomon, database_url: str, tmp_path: Path) -> None:
    made = gnomon("gateway", "--invite", "paris")
    token = made.out.strip()
    assert (made.code, token.startswith("gnomon-join-")) == (0, True)
    assert "gnomon gateway --join 127.0.0.2:8783 --token TOKEN" in made.err
    assert token.encode() not in Path(database_url.removeprefix("sqlite:///")).read_bytes()
    key = tmp_path / "state" / "fleet" / "authority.pem"
    assert key.stat().st_mode & 0o077 == 0
    key.chmod(0o644)
    refused = gnomon("gateway", "--invite", "london")
    assert refused.code == 1
    assert "others may read" in refused.err


@pytest.mark.usefixtures("listening")
def test_members_are_listed_and_expelled_once(gnomon, database_url: str) -> None:
    now = utc_now()
    gnomon("gateway", "--invite", "paris")
    with open_store(database_url) as store:
        digest = _digest_of_the_only_invitation(database_url)
        member = Member(gateway="x", enrolment="e1", joined_at=now, ends_at=now)
        assert store.fleet.redeem(digest, member) == ""
    (one,) = json.loads(gnomon("gateway", "--members", "--format", "json").out)
    assert (one["gateway"], one["state"], one["routes"]) == ("paris", "away", 0)
    assert gnomon("gateway", "--expel", "paris", "--why", "sold").code == 0
    assert json.loads(gnomon("gateway", "--members", "--format", "json").out)[0]["state"] == "expelled"
    again = gnomon("gateway", "--expel", "paris")
    assert again.code == 2
    assert "no gateway 'paris' has joined" in again.err


def _digest_of_the_only_invitation(database_url: str) -> str:
    import sqlite3

    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as opened:
        return str(opened.execute("SELECT digest FROM invitation").fetchone()[0])


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--invite", "Paris"), "small letters"),
        (("--invite", "local"), "gateway of this machine"),
        (("--invite", "a", "--expel", "b"), "cannot be given at once"),
        (("--join", "127.0.0.2"), "--join and --token go together"),
        (("--token", "x"), "--join and --token go together"),
        (("--join", "127.0.0.2", "--token", "x"), "a token to join begins with"),
        (("--join", "http://a/", "--token", "x"), "HOST or HOST:PORT"),
        (("--join", "a:99999", "--token", "x"), "HOST or HOST:PORT"),
    ],
)
def test_what_cannot_be_is_one_sentence(gnomon, arguments: tuple[str, ...], words: str) -> None:
    ran = gnomon("gateway", *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_nobody_is_invited_where_nobody_could_join(gnomon) -> None:
    ran = gnomon("gateway", "--invite", "paris")
    assert ran.code == 2
    assert "set join_address" in ran.err
