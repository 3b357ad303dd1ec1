from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.openapi import MOST_OPERATIONS, describe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["get", "post", "paths", "/x", "$ref", "schema", "properties", "items", "type", "in", "parameters",
             "requestBody", "content", "responses", "200", "allOf", "tags", "servers", "url"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@given(JSON, JSON, JSON)
def test_any_document_is_read_or_is_none(paths: Any, info: Any, rest: Any) -> None:
    document = {"openapi": "3.1.0", "info": info, "paths": paths if isinstance(paths, dict) else {"/x": paths}}
    document |= rest if isinstance(rest, dict) else {}
    described = describe(document)
    assert described is None or len(described.operations) <= MOST_OPERATIONS


@pytest.mark.parametrize("document", [None, [], "x", 7, {}, {"paths": {}}, {"openapi": "3", "paths": []}])
def test_what_is_no_description(document: Any) -> None:
    assert describe(document) is None


def test_references_in_a_circle_end() -> None:
    schema = {"type": "object", "properties": {"child": {"$ref": "#/s"}, "x": {"type": "number"}}}
    loop = {"$ref": "#/loop"}
    body = {"content": {"application/json": {"schema": {"$ref": "#/s"}}}}
    document = {
        "openapi": "3.0.0",
        "paths": {"/predict": {"post": {"requestBody": body, "parameters": [loop]}}},
        "s": schema,
        "loop": loop,
    }
    described = describe(document)
    assert described is not None
    assert ("x", "number") in described.operations[0].takes


@pytest.mark.parametrize(
    ("declared", "base", "path"),
    [
        ({}, "", "/predict"),
        ({}, "/ml", "/ml/predict"),
        ({"basePath": "/api/v1"}, "", "/api/v1/predict"),
        ({"servers": [{"url": "/ml/iris"}]}, "/ml/iris", "/ml/iris/predict"),
        ({"servers": [{"url": "/ml/iris"}]}, "/ml", "/ml/iris/predict"),
        ({"servers": [{"url": "https://other.example/x"}]}, "", "/x/predict"),
        ({"servers": [{"url": "{scheme}://x"}]}, "/b", "/b/predict"),
        ({"servers": [None]}, "", "/predict"),
    ],
)
def test_base_paths(declared: dict[str, Any], base: str, path: str) -> None:
    described = describe({"openapi": "3.0.0", "paths": {"/predict": {"post": {}}}, **declared}, base)
    assert described is not None
    assert [operation.path for operation in described.operations] == [path]


def test_swagger_2_bodies_and_security() -> None:
    document = {
        "swagger": "2.0", "basePath": "/api", "securityDefinitions": {"k": {}}, "security": [{"k": []}],
        "definitions": {"House": {"properties": {"rooms": {"type": "number"}}}},
        "paths": {"/price": {"post": {"parameters": [{"in": "body", "schema": {"$ref": "#/definitions/House"}}]}}},
    }  # fmt: skip
    described = describe(document)
    assert described is not None
    assert described.declares_security
    assert described.operations[0].secured
    assert described.operations[0].takes == (("rooms", "number"),)
