"""What all sources of declarations share: one run that reads each target to its end, or says what is missing.

A source of this kind is a module with a function ``read`` and a line in the registry. It only yields
declarations; it raises SourceError where it cannot go on, and what it yielded before is kept.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from inventory.counterparts import socket_of
from inventory.model import Account, Checkpoint, Declaration, Scope, utc_now
from inventory.settings import Settings
from scanner.exchange import clean, plain_uri
from scanner.findings import Ask
from scanner.io.discovery import resolve
from scanner.plan import Shard
from scanner.sources.source import Progress, Run, Source, Update
from scanner.targets import Prefixed, Target, TargetError

BATCH = 200
LONGEST_TEXT = 500
RESOLVED_AT_ONCE = 32
RESOLVE_SECONDS = 3.0
_WHERE = {"url", "uri", "endpoint"}
_OF_SOMETHING_ELSE = {
    "artifact", "data", "dataset", "docs", "documentation", "git", "homepage", "image", "license", "paper", "repo",
    "report", "repository", "run", "source", "tracking",
}  # fmt: skip
_WORDS = re.compile("[-_]")

log = logging.getLogger(__name__)


class SourceError(RuntimeError):
    """A source that could not be read to its end. Its text is one sentence that says what to do."""


@dataclass
class Context:
    """One target of one scan: what readers make declarations with. ``rest`` is the target after its prefix.

    ``shortfalls`` takes what could not be read where reading goes on. ``requests`` counts calls of an API.
    """

    scope: Scope
    scan: str
    prefix: str
    rest: str
    shortfalls: list[str] = field(default_factory=list)
    requests: int = 0

    @property
    def source(self) -> str:
        """The target as it was written, without a password that a URL in it may hold."""
        return f"{self.prefix}:{without_password(self.rest)}"

    def declaration(self, key: str, name: str, **parts: Any) -> Declaration:
        """A declaration of this source: texts cut to one line, and no password kept of any URL."""
        for part in ("urls", "backends"):
            parts[part] = tuple(
                dict.fromkeys(without_password(clean(url, LONGEST_TEXT)) for url in parts.get(part, ()))
            )
        parts["details"] = tuple(clean(detail, LONGEST_TEXT) for detail in parts.get("details", ()))
        if parts.get("artifact"):
            # Signed URLs carry their signature in the query.
            parts["artifact"] = plain_uri(clean(str(parts["artifact"]), LONGEST_TEXT)) or None
        for part in ("owner", "model", "model_version", "image", "product", "workload"):
            if parts.get(part):
                parts[part] = without_password(clean(str(parts[part]), LONGEST_TEXT))
        return Declaration(
            source=self.source,
            key=clean(key, LONGEST_TEXT),
            name=clean(name, LONGEST_TEXT),
            site=self.scope.site,
            scope=self.scope.name,
            scan=self.scan,
            at=utc_now(),
            **parts,
        )


Reader = Callable[[Context], Iterator[Declaration]]
"""Reads a target, a generator that may block. Raises SourceError."""


def source_of_declarations(read: Reader, *, files: bool = False) -> Source:
    """The source whose targets are read by a reader. ``files``: what is no URL is the path of a file."""

    async def prepare(
        scope: Scope,
        targets: Sequence[Target],
        ask: Ask,
        settings: Settings,
        *,
        shard: Shard | None = None,
        resume: Checkpoint | None = None,
    ) -> Run:
        """Raises TargetError for a target that names nothing. Sends nothing."""
        del ask, settings, resume
        if shard is not None:
            raise TargetError("declarations are read whole: leave out --shard")
        named = [target for target in targets if isinstance(target, Prefixed)]
        for target in named:
            if not target.rest:
                raise TargetError(f"'{target.prefix}:' names nothing to read: write where it is after the colon")
        return DeclaredRun(scope, [_absolute(target) if files else target for target in named], read)

    return prepare


class DeclaredRun:
    """One run over the targets of a scope, one after the other. Its account counts targets."""

    def __init__(self, scope: Scope, targets: Sequence[Prefixed], read: Reader) -> None:
        self._scope = scope
        self._targets = targets
        self._read = read
        self._settled = {"answered": 0, "refused": 0}
        self._requests = 0
        self._found = 0
        self._places: dict[str, tuple[str, ...]] = {}
        self.targets = tuple(f"{target.prefix}:{without_password(target.rest)}" for target in targets)
        self.exclude: tuple[str, ...] = ()
        self.ports: tuple[int, ...] = ()
        self.shortfalls: list[str] = []
        self.notes: list[str] = []
        self.resumed = False

    @property
    def account(self) -> Account:
        """How many targets there are, were read to the end (answered) and were not (refused)."""
        return Account(planned=len(self._targets), **self._settled)

    async def observe(self, scan: str, stop: asyncio.Event) -> AsyncGenerator[Update, None]:
        """Read every target; what one fails at does not keep another from being read."""
        for target in self._targets:
            context = Context(self._scope, scan, target.prefix, target.rest)
            declarations = self._read(context)
            before = self._found
            try:
                while not stop.is_set():
                    batch = await asyncio.to_thread(_next, declarations)
                    if not batch:
                        break
                    self._found += len(batch)
                    self._requests += context.requests
                    context.requests = 0
                    yield self._update(tuple([await self._placed(one) for one in batch]))
                else:
                    self.shortfalls.append(f"{context.source} was not read to the end")
            except SourceError as error:
                context.shortfalls.append(str(error))
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                log.info("%s could not be read", context.source, exc_info=True)
                what = f"{type(error).__name__}: {error}"
                context.shortfalls.append(f"{context.source} is not laid out as its format says ({what})")
            self._requests += context.requests
            self.shortfalls += context.shortfalls
            self._settled["refused" if context.shortfalls else "answered"] += 1
            ended = () if context.shortfalls or stop.is_set() else (context.source,)
            update = self._update(())
            yield replace(update, whole=ended) if self._found > before else replace(update, empty=ended)
            if stop.is_set():
                return

    def _update(self, declarations: tuple[Declaration, ...]) -> Update:
        done = self.account.probed
        progress = Progress(percent=100 * done / max(1, len(self._targets)), open=self._found, identified=self._found)
        return Update((), self.account, self._requests, progress, declarations=declarations)

    async def _placed(self, declaration: Declaration) -> Declaration:
        """With the sockets that the names in its URLs stand for."""
        places = [place for url in declaration.running for place in await self._sockets(url)]
        return declaration.model_copy(update={"places": tuple(dict.fromkeys((*declaration.places, *places)))})

    async def _sockets(self, url: str) -> tuple[str, ...]:
        socket = socket_of(url)
        if socket is None:
            return ()
        host, port = socket
        if host not in self._places:
            try:
                async with asyncio.timeout(RESOLVE_SECONDS):
                    self._places[host] = tuple(await resolve(host))
            except (OSError, UnicodeError, TimeoutError):
                self._places[host] = ()
        return tuple(f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in self._places[host])


def without_password(text: str) -> str:
    """A text that may be a URL, without the user and password in it."""
    if "@" not in text or "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:  # no URL after all, and still no reason to keep what stands where a password would
        scheme, _, rest = text.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _absolute(target: Prefixed) -> Prefixed:
    """The same target whatever folder it is named from: what is declared is known by it."""
    return target if "://" in target.rest else Prefixed(target.prefix, str(Path(target.rest).expanduser().absolute()))


def _next(declarations: Iterator[Declaration]) -> list[Declaration]:
    return list(islice(declarations, BATCH))


def owner_in(labels: Iterable[tuple[str, object]]) -> str | None:
    """The owner that labels, tags or annotations name, by the usual keys."""
    usual = ("owner", "team", "owned-by", "maintainer", "contact")
    named = {key.lower().rpartition("/")[2].replace("_", "-"): str(value) for key, value in labels if value}
    return next((named[key] for key in usual if key in named), None)


def served_at(labels: Iterable[tuple[str, object]]) -> tuple[str, ...]:
    """The URLs where labels, tags or metadata of a model say that it is served: by the words in their keys."""
    return tuple(
        value
        for key, value in labels
        if isinstance(value, str) and value.startswith(("http://", "https://")) and _says_where(key)
    )


def _says_where(key: str) -> bool:
    words = set(_WORDS.split(key.lower()))
    return bool(words & _WHERE) and not words & _OF_SOMETHING_ELSE
