import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scanner.exchange import Answer, Request, clean, plain_uri

ROOT = Request("GET", "/", "/")


@given(st.text(st.characters(), max_size=400), st.integers(1, 200))
@example('\ud800"', 5)
def test_cleaned_text_is_fit_for_a_terminal(text: str, longest: int) -> None:
    cleaned = clean(text, longest)
    assert len(cleaned) <= longest
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in cleaned)
    cleaned.encode()


@pytest.mark.parametrize("body", [b"[" * 100_000, b"{", b"nope", b"\xff\xfe{", b"9" * 10_000, b""])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert Answer(ROOT, status=200, body=body).document is None


def test_json_title_media_and_headers() -> None:
    headers = (("content-type", "Text/HTML; charset=x"), ("a", "1"), ("a", "2"))
    answer = Answer(ROOT, status=200, headers=headers, body=b"<TITLE lang=en>\n A&B\x1b[31m </TITLE>")
    assert (answer.media, answer.header("a"), answer.header("none"), answer.ok) == ("text/html", "1, 2", "", True)
    assert answer.title == "A&B [31m"
    assert Answer(ROOT, status=200, body=b' {"a": [1]}').document == {"a": [1]}


def test_the_shape_does_not_depend_on_the_path_asked_for() -> None:
    def said(path: str, body: str) -> Answer:
        return Answer(Request("GET", path, path), status=200, body=body.encode())

    assert said("/a/b", "no /a/b here, id 17").shape == said("/c", "no /c here, id 23").shape
    assert said("/a", "something").shape != said("/a", "else").shape


def test_an_answer_again_keeps_what_does_not_depend_on_who_asked_for_what() -> None:
    first = Answer(Request("GET", "/a/b", "/a/b"), status=404, body=b"no /a/b here", headers=(("x", "1"),))
    worked_out = first.shape, first.digest, first.by_name, first.text
    again = first.again(Request("GET", "/c", "/c"), 7.0, b"HTTP/1.1", frozenset({"192.0.2.1"}))
    assert (again.status, again.text, again.by_name, again.digest) == (404, first.text, first.by_name, first.digest)
    assert (again.request.path, again.milliseconds, again.raw) == ("/c", 7.0, b"HTTP/1.1")
    assert again.host_names == {"192.0.2.1"}
    assert again.shape == Answer(again.request, status=404, body=b"no /a/b here").shape != first.shape
    assert worked_out == (first.shape, first.digest, first.by_name, first.text)


def test_an_answer_that_never_came_has_no_digest() -> None:
    assert Answer(ROOT, outcome="timeout").digest is None
    assert Answer(ROOT, status=200).digest is not None


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("s3://bucket/churn/3", "s3://bucket/churn/3"),
        ("https://ana:s3cret@store.example/churn?sig=s3cret#s3cret", "https://store.example/churn"),
        ("dbfs:///models/churn?x", "dbfs:///models/churn"),
        ("models:/churn/3", "models:/churn/3"),
        ("/subscriptions/1/models/churn", "/subscriptions/1/models/churn"),
        ("http://[s3cret", ""),
        ("https://ana:s3\tcret@store.example/churn", ""),
        ("", ""),
    ],
)
def test_a_uri_is_kept_as_it_is_written_without_what_may_be_a_secret(uri: str, kept: str) -> None:
    assert plain_uri(uri) == kept


@given(st.text(max_size=80))
def test_no_text_that_calls_itself_a_uri_keeps_a_query_or_a_password(text: str) -> None:
    for kept in (plain_uri(text), plain_uri(f"https://user:s3cret@host/{text}")):
        assert not set(kept) & set("?#")
        assert "s3cret" not in kept or "s3cret" in text
