import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory.model import Identified, Kind
from scanner.exchange import Answer, Request
from scanner.findings import Finding
from scanner.hosts import MOST_NAMES, merged, names_told


def redirect(location: str, status: int = 302) -> Answer:
    own = frozenset({"192.0.2.1", "192.0.2.1:80"})
    return Answer(Request("GET", "/"), status=status, headers=(("location", location),), host_names=own)


def found(kind: Kind, base: str = "/") -> Finding:
    return Finding(base_path=base, fact=Identified(kind=kind, confidence=0.9))


def test_names_of_redirects_come_before_those_of_the_certificate() -> None:
    names = ("*.corp.example", "10.0.0.1", "localhost", "B.example.", "c.example", "d.example")
    assert names_told(names, [redirect("https://a.example/x")]) == ("a.example", "b.example")


@pytest.mark.parametrize(
    "location",
    ["/login", "http://192.0.2.1/x", "http://192.0.2.1:80/", "http://[::1", "http://198.51.100.7/", "http://a b/", ""],
)
def test_what_names_no_host(location: str) -> None:
    assert names_told((), [redirect(location)]) == ()
    assert names_told((), [redirect("http://a.example/", status=200)]) == ()


@given(st.lists(st.text(max_size=60), max_size=8), st.text(max_size=60))
@example(["a.example\n"], "")
def test_any_names_are_survived_and_what_is_said_is_safe(names: list[str], location: str) -> None:
    told = names_told(names, [redirect(location)])
    assert len(told) <= MOST_NAMES
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_") for name in told)


def test_what_is_ordinary_by_name_changes_nothing() -> None:
    before = (found(Kind.ORDINARY_WEB),)
    assert merged(before, (found(Kind.ORDINARY_WEB, "/x"),), "a.example") == before


def test_what_answers_to_a_name_takes_the_place_of_its_base_path() -> None:
    before = (found(Kind.ORDINARY_WEB), found(Kind.ORDINARY_WEB, "/old"))
    after = merged(before, (found(Kind.NOTEBOOK),), "a.example")
    assert [(f.base_path, f.fact.kind) for f in after if isinstance(f.fact, Identified)] == [
        ("/old", Kind.ORDINARY_WEB),
        ("/", Kind.NOTEBOOK),
    ]
    assert "a.example" in after[1].evidence[0].signal
