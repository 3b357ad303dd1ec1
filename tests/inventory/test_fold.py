"""The fold is a function of the set of observations, and says what the newest of them say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import LISTENER, NOW, ago, identified, observation, observations

from inventory.fold import fold
from inventory.identity import endpoint_id
from inventory.model import Certificate, Evidence, Exposed, Kind, Listener, Posture, Postured, Scheme


@given(st.lists(observations, max_size=12), st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_repetition_change_nothing(seen, chance: random.Random, times: int):
    shuffled = seen * times
    chance.shuffle(shuffled)
    assert fold(shuffled) == fold(seen)


@given(st.lists(observations, min_size=1, max_size=10), st.lists(observations, max_size=10))
def test_what_arrives_late_is_as_good_as_early(early, late):
    assert fold(early + late) == fold(late + early)


@given(st.lists(observations, min_size=1, max_size=12))
def test_every_endpoint_was_seen_between_its_first_and_last_sighting(seen):
    for endpoint in fold(seen):
        assert endpoint.first_seen <= endpoint.last_seen
        assert endpoint.first_seen >= min(o.at for o in seen)
        assert endpoint.last_seen <= max(o.at for o in seen)


def test_no_observations_make_no_endpoint():
    assert fold([]) == ()


def test_an_open_door_alone_is_an_endpoint_of_no_known_kind():
    (endpoint,) = fold([observation(Exposed(scheme=Scheme.TCP))])
    assert (endpoint.kind, endpoint.product, endpoint.posture) == (None, None, Posture.UNKNOWN)
    assert endpoint.id == endpoint_id(LISTENER, "/")


def test_two_applications_behind_one_door_are_two_endpoints_that_share_its_facts():
    folded = fold(
        [
            observation(Exposed(scheme=Scheme.HTTPS)),
            observation(Certificate(names=("a.example",), key_digest="k")),
            observation(identified(product="fastapi"), base_path="/ml/iris"),
            observation(identified(kind=Kind.ORDINARY_WEB, product=None, is_model_endpoint=False)),
        ]
    )
    assert [e.base_path for e in folded] == ["/", "/ml/iris"]
    assert {e.certificate_names for e in folded} == {("a.example",)}
    assert folded[1].url == "https://127.0.0.9:5000/ml/iris"


def test_a_newer_identification_replaces_the_whole_older_one():
    older = observation(identified(version="1.0"), scan="s1", at=ago(days=1))
    newer = observation(identified(product="fastapi", version=None), scan="s2")
    (endpoint,) = fold([newer, older])
    assert (endpoint.product, endpoint.version) == ("fastapi", None)


def test_an_inconclusive_answer_never_hides_a_conclusive_one():
    sure = observation(identified(), scan="s1", at=ago(days=1))
    cut_short = observation(identified(product=None, kind=Kind.ORDINARY_WEB, conclusive=False), scan="s2")
    (endpoint,) = fold([sure, cut_short])
    assert endpoint.product == "flask"
    assert endpoint.last_seen == NOW


def test_an_undecided_posture_never_hides_a_decided_one():
    decided = observation(Postured(posture=Posture.OPEN, decided_by="GET /api/status"), at=ago(days=1))
    (endpoint,) = fold([decided, observation(Postured(posture=Posture.UNKNOWN))])
    assert (endpoint.posture, endpoint.posture_evidence) == (Posture.OPEN, "GET /api/status")


def test_a_scan_that_found_something_else_is_no_sighting():
    old = [
        observation(Exposed(scheme=Scheme.HTTP), scan="s1", at=ago(days=2)),
        observation(identified(), scan="s1", at=ago(days=2), base_path="/ml/iris"),
    ]
    new = [
        observation(Exposed(scheme=Scheme.HTTP), scan="s2"),
        observation(identified(kind=Kind.ORDINARY_WEB, product=None), scan="s2"),
    ]
    by_path = {e.base_path: e for e in fold(old + new)}
    assert by_path["/ml/iris"].last_seen == ago(days=2)
    assert by_path["/"].last_seen == NOW


def test_the_strongest_evidence_comes_first_and_is_bounded():
    evidence = tuple(Evidence(signal=f"signal {n}", weight=n % 7 - 3.0) for n in range(100))
    (endpoint,) = fold([observation(identified(), evidence=evidence)])
    weights = [abs(e.weight) for e in endpoint.evidence]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) == 24


def test_one_fold_takes_one_listener():
    other = observation(identified(), listener=Listener(site="lab", address="127.0.0.9", port=5000))
    with pytest.raises(ValueError, match="one listener"):
        fold([observation(identified()), other])
    assert endpoint_id(other.listener, "/") != endpoint_id(LISTENER, "/")
