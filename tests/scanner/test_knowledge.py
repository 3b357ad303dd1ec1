from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.knowledge import BUILT_IN, SignatureError, assemble, load_knowledge, parse_signature, read_signature

GOOD = """
id: lamp
name: Lamp server
kind: model-endpoint
model: always
about: A product that exists for this test only.
signals:
  - {on: GET /lamp, when: {status: 200, json: {has: [wick]}}, weight: 6, proves: "its wick is told"}
source: nowhere
"""


def test_the_built_in_signatures_load_and_agree() -> None:
    knowledge = load_knowledge()
    assert len(knowledge.signatures) > 100
    known = set(knowledge.signatures)
    for signature in knowledge.signatures.values():
        assert {alike.id for alike in signature.alike} <= known, signature.id
        assert set(signature.refines) <= known, signature.id
        assert set(signature.stacks) <= known, signature.id


def test_the_quick_parser_reads_what_the_careful_one_reads() -> None:
    for path in sorted(BUILT_IN.glob("*.yaml")):
        assert read_signature(path, own=True) == read_signature(path)


def test_every_product_decides_its_posture_or_says_why_not() -> None:
    for signature in load_knowledge().products:
        assert signature.posture or signature.posture_note, signature.id


def test_a_users_folder_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "lamp.yaml").write_text(GOOD)
    (tmp_path / "flask.yaml").write_text(GOOD.replace("id: lamp", "id: flask"))
    knowledge = load_knowledge(tmp_path)
    assert knowledge.signatures["lamp"].name == knowledge.signatures["flask"].name == "Lamp server"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("id: lamp", "id: Lamp!"), "id"),
        (("GET /lamp", "POST /lamp"), "must be any, canary, root"),
        (("GET /lamp", "GET lamp"), "must be any, canary, root"),
        (("status: 200", "statue: 200"), "statue"),
        (("has: [wick]", "matches: {wick: '('}"), "no regular expression"),
        (("weight: 6, ", ""), "weight"),
        (("kind: model-endpoint", "kind: lantern"), "kind"),
        (("signals:", "signals: []\nsignal:"), "signal"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(change: tuple[str, str], words: str) -> None:
    with pytest.raises(SignatureError, match=words) as error:
        parse_signature(GOOD.replace(*change), "lamp.yaml")
    assert str(error.value).startswith("lamp.yaml: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "a: &x 1\nb: *x", ":\n:", "{" * 3000, "\x00"])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureError):
        parse_signature(text)


@given(st.text(max_size=300))
def test_any_text_is_a_signature_or_a_signature_error(text: str) -> None:
    with pytest.raises(SignatureError):
        parse_signature(text)


def test_a_file_is_named_as_its_product(tmp_path: Path) -> None:
    (tmp_path / "lantern.yaml").write_text(GOOD)
    with pytest.raises(SignatureError, match=r"lamp\.yaml"):
        read_signature(tmp_path / "lantern.yaml")
    with pytest.raises(SignatureError, match="cannot be read"):
        read_signature(tmp_path / "absent.yaml")
    with pytest.raises(SignatureError, match="does not exist"):
        load_knowledge(tmp_path / "absent")


def test_a_request_that_another_product_forbids_is_a_conflict() -> None:
    asking = parse_signature(GOOD.replace("GET /lamp", "GET /flush_cache"))
    with pytest.raises(SignatureError, match="lamp asks GET /flush_cache, which must not be sent"):
        assemble([*load_knowledge().signatures.values(), asking])
