"""Rollouts: the steps a route goes through, the gate before each, and where one stands."""

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from inventory.cron import parse_cron
from inventory.model.base import Moment, Slug, Value
from inventory.model.route import Shadow, ShadowEvidence


class Gate(Value):
    """What must be shown before a rollout goes on. Shares are between 0 and 1.

    ``agreement`` is the least share of compared pairs that agree; ``new_errors`` the largest share where
    only the shadow failed, and by how much the candidate's live answers may fail more often than the
    incumbent's. Latency passes when the candidate's quantile is at most ``latency_ratio`` times the
    incumbent's plus ``latency_slack_ms``: without the slack, half a millisecond would fail two tenths.
    ``lost`` and ``incomparable`` are the largest shares that evidence may be missing of. ``error`` is the
    chance, each, to advance past a breach and to roll back without one.

    ``prove`` False asks for no proof, only for ``minimum_pairs``: a larger shadow harms no caller. A breach
    that is proven rolls back all the same. ``window_pairs`` is after how many pairs a new stretch of
    evidence begins beside that of the whole step, so that a late break is not diluted by a good past.
    """

    minimum_pairs: int = Field(default=100, ge=1)
    agreement: float = Field(default=0.99, gt=0.0, lt=1.0)
    new_errors: float = Field(default=0.01, gt=0.0, lt=1.0)
    latency_ratio: float = Field(default=1.5, gt=0.0)
    latency_slack_ms: float = Field(default=5.0, ge=0.0)
    lost: float = Field(default=0.05, ge=0.0, le=1.0)
    incomparable: float = Field(default=0.2, ge=0.0, le=1.0)
    error: float = Field(default=0.04, gt=0.0, lt=0.5)
    prove: bool = True
    window_pairs: int = Field(default=500, ge=10)


class Stage(StrEnum):
    """What a step does with the replacement."""

    FRONT = "front"
    SHADOW = "shadow"
    SPLIT = "split"
    DONE = "done"


class Status(StrEnum):
    """How a rollout stands. The last three are final."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ROLLED_BACK = "rolled back"
    ABORTED = "aborted"


class Step(Value):
    """One step. ``percent`` is of the requests that are mirrored (shadow) or live (split) on the replacement.

    ``gate`` must pass before the step is taken; None needs no evidence. ``approval``: a person must approve
    it too. ``after_seconds`` is how long the step before it lasts at least.
    """

    stage: Stage
    percent: int = Field(default=0, ge=0, le=100)
    gate: Gate | None = None
    approval: bool = False
    after_seconds: float = Field(default=0.0, ge=0.0)

    @property
    def words(self) -> str:
        """The step for a person: ``shadow 10%``."""
        return f"{self.stage.value} {self.percent}%" if self.stage in _MEASURED else self.stage.value


_MEASURED = {Stage.SHADOW, Stage.SPLIT}


class MaintenanceWindow(Value):
    """When steps may be taken: for so many minutes from each moment of a cron expression, in UTC."""

    cron: str
    minutes: int = Field(ge=1, le=7 * 24 * 60)

    @field_validator("cron")
    @classmethod
    def _readable(cls, cron: str) -> str:
        parse_cron(cron)
        return cron


class Live(Value):
    """Live answers of one backend over some time: how many, and how many of them were 5xx."""

    requests: int = Field(default=0, ge=0)
    failures: int = Field(default=0, ge=0)


class Rollout(Value):
    """A ladder of steps for one route, and where it stands on it.

    ``id`` tells it from others of the route; ``version`` grows with every change of it. ``revision`` is the
    route's revision that the step in force is, ``since`` when it was taken, ``why`` the reason for the last
    change. ``approved`` is the position that a person approved to go to. ``usual`` is how the incumbent answered
    while it last shared live requests: what a candidate that has them all is measured by. ``shadow`` says what may
    be copied, and how much; its backend and share are the steps'. Steps are taken within ``windows``, if there are
    any, and not before ``starts_at``; going back needs neither.
    """

    id: str
    route: Slug
    incumbent: Slug
    candidate: Slug
    steps: tuple[Step, ...] = Field(min_length=2)
    windows: tuple[MaintenanceWindow, ...] = ()
    starts_at: Moment | None = None
    position: int = Field(default=0, ge=0)
    status: Status = Status.RUNNING
    why: str = ""
    approved: int | None = None
    usual: Live = Field(default_factory=Live)
    shadow: Shadow | None = None
    revision: int = Field(default=0, ge=0)
    version: int = Field(default=0, ge=0)
    since: Moment

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.incumbent == self.candidate:
            raise ValueError("a rollout goes from one backend to another, not to itself")
        if self.position >= len(self.steps):
            raise ValueError("a rollout cannot stand beyond its last step")
        return self

    @property
    def step(self) -> Step:
        """The step that is in force."""
        return self.steps[self.position]

    @property
    def active(self) -> bool:
        """Whether it still goes on, if paused."""
        return self.status in {Status.RUNNING, Status.PAUSED}

    @property
    def following(self) -> Step | None:
        """The step after the one in force; None where the rollout has ended."""
        ended = not self.active or self.position + 1 >= len(self.steps)
        return None if ended else self.steps[self.position + 1]


class Transition(Value):
    """One change of a rollout, on record: who, when, from where to where, and why in words and numbers.

    ``revision`` is the route's that it made; None where the route stayed as it was.
    """

    rollout: str
    route: Slug
    at: Moment
    who: str
    why: str
    before: str
    after: str
    status: Status
    revision: int | None = None


class Mark(Value):
    """What had been counted at some moment, so that what came after it can be told apart.

    ``pairs`` compares incumbent and candidate; ``own`` is the candidate's live answers beside themselves.
    """

    pairs: ShadowEvidence | None = None
    own: ShadowEvidence | None = None
    incumbent: Live = Field(default_factory=Live)
    candidate: Live = Field(default_factory=Live)


class Watch(Value):
    """What is seen of a rollout's step while it lasts. Losing it costs evidence, never a step.

    ``step`` is what had been counted when the step began to be watched, ``window`` when the latest of its
    ``windows`` stretches did. ``incumbent`` and ``candidate`` count live answers since the step began, and
    ``sampled_incumbent`` and ``sampled_candidate`` those of them that were copied: a sample without bias takes the
    same share of both. ``verdict`` says what the evidence allows, for a person.
    """

    rollout: str
    position: int
    since: Moment
    step: Mark = Field(default_factory=Mark)
    window: Mark = Field(default_factory=Mark)
    windows: int = Field(default=1, ge=1)
    incumbent: Live = Field(default_factory=Live)
    candidate: Live = Field(default_factory=Live)
    sampled_incumbent: int = Field(default=0, ge=0)
    sampled_candidate: int = Field(default=0, ge=0)
    verdict: str = ""
