"""Envoy as a ``Gateway``: plans become resources, nodes get them over ADS, their verdicts become observed state."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from itertools import islice

from inventory.model import Member, Revision, Traffic
from inventory.settings import Settings
from router.errors import GatewayError
from router.gateways import Copied, Joint
from router.gateways.envoy import admin, lastgood, stats, switch
from router.gateways.envoy.ads import AdsServer
from router.gateways.envoy.attending import Serving
from router.gateways.envoy.binary import envoy_binary
from router.gateways.envoy.bootstrap import bootstrap
from router.gateways.envoy.descriptors import load_schema
from router.gateways.envoy.files import Files
from router.gateways.envoy.fleet import Fleet
from router.gateways.envoy.keeper import Keeper
from router.gateways.envoy.named import Named, of_all, of_route
from router.gateways.envoy.ports import taken
from router.gateways.envoy.process import EnvoyProcess
from router.gateways.envoy.start import start_of, write_certificate
from router.gateways.envoy.sync import SCOPE, NodeSync, Resource
from router.gateways.envoy.tables import PIECE, Tables
from router.gateways.envoy.verdicts import ACKNOWLEDGE_SECONDS, Verdicts
from router.governance import ALL, Governance, changed
from router.io.enrol import authority_of
from router.observed import Observed, Rejection
from router.plan import Action, Plan, Step, hosts_of

log = logging.getLogger(__name__)

_WARM_SECONDS = 5.0
_AT_ONCE = 100
"""New routes that are made before Envoy gets them."""
_MOST_CAPTURED = 256 * 1024 * 1024
"""Bytes of captured answers that nobody reads, after which they are thrown away."""


class EnvoyGateway:
    """The local Envoy, and any other that connects to the same ADS server."""

    def __init__(self, settings: Settings, *, detached: bool = False) -> None:
        """Nothing is started. ``detached``: Envoy goes on serving when this process is killed."""
        self._settings = settings
        self._files = Files(settings.state_folder)
        self._binary = envoy_binary()
        self._schema = load_schema(self._binary, self._files.folder)
        self._ads = AdsServer(self._schema, self._files.xds, self._warmed)
        self.process = EnvoyProcess(
            self._binary,
            self._files,
            address=settings.gateway_address,
            port=settings.gateway_port,
            drain=settings.gateway_drain,
            detached=detached,
        )
        self._start = start_of(settings, self._files)
        self._keeper = Keeper(self._files, self._start)
        self._governance = lastgood.governance(self._files.governance)
        self._shared = of_all(self._schema, self._governance)
        self._changing = asyncio.Lock()
        self._good: dict[str, Revision] = {}
        self._copying: set[str] = set()
        self._made: dict[str, Named] = {}
        self._tables = Tables(self._schema)
        self._verdicts = Verdicts(self._ads, self._tables, settings.gateway_id, self._real, lambda: self.healthy)
        self._fleet = self._joined()
        self._rejected: dict[str, Rejection] = {}
        self._moving: frozenset[str] = frozenset()
        self._trying: frozenset[str] = frozenset()
        self._listens: int | None = None
        self.unknown_hosts = 0
        self._said = ""
        self._counters: dict[str, int] = {}
        self._unkept = True
        self._keeping = asyncio.Lock()
        self._stream: NodeSync | None = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where callers reach it, ``host:port``."""
        host = self._settings.gateway_address
        return f"[{host}]:{self._settings.gateway_port}" if ":" in host else f"{host}:{self._settings.gateway_port}"

    @property
    def healthy(self) -> bool:
        """Whether the local Envoy runs and listens to this process."""
        return self.process.pid is not None and self._settings.gateway_id in self._ads.nodes

    @property
    def restarts(self) -> int:
        """How often the local Envoy had to be started again."""
        return self.process.restarts

    def seed(self, served: Iterable[Revision]) -> None:
        """What it served when last heard of: what a refused change falls back to."""
        for revision in served:
            self._hold(revision)
            self._made[revision.route] = of_route(self._schema, revision, self._governance.of(revision.route))

    def last_good(self) -> tuple[Revision, ...]:
        """What this gateway kept on disk when it last ran."""
        return lastgood.load(self._files.lastgood)

    def observed(self, routes: Iterable[str] | None = None) -> Observed:
        """The routes whose every resource the local Envoy acknowledged, and the revisions it refused.

        While a plan is under way, its routes are what they were.
        """
        asked = list(self._good if routes is None else routes)
        served = {
            route: self._good[route]
            for route in asked
            if route in self._good
            and ((route in self._moving and self.healthy) or self._verdicts.has(self._made.get(route)))
        }
        rejected = self._rejected if routes is None else {r: self._rejected[r] for r in asked if r in self._rejected}
        return Observed(routes=served, rejected=dict(rejected))

    def stirred(self) -> frozenset[str]:
        """The routes of which the local Envoy may have something else than when this was asked last."""
        node = self._ads.node(self._settings.gateway_id)
        if node is not self._stream:
            self._stream = node
            found = set(self._made)
        else:
            found = set(node.stirred) if node is not None else set()
        if node is not None:
            node.stirred.clear()
        return frozenset(self._tables.routes_of(found))

    async def start(self) -> None:
        """Bring the ADS server and Envoy up."""
        await asyncio.to_thread(self._files.prepare)
        write_certificate(self._settings, self._files)
        await self._ads.start()
        if self._fleet is not None and self._settings.join_address is not None:
            await self._fleet.start(self._settings.join_address, self._settings.join_port + 1)
            self._fleet.switch(frozenset(await self.switched_off()))
        form = bootstrap(self._start)
        self._schema.message("envoy.config.bootstrap.v3.Bootstrap", form)
        try:
            # One with other settings serves until the next can be given all there is to serve.
            await self.process.start(form, later=True)
        except BaseException:
            await self._ads.stop()
            if self._fleet is not None:
                await self._fleet.stop()
            raise
        with contextlib.suppress(OSError):
            self._counters = await asyncio.to_thread(admin.counters, self._files.admin, stats.PATTERN)

    async def stop(self) -> None:
        """Take Envoy and the ADS server down, and keep what was served."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        if self._fleet is not None:
            await self._fleet.stop()
        await self.process.stop()
        await self._ads.stop()
        await self.keep(whole=True)

    def admit(self, members: Iterable[Member]) -> None:
        """Who belongs to the fleet from now on."""
        if self._fleet is not None:
            self._fleet.admit(members)

    def joints(self) -> list[Joint]:
        """How the gateways of other machines stand."""
        return self._fleet.joints() if self._fleet is not None else []

    def renewed(self) -> list[Member]:
        """Members that got another certificate since this was asked last."""
        return self._fleet.renewed() if self._fleet is not None else []

    def _joined(self) -> Fleet | None:
        """The gateways of other machines, where the settings let any join."""
        if self._settings.join_address is None:
            return None
        serving = Serving(
            lambda: self._good, self._real, lambda: self._governance, self._tables.routes_of, lambda: self._trying
        )
        authority = authority_of(self._settings.state_folder)
        life = timedelta(seconds=self._settings.join_seconds)
        return Fleet(self._ads, self._files, serving, authority, life)

    async def apply(self, plan: Plan) -> None:
        """Do a plan. What is refused goes back to what it was, with its whole change and the gateway's words kept."""
        async with self._changing:
            self._moving = frozenset(self.observed(plan.routes).routes)
            self._trying = frozenset(plan.routes)
            try:
                await self._apply(plan)
            finally:
                self._moving = self._trying = frozenset()
        if self._ads.complete and self.process.outdated and self._renewal is None:
            self._renewal = asyncio.create_task(self.process.renew(), name="hot restart")
        await self._listening()

    @property
    def governance(self) -> Governance:
        """What it enforces."""
        return self._governance

    async def govern(self, governance: Governance) -> None:
        """Enforce this from now on. GatewayError, and what was enforced before, where Envoy refuses it.

        What all routes share comes first and waits for nothing: what is revoked is refused at once.
        """
        before, shared = self._governance, self._shared
        self._shared = of_all(self._schema, governance)
        self._bring({}, complete=False)
        async with self._changing:
            names = changed(before, governance)
            revisions = [one for one in self._good.values() if ALL in names or one.route in names]
            self._governance = governance
            wanted = {one.route: of_route(self._schema, one, governance.of(one.route)) for one in revisions}
            made = {route: self._made.get(route, {}) for route in wanted}
            self._moving = frozenset(self.observed(wanted).routes)
            try:
                self._bring(wanted, complete=False)
                await self._verdicts.settled({**wanted, "": self._shared}, made)
                refused = [error for one in (self._shared, *wanted.values()) if (error := self._verdicts.refusal(one))]
                if refused:
                    self._governance, self._shared = before, shared
                    self._bring(made, complete=False)
                    await self._verdicts.settled({**made, "": shared}, wanted)
                    raise GatewayError(f"the gateway refused what is to be enforced: {refused[0]}")
            finally:
                self._moving = frozenset()
        self._unkept = True

    def forget_others(self, routes: Collection[str]) -> None:
        """What is remembered from an earlier run and is none of these routes is nothing to fall back to."""
        for route in self._good.keys() - set(routes):
            self._lose(route)
        self._unkept = True

    async def _listening(self) -> None:
        """Once for each Envoy: wait until it took a plan in and accepts callers. GatewayError where it cannot."""
        deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
        if self.process.outdated:
            # It may listen elsewhere than the next will.
            return
        pid = self.process.pid
        while pid is not None and pid != self._listens and time.monotonic() < deadline:
            if await asyncio.to_thread(admin.ready, self._files.admin):
                if not await self.process.owns_port() and self.process.pid == pid:
                    raise taken(self._settings.gateway_address, self._settings.gateway_port)
                self._listens = pid
            else:
                await asyncio.sleep(0.02)

    async def _apply(self, plan: Plan) -> None:
        changes, complete = plan.changes(), not plan.postponed
        before = {route: self._made.get(route, {}) for route in changes}
        wanted, refused = await self._bring_new(plan, changes)
        others, odd = self._compile_all({route: one for route, one in changes.items() if route not in wanted})
        refused = _with_their_change(plan, refused | odd)
        others = {route: named for route, named in others.items() if route not in refused}
        self._bring(others, complete=complete)
        wanted |= others
        await self._verdicts.settled({route: named for route, named in wanted.items() if route not in refused}, before)
        refused |= {route: error for route in wanted if (error := self._verdicts.refusal(wanted[route]))}
        refused = _with_their_change(plan, refused)
        for action in plan.actions:
            if action.step in {Step.SERVE, Step.WITHDRAW}:
                self._conclude(action, refused.get(action.route), wanted.get(action.route))
        back = {route: before[route] for route in refused if route in wanted}
        if back:
            self._bring(back, complete=complete)
            await self._verdicts.settled(back, wanted)

    async def _bring_new(
        self, plan: Plan, changes: Mapping[str, Revision | None]
    ) -> tuple[dict[str, Named], dict[str, str]]:
        """Bring routes that are all new some at a time, so that Envoy takes in the first while others are made.

        A route whose host is another's, or that shares one by a path, has to change together with the others, as
        ``_bring`` does: it waits. What is brought and why some cannot be made; of those, the whole change is left out.
        """
        new = {route: one for route, one in changes.items() if one is not None and self._stands_alone(one)}
        wanted: dict[str, Named] = {}
        refused: dict[str, str] = {}
        for first in range(0, len(new) - len(new) % _AT_ONCE, _AT_ONCE):
            some, odd = self._compile_all(dict(islice(new.items(), first, first + _AT_ONCE)))
            refused = _with_their_change(plan, refused | odd)
            some = {route: named for route, named in some.items() if route not in refused}
            self._bring(some, complete=False)
            wanted |= some
            await asyncio.sleep(0)
        return wanted, refused

    def _stands_alone(self, revision: Revision) -> bool:
        """Whether nothing that is served has to do with a route."""
        spec = revision.spec
        if spec is None or spec.path or revision.route in self._made:
            return False
        return not any(host in self._ads.target[SCOPE] for host in hosts_of(spec))

    def _conclude(self, action: Action, error: str | None, named: Named | None) -> None:
        """Keep what came of one route: served, withdrawn, refused, or not known yet."""
        route = action.route
        if error is not None:
            self._rejected[route] = Rejection(number=action.number, error=error)
            log.error("revision %d of %s was refused: %s", action.number, route, error)
        elif action.after is None:
            self._lose(route)
            self._rejected.pop(route, None)
            self._unkept = True
        elif self._verdicts.has(named):
            self._hold(action.after)
            self._rejected.pop(route, None)
            self._unkept = True

    def _hold(self, revision: Revision) -> None:
        """Remember what is served of a route."""
        self._good[revision.route] = revision
        if revision.spec is not None and revision.spec.shadow is not None:
            self._copying.add(revision.route)
        else:
            self._copying.discard(revision.route)

    def _lose(self, route: str) -> None:
        """Remember a route no longer."""
        self._good.pop(route, None)
        self._copying.discard(route)

    async def traffic(self) -> list[Traffic]:
        """What passed since the last call, at gateways that joined too. Nothing of an Envoy that cannot be asked."""
        now, moved = dict(self._counters), dict[str, int]()
        with contextlib.suppress(OSError):
            now = await asyncio.to_thread(admin.counters, self._files.admin, stats.PATTERN)
            moved = stats.delta(self._counters, now)
            self._counters = now
        if self._fleet is not None:
            moved, now = (
                stats.together(moved, self._fleet.moved()),
                stats.together(now, self._fleet.counters(stats.PATTERN)),
            )
        self.unknown_hosts += moved.get(stats.UNKNOWN_HOSTS, 0)
        return stats.traffic(moved, now)

    async def keep(self, *, whole: bool = False) -> None:
        """Keep the last known good configuration where it changed, and bound what was captured.

        Thousands of routes take a while, beside all else; another call returns at once then. ``whole``: all of it is
        written anew, as fast as can be.
        """
        if whole:
            self._keeper.hurry()
        elif self._keeping.locked():
            return
        async with self._keeping:
            await self._keep(whole=whole)

    async def _keep(self, *, whole: bool) -> None:
        try:
            if self._unkept:
                self._unkept = False
                kept, held = dict(self._good), self._governance
                if not await asyncio.to_thread(self._keeper.keep, kept, held, whole=whole):
                    self._unkept = True
            await asyncio.to_thread(self._bound_capture)
        except OSError as error:
            self._unkept = True
            if str(error) != self._said:
                log.error("the last good configuration cannot be kept: %s", error)  # noqa: TRY400 - one sentence
            self._said = str(error)
        else:
            self._said = ""

    async def counts(self, route: str) -> list[Traffic]:
        """What passed for one route since Envoy was started, by backend."""
        try:
            counted = await asyncio.to_thread(admin.counters, self._files.admin, stats.pattern_of(route))
        except OSError:
            return []
        if self._fleet is not None:
            counted = stats.together(counted, self._fleet.counters(stats.pattern_of(route)))
        return stats.traffic(counted, counted)

    async def copied(self) -> dict[str, Copied]:
        """How much was copied to shadows since Envoy was started, by route. Nothing where no route has a shadow."""
        if not self._copying:
            return {}
        try:
            counted = await asyncio.to_thread(admin.counters, self._files.admin, stats.COPIES)
        except OSError:
            return {}
        return stats.copied(
            stats.together(counted, self._fleet.counters(stats.COPIES) if self._fleet is not None else {})
        )

    async def switch_off_shadow(self, route: str, *, off: bool = True) -> None:
        """Stop copying the requests of a route at once, whatever is desired; or follow what is desired again."""
        if self._fleet is not None:
            self._fleet.switch(self._fleet.off | {route} if off else self._fleet.off - {route})
        await asyncio.to_thread(switch.turn, self._files.admin, route, off=off)

    async def switched_off(self) -> set[str]:
        """The routes whose copying was switched off. Nothing where no route has a shadow."""
        if not self._copying:
            return set()
        try:
            found = await asyncio.to_thread(switch.switched_off, self._files.admin)
        except OSError:
            return set()
        # A switch that somebody turned here, past this process, is turned at gateways that joined as well.
        if self._fleet is not None and not found <= self._fleet.off:
            self._fleet.switch(self._fleet.off | found)
        return found

    def _bring(self, wanted: Mapping[str, Named], *, complete: bool) -> None:
        """Make these the resources of their routes, in the target of every node."""
        changed: list[tuple[str, str, Resource | None]] = []
        for route, named in wanted.items():
            old = self._made.get(route, {})
            changed += [
                (kind, name, None)
                for kind, name in old
                if kind != PIECE and (kind, name) not in named and self._owns(route, kind, name)
            ]
            if named:
                self._made[route] = named
            else:
                self._made.pop(route, None)
        gone, fresh = self._tables.update(wanted)
        changed += gone
        wanted = {**wanted, "": self._shared}
        # After the removals: a host that moves between routes must not be lost on the way.
        for named in wanted.values():
            changed += [
                (kind, name, resource)
                for (kind, name), resource in named.items()
                if kind != PIECE and self._ads.target[kind].get(name) != resource
            ]
        changed += fresh
        self._ads.change(changed, complete=complete)

    def _real(self, route: str) -> Named:
        """The resources of a route as nodes get them."""
        return self._tables.real(self._made.get(route, {}))

    def _owns(self, route: str, kind: str, name: str) -> bool:
        """Whether a resource in the target is this route's, and not that of one which took its host over."""
        return self._ads.target[kind].get(name) == self._made[route].get((kind, name))

    def _compile_all(self, changes: Mapping[str, Revision | None]) -> tuple[dict[str, Named], dict[str, str]]:
        """The resources of each changed route, and why some cannot be made."""
        wanted: dict[str, Named] = {}
        refused: dict[str, str] = {}
        for route, revision in changes.items():
            try:
                held = self._governance.of(route)
                wanted[route] = of_route(self._schema, revision, held) if revision else {}
            except ValueError as error:
                refused[route] = str(error)
        return wanted, refused

    async def _warmed(self, node: str) -> None:
        """Wait until an Envoy has resolved the names of its new clusters."""
        if node != self._settings.gateway_id:
            if self._fleet is not None:
                await self._fleet.warmed(node)
            return
        deadline = time.monotonic() + _WARM_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if not await asyncio.to_thread(admin.warming, self._files.admin):
                    return
            await asyncio.sleep(0.02)

    def _bound_capture(self) -> None:
        # What the file occupies, not its length: a reader leaves holes where it has read.
        if self._files.capture.stat().st_blocks * 512 > _MOST_CAPTURED:
            with self._files.capture.open("r+b") as opened:
                opened.truncate()
            log.warning("captured answers that nobody read were thrown away: %s", self._files.capture)


def _with_their_change(plan: Plan, refused: Mapping[str, str]) -> dict[str, str]:
    """Why routes are refused, those included that were to change together with one of them."""
    found = dict(refused)
    for route, error in refused.items():
        for other in plan.together(route):
            found.setdefault(other, f"it was to change together with {route}, and that was refused: {error}")
    return found
