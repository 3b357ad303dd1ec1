"""Steps as code: what a file says, and the sentence for each way to get it wrong."""

from datetime import UTC, datetime

import pytest

from inventory.model import Gate, Stage
from router.errors import RouteError
from router.rollout_file import default_plan, read_plan

WHOLE = """
candidate: replacement
incumbent: origin
starts_at: 2026-05-04T22:00:00Z
gate: {agreement: 0.98, minimum_pairs: 50}
windows:
  - {cron: "0 22 * * mon-thu", minutes: 120}
steps:
  - shadow: 5
  - {shadow: 20, after: 10m}
  - {split: 10, approval: true, after: 2h}
  - split: 100
    gate: {agreement: 0.999}
"""


def test_a_file_says_everything() -> None:
    plan = read_plan(WHOLE)
    assert (plan.candidate, plan.incumbent) == ("replacement", "origin")
    assert plan.starts_at == datetime(2026, 5, 4, 22, tzinfo=UTC)
    assert [(one.cron, one.minutes) for one in plan.windows] == [("0 22 * * mon-thu", 120)]
    assert [step.words for step in plan.steps] == [
        "front", "shadow 5%", "shadow 20%", "split 10%", "split 100%", "done",
    ]  # fmt: skip
    front, first, second, split, everything, done = plan.steps
    assert (front.gate, first.gate) == (None, None)
    assert second.gate == Gate(agreement=0.98, minimum_pairs=20, prove=False)
    assert (second.after_seconds, split.after_seconds, split.approval) == (600, 7200, True)
    assert split.gate == Gate(agreement=0.98, minimum_pairs=50)
    assert everything.gate == done.gate == Gate(agreement=0.999, minimum_pairs=50)
    assert done.stage is Stage.DONE


def test_without_steps_it_is_the_usual_ladder_behind_its_own_gate() -> None:
    assert read_plan("gate: {agreement: 0.9}").steps == default_plan(Gate(agreement=0.9)).steps


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [", "is not YAML"),
        ("- 1", "must hold keys"),
        ("step: []", "a rollout has no key 'step'"),
        ("steps: {}", "must be a list"),
        ("steps: [5]", "step 1 must be written like"),
        ("steps: [{shadow: 5, split: 5}]", "step 1 needs either shadow or split"),
        ("steps: [{after: 5m}]", "step 1 needs either shadow or split"),
        ("steps: [{shadow: 5, afer: 5m}]", "step 1 has no key 'afer'"),
        ("steps: [{shadow: 5, after: soon}]", "step 1: 'soon' is no duration"),
        ("steps: [{shadow: 5}]", "the last split must be 100 percent"),
        ("steps: [{split: 100}]", "needs a shadow step"),
        ("steps: [{split: 5}, {shadow: 5}, {split: 100}]", "shadow steps come first"),
        ("steps: [{shadow: 500}, {split: 100}]", "percent: Input should be less than or equal to 100"),
        ("steps: [{shadow: 5, gate: 7}, {split: 100}]", "the gate of step 1 must hold keys"),
        ("gate: {agreement: 7}", "agreement: Input should be less than 1"),
        ("gate: {agrement: 0.7}", "agrement: Extra inputs are not permitted"),
        ("windows: [{cron: never, minutes: 5}]", "the cron expression 'never' has 1 fields"),
        ("starts_at: 2026-05-04T22:00:00", "a moment needs a time zone"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(RouteError) as caught:
        read_plan(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
