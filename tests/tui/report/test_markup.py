"""Markup of values: whatever is put in stays text."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.report.markup import Html, bar, spark, table, tag, text
from tui.viewmodel.text import clean


class Seen(HTMLParser):
    """The elements of a document and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(name)

    def handle_data(self, data: str) -> None:
        self.said += data


@given(st.text(max_size=60), st.text(max_size=60))
def test_text_is_never_markup_and_comes_back(inside: str, attribute: str):
    seen = Seen(tag("p", inside, title=attribute))
    assert seen.tags == ["p"]
    assert seen.said == clean(inside, 400)


@pytest.mark.parametrize("attack", [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</td></table><iframe>", "&lt;b&gt;",
    "\u202e\x1b[2J",
])  # fmt: skip
def test_what_a_host_says_stays_in_its_cell(attack: str):
    document = table((attack,), [(attack, 7, None)])
    assert sorted(Seen(document).tags) == ["table", "tbody", "td", "td", "td", "th", "thead", "tr", "tr"]
    assert not re.search("[\x00-\x08\x1b\u202e]", document)


def test_markup_is_put_in_as_it_is_and_lists_are_flattened():
    assert text([Html("<b>x</b>"), ["<", 1]], None) == "<b>x</b>&lt;1"


@pytest.mark.parametrize(("percent", "width", "level"), [
    (None, "0.0", "none"), (0.0, "0.0", "bad"), (40.0, "40.0", "warn"), (90.0, "90.0", "good"),
    (130.0, "100.0", "good"),
])  # fmt: skip
def test_a_bar_is_as_long_as_its_figure(percent: float | None, width: str, level: str):
    assert f'class="{level}" style="width:{width}%"' in bar(percent).replace("width:0%", "width:0.0%")


def test_a_line_has_a_gap_where_nothing_is_known():
    drawn = spark([0.0, 100.0, None, 50.0])
    assert re.search(r'd="(.*?)"', drawn)[1] == "M0.0 24.0 L33.3 2.0 M100.0 13.0"
