"""Files that list what is approved."""

from pathlib import Path

import pytest

from inventory.model import DeclarationState, ScanStatus

OPENAPI = """
openapi: 3.0.3
info: {title: Churn, contact: {name: team-churn}}
servers: [{url: "http://127.0.0.9:8000/churn"}, {url: /relative}]
paths:
  /predict: {post: {}}
  /health: {get: {}}
"""
BACKSTAGE = """
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: churn, namespace: ml, links: [{url: "http://127.0.0.9:8000", type: endpoint}, {url: "http://wiki"}]}
spec: {owner: team-churn, lifecycle: deprecated, definition: "openapi: 3.0.0\\npaths: {/score: {post: {}}}"}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: people}
"""


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return f"catalogue:{folder / name}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "Name,URL,Owner,State,Model,Version\niris,http://127.0.0.9:5000,ana,active,iris-clf,3\n"),
        ("a.csv", "\ufeffname, url, team, status, model, version\niris, http://127.0.0.9:5000, ana, up, iris-clf, 3\n"),
        ("a.yaml", "- {name: iris, url: 'http://127.0.0.9:5000', owner: ana, model: iris-clf, version: 3}\n"),
        ("a.yml", "endpoints: [{name: iris, urls: ['http://127.0.0.9:5000'], team: ana, model: iris-clf, version: 3}]"),
        ("a.json", '[{"name":"iris","url":"http://127.0.0.9:5000","owner":"ana","model":"iris-clf","version":3}]'),
    ],
)  # fmt: skip
def test_every_form_says_the_same(read, tmp_path: Path, name: str, text: str) -> None:
    scan, found = read(written(tmp_path, name, text))
    assert (scan.status, scan.reason) == (ScanStatus.COMPLETE, None)
    one = found["iris"]
    assert (one.urls, one.places, one.owner) == (("http://127.0.0.9:5000",), ("127.0.0.9:5000",), "ana")
    assert (one.model, one.model_version, one.state) == ("iris-clf", "3", DeclarationState.ACTIVE)


@pytest.mark.parametrize("word", ["retired", "Deprecated", "archived"])
def test_retired_by_any_word(read, tmp_path: Path, word: str) -> None:
    _, found = read(written(tmp_path, "a.csv", f"url,state\nhttp://127.0.0.9:1,{word}\n"))
    assert found["http://127.0.0.9:1"].state is DeclarationState.RETIRED


def test_an_openapi_description_and_a_backstage_catalogue(read, tmp_path: Path) -> None:
    _, found = read(written(tmp_path, "api.yaml", OPENAPI), written(tmp_path, "catalog-info.yaml", BACKSTAGE))
    assert set(found) == {"Churn", "api:ml/churn"}
    api, entity = found["Churn"], found["api:ml/churn"]
    assert (api.urls, api.owner) == (("http://127.0.0.9:8000/churn",), "team-churn")
    assert set(api.operations) == {"POST /predict", "GET /health"}
    assert (entity.urls, entity.owner, entity.state) == (("http://127.0.0.9:8000",), "team-churn", "retired")
    assert entity.operations == ("POST /score",)


@pytest.mark.parametrize(
    ("name", "text", "said", "kept"),
    [
        ("a.csv", "name,url\niris,http://127.0.0.9:1\n,\nchurn,\n", "line 3 has neither a name", {"iris", "churn"}),
        ("a.csv", "name\niris\niris\n", "line 3 is named 'iris' like an entry before it", {"iris"}),
        ("a.yaml", "- iris: [\n", "neither YAML nor JSON at line", set()),
        ("a.yaml", "- 5\n- {name: iris}\n", "entry 1 is no entry: write a mapping", {"iris"}),
        ("a.yaml", "just words", "document 1 is no list of endpoints", set()),
        ("a.yaml", "!!python/object/apply:os.system [echo]", "neither YAML nor JSON", set()),
        ("a.yaml", "openapi: 3.0.0\npaths: {}\nservers: 5\n", "is not laid out as its format says", set()),
        ("missing", None, "cannot be read: No such file or directory", set()),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_and_the_rest_counts(read, tmp_path: Path, name, text, said, kept) -> None:
    target = written(tmp_path, name, text) if text is not None else f"catalogue:{tmp_path / name}"
    scan, found = read(target)
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert "\n" not in (scan.reason or "")
    assert set(found) == kept


def test_a_control_character_or_a_password_is_not_kept(read, tmp_path: Path) -> None:
    row = '[{"name": "i\\u001b[2Jris", "url": "http://ana:s3cret@127.0.0.9:1/x", "owner": "a\\u202eb"}]'
    _, found = read(written(tmp_path, "a.json", row))
    (one,) = found.values()
    assert "\x1b" not in one.name
    assert "\u202e" not in (one.owner or "")
    assert one.urls == ("http://127.0.0.9:1/x",)
