"""The explanation is held against what the machine really does."""

import re
from pathlib import Path

import pytest

from scanner.authoring import read_transcript
from scanner.exchange import Answer
from scanner.explain import explain
from scanner.findings import Limits
from scanner.knowledge import Knowledge, load_knowledge
from scanner.routes import USUAL

TRANSCRIPTS = sorted((Path(__file__).parent.parent / "data" / "transcripts").glob("*.yaml"))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load_knowledge()


def test_every_row_is_whole_and_fit_to_print(knowledge: Knowledge) -> None:
    rows = explain("10.0.0.0/24", 8000, knowledge, Limits())
    assert all(set(row) == {"part", "about", "request", "why"} for row in rows)
    assert all(row["why"] and row["about"] and "".join(row.values()).isprintable() for row in rows)
    assert {row["part"] for row in rows} == {"first", "product", "never", "limit"}


def test_the_canary_is_named_before_every_other_request(knowledge: Knowledge) -> None:
    requests = [row["request"] for row in explain("host", 8000, knowledge, Limits()) if row["request"]]
    assert requests[:3] == ["plain HTTP/1.1", "GET /-/routes", "GET /"]
    assert explain("host", 8443, knowledge, Limits())[0]["request"] == "a TLS handshake"


def test_every_rule_of_what_is_never_sent_is_told_with_its_reason(knowledge: Knowledge) -> None:
    told = {(row["request"].partition(" ")[2], row["why"][:20]) for row in explain("h", 80, knowledge, Limits())}
    assert all((rule.path, rule.because[:20]) in told for rule in knowledge.never)


def test_every_request_of_a_signature_is_told_and_the_usual_products_of_the_port_first(knowledge: Knowledge) -> None:
    rows = [row for row in explain("h", 11434, knowledge, Limits()) if row["part"] == "product"]
    assert rows[0]["about"] == "ollama"
    told = {(row["about"], row["request"]) for row in rows}
    assert all((product.id, request) in told for product in knowledge.products for request in product.requests)
    deciding = [row for row in rows if row["about"] == "ollama" and "decides whether it is open" in row["why"]]
    assert deciding


def test_what_the_machine_asks_of_real_servers_was_explained(knowledge: Knowledge) -> None:
    """Every first question of a recorded host, except what its own pages and redirects led to."""
    explained = explain("h", 8000, knowledge, Limits())
    told = {part.strip() for row in explained for part in row["request"].replace(" and ", ",").split(",")}
    told |= {f"OPTIONS {path}" for path in USUAL}
    seen = 0
    for path in TRANSCRIPTS:
        transcript = read_transcript(path)
        if [expected["base_path"] for expected in transcript.expect] != ["/"] or transcript.origin != "recorded":
            continue
        _, asked = transcript.replay(knowledge, Limits())
        known = [request for request in asked if request in transcript.answers]
        led = [location(answer) for answer in transcript.answers.values()]
        words = " ".join(answer.text for answer in transcript.answers.values()).lower()
        for request in known:
            method, _, target = request.partition(" ")
            bare = target.partition("?")[0].removesuffix("/-/routes").removesuffix("_batch").removesuffix("/batch")
            followed = any(place and target.startswith(place.rstrip("/") or "/ ") for place in led)
            assert {request, f"{method} {bare}"} & told or followed or bare.strip("/").lower() in words, request
            seen += 1
    assert seen > 100


def location(answer: Answer) -> str:
    """Where an answer leads, without the host."""
    return re.sub(r"^https?://[^/]+", "", answer.header("location"))
