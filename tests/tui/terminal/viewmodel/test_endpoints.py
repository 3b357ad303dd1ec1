import itertools
import random
from datetime import timedelta

import pytest

from inventory.model import Governance, Kind, Posture, Presence, Routing
from inventory.query import Query, parse
from tui.viewmodel import detail, endpoints, words
from tui.viewmodel.text import plain


def test_the_default_order_is_the_riskiest_first(endpoint, now) -> None:
    rows = [endpoint(i, risk=risk) for i, risk in enumerate((5, 90, 40))]
    assert [e.risk for e in endpoints.select(rows, Query(), endpoints.Order(), now)] == [90, 40, 5]


@pytest.mark.parametrize("column", [c.id for c in endpoints.COLUMNS])
@pytest.mark.parametrize("descending", [True, False])
def test_every_order_is_total_whatever_order_rows_come_in(column, descending, endpoint, now) -> None:
    kinds = itertools.cycle((None, Kind.NOTEBOOK, Kind.MODEL_ENDPOINT))
    rows = [endpoint(i, kind=next(kinds), risk=i % 3, owner=("a", None)[i % 2]) for i in range(20)]
    order = endpoints.Order(column, descending)
    expected = [e.id for e in endpoints.select(rows, Query(), order, now)]
    shuffled = random.Random(1).sample(rows, len(rows))
    assert [e.id for e in endpoints.select(shuffled, Query(), order, now)] == expected


def test_addresses_sort_by_number(endpoint, now) -> None:
    rows = [endpoint(i, address=a) for i, a in enumerate(("10.0.0.10", "::1", "10.0.0.9"))]
    found = endpoints.select(rows, Query(), endpoints.natural("endpoint"), now)
    assert [e.address for e in found] == ["10.0.0.9", "10.0.0.10", "::1"]


def test_sorting_by_every_column_in_turn_comes_round(endpoint) -> None:
    order = endpoints.Order()
    seen = []
    for _ in endpoints.COLUMNS:
        seen.append(order.by)
        order = order.next()
    assert sorted(seen) == sorted(c.id for c in endpoints.COLUMNS)
    assert order.by == "risk"


def test_the_filter_is_the_one_of_the_command_line(endpoint, now) -> None:
    rows = [endpoint(1, kind=Kind.NOTEBOOK, posture=Posture.OPEN), endpoint(2, kind=Kind.NOTEBOOK, owner="ana")]
    found = endpoints.select(rows, parse("kind:notebook -owner:*"), endpoints.Order(), now)
    assert [e.id for e in found] == ["e0001"]


def test_a_row_has_a_cell_for_each_column_and_a_glyph_for_each_word(endpoint, now) -> None:
    for kind, posture, governance, routing in itertools.product([*Kind, None], Posture, Governance, Routing):
        cells = endpoints.cells(endpoint(kind=kind, posture=posture, governance=governance, routing=routing), now)
        assert len(cells) == len(endpoints.COLUMNS)
        shown = {c.id: plain(cell) for c, cell in zip(endpoints.COLUMNS, cells, strict=True)}
        for column in ("kind", "posture", "governance", "routing", "presence"):
            assert not shown[column][0].isalnum(), shown[column]


def test_glyphs_tell_apart_what_colours_do() -> None:
    for words_of in (
        [words.posture(p).text for p in Posture],
        [words.routing(r).text for r in Routing],
        [words.presence(p).text for p in Presence],
        [words.kind(k).text for k in (*Kind, None)],
    ):
        assert len({text.split()[0] for text in words_of}) == len(words_of)


@pytest.mark.parametrize(
    ("risk", "shown"), [(0, "·  0"), (39, "· 39"), (40, "◆ 40"), (69, "◆ 69"), (70, "▲ 70"), (100, "▲100")]
)
def test_risk_bands(risk: int, shown: str) -> None:
    assert plain(words.risk(risk)) == shown


def test_an_exemption_shows_the_time_it_has_left(endpoint, now) -> None:
    exempt = endpoint(governance=Governance.EXEMPT, exempt_until=now + timedelta(days=12, hours=1))
    assert plain(words.governance(exempt, now)) == "◐ exempt 12d"
    ended = endpoint(governance=Governance.EXEMPT, exempt_until=now - timedelta(days=1))
    assert plain(words.governance(ended, now)) == "◐ exempt ended"


def test_an_empty_table_says_what_to_do(endpoint, now) -> None:
    none = endpoints.table([], endpoints.Order(), now, known=0, filtered=False)
    assert "gnomon scan" in " ".join(none.empty)
    filtered = endpoints.table([], endpoints.Order(), now, known=5, filtered=True)
    assert "filter" in filtered.empty[0]


def test_rows_are_found_by_key(endpoint, now) -> None:
    rows = [endpoint(i) for i in range(5)]
    table = endpoints.table(rows, endpoints.Order(), now, known=5, filtered=False)
    assert [table.find(table.key(i)) for i in range(5)] == list(range(5))
    assert table.find("nobody") is None
    assert table.find(None) is None


def test_the_count_names_what_is_hidden_and_marked() -> None:
    assert endpoints.counted(5, 5, ()) == "5"
    assert endpoints.counted(2, 1204, ("a",)) == "2 of 1,204 · 1 marked"


@pytest.mark.parametrize("width", [30, 60, 120])
def test_nothing_a_host_said_reaches_the_screen_as_it_was(width, endpoint, evil, now) -> None:
    hostile = endpoint(
        title=evil, server=evil, product=evil, version=evil, url=evil, base_path=evil, owner=evil,
        posture_evidence=evil, kind=Kind.MODEL_ENDPOINT, certificate_names=(evil,), needs=(evil,),
    )  # fmt: skip
    lines = [*detail.full(hostile, (), width, now), *endpoints.cells(hostile, now)]
    assert all(plain(each).isprintable() for each in lines)
