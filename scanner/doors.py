"""Finds the open ports of a plan: each address in the best way that there is, within what the scope allows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from inventory.model import Loss, Scope, utc_now
from inventory.settings import Settings
from scanner.io.connect import Begun
from scanner.io.discovery import connect_scan, syn_scan
from scanner.io.prober import Prober, obtain
from scanner.io.record import Record
from scanner.io.sockets import most_in_flight
from scanner.io.ways import Ways, framed
from scanner.manners import Manners
from scanner.plan import Plan
from scanner.quiet import parse_quiet, quiet_until
from scanner.tally import Tally

IN_FLIGHT = 15_000
MISSED = 0.01
"""With what probability an open port may be missed by a scan that still counts as complete."""

_FILES_OF_OTHERS = 128


class NoWay(RuntimeError):  # noqa: N818 - a refusal, not a fault
    """Frames were asked for and cannot be sent. Its text is one sentence."""


class Doors:
    """The search for open ports in one run. Raises QuietError for quiet hours that are none.

    ``notes`` are worth telling.
    """

    def __init__(self, scope: Scope, plan: Plan, settings: Settings, before: Loss) -> None:
        self._plan = plan
        self._settings = settings
        self._quiet = tuple(parse_quiet(text) for text in scope.quiet)
        self._limit = scope.rate
        self._by_frames = self._rest = plan
        self._ways = Ways((), ())
        self._prober: Prober | None = None
        self.notes: list[str] = []
        self._manners = Manners.at(
            scope.rate,
            per_host=scope.rate_per_host,
            per_subnet=scope.rate_per_subnet,
            settling=settings.scan_timeout,
            before=before,
        )

    @property
    def loss(self) -> Loss:
        """What got lost so far, as far as it was measured."""
        return self._manners.meter.loss

    def hold(self) -> datetime | None:
        """Send nothing while quiet hours last: until when. None where none do."""
        until = quiet_until(self._quiet, utc_now())
        self._manners.pacer.held = until is not None
        if self._prober is not None:
            self._prober.hold(self._manners.pacer.held)
        return until

    async def look(self) -> str:
        """Find the way to each address; sends nothing. A name of what goes by which.

        Raises NoWay where every probe must go by frames and cannot.
        """
        if self._settings.discovery != "connect":
            self._ways = await self._find_ways()
            if self._ways.reasons:
                self._by_connecting(", ".join(self._ways.reasons))
        reached = self._ways.addresses
        self._by_frames, self._rest = self._plan.within(reached), self._plan.within(self._plan.addresses - reached)
        return self._by_frames.digest + self._rest.digest

    async def _find_ways(self) -> Ways:
        addresses, reasons = framed(self._plan.addresses)
        if not addresses:
            return Ways((), reasons)
        self._prober = obtain()
        found = await asyncio.to_thread(self._prober.find_ways, addresses)
        self.hold()
        return Ways(found.ways, (*reasons, *found.reasons))

    async def close(self) -> None:
        """End what the search needed."""
        if self._prober is not None:
            prober, self._prober = self._prober, None
            await asyncio.to_thread(prober.close)

    def _by_connecting(self, why: str) -> None:
        if self._settings.discovery == "syn":
            raise NoWay(f"the setting discovery is 'syn', which cannot reach every address: {why}")
        self.notes.append(f"{'some ports' if self._ways.ways else 'ports'} were probed by connecting: {why}")

    async def open(self, record: Record) -> AsyncGenerator[Tally, None]:
        """Probe what a record of the plan lacks, from its base on. Close it to end it early."""
        patience, frames = self._settings.scan_timeout, len(self._by_frames)
        scans = []
        if record.base < frames:
            assert self._prober is not None
            by_frames, ways = self._by_frames, self._ways.ways
            scans.append(syn_scan(self._prober, by_frames, ways, self._manners, patience=patience, record=record))
        if self._rest:
            begun = Begun(record, max(record.base, frames), lambda position: self._rest.pair(position - frames))
            in_flight = most_in_flight(IN_FLIGHT, self._settings.scan_concurrency + _FILES_OF_OTHERS)
            pairs = self._rest.pairs(max(0, record.taken - frames))
            scans.append(connect_scan(pairs, self._manners, patience=patience, in_flight=in_flight, begun=begun))
        for scan in scans:
            async with aclosing(scan) as tallies:
                async for tally in tallies:
                    yield tally

    def conclude(self) -> str | None:
        """After the search: why it may have missed more than it should, if so. The notes tell what else there is."""
        slowest, loss = self._manners.back_off.slowest, self.loss
        if slowest < self._limit:
            self.notes.append(
                f"it slowed down to {slowest:.0f} probes a second for a while, because less got lost then"
            )
        missed = loss.missed or 0.0
        # A wide bound alone, where few doors answered and nothing got lost, is no sign of a loss.
        if not loss.unanswered or missed <= MISSED:
            return None
        got_lost = f"{loss.unanswered} of {loss.asked} probes that should have been answered got lost"
        return f"up to {missed:.1%} of the open ports may have been missed, because {got_lost}"
