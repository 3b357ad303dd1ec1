"""What every source of observations offers the runner, whatever it speaks to."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from inventory.model import Account, Checkpoint, Declaration, Loss, Moment, Observation, Scope, Value
from inventory.settings import Settings
from scanner.findings import Ask
from scanner.plan import Shard
from scanner.targets import Target


class Progress(Value):
    """How far a scan is. ``rate`` is in probes a second over the last seconds; times in seconds.

    ``seconds_left`` is None while it cannot be told. ``loss`` is the share of probes that got lost, None
    where that is not measured. ``quiet_until``: nothing is sent before, because quiet hours last.
    """

    rate: float = Field(default=0.0, ge=0)
    percent: float = Field(default=0.0, ge=0, le=100)
    open: int = Field(default=0, ge=0)
    identified: int = Field(default=0, ge=0)
    seconds_left: float | None = None
    loss: float | None = None
    quiet_until: Moment | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What happened since the update before. ``account``, ``requests``, ``progress`` and ``loss`` are totals.

    ``observations`` are of what runs, ``declarations`` of what is supposed to. ``whole`` names registries whose
    declarations have all been told, ``empty`` those that had none to tell.
    """

    observations: tuple[Observation, ...]
    account: Account
    requests: int
    progress: Progress
    checkpoint: Checkpoint | None = None
    declarations: tuple[Declaration, ...] = ()
    loss: Loss | None = None
    whole: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class Run(Protocol):
    """One run of a source over one scope, checked and authorised; nothing was sent yet.

    ``targets``, ``exclude`` and ``ports`` are what a Scan says of it. They may change during the run, and
    count as they are at its end. ``shortfalls`` are the reasons, after it, why it is not complete; ``notes``
    are worth telling though it is. ``resumed``: it goes on from a checkpoint.
    """

    targets: tuple[str, ...]
    exclude: tuple[str, ...]
    ports: tuple[int, ...]
    shortfalls: list[str]
    notes: list[str]
    resumed: bool

    @property
    def account(self) -> Account:
        """Where every planned probe went so far."""
        ...

    def observe(self, scan: str, stop: asyncio.Event) -> AsyncGenerator[Update, None]:
        """Do the work as the scan of that id, reporting a few times a second.

        When ``stop`` is set it ends soon, with a last update that holds what was found until then.
        """
        ...


class Source(Protocol):
    """A way to find endpoints: a module has a function of this shape."""

    async def __call__(
        self,
        scope: Scope,
        targets: Sequence[Target],
        ask: Ask,
        settings: Settings,
        *,
        shard: Shard | None = None,
        resume: Checkpoint | None = None,
    ) -> Run:
        """Check the targets of a scope, or of its ``shard``. Sends nothing.

        ``resume`` is what the run goes on from where it plans the same: look at ``resumed``.

        Raises TargetError, PortsError or NotAuthorised.
        """
        ...
