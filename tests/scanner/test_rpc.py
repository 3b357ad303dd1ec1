from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Identified
from scanner.knowledge import load_knowledge
from scanner.rpc import HEALTH, REFLECTION, Reply, is_serving, judge_services, services_in

KNOWLEDGE = load_knowledge()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    names = services_in(body)
    assert all(name.isprintable() for name in names)
    is_serving(body)


@given(st.lists(st.builds(Reply, st.sampled_from([*REFLECTION, HEALTH]), st.text(max_size=20), st.binary(max_size=60))))
def test_any_replies_are_judged(replies: list[Reply]) -> None:
    assert len(judge_services(tuple(replies), KNOWLEDGE)) in {0, 2}


def test_a_server_that_did_not_answer_is_not_judged() -> None:
    assert judge_services((Reply(REFLECTION[0], "UNAVAILABLE"),), KNOWLEDGE) == ()


def test_both_protocols_together_are_openvino() -> None:
    names = (b"inference.GRPCInferenceService", b"tensorflow.serving.PredictionService")
    entries = b"".join(bytes([0x0A, len(n) + 2, 0x0A, len(n)]) + n for n in names)
    body = bytes([0x32, len(entries)]) + entries
    fact = judge_services((Reply(REFLECTION[0], "OK", body),), KNOWLEDGE)[0].fact
    assert isinstance(fact, Identified)
    assert (fact.product, fact.is_model_endpoint) == ("openvino", True)
    assert len(fact.inference_routes) == 2


def test_a_health_answer() -> None:
    assert is_serving(b"\x08\x01")
    assert not is_serving(b"\x08\x02")
    assert not is_serving(b"")
