"""W&B's registries over GraphQL: pages, keys, what is not shown, and everything that can go wrong on the way."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from registries import Answered, Post, Registry
from weights import Weights

from inventory.model import DeclarationKind, DeclarationState, ScanStatus
from scanner.io.api import Api
from scanner.sources import wandb

KEY = "k3y-of-a-reader"


@pytest.fixture
def weights() -> Weights:
    """Five versions of models in three pages, and a data set between them."""
    held = Weights(key=KEY)
    held.add("acme", "churn", 0, metadata={"owner": "ana", "epochs": 3, "data_url": "http://127.0.0.9/rows.csv"})
    held.add("acme", "churn", 1, aliases=("latest", "production"), tags=("gold",))
    held.add("acme", "rows", 0, kind="dataset", registry="dataset", metadata={"serving_url": "http://127.0.0.9:1/"})
    where = {"serving_url": "http://user:s3cret@127.0.0.9:8000/m", "team": "risk"}
    held.add("acme", "fraud", 4, kind="llm-model", registry="lab", metadata=where)
    held.add("acme", "old", 0, state="DELETED", tags=("endpoint=http://127.0.0.9:8001/m", "owner:bo"))
    held.add("acme", "older", 0, collection_tags=("Deprecated",))
    return held


@pytest.fixture
def server(registry: Registry, weights: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    """No key of this machine's is read: the environment and the home are the test's."""
    for name in ("NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    registry.post = weights.post
    yield registry
    assert set(weights.operations) <= {"query"}


def test_every_version_of_every_page_is_read(read, server, weights) -> None:
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, scan.reason, scan.account.answered) == (ScanStatus.COMPLETE, None, 1)
    assert set(found) == {"model/churn/v0", "model/churn/v1", "lab/fraud/v4", "model/old/v0", "model/older/v0"}
    assert scan.requests == len(server.asked) == len(weights.operations) == 3 + 3
    assert {path for path, _ in server.asked} == {"/graphql"}
    first, second, served = found["model/churn/v0"], found["model/churn/v1"], found["lab/fraud/v4"]
    assert (first.kind, first.state, first.owner) == (DeclarationKind.MODEL, DeclarationState.ACTIVE, "ana")
    assert (first.name, first.model, first.model_version) == ("churn", "churn", "v0")
    assert first.artifact == "wandb-artifact://acme-org/wandb-registry-model/churn:v0"
    assert first.details == ("from team/training/churn-run:v10", "made by run 3kx9")
    assert second.details[:3] == ("alias latest", "alias production", "tag gold")
    assert (served.kind, served.urls, served.places) == (
        DeclarationKind.ENDPOINT, ("http://127.0.0.9:8000/m",), ("127.0.0.9:8000",),
    )  # fmt: skip
    assert served.owner == "risk"
    assert "s3cret" not in served.model_dump_json()
    old, older = found["model/old/v0"], found["model/older/v0"]
    assert (old.state, old.urls, old.owner) == (DeclarationState.RETIRED, ("http://127.0.0.9:8001/m",), "bo")
    assert older.state is DeclarationState.RETIRED


@pytest.mark.parametrize("mark", ["archived", "Retired", "deprecated"])
def test_an_alias_retires_a_version(read, server, weights, mark) -> None:
    weights.add("other", "m", 0, aliases=(mark,))
    weights.add("other", "m", 1, aliases=("not-" + mark,))
    _, found = read(f"wandb:{server.url}/other")
    assert [found[f"model/m/v{n}"].state for n in (0, 1)] == [DeclarationState.RETIRED, DeclarationState.ACTIVE]


def test_what_an_organisation_has_no_more_is_withdrawn(read, server, weights, declared_store) -> None:
    read(f"wandb:{server.url}/acme")
    del weights.versions["acme"][0]
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found), "model/churn/v0" in found) == (ScanStatus.COMPLETE, 4, False)
    assert len(declared_store.declarations.list(withdrawn=True)) == 5


def whole(connection: str, edges: list[Any], place: dict[str, Any]) -> dict[str, Any]:
    """One page as W&B answers it, to a key that it knows."""
    entity = {connection: {"edges": edges, "pageInfo": place}}
    return {"data": {"viewer": {"id": "u"}, "organization": {"orgEntity": entity}}}


COLLECTIONS = "artifactCollections"
NEXT, LAST = {"hasNextPage": True, "endCursor": "again"}, {"hasNextPage": False, "endCursor": None}
NOBODY = {"data": {"viewer": None, "organization": None}}
NO_ORGANISATION = {"data": {"viewer": {"id": "u"}, "organization": None}}
NO_ENTITY = {"data": {"viewer": {"id": "u"}, "organization": {"orgEntity": None}}}
WAYS = [
    ((401, {}, {}), "set WANDB_API_KEY to a key that is valid there", 1),
    ((403, {"errors": [{"message": "no"}]}, {}), "does not let us read (it answered 403 to POST /graphql: no)", 1),
    ((200, NOBODY, {}), "does not let us read (it knows nobody by this key): set WANDB_API_KEY", 1),
    ((200, NO_ORGANISATION, {}), "it shows this key no organisation 'acme' with registries: write", 1),
    ((200, NO_ENTITY, {}), "it shows this key no organisation 'acme' with registries: write", 1),
    ((429, {}, {"Retry-After": "1"}), "it answered 429", 3),
    ((503, b"busy", {}), "it answered 503", 3),
    ((302, {}, {"Location": "http://127.0.0.1:1/"}), "it answered 302", 1),
    ((400, {"errors": [{"message": "Cannot query field"}]}, {}), "400 to POST /graphql: Cannot query field", 1),
    ((400, b"<html>", {}), "it answered 400 to POST /graphql", 1),
    ((200, b"<html>login</html>", {}), "the answer is not JSON", 1),
    ((200, b"[" * 100_000, {}), "the answer is not JSON", 1),
    ((200, b'{"data": {"viewer": {"id": ', {"Content-Length": "1000"}), "the answer broke off", 3),
    ((200, ["no"], {}), "is not GraphQL's", 1),
    ((200, {"data": None}, {}), "is not GraphQL's", 1),
    ((200, whole(COLLECTIONS, [], LAST) | {"errors": [{"message": "partly"}]}, {}), "it answered errors to POST", 1),
    ((200, whole(COLLECTIONS, [], LAST) | {"errors": "x"}, {}), "it answered errors to POST /graphql: x", 1),
    ((200, whole(COLLECTIONS, [], NEXT), {}), "the same page of artifactCollections again and again", 2),
    ((200, whole(COLLECTIONS, [], NEXT | {"endCursor": None}), {}), "the same page", 1),
    ((200, whole(COLLECTIONS, "no", LAST), {}), "what it answers to artifactCollections is no list of W&B's", 1),
    ((200, whole("other", [], LAST), {}), "is no list of W&B's", 1),
    ((200, whole(COLLECTIONS, [], {"endCursor": None}), {}), "is no list of W&B's", 1),
    ((200, whole(COLLECTIONS, ["no"], LAST), {}), "is not laid out as its format says", 1),
    ((200, {"data": {"viewer": [], "organization": 1}}, {}), "knows nobody", 1),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "said", "calls"), WAYS)
def test_what_is_not_read_to_the_end_says_so_and_withdraws_nothing(read, server, weights, answer, said, calls) -> None:
    _, before = read(f"wandb:{server.url}/acme")
    server.asked.clear()
    server.post = lambda path, headers, body: answer
    scan, after = read(f"wandb:{server.url}/acme")
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert set(after) == set(before) != set()
    assert scan.requests == len(server.asked) == calls


def cut_off(weights: Weights, calls: set[int]) -> Post:
    """The server, whose connection ends in the middle of the answers to calls of these numbers."""
    number = count()

    def post(path: str, headers: dict[str, str], body: bytes) -> Answered:
        status, payload, extra = weights.post(path, headers, body)
        if next(number) not in calls:
            return status, payload, extra
        data = json.dumps(payload).encode()
        return status, data[: len(data) // 2], {"Content-Length": str(len(data))}

    return post


@pytest.mark.parametrize("first", range(6))
def test_a_connection_that_is_always_cut_off_in_a_page_withdraws_nothing(read, server, weights, first) -> None:
    _, before = read(f"wandb:{server.url}/acme")
    server.post = cut_off(weights, {first, first + 1, first + 2})
    scan, after = read(f"wandb:{server.url}/acme")
    assert (scan.status, set(after), scan.requests) == (ScanStatus.INCOMPLETE, set(before), first + 3)
    said = f"wandb:{server.url}/acme was not read to the end: POST /graphql failed: the answer broke off"
    assert said in (scan.reason or "")


def test_a_page_that_was_cut_off_is_asked_for_again(read, server, weights) -> None:
    server.post = cut_off(weights, {1, 5})
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found), scan.requests) == (ScanStatus.COMPLETE, 5, 6 + 2)


def test_throttling_is_waited_for(read, server, weights) -> None:
    throttled = iter([True, True, False, True])
    server.post = lambda path, headers, body: (
        (429, {}, {"Retry-After": "2"}) if next(throttled, False) else weights.post(path, headers, body)
    )
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found), scan.requests) == (ScanStatus.COMPLETE, 5, 6 + 3)


def test_a_cursor_that_comes_back_later_ends_it(read, server, weights) -> None:
    cursors = iter(["a", "b", "a", "b", "a"])
    server.post = lambda path, headers, body: (
        200, whole(COLLECTIONS, [], {"hasNextPage": True, "endCursor": next(cursors)}), {},
    )  # fmt: skip
    scan, _ = read(f"wandb:{server.url}/acme")
    assert "again and again" in (scan.reason or "")
    assert scan.requests == 3


def test_pages_without_an_end_are_left(read, server, monkeypatch) -> None:
    monkeypatch.setattr(wandb, "MOST_PAGES", 20)
    server.post = lambda path, headers, body: (
        200, whole(COLLECTIONS, [], {"hasNextPage": True, "endCursor": str(len(server.asked))}), {},
    )  # fmt: skip
    scan, _ = read(f"wandb:{server.url}/acme")
    assert "its artifactCollections have no end within 20 pages" in (scan.reason or "")
    assert scan.requests == 20


def test_an_empty_page_in_the_middle_is_not_the_end(read, server, weights) -> None:
    """W&B leaves out what a key may not see after it has cut the pages."""
    pages = iter([whole(COLLECTIONS, [], NEXT)])
    server.post = lambda path, headers, body: (
        (200, first, {})
        if (first := next(pages, None))
        else weights.post(path, headers, body.replace(b'"again"', b'"0"'))
    )
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found)) == (ScanStatus.COMPLETE, 5)


def test_what_the_key_is_not_shown_is_counted_and_kept(read, server, weights) -> None:
    _, before = read(f"wandb:{server.url}/acme")
    weights.collections["acme"].append(None)
    weights.versions["acme"][0]["artifact"] = None
    weights.versions["acme"][1] = None
    weights.versions["acme"][2]["artifact"] = None  # the data set's, which is no matter
    scan, after = read(f"wandb:{server.url}/acme")
    assert (scan.status, set(after)) == (ScanStatus.INCOMPLETE, set(before))
    assert "(entries without content: 3): use the key of somebody who sees every registry" in (scan.reason or "")


def test_runs_that_may_not_be_read_cost_only_their_names(read, server, weights) -> None:
    weights.private_runs = True
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found), scan.requests) == (ScanStatus.COMPLETE, 5, 6 + 1)
    assert found["model/churn/v0"].details == ("from team/training/churn-run:v10",)


def test_errors_beside_half_of_the_versions_are_not_the_whole_list(read, server, weights) -> None:
    _, before = read(f"wandb:{server.url}/acme")

    def half(path: str, headers: dict[str, str], body: bytes) -> Answered:
        if b"artifactMemberships" not in body:
            return weights.post(path, headers, body)
        page = whole("artifactMemberships", [], LAST)
        return 200, page | {"errors": [{"message": "deadline exceeded", "path": ["organization"]}]}, {}

    server.post = half
    scan, after = read(f"wandb:{server.url}/acme")
    assert (scan.status, set(after)) == (ScanStatus.INCOMPLETE, set(before))
    assert "it answered errors to POST /graphql: deadline exceeded" in (scan.reason or "")


HOSTILE = "\x1b]0;owned\x07\u202e[bold]\ud800" + "x" * 5000


def test_hostile_text_is_harmless(read, server, weights) -> None:
    weights.add("evil", HOSTILE, 0, metadata={"owner": HOSTILE}, aliases=(HOSTILE,), tags=(HOSTILE,))
    weights.add("evil", "deep", 0, metadata="[" * 100_000)
    weights.add("evil", "list", 0, metadata="[1]")
    weights.add("evil", "url", 0, metadata={"url": "http://[x@y", "serving_url": "http://u:p4ss@[x/"})
    scan, found = read(f"wandb:{server.url}/evil")
    assert (scan.status, scan.reason, len(found)) == (ScanStatus.COMPLETE, None, 4)
    for one in found.values():
        text = one.model_dump_json()
        assert len(text) < 5000
        assert not [part for part in ("\x1b", "\\u001b", "\\u0007", "\u202e", "\ud800", "p4ss") if part in text]


def test_a_server_that_repeats_the_key_does_not_have_it_shown(read, server, weights, tmp_path) -> None:
    weights.key = "another"
    scan, _ = read(f"wandb:{server.url}/acme")
    assert "it answered 401 to POST /graphql: invalid API key Basic ***" in (scan.reason or "")
    said = {"errors": [{"message": "x" * 190 + KEY}]}
    server.post = lambda path, headers, body: (400, said, {})
    scan, _ = read(f"wandb:{server.url}/acme")
    assert "x***" in (scan.reason or "")
    basic = server.asked[0][1]["authorization"].removeprefix("Basic ")
    kept = (tmp_path / "inventory.db").read_bytes() + (tmp_path / "inventory.db-wal").read_bytes()
    assert not [secret for secret in (KEY, KEY[:5], basic) if secret.encode() in kept]


NETRC = f"machine elsewhere.example login api password nope\nmachine 127.0.0.1 login user password {KEY}\n"


@pytest.mark.parametrize("place", [".netrc", "_netrc", "named"])
def test_without_a_variable_the_key_is_netrcs(read, server, monkeypatch, tmp_path, place) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / place).write_text(NETRC)
    if place == "named":
        monkeypatch.setenv("NETRC", str(tmp_path / place))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login api password wrong\n")
    scan, found = read(f"wandb:{server.url}/acme")
    assert (scan.status, len(found)) == (ScanStatus.COMPLETE, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no key for 127.0.0.1 was found: set WANDB_API_KEY, or log in by `wandb login --host http://127.0.0.1:"),
        ("default login api password s3cret", "no key for 127.0.0.1 was found"),
        ("machine elsewhere.example login api password s3cret", "no key for 127.0.0.1 was found"),
        ("machine 127.0.0.1 login api s3cret", "/.netrc cannot be read as a netrc file: mend it"),
        (b"\xff\xfe machine s3cret", "/.netrc cannot be read as a netrc file: mend it"),
    ],
)
def test_without_a_key_nothing_is_sent(read, server, monkeypatch, tmp_path, text, said) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    if text is not None:
        (tmp_path / ".netrc").write_bytes(text if isinstance(text, bytes) else text.encode())
    scan, _ = read(f"wandb:{server.url}/acme")
    assert said in (scan.reason or "")
    assert "s3cret" not in (scan.reason or "")
    assert server.asked == []


def test_a_key_for_another_host_is_not_given_to_this_one(read, server, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example:8443")
    scan, _ = read(f"wandb:{server.url}/acme")
    assert "the one in WANDB_API_KEY is for WANDB_BASE_URL, wandb.example" in (scan.reason or "")
    assert server.asked == []
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    scan, _ = read(f"wandb:{server.url}/acme")
    assert scan.status is ScanStatus.COMPLETE


def test_the_hosted_service_is_public_and_needs_a_word(read, server, monkeypatch) -> None:
    """The name is found by the system; here it stands for an address that nothing is sent to."""
    found = [(2, 1, 6, "", ("1.1.1.1", 443))]
    monkeypatch.setattr("scanner.io.api.socket.getaddrinfo", lambda host, port, **more: found if host == HOST else [])
    scan, _ = read("wandb:acme")
    assert f"{HOST} has the public address 1.1.1.1: add --allow-public" in (scan.reason or "")
    assert scan.requests == 0


HOST = "api.wandb.ai"


@pytest.mark.parametrize(
    "rest", ["a/b", "https://host", "https://", "http:///x", "https://h/o?x=1", "https://h?x/o", "ftp://h/o", "/"]
)
def test_a_target_that_names_no_place_says_the_form(read, server, rest) -> None:
    scan, found = read(f"wandb:{rest}")
    assert (scan.status, found, server.asked) == (ScanStatus.INCOMPLETE, {}, [])
    assert "write wandb:ORGANISATION or wandb:https://HOST/ORGANISATION" in (scan.reason or "")


def test_a_password_in_the_target_is_refused_and_not_shown(read, server) -> None:
    scan, _ = read(f"wandb:{server.url.replace('//', '//ana:s3cret@')}/acme")
    assert "leave user and password out of the URL" in (scan.reason or "")
    assert "s3cret" not in scan.model_dump_json()
    assert server.asked == []


def test_an_organisations_name_with_a_space(read, server, weights) -> None:
    weights.add("Acme Labs", "m", 0)
    _, found = read(f"wandb:{server.url}/Acme%20Labs")
    assert set(found) == {"model/m/v0"}


def test_what_would_change_something_never_leaves(server, weights) -> None:
    api = Api(server.url)
    for document in ("mutation { deleteArtifact(artifactID: 1) }", "query { viewer { id } } mutation M { x }"):
        with pytest.raises(ValueError, match="only GraphQL queries are sent"):
            api.query("/graphql", document)
    assert (server.asked, api.calls) == ([], 0)
