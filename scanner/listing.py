"""Reads a whole cluster, page by page, and says what could not be read.

What is forbidden for the whole cluster is tried namespace by namespace. A list is taken only as a whole:
half a list would make what is missing from it look gone. Lists are asked for without a resource version,
because from the server's cache they come unpaged and may be old.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from scanner.apiserver import Api, Reply, Unanswered
from scanner.cluster.objects import Json, rows, table, text
from scanner.cluster.resources import NAMESPACES, PODS, RESOURCES, Hole, Resource
from scanner.cluster.world import Thing, World
from scanner.together import together

PAGE = 500
TRIES = 3
_MOST_PAGES = 4000
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0
_AT_ONCE = 6
FORBIDDEN = "forbidden"
NOT_TRIED = "not tried, because its pods are forbidden"


@dataclass(frozen=True, slots=True)
class Collection:
    """A list that was read: of a resource, at ``path``, as of ``version``, from where a watch goes on."""

    resource: Resource
    namespace: str | None
    path: str
    version: str


@dataclass
class Listing:
    """A cluster as it was listed: the world, and the lists that a watch may follow."""

    world: World
    collections: list[Collection] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class ListFailed(Exception):  # noqa: N818 - an outcome, not a fault
    """A list that was not read. ``status`` is the HTTP status, where one came."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


class Lister:
    """Lists one cluster. ``only`` are the namespaces to look at, empty for all of them.

    ``patience`` is how many seconds one answer may take.
    """

    def __init__(self, api: Api, only: Iterable[str] = (), *, patience: float = 30.0) -> None:
        self._api = api
        self._only = tuple(dict.fromkeys(only))
        self._patience = patience
        self._served: dict[str, tuple[str, ...]] | None = None
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> Listing:
        """Read everything that may be read. Raises Unanswered where the server answers nothing at all."""
        self._served = await self._groups()
        listing = Listing(World(await self._identity(), any_namespace=not self._only))
        listing.world.namespaces.update(self._only)
        await (self._named(listing) if self._only else self._read(listing, NAMESPACES))
        if not self._only and listing.world.is_hole(NAMESPACES, ""):
            listing.notes.append("the namespaces cannot be listed: those are known in which something was seen")
        await self._read(listing, PODS)
        rest = [one for one in RESOURCES if one not in {NAMESPACES, PODS} and (one.namespaced or not self._only)]
        await together(self._read(listing, one) for one in rest)
        await self._deleted_meanwhile(listing)
        return listing

    async def _named(self, listing: Listing) -> None:
        """Look at each namespace that was named: one that does not exist would pass for an empty one."""
        for name in self._only:
            reply = await self._get(f"/api/v1/namespaces/{name}")
            if reply.status == 200:
                listing.world.put(NAMESPACES, reply.document)
            else:
                why = {403: FORBIDDEN, 404: "there is no such namespace"}.get(
                    reply.status, f"it answered {reply.status}"
                )
                listing.world.holes.append(Hole(NAMESPACES, name, why))

    async def _groups(self) -> dict[str, tuple[str, ...]] | None:
        """The API groups that are served, with their versions. None where that is not told."""
        reply = await self._get("/apis")
        groups = reply.document.get("groups")
        if reply.status in {401, 403} or not isinstance(groups, list):
            return None
        return {
            text(one.get("name")): tuple(text(version.get("version")) for version in rows(one.get("versions")))
            for one in rows(groups)
        }

    async def _identity(self) -> str:
        """What tells the cluster from others: the UID of kube-system; where that is not told, its URL."""
        reply = await self._get("/api/v1/namespaces/kube-system")
        uid = text(table(reply.document.get("metadata")).get("uid"))
        return uid if reply.status == 200 and uid else f"server {self._api.host}"

    def _versions(self, resource: Resource) -> tuple[str, ...]:
        """The versions to try. None: the group is not served, which is certain."""
        if not resource.group or self._served is None:
            return resource.versions
        served = self._served.get(resource.group, ())
        return tuple(one for one in resource.versions if one in served) or (() if not served else resource.versions[:1])

    async def _read(self, listing: Listing, resource: Resource) -> None:
        world = listing.world
        versions = self._versions(resource)
        if not versions and not resource.built_in:
            world.absent.add(resource)
            return
        version = (versions or resource.versions)[0]
        # What leads to a workload may be in any namespace, so it is read in all of them where that is allowed.
        if resource.namespaced and self._only and not resource.leads:
            await self._by_namespace(listing, resource, version)
            return
        try:
            await self._take(listing, resource, version, None)
        except ListFailed as error:
            await self._instead(listing, resource, version, error)

    async def _instead(self, listing: Listing, resource: Resource, version: str, error: ListFailed) -> None:
        """After a list of the whole cluster failed: tell absent from forbidden, and try each namespace."""
        if error.status in {403, 404} and not resource.built_in and await self._is_absent(resource, version):
            listing.world.absent.add(resource)
        elif error.status == 403 and resource.namespaced and listing.world.namespaces:
            await self._by_namespace(listing, resource, version)
            if self._only:
                listing.world.holes.append(Hole(resource, None, "forbidden beyond the namespaces that were named"))
        else:
            listing.world.holes.append(Hole(resource, None, str(error)))

    async def _is_absent(self, resource: Resource, version: str) -> bool:
        """Whether the server says that it has no such resource. A 403 on a list does not tell."""
        reply = await self._get(f"/apis/{resource.group}/{version}")
        if reply.status == 404:
            return self._served is not None or resource.versions == (version,)
        if reply.status != 200 or "resources" not in reply.document:
            return False
        return resource.plural not in {text(one.get("name")) for one in rows(reply.document.get("resources"))}

    async def _by_namespace(self, listing: Listing, resource: Resource, version: str) -> None:
        names = sorted(listing.world.namespaces)
        await together(self._in_namespace(listing, resource, version, name) for name in names)

    async def _in_namespace(self, listing: Listing, resource: Resource, version: str, namespace: str) -> None:
        world = listing.world
        if resource != PODS and any(
            hole.resource == PODS and hole.namespace == namespace and hole.why == FORBIDDEN for hole in world.holes
        ):
            world.holes.append(Hole(resource, namespace, NOT_TRIED))
            return
        try:
            await self._take(listing, resource, version, namespace)
        except ListFailed as error:
            if error.status == 404 and not resource.built_in and await self._is_absent(resource, version):
                world.absent.add(resource)
            else:
                world.holes.append(Hole(resource, namespace, str(error)))

    async def _take(self, listing: Listing, resource: Resource, version: str, namespace: str | None) -> None:
        """Read one list into the world, as a whole or not at all. Raises ListFailed."""
        path = resource.path(version, namespace)
        async with self._limit:
            things, as_of = await read_list(
                self._api, path, lambda item: listing.world.read(resource, item), self._patience
            )
        listing.world.install(resource, namespace, things)
        if resource == NAMESPACES:
            names = {one.meta.name for one in things}
            listing.world.namespaces.update(names if not self._only else ())
        listing.collections.append(Collection(resource, namespace, path, as_of))

    async def _deleted_meanwhile(self, listing: Listing) -> None:
        """A namespace that was deleted while it was read is no hole: nothing of it is there any more."""
        world = listing.world
        for name in sorted({hole.namespace for hole in world.holes if hole.namespace is not None} - {*self._only}):
            reply = await self._get(f"/api/v1/namespaces/{name}")
            if reply.status == 404:
                world.forget(name)
                listing.collections = [one for one in listing.collections if one.namespace != name]
                listing.notes.append(f"namespace {name} was deleted during the scan")

    async def _get(self, path: str) -> Reply:
        async def attempt() -> Reply:
            return await self._api.get(path, seconds=self._patience)

        return await insist(attempt)


async def insist(attempt: Callable[[], Awaitable[Reply]]) -> Reply:
    """The answer to a request that is tried a few times, with longer and longer waits. Raises Unanswered."""
    wait = _FIRST_WAIT
    for left in reversed(range(TRIES)):
        try:
            reply = await attempt()
        except Unanswered:
            if not left:
                raise
        else:
            if not left or reply.status not in {429, 500, 502, 503, 504}:
                return reply
            asked = dict(reply.headers).get("retry-after", "")
            wait = max(wait, min(float(asked), _LONGEST_WAIT)) if asked.isdigit() else wait
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
    raise AssertionError("the last try returns or raises")


async def read_list(
    api: Api, path: str, take: Callable[[Json], Thing | None], patience: float
) -> tuple[list[Thing], str]:
    """Everything at a path, and the version that it is of. Raises ListFailed."""
    why = "it went on changing under its pages"
    for _ in range(TRIES):
        things: list[Thing] = []
        version = ""
        try:
            async for items, as_of in _pages(api, path, patience):
                version = _same(version, as_of)
                things += [thing for item in items if (thing := take(item)) is not None]
        except _Stale as error:
            why = str(error)
        else:
            return things, version
    raise ListFailed(why)


def _same(version: str, as_of: str) -> str:
    """The version of every page: a list is one consistent snapshot, unless it comes from caches."""
    if version and as_of != version:
        raise _Stale("its pages are of different versions")
    return as_of


class _Stale(Exception):  # noqa: N818 - an outcome, not a fault
    """A list that has to be begun again."""


async def _pages(api: Api, path: str, patience: float) -> AsyncIterator[tuple[list[Json], str]]:
    following = ""
    seen: set[str] = set()
    for _ in range(_MOST_PAGES):
        items, version, following = await _page(api, path, following, patience)
        yield items, version
        if not following:
            return
        if following in seen:
            raise ListFailed("its pages never end")
        seen.add(following)
    raise ListFailed("its pages never end")


async def _page(api: Api, path: str, following: str, patience: float) -> tuple[list[Json], str, str]:
    """One page: its items, version, and the token of the next. Raises ListFailed or _Stale."""
    query = [("limit", str(PAGE)), *([("continue", following)] if following else [])]

    async def attempt() -> Reply:
        reply = await api.get(path, query, seconds=patience)
        if reply.status == 200:
            check_list(reply)
        return reply

    try:
        reply = await insist(attempt)
    except Unanswered as error:
        raise ListFailed(str(error)) from error
    if reply.status == 410:
        # The token that comes with it goes on with another version of the list, which would mix two.
        raise _Stale("its pages expired before they were read")
    if reply.status != 200:
        raise ListFailed(FORBIDDEN if reply.status == 403 else f"it answered {reply.status}", reply.status)
    said = table(reply.document.get("metadata"))
    items: Any = reply.document["items"]
    token = said.get("continue")
    return list(rows_of(items)), text(said.get("resourceVersion")), token if isinstance(token, str) else ""


def check_list(reply: Reply) -> None:
    """Raise Unanswered where an answer of 200 is no list of objects: a page of HTML, half a page."""
    if not reply.whole:
        raise Unanswered("it sent a page without an end")
    said = reply.document
    if not isinstance(said.get("metadata"), dict) or not isinstance(said.get("items"), list | None):
        raise Unanswered("it answered something that is no list")
    if "items" not in said or not text(said["metadata"].get("resourceVersion")):
        raise Unanswered("it answered something that is no list")


def rows_of(items: Any) -> Iterable[Json]:
    """The objects of a list; an empty list may be written as null."""
    return (one for one in items or () if isinstance(one, dict))
