"""One cluster while it is looked at: what was listed, what was said of it, and what answers there on the wire."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from inventory.model import Exposed, Listener, Questioned, Scheme, utc_now
from inventory.settings import Settings
from scanner.apiserver import IN_CLUSTER, Api
from scanner.cluster.links import Key
from scanner.cluster.news import News
from scanner.cluster.promises import Promise
from scanner.cluster.proxy import Door, NotThrough
from scanner.cluster.resources import Hole
from scanner.cluster.survey import Said, Sighting, Survey
from scanner.cluster.world import World
from scanner.findings import Ask, AskingEnded, Finding, Limits
from scanner.knowledge import Knowledge, load_knowledge
from scanner.ledger import Ledger
from scanner.listing import Listing
from scanner.proxying import Doorkeeper, question_by_proxy
from scanner.targets import Network

log = logging.getLogger(__name__)

REQUESTS_A_WORKLOAD = 3
FEWEST_REQUESTS = 200
MOST_NAMED = 12
A_QUESTIONING = 12
"""Requests that are kept free for each port that is being asked through the proxy."""

_BY_PROXY_AT_ONCE = 16

Answered = Callable[[Listener, tuple[Finding, ...]], None]
"""Told of the findings about a listener."""


@dataclass
class Wire:
    """How asking on the wire went: counts of ports.

    ``no_way`` are those whose pod or Service was gone, ``closed`` those with no door that is allowed; which
    those are is in ``missing``, by permission and namespace.
    """

    wanted: int = 0
    answered: int = 0
    refused: int = 0
    silent: int = 0
    forbidden: int = 0
    excluded: int = 0
    no_way: int = 0
    over_budget: int = 0
    likely_unasked: int = 0
    closed: int = 0
    missing: dict[tuple[str, str], set[Key]] = field(default_factory=dict)
    direct: set[Key] = field(default_factory=set)


class Cluster:
    """One cluster. ``listing`` is there after it was listed; ``wire`` counts what asking came to.

    ``promises`` are what is supposed to run, by the last look.

    ``exclude`` are networks whose pods are asked nothing; ``allow_public`` allows public addresses.
    """

    def __init__(
        self,
        api: Api,
        context: str,
        settings: Settings,
        ask: Ask,
        *,
        site: str,
        exclude: Sequence[Network] = (),
        allow_public: bool = False,
    ) -> None:
        self.api = api
        self.listing: Listing | None = None
        self.wire = Wire()
        self.promises: list[Promise] = []
        self.reach = _reach(settings, context)
        self.site = site
        self._settings = settings
        self._ask = ask
        self._exclude = tuple(exclude)
        self._allow_public = allow_public
        self._news = News()
        self._asked: set[tuple[Key, str]] = set()
        self._keeper = Doorkeeper(api)
        self._reserved = 0
        self._freed = asyncio.Condition()
        self._at_once = asyncio.Semaphore(_BY_PROXY_AT_ONCE if self.reach == "proxy" else settings.scan_concurrency)

    async def look(self) -> tuple[list[Sighting], list[Said]]:
        """Everything that runs and is declared now, and what of it was not said before."""
        assert self.listing is not None
        world = self.listing.world.snapshot()
        sightings, self.promises = await asyncio.to_thread(_survey, world, utc_now(), frozenset(self.wire.direct))
        return sightings, self._news.of(sightings)

    def to_ask(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """The ports that were not asked yet and would answer, the likeliest first. Each pod speaks for its like."""
        new = [
            one
            for one in sightings
            if one.first is not None and one.ready and (one.key, one.first.meta.uid) not in self._asked
        ]
        return sorted(new, key=lambda one: (-one.candidate.log_odds, one.workload.name, one.port))

    async def question(self, sightings: Sequence[Sighting], answered: Answered) -> None:
        """Ask what answers at each port, as far as there is a way to it, within the budget of requests."""
        budget = self.api.requests + max(
            FEWEST_REQUESTS, REQUESTS_A_WORKLOAD * len({s.workload.uid for s in sightings})
        )
        self.wire.wanted += len(sightings)
        async with asyncio.TaskGroup() as group:
            for one in sightings:
                await self._at_once.acquire()
                task = group.create_task(self._question(one, answered, budget))
                task.add_done_callback(lambda _: self._at_once.release())

    async def _question(self, one: Sighting, answered: Answered, budget: int) -> None:
        assert one.first is not None
        listener = Listener(site=self.site, address=one.first.address, port=one.port)
        self._asked.add((one.key, one.first.meta.uid))
        if self.reach == "none" or self._is_excluded(listener.address):
            self.wire.excluded += 1
        elif self.reach == "direct":
            await self._directly(one, listener, answered)
        else:
            await self._by_proxy(one, listener, answered, budget)

    async def _directly(self, one: Sighting, listener: Listener, answered: Answered) -> None:
        if ip_address(listener.address).is_global and not self._allow_public:
            self.wire.forbidden += 1
            return
        try:
            findings = await self._ask(listener)
        except AskingEnded:
            raise
        except Exception as error:
            # One listener must never end the scan of the others.
            log.warning("the questions to %s failed", listener, exc_info=error)
            self.wire.silent += 1
            return
        if _accepted(findings):
            self.wire.answered += 1
            self.wire.direct.add(one.key)
            answered(listener, findings)
        else:
            self.wire.refused += 1

    async def _by_proxy(self, one: Sighting, listener: Listener, answered: Answered, budget: int) -> None:
        if not await self._reserve(one, budget):
            self.wire.over_budget += 1
            self.wire.likely_unasked += one.candidate.is_likely
            return
        try:
            found = await self._through(one, listener)
        except NotThrough as error:
            self._not_through(error)
        else:
            if found:
                self.wire.answered += 1
                answered(listener, found)
        finally:
            async with self._freed:
                self._reserved -= A_QUESTIONING
                self._freed.notify_all()

    async def _reserve(self, one: Sighting, budget: int) -> bool:
        """Keep requests free to ask a port, once others need theirs no more. What is forbidden costs none."""
        async with self._freed:
            while any(not self._keeper.is_closed(door) for door in one.doors):
                if self.api.requests + A_QUESTIONING > budget:
                    return False
                if self.api.requests + self._reserved + A_QUESTIONING <= budget:
                    break
                await self._freed.wait()
            self._reserved += A_QUESTIONING
            return True

    async def _through(self, one: Sighting, listener: Listener) -> tuple[Finding, ...]:
        """The findings by the first door that leads there; none where that one is forbidden. Raises NotThrough."""
        closed: list[Door] = []
        for door in one.doors:
            try:
                if not self._keeper.is_closed(door):
                    return await self._by_door(door, listener)
                closed.append(door)
            except NotThrough as error:
                if error.outcome == "forbidden":
                    closed.append(door)
                elif error.outcome != "absent":
                    raise
        if not closed:
            raise NotThrough("absent", "nothing leads there any more")
        self.wire.closed += 1
        self.wire.missing.setdefault((closed[0].permission, closed[0].namespace), set()).add(one.key)
        return ()

    def _not_through(self, error: NotThrough) -> None:
        if error.outcome == "absent":
            self.wire.no_way += 1
        elif error.outcome == "timeout":
            self.wire.silent += 1
        else:
            self.wire.refused += 1

    async def _by_door(self, door: Door, listener: Listener) -> tuple[Finding, ...]:
        """The questions through the proxy, with a ledger of their own. Raises NotThrough."""
        knowledge = await asyncio.to_thread(_knowledge, self._settings.signatures)
        settings = self._settings
        limits = Limits(connect=settings.scan_timeout, answer=settings.answer_timeout, host=settings.host_timeout)
        return await question_by_proxy(self.api, door, self._keeper, listener, knowledge, limits, Ledger(knowledge))

    def _is_excluded(self, address: str) -> bool:
        numeric = ip_address(address)
        return any(numeric in network for network in self._exclude)


@lru_cache(maxsize=1)
def _knowledge(folder: Path | None) -> Knowledge:
    """What is known of products, once for all the clusters that are looked at."""
    return load_knowledge(folder)


def _survey(world: World, now: datetime, answered: frozenset[Key]) -> tuple[list[Sighting], list[Promise]]:
    survey = Survey(world, now, answered)
    return survey.sightings(), survey.promises()


def _reach(settings: Settings, context: str) -> str:
    """How pods are asked. Elsewhere than inside, a pod's address may be that of a stranger in another network."""
    if settings.cluster_reach != "auto":
        return settings.cluster_reach
    return "direct" if context == IN_CLUSTER else "proxy"


def _accepted(findings: Iterable[Finding]) -> bool:
    """Whether the listener took a connection: something was asked of it, and not every answer was a refusal."""
    asked = [one for finding in findings if isinstance(finding.fact, Questioned) for one in finding.fact.requests]
    spoke = any(isinstance(f.fact, Exposed) and f.fact.scheme is not Scheme.TCP for f in findings)
    return spoke or any(one.outcome not in {"refused", "timeout", "reset"} for one in asked)


def shortfalls(listing: Listing, wire: Wire) -> list[str]:
    """Why a cluster is not wholly known, in sentences: each hole by its resource, and what it hides."""
    found = [
        f"{name} {_where(spaces)}: {why}, which hides {hides}"
        for (name, why, hides), spaces in _grouped(listing.world.holes).items()
    ]
    if listing.world.unreadable:
        found.append(f"{count(listing.world.unreadable, 'object')} made no sense and were left out")
    for permission in sorted({permission for permission, _ in wire.missing}):
        spaces = sorted(namespace for named, namespace in wire.missing if named == permission)
        ports = count(sum(len(wire.missing[permission, namespace]) for namespace in spaces), "port")
        found.append(f"{permission} in {_names(spaces)}: forbidden, which hides what answers at {ports} there")
    if wire.likely_unasked:
        found.append(f"{count(wire.likely_unasked, 'likely model endpoint')} beyond the budget of requests")
    if wire.silent:
        found.append(f"{count(wire.silent, 'port')} gave no answer in time")
    return found


def notes(listing: Listing, wire: Wire) -> list[str]:
    """What is worth telling of a cluster though it is no shortfall."""
    found = list(listing.notes)
    if wire.no_way:
        found.append(f"{count(wire.no_way, 'port')} could not be asked by proxy: nothing leads there any more")
    if wire.over_budget > wire.likely_unasked:
        found.append(
            f"{count(wire.over_budget - wire.likely_unasked, 'port')} that show nothing of machine learning "
            "were not asked, to spare the API server"
        )
    return found


def _grouped(holes: Iterable[Hole]) -> dict[tuple[str, str, str], set[str | None]]:
    found: dict[tuple[str, str, str], set[str | None]] = {}
    for hole in holes:
        key = (hole.resource.name, hole.why, hole.resource.hides)
        found.setdefault(key, set()).add(hole.namespace)
    return found


def _where(spaces: set[str | None]) -> str:
    if None in spaces:
        return "in the whole cluster"
    return f"in {_names(sorted(filter(None, spaces)))}"


def _names(spaces: Sequence[str]) -> str:
    shown = ", ".join(spaces[:MOST_NAMED])
    more = f" and {len(spaces) - MOST_NAMED} more" if len(spaces) > MOST_NAMED else ""
    return f"{count(len(spaces), 'namespace')} ({shown}{more})"


def count(number: int, what: str) -> str:
    """So many of something, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"
