"""Interfaces that applications of every kind share, as GraphQL is: recognised where nothing is shown at the root."""

import json
from functools import cache

import pytest

from inventory.model import Evidence, Identified, Kind
from scanner.authoring import Transcript
from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.knowledge import Knowledge, load_knowledge

PLAIN = (404, "text/plain; charset=utf-8", "Not Found")
"""Starlette's answer to an unknown path."""
WERKZEUG = "The requested URL was not found on the server. If you entered the URL manually please check your spelling"
FLASK = (404, "text/html; charset=utf-8", f"<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>{WERKZEUG}.</p>\n")
Said = tuple[int, str, str]


@cache
def knowledge() -> Knowledge:
    return load_knowledge()


def said(code: int, *messages: str, **more: object) -> Said:
    return code, "application/json", json.dumps({"errors": [{"message": text} for text in messages], **more})


def found(elsewhere: Said, **at: Said) -> tuple[Identified, tuple[Evidence, ...], tuple[str, ...]]:
    """What a host is taken for that gives one answer at some paths (``graphql``, ``root``) and another elsewhere."""

    def answer(text: str, said: Said) -> Answer:
        method, _, path = text.partition(" ")
        status, media, body = said
        return Answer(Request(method, path, path), status, headers=(("content-type", media),), body=body.encode())  # type: ignore[arg-type]

    at = {"root": elsewhere, **at}
    answers = {f"GET /{name if name != 'root' else ''}": what for name, what in at.items()}
    answers["GET /-/routes"] = elsewhere
    transcript = Transcript("test", 8000, (), {text: answer(text, what) for text, what in answers.items()})
    findings, asked = transcript.replay(knowledge(), Limits())
    identified = [finding for finding in findings if isinstance(finding.fact, Identified)]
    assert len(identified) == 1
    assert isinstance(identified[0].fact, Identified)
    return identified[0].fact, identified[0].evidence, asked


@pytest.mark.parametrize(
    "shown",
    [
        said(400, "Must provide query string."),
        said(400, "Missing query"),
        said(400, "GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension."),
        said(422, "no operation provided", data=None),
        said(400, "Unknown query", data=None),
        said(200, 'GraphQL Request must include at least one of those two parameters: "query" or "queryId"'),
        (400, "text/plain; charset=utf-8", "No GraphQL query found in the request"),
        (200, "text/html", "<title>Ariadne GraphiQL</title><div id=graphiql></div>"),
        (200, "text/html", "<title>Sandbox</title><script src=https://x/embeddable-sandbox.umd.js></script>"),
    ],
)
def test_what_servers_say_to_who_asks_without_a_query_shows_the_interface(shown: Said) -> None:
    fact, evidence, asked = found(PLAIN, graphql=shown)
    assert (fact.kind, fact.product, fact.is_model_endpoint) == (Kind.ORDINARY_WEB, "starlette", False)
    assert any("/graphql" in one.signal and one.request == "GET /graphql" for one in evidence)
    unexplained, nothing, more = found(PLAIN)
    assert fact.confidence > unexplained.confidence
    assert not any("graphql" in one.signal.lower() for one in nothing)
    assert len(asked) < len(more) / 2


@pytest.mark.parametrize(
    "shown",
    [
        PLAIN,
        (404, "application/json", '{"errors":[{"message":"no operation matches GET /graphql"}]}'),
        (400, "application/json", '{"errors":[{"status":"400","title":"bad query"}]}'),
        (400, "application/json", '{"error":"query is required"}'),
        (400, "text/plain", "Bad Request"),
        (200, "text/html", "<title>Shop</title><p>Our blog about queries</p>"),
        (405, "text/plain; charset=utf-8", "Method Not Allowed"),
    ],
)
def test_other_answers_at_its_usual_place_show_none(shown: Said) -> None:
    fact, evidence, asked = found(PLAIN, graphql=shown)
    assert "GET /graphql" in asked
    assert fact.product == "starlette"
    assert not any("graphql" in one.signal.lower() for one in evidence)


def test_one_that_answers_every_path_alike_is_known_without_a_question_more() -> None:
    fact, _, asked = found(said(400, "Must provide query string."))
    assert (fact.product, fact.kind) == ("graphql", Kind.ORDINARY_WEB)
    assert "GET /graphql" not in asked


def test_a_page_at_the_root_in_which_queries_are_written_names_it() -> None:
    page = (200, "text/html", "<html><head><title>GraphiQL</title></head><body><div id=graphiql></div></body></html>")
    fact, evidence, _ = found((404, "text/html", "<p>nothing here</p>"), root=page)
    assert (fact.product, fact.kind) == ("graphql", Kind.ORDINARY_WEB)
    assert any("queries are written" in one.signal for one in evidence)


def test_it_is_not_asked_for_in_frameworks_in_which_the_next_path_is_worth_more() -> None:
    fact, _, asked = found(FLASK)
    assert fact.product == "flask"
    assert "GET /graphql" not in asked
