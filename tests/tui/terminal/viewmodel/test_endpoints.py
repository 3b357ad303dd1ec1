import itertools
from datetime import timedelta

import pytest

from inventory.listing import ORDERS, Order
from inventory.model import Governance, Kind, Posture, Presence, Routing
from tui.viewmodel import detail, endpoints, words
from tui.viewmodel.text import plain


def test_sorting_by_every_column_in_turn_comes_round() -> None:
    order = Order()
    seen = []
    for _ in set(ORDERS) & {c.id for c in endpoints.COLUMNS}:
        seen.append(order.by)
        order = endpoints.next_order(order, endpoints.COLUMNS)
    assert sorted(seen) == sorted(set(ORDERS) & {c.id for c in endpoints.COLUMNS})
    assert order.by == "risk"


def test_columns_are_chosen_in_the_order_of_the_table_and_never_none() -> None:
    assert [c.id for c in endpoints.chosen(("owner", "risk", "nonsense"))] == ["risk", "owner"]
    assert [c.id for c in endpoints.chosen(("nonsense",))] == list(endpoints.DEFAULT)
    assert [c.id for c in endpoints.chosen((), ("why",))] == ["why"]


def test_an_order_that_is_not_there_any_more_is_the_riskiest_first() -> None:
    assert endpoints.order_of("owner", descending=False) == Order("owner", descending=False)
    assert endpoints.order_of("colour", descending=False) == Order()
    assert endpoints.natural("why") == Order()


@pytest.mark.parametrize("text", ["", "a b", "Ünsafe", "-x", "x" * 41])
def test_a_name_that_could_not_be_typed_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a name is of"):
        endpoints.view_name(text)
    assert endpoints.view_name(" Open-Notebooks ") == "open-notebooks"


def test_a_row_has_a_cell_for_each_column_and_a_glyph_for_each_word(endpoint, now) -> None:
    for kind, posture, governance, routing in itertools.product([*Kind, None], Posture, Governance, Routing):
        row = endpoint(kind=kind, posture=posture, governance=governance, routing=routing)
        cells = endpoints.cells(row, endpoints.COLUMNS, now)
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


def test_an_empty_table_says_what_to_do() -> None:
    assert "gnomon scan" in " ".join(endpoints.empty(loaded=True, filtered=False))
    assert "filter" in endpoints.empty(loaded=True, filtered=True)[0]
    assert "Reading" in endpoints.empty(loaded=False, filtered=False)[0]


def test_rows_are_found_by_key_and_those_not_read_yet_have_no_cells(endpoint, now) -> None:
    rows = {e.id: e for e in (endpoint(i) for i in range(4))}
    keys = [*rows, "unread"]
    table = endpoints.table(keys, rows.get, Order(), now, endpoints.COLUMNS, empty=())
    assert [table.find(table.key(i)) for i in range(5)] == list(range(5))
    assert table.find("unread", near=4) == 4
    assert table.find("nobody") is None
    assert table.find(None) is None
    assert table.cells(4) is None
    assert len(table.cells(0)) == len(endpoints.COLUMNS)


def test_the_count_names_what_is_hidden_and_marked() -> None:
    assert endpoints.counted(5, 5, 0) == "5"
    assert endpoints.counted(2, 1204, 1) == "2 of 1,204 · 1 marked"


@pytest.mark.parametrize("width", [30, 60, 120])
def test_nothing_a_host_said_reaches_the_screen_as_it_was(width, endpoint, evil, now) -> None:
    hostile = endpoint(
        title=evil, server=evil, product=evil, version=evil, url=evil, base_path=evil, owner=evil,
        posture_evidence=evil, kind=Kind.MODEL_ENDPOINT, certificate_names=(evil,), needs=(evil,),
    )  # fmt: skip
    lines = [*detail.full(hostile, (), (), width, now), *endpoints.cells(hostile, endpoints.COLUMNS, now)]
    assert all(plain(each).isprintable() for each in lines)
