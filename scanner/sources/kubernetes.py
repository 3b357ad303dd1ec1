"""Kubernetes clusters: what runs there and what declares it, by the API server, and what answers on the wire."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

from inventory.model import (
    Account,
    Checkpoint,
    Declaration,
    Listener,
    Observation,
    Questioned,
    Scope,
    Standing,
    utc_now,
)
from inventory.settings import Settings
from scanner.apiserver import IN_CLUSTER, Api, ClusterError, Unanswered
from scanner.cluster.promises import Promise, told_in_full
from scanner.cluster.survey import Said
from scanner.clustering import Cluster, notes, shortfalls
from scanner.findings import Ask, Finding
from scanner.io.kubeconfig import contexts
from scanner.listing import Lister, Listing
from scanner.plan import Shard
from scanner.sources.reading import Context, owner_in
from scanner.sources.source import Progress, Run, Update
from scanner.targets import Addresses, Network, Prefixed, Target, TargetError, parse_cluster, parse_target
from scanner.targets import Cluster as ClusterTarget

TICK = 0.2

Connect = Callable[[str, int], Awaitable[Api]]
"""Logs in to the cluster of a context, for so many requests a second. Raises ClusterError."""


async def prepare(
    scope: Scope,
    targets: Sequence[Target],
    ask: Ask,
    settings: Settings,
    *,
    shard: Shard | None = None,
    resume: Checkpoint | None = None,
) -> Run:
    """Check a scope of one cluster. Nothing is sent, and no credential plugin runs. Raises TargetError."""
    del resume
    if shard is not None:
        raise TargetError("a cluster is not scanned in shards: name namespaces, as in k8s:CONTEXT#one,another")
    return KubernetesRun(scope, chosen(targets), ask, settings)


def chosen(targets: Sequence[Target]) -> ClusterTarget:
    """The one cluster of some targets, which is in the kubeconfig. Raises TargetError."""
    found = [parse_cluster(one.rest) for one in targets if isinstance(one, Prefixed)]
    if len(found) != 1 or len(targets) != 1 or found[0].context == "*":
        raise TargetError("a scan is of one cluster: make a scope of each, or scan k8s:* by `gnomon scan`")
    if found[0].context != IN_CLUSTER:
        known = known_contexts()
        if found[0].context not in known:
            there = ", ".join(known) or "none"
            raise TargetError(f"there is no context {found[0].context!r} in the kubeconfig: there is {there}")
    return found[0]


def known_contexts() -> tuple[str, ...]:
    """The contexts in the kubeconfigs. Raises TargetError where none can be read."""
    try:
        return contexts()
    except ClusterError as error:
        raise TargetError(str(error)) from error


async def log_in(context: str, rate: int) -> Api:
    """Connect by the official client, which is imported no sooner than here."""
    from scanner.io.kubernetes import ApiServer

    return await ApiServer.connect(context, rate)


class KubernetesRun:
    """One run over one cluster. ``cluster`` is there once it was listed; with ``keep`` its connection is left open."""

    def __init__(
        self,
        scope: Scope,
        target: ClusterTarget,
        ask: Ask,
        settings: Settings,
        *,
        connect: Connect = log_in,
        keep: bool = False,
    ) -> None:
        self._scope = scope
        self._target = target
        self._ask = ask
        self._settings = settings
        self._connect = connect
        self._keep_open = keep
        self.targets = scope.targets
        self.exclude = tuple(str(one) for one in excluded(scope))
        self.ports: tuple[int, ...] = ()
        self.shortfalls: list[str] = []
        self.notes: list[str] = []
        self.resumed = False
        self.cluster: Cluster | None = None
        self._found: list[Observation] = []
        self._declared: list[Declaration] = []
        self._whole: tuple[str, ...] = ()
        self._scan = ""
        self._planned = 0
        self._requests = 0
        self._percent = 0.0

    @property
    def account(self) -> Account:
        """Where every port of every workload went so far. Those without a way to them count as silent."""
        wire = self.cluster.wire if self.cluster else None
        if wire is None:
            return Account()
        return Account(
            planned=self._planned,
            answered=wire.answered,
            refused=wire.refused,
            silent=wire.silent + wire.closed + wire.no_way + wire.over_budget,
            excluded=wire.excluded,
            forbidden=wire.forbidden,
        )

    async def observe(self, scan: str, stop: asyncio.Event) -> AsyncGenerator[Update, None]:
        """See ``scanner.sources.source.Run.observe``."""
        self._scan = scan
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            while not work.done() and not stop.is_set():
                await asyncio.wait({work, stopping}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                yield self._update()
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work, stopping})
            if self.cluster is not None and not self._keep_open:
                await self.cluster.api.close()
        self._conclude()
        yield self._update()
        if not work.cancelled() and (error := work.exception()):
            raise error

    async def _work(self) -> None:
        api = await self._connect(self._target.context, self._settings.cluster_rate)
        cluster = self.cluster = Cluster(
            api,
            self._target.context,
            self._settings,
            self._ask,
            site=self._scope.site,
            exclude=excluded(self._scope),
            allow_public=self._scope.allow_public,
        )
        self._percent = 5.0
        try:
            lister = Lister(api, self._target.namespaces, patience=self._settings.cluster_timeout)
            cluster.listing = await lister.run()
        except Unanswered as error:
            self.shortfalls.append(f"the API server of {self._target.context}: {error}, so that nothing is known of it")
            return
        self.targets = covered(cluster.listing)
        self._percent = 50.0
        sightings, news = await cluster.look()
        self._planned = sum(one.declared.standing is not Standing.GHOST for one in sightings)
        self.keep(news)
        await cluster.question(cluster.to_ask(sightings), self._answered)
        _, news = await cluster.look()
        self.keep(news)
        context = context_of(self._scope, self._scan, self._target.context)
        self._declared = declarations(cluster.promises, context)
        if told_in_full(cluster.listing.world):
            self._whole = (context.source,)
        self._percent = 100.0

    def _answered(self, listener: Listener, findings: tuple[Finding, ...]) -> None:
        self._found += observations(findings, listener, self._scan, self._scope)
        self._requests += sum(len(f.fact.requests) for f in findings if isinstance(f.fact, Questioned))

    def keep(self, news: Iterable[Said]) -> None:
        """Take in what the cluster says."""
        self._found += said_observations(news, self._scan, self._scope)

    def _update(self) -> Update:
        found, self._found = self._found, []
        declared, self._declared = self._declared, []
        wire = self.cluster.wire if self.cluster else None
        sent = self.cluster.api.requests if self.cluster else 0
        asked = self._requests if self.cluster and self.cluster.reach == "direct" else 0
        progress = Progress(
            percent=self._percent, open=self._planned, identified=wire.answered if wire else 0, rate=float(sent)
        )
        return Update(
            tuple(found), self.account, sent + asked, progress, declarations=tuple(declared), whole=self._whole
        )

    def _conclude(self) -> None:
        cluster = self.cluster
        if cluster is None or cluster.listing is None:
            return
        self.shortfalls += shortfalls(cluster.listing, cluster.wire)
        self.notes += notes(cluster.listing, cluster.wire)


def excluded(scope: Scope) -> list[Network]:
    """The networks that a scope excludes. Raises TargetError for anything else."""
    found = []
    for text in scope.exclude:
        target = parse_target(text)
        if not isinstance(target, Addresses) or target.port is not None:
            raise TargetError(f"{text!r} cannot be excluded from a cluster: an exclusion is a CIDR or an address")
        found.append(target.network)
    return found


def covered(listing: Listing) -> tuple[str, ...]:
    """What a scan of a cluster says that it was about: the namespaces whose pods it read."""
    return tuple(f"{listing.world.cluster}/{name}" for name in sorted(listing.world.read_namespaces)) or ("nothing",)


def context_of(scope: Scope, scan: str, context: str) -> Context:
    """What a cluster's declarations are made with: their source is the cluster by its context."""
    return Context(scope, scan, "k8s", context)


def declarations(promises: Iterable[Promise], context: Context) -> list[Declaration]:
    """Declarations of what a cluster's platforms say is supposed to run."""
    return [
        context.declaration(
            one.key,
            one.meta.name,
            urls=one.urls,
            workload_uids=one.runs,
            product=one.product,
            model=one.model,
            artifact=one.models[0] if one.models else None,
            owner=owner_in((*one.meta.labels.items(), *one.meta.annotations.items())),
            details=(*one.details, *(f"model {uri}" for uri in one.models[1:])),
        )
        for one in promises
    ]


def said_observations(news: Iterable[Said], scan: str, scope: Scope) -> list[Observation]:
    """Observations of what a cluster says now."""
    now = utc_now()
    return [
        Observation(
            scan=scan,
            scope=scope.name,
            listener=Listener(site=scope.site, address=one.address, port=one.port),
            at=now,
            fact=one.fact,
            evidence=one.evidence,
        )
        for one in news
    ]


def observations(findings: Iterable[Finding], listener: Listener, scan: str, scope: Scope) -> list[Observation]:
    """Observations of what a listener answered now."""
    now = utc_now()
    return [
        Observation(
            scan=scan,
            scope=scope.name,
            listener=listener,
            base_path=one.base_path,
            at=now,
            fact=one.fact,
            evidence=one.evidence,
        )
        for one in findings
    ]
