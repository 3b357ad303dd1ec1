import pytest

from inventory.model import GatewayStatus, Kind, Revision, Scheme
from tui.checks import challenger
from tui.viewmodel import moves
from tui.viewmodel.text import plain, width_of


def text(lines) -> str:
    return "\n".join(plain(each) for each in lines)


def form(**values: str) -> dict[str, str]:
    return {"name": "churn-2", "path": "", "to": "", "shadow": "", "why": "before the audit"} | values


def gateway(now, **revisions: int) -> GatewayStatus:
    return GatewayStatus(id="local", address="127.0.0.1:8780", healthy=True, heartbeat_at=now, revisions=revisions)


def revision(spec, now, number: int = 1) -> Revision:
    return Revision(route=spec.name, number=number, spec=spec, at=now, who="mara", why="adopt")


def test_an_adoption_is_read_from_its_form(endpoint) -> None:
    values = form(to="http://10.0.0.8:8000", shadow="10 %")
    spec, why = moves.adoption(endpoint(kind=Kind.NOTEBOOK), values, domain="localhost", taken=())
    assert spec.hosts == ("churn-2.localhost",)
    assert [(b.name, b.weight) for b in spec.backends] == [("origin", 100), ("replacement", 0)]
    assert spec.shadow.percent == 10
    assert why == "before the audit"


def test_an_adoption_may_be_by_a_path(endpoint) -> None:
    spec, _ = moves.adoption(endpoint(), form(path=" /models/churn "), domain="localhost", taken=())
    assert spec.names == ("localhost/models/churn",)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": "No Good"}, "lower-case"), ({"name": "taken"}, "already"), ({"why": " "}, "reason"),
        ({"shadow": "10"}, "replacement"), ({"shadow": "x", "to": "http://a:1"}, "percent"),
        ({"shadow": "101", "to": "http://a:1"}, "0 to 100"), ({"to": "ftp://a"}, "http"),
        ({"to": "http://user:secret@a"}, "no user"), ({"path": "models"}, "/models/iris"),
    ],
)  # fmt: skip
def test_an_adoption_that_cannot_be_is_refused_with_a_reason(values, complaint, endpoint) -> None:
    with pytest.raises(ValueError, match=complaint):
        moves.adoption(endpoint(), form(**values), domain="localhost", taken={"taken"})


def test_a_name_is_offered_that_is_free_and_can_be_used(endpoint) -> None:
    one = endpoint(product="Jupyter Server!", port=8888)
    assert moves.name_for(one, ()) == "jupyter-server-8888"
    assert moves.name_for(one, {"jupyter-server-8888"}) == "jupyter-server-127-0-0-2-8888"
    six = endpoint(address="fd00::1", product=None)
    assert moves.name_for(six, {"app-5000"}) == "app-fd00-1-5000"


def test_the_plan_is_what_the_gateway_would_do_step_by_step(spec, now, endpoint) -> None:
    new, _ = moves.adoption(endpoint(), form(), domain="localhost", taken=())
    said = text(moves.plan(new, [revision(spec, now)], [gateway(now, churn=1)]))
    assert said.index("warm") < said.index("serve")
    assert "churn-2 r1" in said
    assert "churn r" not in said
    assert "no gateway" in text(moves.plan(new, [], []))


def test_a_host_that_another_route_has_is_refused_before_it_is_asked_for(spec, now) -> None:
    thief = spec.model_copy(update={"name": "thief"})
    assert "will refuse it" in text(moves.plan(thief, [revision(spec, now)], [gateway(now, churn=1)]))


def test_what_a_gateway_still_has_to_do_is_told_until_it_has(spec, now) -> None:
    latest = revision(spec, now, 3)
    assert moves.pending(latest, [latest], [gateway(now, churn=3)]) == {}
    behind = moves.pending(latest, [latest], [gateway(now, churn=2)])
    assert "churn r3" in text(behind["local"])


def test_a_shift_keeps_the_sum_and_a_promotion_gives_all(spec) -> None:
    after = moves.shifted(spec, {"weight-origin": "30", "weight-managed": "70 %"})
    assert [b.weight for b in after.backends] == [30, 70]
    promoted = moves.promoted(spec, "managed", {})
    assert [b.weight for b in promoted.backends] == [0, 100]
    assert promoted.shadow is None
    with pytest.raises(ValueError, match="what the route is now"):
        moves.promoted(promoted, "managed", {})


def test_a_rollback_names_a_revision_that_is_there(spec, now) -> None:
    after = moves.promoted(spec, "managed", {})
    history = [revision(after, now, 2), revision(spec, now, 1)]
    assert moves.rolled_back(history, {"to": "r1"}) == spec
    with pytest.raises(ValueError, match="no revision 7"):
        moves.rolled_back(history, {"to": "7"})
    with pytest.raises(ValueError, match="what the route is now"):
        moves.rolled_back(history, {"to": "2"})


def test_previews_fit_and_say_what_changes(spec, endpoint) -> None:
    after = moves.shadowed(spec, {"backend": "managed", "percent": "50"})
    said = text(moves.change_plan(spec, after, [], 60))
    assert "10 % to managed → 50 % to managed" in said
    for width in (30, 60):
        for each in moves.adoption_plan(spec, [], 8780, endpoint(url="http://x/" + "y" * 200), width):
            assert width_of(each) <= width
    assert "404" in text(moves.release_plan(spec, 60))


def test_live_requests_move_only_by_the_routes_own_name() -> None:
    moves.typed("churn", {"name": " churn "})
    for wrong in ("", "chur", "Churn"):
        with pytest.raises(ValueError, match="type the route's name"):
            moves.typed("churn", {"name": wrong})


def test_who_takes_over_is_the_shadow_or_the_only_other(spec, now) -> None:
    assert challenger(revision(spec, now)) == "managed"
    no_shadow = spec.model_copy(update={"shadow": None})
    assert challenger(revision(no_shadow, now)) == "managed"
    only = spec.backends[0].model_copy(update={"weight": 100})
    alone = no_shadow.model_copy(update={"backends": (only,)})
    assert challenger(revision(alone, now)) is None


def test_only_http_is_adopted(endpoint) -> None:
    with pytest.raises(ValueError, match="speaks tcp"):
        moves.adoption(endpoint(scheme=Scheme.TCP), form(), domain="localhost", taken=())
