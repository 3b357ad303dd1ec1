"""Clusters that are looked at for as long as ``gnomon serve`` runs: listed once, then watched.

Each cluster is followed by a task of its own, so that one that is slow, dead or lying holds up no other.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from inventory.model import (
    Checkpoint,
    Declaration,
    Ended,
    Listener,
    Observation,
    Presence,
    Scan,
    ScanStatus,
    Scope,
    new_scan_id,
    utc_now,
)
from inventory.settings import Settings
from inventory.store import Store, StoreError
from scanner.apiserver import ClusterError
from scanner.cluster.objects import PodObject
from scanner.cluster.promises import Promise, told_in_full
from scanner.cluster.survey import Said, Sighting
from scanner.clustering import Cluster, shortfalls
from scanner.findings import Ask, Finding
from scanner.lease import Lease
from scanner.plan import Shard
from scanner.runner import Runner, ScanBusy
from scanner.scopes import PREFIX, parts_of
from scanner.sources.kubernetes import (
    Connect,
    KubernetesRun,
    chosen,
    context_of,
    covered,
    declarations,
    log_in,
    observations,
    said_observations,
)
from scanner.sources.source import Run
from scanner.targets import Target, TargetError, parse_target
from scanner.watching import Watcher

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at which clusters there are to follow."""

TOGETHER = 0.2
"""Seconds for which changes are gathered before they are looked at."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_LEASE_SECONDS = 15.0


class Follower:
    """Follows every cluster that a stored scope names, until ``run`` is told to stop."""

    def __init__(self, store: Store, settings: Settings, ask: Ask, *, connect: Connect = log_in) -> None:
        self._store = store
        self._settings = settings
        self._ask = ask
        self._connect = connect
        self._tasks: dict[Scope, asyncio.Task[None]] = {}
        self._version = -1

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until ``stop`` is set. A store that fails is waited for."""
        try:
            while not stop.is_set():
                try:
                    await self._look()
                except StoreError as error:
                    log.warning("the clusters wait for the store: %s", error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await stop.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    async def _look(self) -> None:
        """Begin to follow what is new, and end what is no longer to be followed."""
        version = await asyncio.to_thread(self._store.version)
        if version == self._version:
            return
        wanted = set(await asyncio.to_thread(self._parts))
        for scope in self._tasks.keys() - wanted:
            task = self._tasks.pop(scope)
            task.cancel()
            await asyncio.wait({task})
        for scope in wanted - self._tasks.keys():
            self._tasks[scope] = asyncio.create_task(self._follow(scope))
        self._version = version

    def _parts(self) -> list[Scope]:
        found: list[Scope] = []
        for scope in self._store.scopes.list():
            if not scope.targets[0].startswith(f"{PREFIX}:"):
                continue
            try:
                found += parts_of(scope)
            except TargetError as error:
                log.warning("the scope %s cannot be followed: %s", scope.name, error)
        return found

    async def _follow(self, scope: Scope) -> None:
        """Follow one cluster: again from the beginning whenever that fails, after longer and longer waits."""
        lease = Lease(self._store, f"watch:{scope.name}", _LEASE_SECONDS)
        wait = _FIRST_WAIT
        while True:
            try:
                if await asyncio.to_thread(lease.take):
                    async with asyncio.TaskGroup() as group:
                        keeping = group.create_task(_keep(lease))
                        await _Session(scope, self._store, self._settings, self._ask, self._connect).run()
                        keeping.cancel()
                    wait = _FIRST_WAIT
            except* (ScanBusy, TargetError, ClusterError, StoreError, _Lost) as errors:
                log.warning("the cluster of %s is tried again: %s", scope.name, _first(errors))
            except* Exception:
                # A defect that one cluster brings out must not end the others.
                log.exception("the cluster of %s could not be followed", scope.name)
            finally:
                await asyncio.to_thread(lease.give_back)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Lost(Exception):  # noqa: N818 - an outcome, not a fault
    """The cluster cannot be followed from here."""


async def _keep(lease: Lease) -> None:
    while True:
        await asyncio.sleep(_LEASE_SECONDS / 3)
        if not await asyncio.to_thread(lease.keep):
            raise _Lost("another process follows it now")


class _Session:
    """One cluster from its list on."""

    def __init__(self, scope: Scope, store: Store, settings: Settings, ask: Ask, connect: Connect) -> None:
        self._scope = scope
        self._store = store
        self._settings = settings
        self._ask = ask
        self._connect = connect
        self._context = chosen([parse_target(one) for one in scope.targets]).context
        self._scan = ""
        self._waiting: list[Observation] = []
        self._promised: dict[str, Promise] = {}
        self._changed: dict[str, Declaration | None] = {}
        self._to_write = asyncio.Event()

    async def run(self) -> None:
        """List, then watch until cancelled or lost. Raises _Lost, and what a scan raises."""
        made: list[KubernetesRun] = []

        async def source(
            scope: Scope, targets: Sequence[Target], ask: Ask, settings: Settings,
            *, shard: Shard | None = None, resume: Checkpoint | None = None,
        ) -> Run:  # fmt: skip
            del shard, resume
            made.append(KubernetesRun(scope, chosen(targets), ask, settings, connect=self._connect, keep=True))
            return made[-1]

        try:
            scan = await Runner(self._store, self._settings, self._ask).run(self._scope, source=source)
            cluster = made[0].cluster
            if cluster is None or cluster.listing is None:
                raise _Lost(scan.reason or "it could not be listed")
            log.info("%s is listed (%s) and watched from now on", self._scope.name, scan.status)
            self._scan = scan.id
            await self._watch(cluster)
        finally:
            if made and made[0].cluster is not None:
                await made[0].cluster.api.close()

    async def _watch(self, cluster: Cluster) -> None:
        assert cluster.listing is not None
        watcher = Watcher(cluster.api, cluster.listing.world, patience=self._settings.cluster_timeout)
        self._promised = {one.key: one for one in cluster.promises}
        self._put(await asyncio.to_thread(self._ended_meanwhile, cluster))
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.run(cluster.listing.collections))
            group.create_task(self._write())
            group.create_task(self._see_again(cluster))
            while True:
                await watcher.changed.wait()
                await asyncio.sleep(TOGETHER)
                watcher.changed.clear()
                sightings, news = await cluster.look()
                self._declare(cluster)
                self._put(said_observations(news, self._scan, self._scope))
                if new := cluster.to_ask(sightings):
                    group.create_task(self._question(cluster, new))

    def _declare(self, cluster: Cluster, *, again: bool = False) -> None:
        """Keep what is declared anew or otherwise, ``again`` everything; what is no more, where all could be read."""
        assert cluster.listing is not None
        now, known = {one.key: one for one in cluster.promises}, self._promised
        new = [one for key, one in now.items() if again or known.get(key) != one]
        context = context_of(self._scope, self._scan, self._context)
        changed: dict[str, Declaration | None] = {one.key: one for one in declarations(new, context)}
        if told_in_full(cluster.listing.world):
            changed |= {key: None for key in known if key not in now}
            self._promised = now
        else:
            self._promised = {**known, **now}
        self._changed |= changed
        if changed:
            self._to_write.set()

    async def _question(self, cluster: Cluster, sightings: Sequence[Sighting]) -> None:
        """Ask what is new. A host that takes its time keeps nobody waiting."""

        def answered(listener: Listener, findings: tuple[Finding, ...]) -> None:
            self._put(observations(findings, listener, self._scan, self._scope))

        await cluster.question(sightings, answered)
        _, news = await cluster.look()
        self._put(said_observations(news, self._scan, self._scope))

    def _ended_meanwhile(self, cluster: Cluster) -> list[Observation]:
        """Pods that the inventory knows and that ended while nobody watched: the list is proof, where it is whole."""
        assert cluster.listing is not None
        world = cluster.listing.world
        there = {pod.meta.uid for pod in world.all(PodObject) if pod.runs}
        gone = []
        for one in self._store.endpoints.list(f"site:{self._scope.site}"):
            place = one.cluster
            if place is None or place.workload.cluster != world.cluster or one.presence is Presence.GONE:
                continue
            if place.workload.namespace not in world.read_namespaces:
                continue
            gone += [Said(pod.address, one.port, Ended(holder=pod.uid)) for pod in place.pods if pod.uid not in there]
        return said_observations(gone, self._scan, self._scope)

    async def _see_again(self, cluster: Cluster) -> None:
        """Now and then write down that what is watched is still there, which costs the API server nothing."""
        assert cluster.listing is not None
        while True:
            await asyncio.sleep(self._settings.stale_after / 4)
            started = utc_now()
            missing = shortfalls(cluster.listing, cluster.wire)
            scan = Scan(
                id=new_scan_id(started),
                scope=self._scope.name,
                site=self._scope.site,
                source="kubernetes",
                targets=covered(cluster.listing),
                started_at=started,
                ended_at=started,
                status=ScanStatus.INCOMPLETE if missing else ScanStatus.COMPLETE,
                reason="; ".join(missing) or "by the watch, without a request",
            )
            await asyncio.to_thread(self._store.scans.save, scan)
            self._scan = scan.id
            sightings, news = await cluster.look()
            self._declare(cluster, again=told_in_full(cluster.listing.world))
            # What cannot be watched now may have ended since: it is not seen.
            watched = cluster.listing.world.read_namespaces
            again = [said for one in sightings if one.workload.namespace in watched for said in one.said]
            self._put(said_observations(dict.fromkeys([*news, *again]), self._scan, self._scope))

    def _put(self, new: Iterable[Observation]) -> None:
        self._waiting += new
        if self._waiting:
            self._to_write.set()

    async def _write(self) -> None:
        """Keep what is found as it is found. A store that fails is tried again: nothing is lost meanwhile."""
        wait = TOGETHER
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            batch, self._waiting = self._waiting, []
            changed, self._changed = self._changed, {}
            try:
                await asyncio.to_thread(self._save, batch, changed)
                wait = TOGETHER
            except StoreError as error:
                log.warning("what is new in %s waits for the store: %s", self._scope.name, error)
                self._changed = {**changed, **self._changed}
                self._to_write.set()
                self._put(batch)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _save(self, batch: list[Observation], changed: Mapping[str, Declaration | None]) -> None:
        if batch:
            self._store.observations.append(batch)
            self._store.endpoints.refold({one.listener for one in batch}, utc_now())
        self._store.declarations.append(one for one in changed.values() if one is not None)
        gone = [key for key, one in changed.items() if one is None]
        source = context_of(self._scope, self._scan, self._context).source
        self._store.declarations.withdraw(source, gone, utc_now())
