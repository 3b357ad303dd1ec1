import csv
import io
import json
import shlex

from tui.viewmodel import copy
from tui.viewmodel.svg import self_contained


def test_what_a_host_said_cannot_leave_the_quotes_of_a_shell(endpoint) -> None:
    hostile = endpoint(url="http://127.0.0.2:5000/'; rm -rf / #\x1b[2J\u202e--output=/etc/passwd")
    line = copy.curl(hostile)
    assert line.isascii()
    assert line.isprintable()
    words = shlex.split(line)
    assert words[0] == "curl"
    assert words[-2] == "--"
    assert words[-1].startswith("http://127.0.0.2:5000/")
    assert len(words) == 9


def test_everything_copied_is_printable_ascii(endpoint, evil) -> None:
    hostile = endpoint(title=evil, url=evil, owner=evil)
    for text in (copy.endpoint_json([hostile]), copy.urls([hostile]), copy.row([evil, "b\tc"]), copy.curl(hostile)):
        assert text.isascii()
        assert all(c.isprintable() or c in "\n\t" for c in text)
    assert copy.row(["a", "b\tc"]) == "a\tb c"


def test_csv_has_a_line_for_each_and_no_formula(endpoint) -> None:
    rows = [endpoint(1, title='=HYPERLINK("http://evil")'), endpoint(2, title='a "quoted", title\nof two lines')]
    read = list(csv.DictReader(io.StringIO(copy.as_csv(rows, copy.FIELDS))))
    assert [row["title"][:2] for row in read] == ["'=", "a "]
    assert [row["port"] for row in read] == ["5000", "5000"]
    assert "\n" not in read[1]["title"]
    assert json.loads(copy.value_json(rows))[1]["id"] == "e0002"


def test_pictures_fetch_nothing() -> None:
    face = '@font-face { src: url("https://example.org/a.woff2"); }'
    style = f"<style>{face} .x {{ font-family: Fira Code, monospace; }}</style>"
    svg = f"<svg x='1'><!-- https://example.org -->{style}</svg>"
    bare = self_contained(svg)
    assert "example.org" not in bare
    assert "DejaVu Sans Mono" in bare
