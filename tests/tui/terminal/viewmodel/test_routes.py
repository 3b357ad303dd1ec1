import pytest

from inventory.model import GatewayStatus, Revision, Traffic
from tui.viewmodel import routes
from tui.viewmodel.state import RouteState
from tui.viewmodel.text import Tone, plain, width_of


@pytest.fixture
def state(spec, evidence, now) -> RouteState:
    revision = Revision(route="churn", number=3, spec=spec, at=now, who="mara", why="shadow agrees")
    traffic = (
        Traffic(route="churn", backend="origin", requests=800),
        Traffic(route="churn", backend="managed", requests=200, failures=3, shadowed=90),
    )
    return RouteState(revision, traffic, (evidence,))


def gateway(now, number: int, **fields) -> GatewayStatus:
    revisions = {"churn": number} if number else {}
    return GatewayStatus(id="g", address="127.0.0.1:1", healthy=True, heartbeat_at=now, revisions=revisions, **fields)


@pytest.mark.parametrize(
    ("numbers", "refused", "said"),
    [
        ((), {}, "r3 ? no gateway"),
        ((3,), {}, "r3 ✓ in force"),
        ((3, 2), {}, "r3 ◐ at r2"),
        ((0,), {}, "r3 ◌ pending"),
        ((2,), {"churn": {"error": "no cluster"}}, "r3 ✗ refused"),
        ((4,), {}, "r3 ✓ in force"),
    ],
)
def test_desired_and_acknowledged(numbers, refused, said, state, now) -> None:
    gateways = [gateway(now, number, refused=refused) for number in numbers]
    assert plain(routes.acknowledged(state.revision, gateways)) == said


def test_the_split_shows_both_shares_in_numbers_and_length(state) -> None:
    drawn = plain(routes.split_bar(state, 26))
    assert drawn == "━" * 16 + "╍" * 4 + " 80/20"


@pytest.mark.parametrize(
    ("pairs", "bound", "tone", "glyph"),
    [
        (812, 0.9934, Tone.GOOD, "✓"),
        (812, 0.96, Tone.WARN, "◐"),
        (812, 0.5, Tone.BAD, "✗"),
        (99, 0.9999, Tone.WARN, "◐"),
    ],
)
def test_an_agreement_is_judged_by_its_bound_and_its_count(pairs, bound, tone, glyph, evidence) -> None:
    some = evidence.model_copy(update={"pairs": pairs, "lower_bound": bound})
    assert routes.tone_of(some) is tone
    assert routes.glyph_of(some) == glyph


@pytest.mark.parametrize(
    ("bound", "shown"), [(0.99999, "99.9 %"), (0.9951, "99.5 %"), (1.0, "100.0 %"), (0.29, "29.0 %")]
)
def test_a_bound_is_rounded_down(bound, shown, evidence) -> None:
    assert shown in plain(routes.agreement(evidence.model_copy(update={"lower_bound": bound})))


def test_no_pairs_are_not_an_agreement(evidence) -> None:
    assert plain(routes.agreement(None)) == "— no pairs"
    assert plain(routes.agreement(evidence.model_copy(update={"pairs": 0, "lower_bound": None}))) == "— no pairs"


def test_the_evidence_shown_is_of_the_shadow_there_is(state, evidence, now) -> None:
    other = evidence.model_copy(update={"shadow": "older", "pairs": 9})
    both = RouteState(state.revision, state.traffic, (other, evidence))
    assert routes.current(both) == evidence


@pytest.mark.parametrize("width", [50, 78, 120])
def test_the_detail_says_everything_and_fits(width, state, now) -> None:
    lines = routes.detail(state, [gateway(now, 3)], width, now)
    said = "\n".join(plain(each) for each in lines)
    for part in (
        "✗ 3 failed",
        "811 agreed of 812",
        "2 lost",
        "99.8 %",
        "$.label",
        '"churn"␛[2J',
        '"stay"',
        "r3 of r3",
        "healthy",
    ):
        assert part in said
    assert said.isprintable() or all(plain(each).isprintable() for each in lines)
    side_by_side = next(plain(each) for each in lines if '"stay"' in plain(each))
    assert side_by_side.index("churn") < side_by_side.index(" │ ") < side_by_side.index("stay")


def test_the_table_says_the_same_in_a_row(state, now) -> None:
    table = routes.table([state], [gateway(now, 3)])
    cells = [plain(cell(30) if callable(cell) else cell) for cell in table.cells(0)]
    assert cells[0] == "churn"
    assert cells[-2:] == ["1,000", "✗ 3"]
    assert len(cells) == len(routes.COLUMNS)


def test_a_preview_shows_now_and_then(spec) -> None:
    now_line, then = (plain(each) for each in routes.preview(spec, {"origin": 50, "managed": 50}, 60))
    assert now_line.startswith("now")
    assert now_line.endswith("80/20")
    assert then.endswith("50/50")
    assert width_of(routes.preview(spec, {}, 60)[0]) <= 60
