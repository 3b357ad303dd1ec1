"""Subnets, addresses and host names: which ports are open, and what answers on them."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial

from inventory.model import (
    Account,
    Checkpoint,
    Evidence,
    Exposed,
    Identified,
    Kind,
    Listener,
    Loss,
    Neighbours,
    Observation,
    Questioned,
    Scheme,
    Scope,
    utc_now,
)
from inventory.settings import Settings
from scanner.doors import Doors
from scanner.exclusions import read_exclusions
from scanner.findings import Ask, Finding
from scanner.io.discovery import accepts, resolve
from scanner.io.record import Record, record_path
from scanner.io.sockets import reason_of
from scanner.io.vendors import described
from scanner.middlebox import CONFIRMING, Advice, Middleboxes, confirming_ports
from scanner.onlink import find_neighbours, of_neighbours, require_a_link_named, require_links, unwalkable
from scanner.plan import Plan, Shard, authorise, make_plan
from scanner.ports import parse_ports
from scanner.questioning import Questioning
from scanner.sources.source import Run, Update
from scanner.spans import Spans
from scanner.speed import Speedometer
from scanner.tally import BEFORE, Pair, Settled, Tally
from scanner.targets import (
    Addresses,
    HostName,
    Network,
    Target,
    TargetError,
    can_be_walked,
    parse_network,
    parse_target,
)

TICK = 0.1
OBSERVATIONS_UNREAD = 20_000


async def prepare(
    scope: Scope,
    targets: Sequence[Target],
    ask: Ask,
    settings: Settings,
    *,
    shard: Shard | None = None,
    resume: Checkpoint | None = None,
) -> Run:
    """Resolve, plan and authorise a scope of addresses. Raises TargetError, PortsError, QuietError or NotAuthorised.

    Of IPv6 networks that are too large to walk, the run finds the neighbours first, and plans for them then.
    """
    resolved = [addresses for target in targets for addresses in await _addresses(target)]
    never = await asyncio.to_thread(read_exclusions, settings.exclude_file) if settings.exclude_file else ()
    exclude = [network for text in (*scope.exclude, *never) for network in await _excluded(text)]
    require_a_link_named(resolved)
    large = unwalkable(resolved)
    if large:
        if not scope.allow_public:
            authorise(resolved, Spans.of(exclude))
        await asyncio.to_thread(require_links, large)
    walked = [target for target in resolved if can_be_walked(target.network)]
    ports = parse_ports(scope.ports)
    key = bytes.fromhex(resume.key) if resume else secrets.token_bytes(16)

    def plan_of(neighbours: Sequence[Addresses]) -> Plan:
        targets = [*walked, *neighbours]
        return make_plan(targets, ports, exclude, allow_public=scope.allow_public, key=key, shard=shard)

    plan = plan_of(of_neighbours(resume.neighbours) if resume and resume.neighbours else ())
    if resume is not None and resume.plan != plan.digest:
        resume, plan = None, plan_of(())
    meet = partial(find_neighbours, large, exclude) if large and not (resume and resume.neighbours) else None
    return SubnetRun(scope, plan, ask, settings, resume, meet, plan_of, shard)


async def _addresses(target: Target) -> list[Addresses]:
    if isinstance(target, Addresses):
        return [target]
    if not isinstance(target, HostName):
        raise TargetError(f"'{target.prefix}:{target.rest}' is no address")
    try:
        found = await resolve(target.name)
    except (OSError, UnicodeError) as error:
        raise TargetError(f"the host name {target.name!r} has no address that can be found: {error}") from error
    return [Addresses(parse_network(address), target.port) for address in found]


async def _excluded(text: str) -> list[Network]:
    target = parse_target(text)
    if isinstance(target, Addresses | HostName) and target.port is None:
        return [addresses.network for addresses in await _addresses(target)]
    raise TargetError(f"{text!r} cannot be excluded: an exclusion is a CIDR, an address or a host name")


class SubnetRun:
    """One run over addresses: by SYN frames or connecting, and the questions to whatever accepts, at the same time."""

    def __init__(
        self,
        scope: Scope,
        plan: Plan,
        ask: Ask,
        settings: Settings,
        resume: Checkpoint | None,
        meet: Callable[[], Awaitable[Neighbours]] | None,
        plan_of: Callable[[Sequence[Addresses]], Plan],
        shard: Shard | None,
    ) -> None:
        self._scope = scope
        self._path = record_path(settings.state_folder, scope.name, str(shard) if shard else None)
        self._plan = plan
        self._meet_neighbours, self._plan_of = meet, plan_of
        self._doors = Doors(scope, plan, settings, resume.loss if resume else Loss())
        self._settings = settings
        self.targets = plan.coverage.targets
        self.exclude = plan.coverage.exclude
        # Neighbours that are yet to be found are asked on these too.
        self.ports = plan.coverage.ports or (parse_ports(scope.ports) if meet else ())
        self.shortfalls: list[str] = []
        self.notes: list[str] = []
        self.resumed = resume is not None
        self._resume = resume
        self._totals = Tally()
        self._settled = Settled()
        self._parts: str | None = None
        self._handing: dict[Pair, None] = {}
        self._open = 0
        self._asked = 0
        self._requests = 0
        self._failures: list[str] = []
        self._planned, self._told = asyncio.Event(), asyncio.Event()
        self._scan = ""
        self._found: list[Observation] = []
        self._neighbours = Neighbours()
        self._known: frozenset[Pair] = frozenset()
        self._stations: dict[str, str] = {}
        self._middleboxes = Middleboxes()
        self._quiet_until: datetime | None = None
        self._chance = random.SystemRandom()
        self._speed = Speedometer(probed=resume.account.probed if resume else 0)
        self._questions = Questioning(ask, self._answered, concurrency=settings.scan_concurrency)
        if resume is not None:
            self._restore(resume)

    def _restore(self, resume: Checkpoint) -> None:
        """Take up the counts and the unfinished business of a run before this one."""
        before = resume.account
        self._settled = Settled(
            resume.position, before.answered, before.refused, before.silent, before.lost, before.forbidden
        )
        self._totals = Tally(refused=before.refused, silent=before.silent, forbidden=before.forbidden)
        if before.lost:
            self._totals.lost[BEFORE] = before.lost
        self._open, self._requests = before.answered, resume.requests
        self._asked = len(resume.asked)
        self._known = resume.asked.union(resume.unasked)
        if resume.neighbours:
            self._neighbours = resume.neighbours
            self.notes += self._neighbours.notes
            self.shortfalls += self._neighbours.shortfalls
        self._middleboxes = Middleboxes(confirmed=dict(resume.middleboxes))
        self._handing = dict.fromkeys(resume.unasked)

    @property
    def account(self) -> Account:
        """Where every planned probe went so far."""
        totals, plan = self._totals, self._plan.account
        return Account(
            planned=plan.planned,
            answered=self._open,
            refused=totals.refused,
            silent=totals.silent,
            lost=totals.lost.total(),
            excluded=plan.excluded,
            forbidden=plan.forbidden + totals.forbidden,
        )

    async def observe(self, scan: str, stop: asyncio.Event) -> AsyncGenerator[Update, None]:
        """See ``scanner.sources.source.Run.observe``."""
        self._scan = scan
        self._quiet_until = self._doors.hold()
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        planned = asyncio.create_task(self._planned.wait())
        try:
            while not work.done() and not stop.is_set():
                self._quiet_until = self._doors.hold()
                awaited = {work, stopping} if self._told.is_set() else {work, stopping, planned}
                await asyncio.wait(awaited, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                tells = self._planned.is_set()
                yield self._update()
                if tells:
                    self._told.set()
        finally:
            for task in (stopping, planned, work):
                task.cancel()
            await asyncio.wait({work, stopping, planned})
            await self._questions.cancel()
            await self._doors.close()
        self._conclude()
        yield self._update()
        if not work.cancelled() and (error := work.exception()):
            raise error

    async def _meet(self, meet: Callable[[], Awaitable[Neighbours]]) -> None:
        """Find the neighbours in the networks that cannot be walked, once quiet hours are over, and plan for them."""
        while self._doors.hold():  # noqa: ASYNC110 - it is the clock that is waited for
            await asyncio.sleep(TICK)
        found = await meet()
        self._neighbours = found
        self.notes += found.notes
        self.shortfalls += found.shortfalls
        self._plan = self._plan_of(of_neighbours(found))
        self._doors = Doors(self._scope, self._plan, self._settings, Loss())
        self.targets, self.ports = self._plan.coverage.targets, self._plan.coverage.ports

    async def _work(self) -> None:
        if self._meet_neighbours is not None:
            await self._meet(self._meet_neighbours)
        record = await self._begin(await self._doors.look())
        # Not a probe goes before there is a checkpoint to go on from.
        self._planned.set()
        await self._told.wait()
        async with asyncio.TaskGroup() as confirming, aclosing(self._doors.open(record)) as opened:
            before = self._settled
            async for tally in opened:
                self._count(tally)
                self._stations |= tally.stations
                for address, port in tally.answered:
                    await self._opened(address, port, confirming)
                # Not sooner: a checkpoint must not pass an open port that was not handed over.
                self._settled = before + tally.settled
        await self._questions.finish()

    async def _begin(self, parts: str) -> Record:
        """Go on from the checkpoint, if the parts of the plan are the same still, and from what became of the rest."""
        resume, self._parts = self._resume, parts
        if resume is not None and resume.parts != parts:
            self.notes.append("it began anew, because this machine now reaches the addresses in other ways")
            self._settled, self._totals = Settled(), Tally()
            self._open, resume = 0, None
        record = await asyncio.to_thread(self._record, f"{self._plan.digest}{parts}", going_on=resume is not None)
        if resume is not None:
            self.notes.append(f"it went on after {record.taken} probes")
        for address, port in tuple(self._handing):
            await self._hand_over(address, port)
        return record

    def _record(self, plan: str, *, going_on: bool) -> Record:
        planned, begin = len(self._plan), self._settled.probes
        record = Record.take_up(self._path, plan, planned, begin) if going_on else None
        try:
            return record or Record.create(self._path, plan, planned, begin)
        except OSError as error:
            why = reason_of(error.errno or 0)
            self.notes.append(f"more of it will be sent twice if it is killed, because its record has no file: {why}")
            return Record.in_memory(planned, begin)

    def _count(self, tally: Tally) -> None:
        self._speed.recall(tally.recalled)
        self._totals.refused += tally.refused
        self._totals.silent += tally.silent
        self._totals.forbidden += tally.forbidden
        self._totals.lost += tally.lost
        self._open += len(tally.answered)

    async def _opened(self, address: str, port: int, confirming: asyncio.TaskGroup) -> None:
        advice = self._middleboxes.opened(address, port)
        if advice is Advice.ASK:
            await self._hand_over_once(address, port)
        elif advice is Advice.CONFIRM:
            confirming.create_task(self._confirm(address))

    async def _confirm(self, address: str) -> None:
        ports = confirming_ports(frozenset(self.ports), self._chance)
        timeout = self._settings.scan_timeout
        answers = await asyncio.gather(*(accepts(address, port, timeout) for port in ports))
        cleared = self._middleboxes.judged(address, all(answers))
        self._handing.update(dict.fromkeys((address, port) for port in cleared))
        for port in cleared:
            await self._hand_over_once(address, port)

    async def _hand_over_once(self, address: str, port: int) -> None:
        """Have a door questioned, unless it was in the run that this one goes on with."""
        if (address, port) in self._known:
            self._handing.pop((address, port), None)
        else:
            await self._hand_over(address, port)

    async def _hand_over(self, address: str, port: int) -> None:
        self._handing[address, port] = None
        await self._questions.put(self._listener(address, port))
        self._handing.pop((address, port), None)

    def _listener(self, address: str, port: int) -> Listener:
        return Listener(site=self._scope.site, address=address, port=port)

    def _answered(self, listener: Listener, result: tuple[Finding, ...] | Exception) -> None:
        self._asked += 1
        if isinstance(result, Exception):
            self._failures.append(f"{listener} ({type(result).__name__})")
            result = (_open_only("accepted a connection; the questions to it failed"),)
        self._keep(listener, result)
        if len(self._found) >= OBSERVATIONS_UNREAD:
            self._questions.hold(True)

    def _keep(self, listener: Listener, findings: Iterable[Finding]) -> None:
        now = utc_now()
        for finding in findings:
            if isinstance(finding.fact, Questioned):
                self._requests += len(finding.fact.requests)
            self._found.append(
                Observation(
                    scan=self._scan,
                    scope=self._scope.name,
                    listener=listener,
                    base_path=finding.base_path,
                    at=now,
                    fact=finding.fact,
                    evidence=(*finding.evidence, *self._hardware(listener, finding)),
                )
            )

    def _hardware(self, listener: Listener, finding: Finding) -> Iterable[Evidence]:
        """What the link tells of a door: the station that has its address."""
        if isinstance(finding.fact, Exposed) and (hardware := self._stations.get(listener.address)):
            yield Evidence(signal=described(hardware), source="arp")
        if isinstance(finding.fact, Exposed) and (hardware := self._neighbours.stations.get(listener.address)):
            yield Evidence(signal=described(hardware), source="ndp")

    def _update(self) -> Update:
        found, self._found = self._found, []
        self._questions.hold(self._quiet_until is not None)
        account = self.account
        sendable = account.planned - account.excluded - account.forbidden
        progress = self._speed.progress(account.probed, sendable, self._questions.unfinished, self._open, self._asked)
        loss = self._doors.loss
        progress = progress.model_copy(update={"loss": loss.rate, "quiet_until": self._quiet_until})
        if self._parts is None:
            # Who is there may not even be known yet.
            progress = progress.model_copy(update={"percent": 0.0, "seconds_left": None})
        return Update(tuple(found), account, self._requests, progress, self._checkpoint(), loss=loss)

    def _checkpoint(self) -> Checkpoint | None:
        if self._parts is None:
            return self._resume
        settled = self._settled
        asking = [(one.address, one.port) for one in self._questions.unasked]
        return Checkpoint(
            plan=self._plan.digest,
            parts=self._parts,
            key=self._plan.key.hex(),
            position=settled.probes,
            account=Account(
                planned=settled.probes,
                answered=settled.answered,
                refused=settled.refused,
                silent=settled.silent,
                lost=settled.lost,
                forbidden=settled.forbidden,
            ),
            requests=self._requests,
            unasked=tuple(dict.fromkeys([*asking, *self._handing, *self._middleboxes.held_ports])),
            middleboxes=self._middleboxes.confirmed,
            loss=self._doors.loss,
            neighbours=self._neighbours if self._neighbours.stations else None,
        )

    def _conclude(self) -> None:
        """After the work: record the middleboxes, and say what is missing."""
        missed = self._doors.conclude()
        self.notes += self._doors.notes
        for address, port in sorted(self._middleboxes.confirmed.items()):
            self._keep(self._listener(address, port), _middlebox())
            self.exclude = (*self.exclude, str(parse_network(address)))
            self.notes.append(f"{address} accepts connections on every port and is recorded as one finding")
        account = self.account
        unasked = self._questions.unfinished + self._middleboxes.held
        if account.unprobed or unasked:
            self.shortfalls.append(
                f"{account.unprobed} of {account.planned} planned probes were not sent and "
                f"{_count(unasked, 'open port was', 'open ports were')} not asked to the end"
            )
        if self._totals.lost:
            self.shortfalls.append(_losses(self._totals.lost, account.planned))
        if missed:
            self.shortfalls.append(missed)
        if self._failures:
            named = ", ".join(self._failures[:3]) + (" and others" if len(self._failures) > 3 else "")
            listeners = _count(len(self._failures), "listener", "listeners")
            self.shortfalls.append(f"the questions to {listeners} failed: {named}")


def _losses(lost: Counter[int], planned: int) -> str:
    reasons = ", ".join(
        f"{count} before it went on" if code == BEFORE else f"{count} by {reason_of(code)}"
        for code, count in lost.most_common(3)
    )
    return f"{lost.total()} of {planned} planned probes were lost: {reasons}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _open_only(signal: str) -> Finding:
    return Finding(fact=Exposed(scheme=Scheme.TCP), evidence=(Evidence(signal=signal, source="connect"),))


def _middlebox() -> tuple[Finding, ...]:
    signal = f"accepts connections on {CONFIRMING} random high ports too: a middlebox, not one server a port"
    evidence = (Evidence(signal=signal, weight=4.0, source="connect"),)
    fact = Identified(kind=Kind.NOT_HTTP, confidence=0.98, catch_all=True)
    return _open_only(signal), Finding(fact=fact, evidence=evidence)
