from typing import Any

import pytest

from inventory.model import MOST_INPUTS, InferenceRoute
from scanner.classify import Seen, classify
from scanner.lexicon import page_weight, route_weight
from scanner.openapi import describe


def api(
    path: str, method: str = "post", takes: dict[str, Any] | None = None, title: str = "FastAPI", **more: Any
) -> dict[str, Any]:
    operation: dict[str, Any] = {"responses": {"200": {}}, **more}
    if takes is not None:
        schema = {"type": "object", "properties": takes}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return {"openapi": "3.1.0", "info": {"title": title}, "paths": {path: {method: operation}}}


def verdict(document: dict[str, Any]) -> Any:
    return classify(Seen(description=describe(document), described_by="GET /openapi.json"))


NUMBERS = {"type": "array", "items": {"type": "number"}}


@pytest.mark.parametrize(
    "document",
    [
        api("/predict", takes={"features": NUMBERS}),
        api("/v1/classify", takes={"text": {"type": "string"}}),
        api("/invocations", takes={"inputs": {"type": "array", "items": NUMBERS}}),
        api("/run", takes={"instances": {"type": "array", "items": NUMBERS}}),
        api("/v1/chat/completions", takes={"messages": {"type": "array"}, "max_tokens": {"type": "integer"}}),
        api("/churn", takes={"tenure": {"type": "number"}, "bill": {"type": "number"}}, title="Churn model"),
        api("/recommend", takes={"user_id": {"type": "integer"}, "k": {"type": "integer"}}, title="Recommender"),
        api("/embed", takes={"texts": {"type": "array"}}),
    ],
)
def test_models_are_models(document: dict[str, Any]) -> None:
    said = verdict(document)
    assert said.is_model
    assert said.probability > 0.5
    assert len(said.routes) == 1
    assert any(evidence.request == "GET /openapi.json" for evidence in said.evidence)


@pytest.mark.parametrize(
    "document",
    [
        api("/prediction-markets", takes={"question": {"type": "string"}}),
        api("/prediction-markets/{id}/bets", takes={"amount": {"type": "number"}}),
        api("/3d-models", takes={"name": {"type": "string"}, "file": {"type": "string"}}),
        api("/v1/models", takes={"name": {"type": "string"}, "price": {"type": "number"}}, title="Car dealer"),
        api("/forecast", method="get", title="Weather"),
        api("/weather/forecast", takes={"city": {"type": "string"}}),
        api("/scoreboard", takes={"player": {"type": "string"}}),
        api("/users/login", takes={"user": {"type": "string"}}),
        api("/orders", takes={"items": {"type": "array"}}),
        api("/reports/generate", takes={"from": {"type": "string"}}),
        api("/items/{id}", method="delete"),
        api("/predict", method="delete"),
        api("/posts", takes={"text": {"type": "string"}}),
    ],
)
def test_what_only_sounds_like_a_model_is_none(document: dict[str, Any]) -> None:
    said = verdict(document)
    assert not said.is_model
    assert said.routes == ()


def test_more_evidence_never_makes_a_model_less_likely() -> None:
    bare = verdict(api("/score"))
    with_fields = verdict(api("/score", takes={"features": NUMBERS}))
    with_words = verdict(api("/score", takes={"features": NUMBERS}, title="Credit risk model"))
    assert bare.log_odds <= with_fields.log_odds <= with_words.log_odds


def test_a_declared_scheme_is_seen() -> None:
    assert verdict(api("/predict", takes={"features": NUMBERS}, security=[{"key": []}])).secured
    assert not verdict(api("/predict", takes={"features": NUMBERS})).secured


def test_routes_that_were_shown_count_and_post_only_counts_more() -> None:
    route = InferenceRoute(method="POST", path="/tag")
    shown = classify(Seen(found=(route,)))
    only = classify(Seen(found=(route,), post_only=frozenset({"/tag"})))
    assert only.log_odds > shown.log_odds


def test_a_page_about_models_without_a_route_is_no_model() -> None:
    page = "My blog on machine learning and neural networks, and how a classifier predicts"
    assert page_weight(page)[0] > 2
    assert not classify(Seen(pages=(page,))).is_model


def test_the_same_json_to_every_get_speaks_for_a_service_by_post() -> None:
    said = classify(Seen(constant=True))
    assert said.is_model
    assert [(route.method, route.path) for route in said.routes] == [("POST", "/")]


def test_nothing_known_is_the_prior() -> None:
    said = classify(Seen())
    assert not said.is_model
    assert said.probability < 0.1


@pytest.mark.parametrize(
    "path", ["/predict", "/api/v2/predictBatch", "/v1/models/{m}:predict", "/ner", "/classify-image"]
)
def test_inference_words_are_found_in_any_spelling(path: str) -> None:
    assert route_weight(path) > 2


@pytest.mark.parametrize(
    "document",
    [
        api("/predictions", takes={"market_id": {"type": "integer"}, "side": {"type": "string"}}),
        api("/predict", takes={"question": {"type": "string"}}, title="Prediction markets"),
        api("/score", takes={"match_id": {"type": "integer"}, "home": {"type": "integer"}}, title="League"),
        api("/translate/request-review", takes={"key": {"type": "string"}, "text": {"type": "string"}}),
        api("/forecast/subscribe", takes={"email": {"type": "string"}}),
    ],
)
def test_what_uses_the_words_of_inference_for_something_else_is_no_model(document: dict[str, Any]) -> None:
    assert not verdict(document).is_model


def test_a_field_that_begins_with_predicted_is_a_prediction() -> None:
    document = api("/estimate", takes={"rooms": {"type": "number"}})
    gives = {"application/json": {"schema": {"type": "object", "properties": {"predicted_rent": {"type": "number"}}}}}
    document["paths"]["/estimate"]["post"]["responses"] = {"200": {"content": gives}}
    assert verdict(document).is_model


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": [{"in": "header", "name": "X-API-Key", "required": True}]},
        {"parameters": [{"in": "query", "name": "token", "required": True}]},
        {"responses": {"200": {}, "401": {}}},
        {"security": [{"a": []}, {"b": []}]},
    ],
)
def test_a_key_that_must_be_shown_is_security(more: dict[str, Any]) -> None:
    assert verdict(api("/predict", takes={"features": NUMBERS}, **more)).secured


@pytest.mark.parametrize(
    "more",
    [
        {"security": [{"a": []}, {}]},
        {"security": []},
        {"parameters": [{"in": "header", "name": "X-API-Key", "required": False}]},
        {"parameters": [{"in": "query", "name": "keyword", "required": True}]},
    ],
)
def test_a_key_that_may_be_left_out_is_none(more: dict[str, Any]) -> None:
    assert not verdict(api("/predict", takes={"features": NUMBERS}, **more)).secured


def test_a_key_that_may_be_left_out_leaves_the_posture_open_to_question() -> None:
    optional = {"parameters": [{"in": "header", "name": "X-API-Key", "required": False}]}
    assert verdict(api("/predict", takes={"features": NUMBERS}, **optional)).keyed
    assert not verdict(api("/predict", takes={"features": NUMBERS})).keyed


def test_pages_about_something_else_speak_against_a_word_with_two_meanings() -> None:
    route = InferenceRoute(method="POST", path="/score")
    found, only = (route,), frozenset({"/score"})
    assert classify(Seen(found=found, post_only=only)).is_model
    game = classify(Seen(found=found, post_only=only, pages=('{"name": "arcade", "leaderboard": "/top"}',)))
    assert not game.is_model
    assert any("arcade" in evidence.signal or "leaderboard" in evidence.signal for evidence in game.evidence)


def test_a_route_that_also_serves_pages_counts_less() -> None:
    route = InferenceRoute(method="POST", path="/score")
    assert not classify(Seen(found=(route,))).is_model


def test_a_described_route_says_what_it_takes_and_no_more_of_it_than_is_of_use() -> None:
    fields = {f"feature_{number}": {"type": "number"} for number in range(60)}
    schema = {"type": "object", "properties": fields}
    body = {"content": {"application/json": {"schema": schema}}}
    document = {"openapi": "3.1.0", "paths": {"/predict": {"post": {"requestBody": body}}}}
    (route,) = classify(Seen(description=describe(document))).routes
    assert route.takes == tuple(fields)[:MOST_INPUTS]
