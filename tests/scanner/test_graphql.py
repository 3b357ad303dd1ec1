"""What a GraphQL document would do, held against the reference implementation's parser."""

import pytest
from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse
from hypothesis import example, given
from hypothesis import strategies as st

from scanner.graphql import only_queries
from scanner.sources import wandb

QUERIES = [
    "{ a }",
    "query { a }",
    "query mutation { a }",
    "query Q($a: Int = 3, $b: In = {c: [1]}) @dir(x: {y: 1}) { a(b: $b) { mutation } }",
    "fragment F on T { a } query { ...F }",
    "query A { a } query B { b }",
    wandb._COLLECTIONS,
    wandb._VERSIONS,
]
OTHERS = [
    "",
    " , ",
    "query",
    "mutation { a }",
    "mutation M($a: ID!) { a(b: $a) }",
    "subscription { a }",
    "query { a } mutation M { a }",
    "{ a } { b } subscription S { a }",
    "fragment F on T { a } mutation { ...F }",
    '{ a(b: "}") } mutation { c }',
    '{ a(b: """ { """) } mutation { c }',
    "{ a # {\n } mutation { c }",
    "query Q(} mutation { a }",
    "query Q ( { f ) mutation M { deleteAll } }",
    "{ a } }",
    "type Query { a: Int }",
    "\ufeff mutation { a }",
]


@pytest.mark.parametrize("document", QUERIES)
def test_queries_are(document: str) -> None:
    parse(document)
    assert only_queries(document)


@pytest.mark.parametrize("document", OTHERS)
def test_all_else_is_not(document: str) -> None:
    assert not only_queries(document)


PIECES = ["query", "mutation", "subscription", "fragment", "F", "on", "T", "{", "}", "(", ")", "[", "]", "$a", ":", "=",
          "{ a }", "(a: 1)", "...", "@d", "!", ",", "\n", "\ufeff", "#", '"', '"""', "\\", "&", "|", "a"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join))
@example("{ a } mutation { a }")
def test_nothing_that_passes_is_anything_but_queries_to_a_server(document: str) -> None:
    try:
        definitions = parse(document).definitions
    except GraphQLSyntaxError:
        return
    kinds = {one.operation for one in definitions if isinstance(one, OperationDefinitionNode)}
    assert not only_queries(document) or kinds <= {OperationType.QUERY}


DEFINITIONS = ["{ a }", "query { a }", "query Q($a: In = {b: [1]}) { a(x: {y: $a}) }", "fragment F on T { a }",
               "mutation { a }", "mutation M($a: In = {b: 1}) { a }", "subscription S { a }"]  # fmt: skip


@given(st.lists(st.sampled_from(DEFINITIONS), min_size=1))
def test_whole_documents_are_told_exactly(definitions: list[str]) -> None:
    document = " ".join(definitions)
    parse(document)
    assert only_queries(document) is not any(one.startswith(("mutation", "subscription")) for one in definitions)
