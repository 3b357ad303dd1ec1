"""Scopes, schedules and scans: what may be asked, when, and what was covered."""

import ipaddress
import secrets
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Self

from pydantic import Field, model_validator

from inventory.loss import Loss
from inventory.model.base import Moment, Slug, Value
from inventory.model.vocabulary import ScanStatus


class Scope(Value):
    """Something that may be scanned, with its authorisation.

    ``targets`` are what the command line takes: CIDRs, addresses, ``host:port``, URLs, ``k8s:CONTEXT``.
    ``rate`` is in probes a second, ``rate_per_host`` and ``rate_per_subnet`` (a /24, or a /64 of IPv6) cap
    what one of them gets. In ``quiet`` hours (``22:00-06:00``, ``mon-fri 08:00-18:00 Europe/Berlin``) nothing is
    sent. ``allow_public`` is the explicit authorisation that addresses which are neither private nor
    loopback need.
    """

    name: Slug
    site: Slug = "default"
    targets: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    ports: str = "model"
    rate: int = Field(default=2000, ge=1, le=1_000_000)
    rate_per_host: float | None = Field(default=None, gt=0)
    rate_per_subnet: float | None = Field(default=None, gt=0)
    quiet: tuple[str, ...] = ()
    allow_public: bool = False
    created_at: Moment


class Schedule(Value):
    """When a scope is scanned: one of a cron expression (five fields, UTC) or an interval in seconds.

    ``next_run_at`` survives restarts; a run that was missed while nothing was running happens once.
    """

    name: Slug
    scope: Slug
    cron: str | None = None
    interval_seconds: int | None = Field(default=None, ge=1)
    paused: bool = False
    next_run_at: Moment | None = None
    last_run_at: Moment | None = None

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if (self.cron is None) == (self.interval_seconds is None):
            raise ValueError("a schedule needs either a cron expression or an interval, not both")
        return self


class Account(Value):
    """Where every planned probe went. Counts of (address, port) pairs.

    ``planned`` is what the targets and ports multiply to. Every planned pair is in exactly one of
    the other counts, or was not reached (``unprobed``).
    """

    planned: int = Field(default=0, ge=0)
    answered: int = Field(default=0, ge=0)
    refused: int = Field(default=0, ge=0)
    silent: int = Field(default=0, ge=0)
    lost: int = Field(default=0, ge=0)
    excluded: int = Field(default=0, ge=0)
    forbidden: int = Field(default=0, ge=0)

    @property
    def probed(self) -> int:
        """How many pairs were sent a probe."""
        return self.answered + self.refused + self.silent + self.lost

    @property
    def unprobed(self) -> int:
        """How many planned pairs were never reached, because the scan ended early."""
        return self.planned - self.probed - self.excluded - self.forbidden

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.unprobed < 0:
            raise ValueError("an account cannot hold more probes than were planned")
        return self


class Neighbours(Value):
    """Who was found on the links of IPv6 networks that cannot be walked: hardware addresses by address.

    ``notes`` are worth telling about the search, ``shortfalls`` what it lacked.
    """

    stations: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


class Checkpoint(Value):
    """From where an interrupted scan goes on: all probes before ``position`` have ended, as ``account`` says.

    ``plan`` and ``parts`` are digests of what was planned, in which alone the position means something;
    ``key`` (hexadecimal) chose its order. ``unasked`` are open ports (address and port) whose questions
    have not ended, ``middleboxes`` one port of each host that accepts on all. ``loss`` is what was measured
    until then. ``neighbours`` are part of the plan where they had to be found first. ``asked`` is never stored:
    it is whose answers are, of whom not all come before the position.
    """

    plan: str
    parts: str
    key: str
    position: int = Field(ge=0)
    account: Account = Field(default_factory=Account)
    requests: int = Field(default=0, ge=0)
    unasked: tuple[tuple[str, int], ...] = ()
    middleboxes: dict[str, int] = Field(default_factory=dict)
    loss: Loss = Field(default_factory=Loss)
    neighbours: Neighbours | None = None
    asked: frozenset[tuple[str, int]] = Field(default=frozenset(), exclude=True)


class Scan(Value):
    """One run over one scope, and what it covered.

    ``targets``, ``exclude`` and ``ports`` are the ones that this run used, resolved: ``ports`` is the
    sorted list of numbers; a cluster's targets are its namespaces, as ``CLUSTER-UID/NAMESPACE``. ``shard``
    is the part of the scope that this run was about, such as ``2/8``, where several machines share it.
    ``checkpoint`` is there while it may go on.
    ``reason`` says why a scan is incomplete or failed. ``loss`` is None where its source measures none.
    ``whole`` names the registries that were read to their end, whatever became of the others.
    """

    id: str
    scope: Slug
    site: Slug
    source: str
    targets: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    shard: str | None = None
    started_at: Moment
    ended_at: Moment | None = None
    status: ScanStatus = ScanStatus.RUNNING
    reason: str | None = None
    account: Account = Field(default_factory=Account)
    loss: Loss | None = None
    requests: int = Field(default=0, ge=0)
    checkpoint: Checkpoint | None = None
    whole: tuple[str, ...] = ()

    def covers(self, address: str, port: int) -> bool:
        """Whether this scan, had it completed, asked this listener."""
        if port not in self._port_set:
            return False
        numeric = ipaddress.ip_address(address)
        return _within(numeric, self.targets) and not _within(numeric, self.exclude)

    def covers_namespace(self, cluster: str, namespace: str) -> bool:
        """Whether this scan, had it completed, listed the pods of a cluster's namespace."""
        return f"{cluster}/{namespace}" in self.targets

    @cached_property
    def _port_set(self) -> frozenset[int]:
        return frozenset(self.ports)


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[str, ...]) -> bool:
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


def new_scan_id(moment: datetime) -> str:
    """A name for a scan that sorts by its start and that a person can read aloud."""
    return f"{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
