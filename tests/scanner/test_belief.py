import pytest

from scanner.belief import BELIEVED, PORT_HINT, PRIOR, Beliefs, probability
from scanner.exchange import Answer, Request
from scanner.knowledge import assemble, parse_signature
from scanner.signature import Layer

TEXT = """
id: {id}
name: N
kind: ml-ui
about: For this test only.
{extra}
signals:
  - {{on: root, when: {{body: {body}}}, weight: 3, proves: "the root says so"}}
  - {{on: GET /{id}, when: {{status: 200}}, weight: 6, otherwise: -4, proves: "its own path"}}
source: nowhere
"""
LAMP = parse_signature(TEXT.format(id="lamp", body="glow", extra="ports: [81]\nstacks: [wick]"))
OIL = parse_signature(TEXT.format(id="oil", body="black", extra="refines: [lamp]"))
KNOWLEDGE = assemble([LAMP, OIL])


def answer(path: str, status: int, body: str = "") -> Answer:
    return Answer(Request("GET", path, path), status=status, body=body.encode())


def test_signals_add_up_once_and_failures_count_against() -> None:
    beliefs = Beliefs(KNOWLEDGE, 80)
    assert beliefs.log_odds(LAMP) == PRIOR
    for _ in range(3):
        beliefs.hear(answer("/", 200, "glow"), ("root",), news=True)
    assert beliefs.log_odds(LAMP) == PRIOR + 3
    beliefs.hear(answer("/lamp", 404), ("GET /lamp",), news=True)
    assert beliefs.log_odds(LAMP) == PRIOR + 3 - 4
    assert [evidence.weight for evidence in beliefs.evidence(LAMP)] == [3, -4]


def test_an_answer_that_every_path_gets_proves_nothing() -> None:
    beliefs = Beliefs(KNOWLEDGE, 80)
    beliefs.hear(answer("/lamp", 200), ("GET /lamp",), news=False)
    assert beliefs.log_odds(LAMP) < PRIOR


def test_the_port_is_a_hint_and_no_proof() -> None:
    beliefs = Beliefs(KNOWLEDGE, 81)
    assert beliefs.log_odds(LAMP) == PRIOR + PORT_HINT < BELIEVED
    assert beliefs.best(Layer.PRODUCT) is None


def test_a_refinement_wins_over_what_it_refines() -> None:
    beliefs = Beliefs(KNOWLEDGE, 80)
    beliefs.hear(answer("/", 200, "glow black"), ("root",), news=True)
    beliefs.hear(answer("/lamp", 200), ("GET /lamp",), news=True)
    beliefs.hear(answer("/oil", 200), ("GET /oil",), news=True)
    best = beliefs.best(Layer.PRODUCT)
    assert best is not None
    assert best.id == "oil"


def test_the_next_request_is_the_most_telling() -> None:
    beliefs = Beliefs(KNOWLEDGE, 80)
    assert beliefs.next_request(frozenset(), frozenset(), clued_only=True) == ("", 0.0)
    beliefs.hear(answer("/", 200, "glow"), ("root",), news=True)
    assert beliefs.next_request(frozenset(), frozenset(), clued_only=True)[0] == "GET /lamp"
    assert beliefs.next_request(frozenset(), frozenset({"GET /lamp"}), clued_only=True)[0] == ""
    assert beliefs.next_request(frozenset({"brick"}), frozenset({"GET /lamp"}), clued_only=False)[0] == "GET /oil"


@pytest.mark.parametrize(("log_odds", "expected"), [(0, 0.5), (1e9, 0.995), (-1e9, 0.0)])
def test_probability(log_odds: float, expected: float) -> None:
    assert probability(log_odds) == expected
