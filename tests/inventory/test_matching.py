"""Identity by tiers: what is the same, what is proposed, and what tells nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, endpoint

from inventory.matching import Tier, join, match
from inventory.model import Exposure, Presence

OLD = endpoint(
    id="old", address="127.0.0.5", url="http://127.0.0.5:5000", presence=Presence.STALE, first_seen=ago(days=9),
    last_seen=ago(days=2), tls_key="k", schema_digest="s",
)  # fmt: skip
NEW = endpoint(id="new", address="127.0.0.6", tls_key="k", schema_digest="s")


@pytest.mark.parametrize(
    ("change", "of_old", "expected"),
    [
        ({}, {}, (Tier.FINGERPRINT, True)),
        ({}, {"presence": Presence.GONE}, (Tier.FINGERPRINT, True)),
        ({}, {"presence": Presence.SEEN}, (Tier.FINGERPRINT, False)),
        ({}, {"presence": Presence.UNKNOWN}, (Tier.FINGERPRINT, False)),
        ({"tls_key": None}, {}, (Tier.FINGERPRINT, False)),
        ({"schema_digest": "other"}, {}, (Tier.FINGERPRINT, False)),
        ({"product": "fastapi"}, {}, None),
        ({"tls_key": None, "schema_digest": None}, {}, None),
        ({"site": "other"}, {}, None),
        ({"address": "127.0.0.5", "base_path": "/b"}, {}, (Tier.PLACE, True)),
        ({"address": "127.0.0.5", "base_path": "/b", "schema_digest": None}, {}, (Tier.PLACE, False)),
        ({"address": "127.0.0.5", "base_path": "/b"}, {"presence": Presence.SEEN}, None),
        ({"address": "127.0.0.5", "base_path": "/b", "product": "fastapi"}, {}, None),
        ({"address": "127.0.0.5", "site": "other", "tls_key": None, "schema_digest": None}, {}, None),
    ],
)
def test_the_tiers(change, of_old, expected):
    found = match(NEW.model_copy(update=change), [OLD.model_copy(update=of_old)])
    assert [(one.tier, one.certain) for one in found] == ([expected] if expected else [])
    assert all(one.reasons for one in found)


def test_what_could_be_several_is_proposed_and_what_could_be_many_tells_nothing():
    olds = [OLD.model_copy(update={"id": f"old{n}"}) for n in range(4)]
    several = match(NEW, olds[:3])
    assert [(one.endpoint, one.certain) for one in several] == [("old0", False), ("old1", False), ("old2", False)]
    assert "one of 3" in several[0].reasons[-1]
    assert match(NEW, olds) == ()


@given(st.permutations(["a", "b", "c"]))
def test_a_certain_match_wins_in_any_order(order):
    candidates = {
        "a": OLD.model_copy(update={"id": "a", "presence": Presence.SEEN}),
        "b": OLD.model_copy(update={"id": "b"}),
        "c": OLD.model_copy(update={"id": "c", "tls_key": None}),
    }
    assert [(one.endpoint, one.certain) for one in match(NEW, [candidates[name] for name in order])] == [("b", True)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_places_join_in_any_order_and_any_number_of_times(hours, chance):
    places = [
        endpoint(id=f"p{n}", kind=None if hour == 3 else "notebook", first_seen=ago(hours=hour + 1),
                 last_seen=ago(hours=hour), exposures=(Exposure(via="address", url=f"http://p{n}"),))
        for n, hour in enumerate(hours)
    ]  # fmt: skip
    shuffled = [*places]
    chance.shuffle(shuffled)
    one = join("p0", places)
    assert one == join("p0", shuffled)
    assert (one.first_seen, one.last_seen) == (min(p.first_seen for p in places), max(p.last_seen for p in places))
    assert len(one.places) == len(places) - 1
    assert (one.kind is None) == all(hour == 3 for hour in hours)


def test_nobody_to_be_matched_with_is_no_match():
    assert match(NEW, []) == ()
    assert match(NEW, [NEW.model_copy(update={"first_seen": NOW})]) == ()
