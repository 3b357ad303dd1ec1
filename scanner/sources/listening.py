"""Listening: services that are in use, heard on an interface. Nothing is sent.

A target is ``listen:INTERFACE``, with options behind commas: ``for=10m`` and, as often as wanted,
``in=10.20.0.0/22``. Only addresses inside those networks are recorded; without any, private ones.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network

from inventory.model import Account, Checkpoint, Evidence, Exposed, Listener, Observation, Scheme, Scope, utc_now
from inventory.query import QueryError, seconds_of
from inventory.settings import Settings
from scanner.exclusions import read_exclusions
from scanner.findings import Ask
from scanner.io.sniff import Sniffer, interfaces
from scanner.io.ways import may_send_frames
from scanner.overheard import Ear, Server, overhear
from scanner.plan import FREE, NotAuthorised, Shard
from scanner.sources.source import Progress, Run, Update
from scanner.spans import Spans
from scanner.targets import Addresses, Prefixed, Target, TargetError, parse_network, parse_target

TICK = 0.5
DURATION = 600.0
"""Seconds for which it listens where the target does not say."""


@dataclass(frozen=True, slots=True)
class Post:
    """Where and for how many seconds to listen, and which addresses are of interest."""

    interface: str
    duration: float
    within: Spans


def parse_post(rest: str) -> Post:
    """What follows ``listen:`` in a target. Raises TargetError. Pure."""
    interface, *options = rest.split(",")
    if not interface:
        raise TargetError("'listen:' names no interface: write listen:eth0, for example")
    duration, networks = DURATION, []
    for option in options:
        name, _, value = option.partition("=")
        if name == "for":
            duration = _duration(value)
        elif name == "in":
            networks.append(parse_network(value))
        else:
            raise TargetError(f"'listen:{rest}': {option!r} is neither for=10m nor in=10.20.0.0/22")
    return Post(interface, duration, Spans.of(networks) if networks else FREE)


def _duration(text: str) -> float:
    try:
        seconds = seconds_of(text)
    except QueryError as error:
        raise TargetError(f"{text!r} is no duration: write 30s, 10m, 8h or 1d") from error
    if seconds <= 0:
        raise TargetError(f"{text!r} is no duration: it is over before it begins")
    return float(seconds)


async def prepare(
    scope: Scope,
    targets: Sequence[Target],
    ask: Ask,
    settings: Settings,
    *,
    shard: Shard | None = None,
    resume: Checkpoint | None = None,
) -> Run:
    """Check where to listen. Raises TargetError or NotAuthorised."""
    del ask, resume
    posts = [parse_post(target.rest) for target in targets if isinstance(target, Prefixed)]
    if len(posts) != 1 or shard is not None:
        raise TargetError("a scan listens on one interface, and has no shards")
    if posts[0].interface not in interfaces():
        raise TargetError(f"there is no interface {posts[0].interface!r} here, but {', '.join(interfaces())}")
    if not may_send_frames():
        raise TargetError("this process may not listen (CAP_NET_RAW): `gnomon doctor` says how to let it")
    outside = posts[0].within - FREE
    if outside and not scope.allow_public:
        raise NotAuthorised(
            f"{next(outside.networks())} is not listened for: it is neither private nor loopback, "
            "and needs a scope that allows public addresses"
        )
    never = await asyncio.to_thread(read_exclusions, settings.exclude_file) if settings.exclude_file else ()
    return ListeningRun(scope, posts[0], _spans((*scope.exclude, *never)))


def _spans(texts: Iterable[str]) -> Spans:
    """The addresses that exclusions name. A host name cannot be looked up without sending something."""
    networks = []
    for text in texts:
        target = parse_target(text)
        if not isinstance(target, Addresses):
            raise TargetError(f"{text!r} cannot be excluded from listening: name a CIDR or an address")
        networks.append(target.network)
    return Spans.of(networks)


class ListeningRun:
    """One stretch of listening. It covers nothing: what was not heard may be there."""

    def __init__(self, scope: Scope, post: Post, exclude: Spans) -> None:
        self._scope = scope
        self._post = post
        self._wanted = post.within - exclude
        self._ear = Ear()
        self._lock = threading.Lock()
        self.targets: tuple[str, ...] = ()
        self.exclude: tuple[str, ...] = ()
        self.ports: tuple[int, ...] = ()
        self.shortfalls: list[str] = []
        self.notes = [f"it listened on {post.interface}, so it only knows of what was in use"]
        self.resumed = False

    @property
    def account(self) -> Account:
        """Nothing was planned and nothing was sent."""
        return Account()

    async def observe(self, scan: str, stop: asyncio.Event) -> AsyncGenerator[Update, None]:
        """See ``scanner.sources.source.Run.observe``. Raises OSError where it cannot listen."""
        sniffer = await asyncio.to_thread(Sniffer, self._post.interface, self._heard)
        began = time.monotonic()
        try:
            await asyncio.to_thread(sniffer.start)
            while (elapsed := time.monotonic() - began) < self._post.duration and not stop.is_set():
                if not sniffer.running:
                    self.shortfalls.append(f"{self._post.interface} went away after {elapsed:.0f} s")
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), min(TICK, self._post.duration - elapsed))
                yield self._update(scan, elapsed)
        finally:
            await asyncio.to_thread(sniffer.stop)
        if dropped := sniffer.count_drops():
            self.shortfalls.append(f"the kernel dropped {dropped} segments that nobody took in time")
        if self._ear.forgotten:
            self.shortfalls.append(f"there were more services than are kept in mind: {self._ear.forgotten} answers")
        yield self._update(scan, time.monotonic() - began)

    def _heard(self, source: Server, destination: Server, payload: bytes) -> None:
        word = overhear(payload)
        if word is None:
            return
        server = source if word.by_server else destination
        if Spans.of([ip_network(server[0])]) <= self._wanted:
            with self._lock:
                self._ear.hear(source, destination, word)

    def _update(self, scan: str, elapsed: float) -> Update:
        with self._lock:
            news, known = self._ear.news(), len(self._ear)
        left = max(0.0, self._post.duration - elapsed)
        percent = 100.0 * min(1.0, elapsed / self._post.duration)
        progress = Progress(percent=percent, open=known, seconds_left=left)
        return Update(tuple(self._observation(scan, *one) for one in news), self.account, 0, progress)

    def _observation(self, scan: str, server: Server, scheme: Scheme, names: tuple[str, ...]) -> Observation:
        heard = Evidence(signal=f"was heard answering on {self._post.interface}", source="listen")
        said = (Evidence(signal=f"a client asked it for {name}", source="listen") for name in names)
        return Observation(
            scan=scan,
            scope=self._scope.name,
            listener=Listener(site=self._scope.site, address=server[0], port=server[1]),
            at=utc_now(),
            fact=Exposed(scheme=scheme),
            evidence=(heard, *said),
        )
