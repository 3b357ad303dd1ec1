from inventory.model import (
    Asked,
    Change,
    Evidence,
    Exposure,
    InferenceRoute,
    Kind,
    Posture,
    Reason,
    Routing,
    Triage,
)
from tui.viewmodel import detail
from tui.viewmodel.text import plain, width_of


def text(lines) -> str:
    return "\n".join(plain(each) for each in lines)


def rich_endpoint(endpoint):
    return endpoint(
        kind=Kind.MODEL_ENDPOINT, product="flask", posture=Posture.OPEN, risk=85, confidence=0.97,
        posture_evidence="OPTIONS /predict -> 200 without credentials",
        risk_reasons=(Reason(weight=30, why="a model answers here"), Reason(weight=-15, why="exempt for now")),
        inference_routes=(InferenceRoute(method="POST", path="/predict"),),
        exposures=(Exposure(via="ingress", url="http://models.lab/churn"),),
        evidence=(
            Evidence(signal="HTML at /", weight=-0.7, request="GET / -> 200"),
            Evidence(signal="POST is allowed", weight=3.1, request="OPTIONS /predict -> 200"),
        ),
        asked=(Asked(method="GET", path="/", status=200, bytes=812, milliseconds=3.2),
               Asked(method="GET", path="/ping", outcome="timeout", milliseconds=5000)),
    )  # fmt: skip


def test_everything_known_is_said(endpoint, now) -> None:
    said = text(detail.full(rich_endpoint(endpoint), (), (), 100, now))
    for part in (
        "OPTIONS /predict -> 200 without credentials", "85 of 100", " +30 a model answers here", " -15 exempt for now",
        "confidence 97%", "POST    /predict", "http://models.lab/churn", "+  3.1 POST is allowed", "-  0.7 HTML at /",
        "timeout", "812 B", "ungoverned", "callers reach it directly; open to strangers; unreviewed",
    ):  # fmt: skip
        assert part in said


def test_the_strongest_evidence_comes_first(endpoint) -> None:
    said = text(detail.evidence(rich_endpoint(endpoint).evidence, 80))
    assert said.index("POST is allowed") < said.index("HTML at /")


def test_every_line_fits(endpoint, now) -> None:
    for width in (40, 56, 78, 120):
        for each in detail.full(rich_endpoint(endpoint), (), (), width, now):
            assert width_of(each) <= width, plain(each)


def test_governed_or_not(endpoint) -> None:
    assert "● governed" in text(detail.governed(endpoint(kind=Kind.NOTEBOOK, routing=Routing.ENFORCED), 80))
    assert "nothing to govern" in text(detail.governed(endpoint(kind=Kind.ORDINARY_WEB), 80))
    assert "ungoverned" in text(detail.governed(endpoint(kind=Kind.NOTEBOOK, routing=Routing.SPLIT), 80))


def test_absence_is_said_and_not_left_blank(endpoint, now) -> None:
    said = text(detail.full(endpoint(), (), (), 80, now))
    for part in ("none known", "only its address", "none beyond an open port", "nothing beyond opening a connection",
                 "nobody has decided anything about it", "no request has decided it yet"):  # fmt: skip
        assert part in said


def test_a_change_shows_only_what_it_changed(now, endpoint) -> None:
    before, after = Triage(endpoint="e1"), Triage(endpoint="e1", owner="team-recsys")
    change = Change(at=now, who="mara", action="assign", subject="e1", why="label",
                    before=before.model_dump_json(), after=after.model_dump_json())  # fmt: skip
    assert detail.differences(change) == [("owner", "—", "team-recsys")]
    said = text(detail.history([change], 80, now))
    assert "owner — → team-recsys" in said
    assert "unreviewed" not in said


def test_a_change_that_is_not_json_is_shown_as_it_is(now) -> None:
    change = Change(at=now, who="m", action="a", subject="s", why="w", before="10\x1b[2J", after="[20]")
    assert detail.differences(change) == [("value", "10␛[2J", "[20]")]
