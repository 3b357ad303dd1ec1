"""Follows the lists of one cluster by watches, and says when something changed. Nothing is gone by a broken watch.

What cannot be watched for long is a hole, until something is heard of it again.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from scanner.apiserver import Api, Silent, Unanswered
from scanner.cluster.objects import table, text
from scanner.cluster.resources import Hole
from scanner.cluster.world import World
from scanner.listing import Collection, ListFailed, read_list

log = logging.getLogger(__name__)

WATCH_SECONDS = 240
"""After how long the server is asked to end a watch, which then goes on with the next request."""

SILENCE = 150.0
"""Seconds without an event or a bookmark, which come about every 60 s, after which a watch is dead."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 60.0


class _TooOld(Exception):  # noqa: N818 - an outcome, not a fault
    """The server knows the version no more: the list has to be read again."""


class Watcher:
    """Watches every list of a cluster, each in a task of its own, and keeps the world up to date.

    ``changed`` is set after every event that changes what is kept.
    """

    def __init__(self, api: Api, world: World, *, patience: float = 30.0, silence: float = SILENCE) -> None:
        self.changed = asyncio.Event()
        self._api = api
        self._world = world
        self._patience = patience
        self._silence = silence
        self._heard: dict[str, float] = {}
        self._holes: dict[str, Hole] = {}

    async def run(self, collections: list[Collection]) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for one in collections:
                group.create_task(self._follow(one))

    async def _follow(self, collection: Collection) -> None:
        """Watch one list from its version on: again and again, from where the last watch ended."""
        version, wait = collection.version, _FIRST_WAIT
        self._heard[collection.path] = time.monotonic()
        while True:
            try:
                async for reached in self._watch(collection, version):
                    version, wait = reached or version, _FIRST_WAIT
                    self._mend(collection)
            except _TooOld:
                version = await self._list_again(collection, version)
            except Silent:
                # Bookmarks would have come. A server that was set back knows nothing of the version, and waits for it.
                log.info("the watch of %s fell silent, so it is listed again", collection.path)
                self._judge(collection)
                version = await self._list_again(collection, version)
            except Unanswered as error:
                self._judge(collection, error.status)
                log.info("the watch of %s is begun again: %s", collection.path, error)
                wait = min(wait * 2, _LONGEST_WAIT)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - it spreads load, and hides nothing

    async def _watch(self, collection: Collection, version: str) -> AsyncIterator[str]:
        """The versions up to which one watch came. Raises _TooOld or Unanswered."""
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("resourceVersion", version),
        ]
        try:
            async for line in self._api.lines(collection.path, query, silence=self._silence):
                yield self._take(collection, line)
        except Unanswered as error:
            if error.status == 410:
                raise _TooOld from error
            raise

    def _take(self, collection: Collection, line: bytes) -> str:
        """Take in one event, and give the version that it is of. Raises _TooOld or Unanswered."""
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unanswered("it sent an event that cannot be read") from error
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            raise Unanswered("it sent an event that cannot be read")
        kind, item = event.get("type"), event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise _TooOld
            raise Unanswered(f"the watch ended with {item.get('code')}")
        if kind == "DELETED":
            self._dropped(collection, item)
        elif kind in {"ADDED", "MODIFIED"}:
            self._put(collection, item)
        return text(table(item.get("metadata")).get("resourceVersion"))

    def _put(self, collection: Collection, item: Mapping[str, Any]) -> None:
        known = self._world.things.get(collection.resource, {})
        before = known.get(text(table(item.get("metadata")).get("uid")))
        if self._world.put(collection.resource, item) != before:
            self.changed.set()

    def _dropped(self, collection: Collection, item: Mapping[str, Any]) -> None:
        uid = text(table(item.get("metadata")).get("uid"))
        if self._world.drop(collection.resource, uid) is not None:
            self.changed.set()

    async def _list_again(self, collection: Collection, known: str) -> str:
        """Read a list anew, until one comes that is not older than what is known. Its version."""
        wait = _FIRST_WAIT
        while True:
            try:
                things, version = await read_list(
                    self._api,
                    collection.path,
                    lambda item: self._world.read(collection.resource, item),
                    self._patience,
                )
            except ListFailed as error:
                self._judge(collection, error.status)
                log.warning("%s could not be read again: %s", collection.path, error)
            else:
                if not _is_older(version, known):
                    self._world.install(collection.resource, collection.namespace, things)
                    self._mend(collection)
                    self.changed.set()
                    return version
                self._judge(collection)
                log.warning("%s was answered from a cache that is older than what is known", collection.path)
            wait = min(wait * 2, _LONGEST_WAIT)
            await asyncio.sleep(wait)

    def _judge(self, collection: Collection, status: int | None = None) -> None:
        """What may be read no more, or was not heard of for long, is a hole. What was in it is not gone for that."""
        if collection.path in self._holes:
            return
        if status in {401, 403}:
            why = "it may not be watched, so that it may have changed since"
        elif time.monotonic() - self._heard[collection.path] >= self._silence:
            why = "it cannot be watched, so that it may have changed since"
        else:
            return
        self._holes[collection.path] = hole = Hole(collection.resource, collection.namespace, why)
        self._world.holes.append(hole)
        self.changed.set()

    def _mend(self, collection: Collection) -> None:
        """Something was heard of it."""
        self._heard[collection.path] = time.monotonic()
        hole = self._holes.pop(collection.path, None)
        if hole is not None:
            self._world.holes.remove(hole)
            self.changed.set()


def _is_older(version: str, known: str) -> bool:
    """Whether one version is before another. Versions are numbers that grow, since Kubernetes 1.35 by contract."""
    return version.isdigit() and known.isdigit() and int(version) < int(known)
