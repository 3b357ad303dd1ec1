"""The delta ADS server: every node's own protocol machine (``sync``) over gRPC, on a Unix socket."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import grpc

from router.gateways.envoy.descriptors import Schema
from router.gateways.envoy.refusals import words
from router.gateways.envoy.sync import TYPES, NodeSync, Request, Resource, Response, Target

log = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
MOST_BYTES = 64 * 1024 * 1024
"""The longest message."""

_DISCOVERY = "envoy.service.discovery.v3."

Warmed = Callable[[str], Awaitable[None]]
"""Waits until a node, by its id, has resolved the names of its new clusters."""


class AdsServer:
    """Serves one target to any number of nodes. Used from one event loop."""

    def __init__(self, schema: Schema, socket: Path, warmed: Warmed) -> None:
        """Over a schema; ``socket`` is where nodes connect. Nothing is sent before the first ``change``."""
        self._schema = schema
        self._socket = socket
        self._warmed = warmed
        self._target: Target = {kind: {} for kind in TYPES}
        self._nodes: dict[str, list[_Stream]] = {}
        """The streams of each node, the newest last: one that is being replaced has two for a while."""
        self._news = asyncio.Condition()
        self._complete = False
        self._set = asyncio.Event()
        self._server: Any = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ids of the nodes that are connected."""
        return tuple(sorted(self._nodes))

    @property
    def target(self) -> Mapping[str, Mapping[str, Resource]]:
        """What every node shall have, by type and name."""
        return self._target

    @property
    def complete(self) -> bool:
        """Whether the target names all there is."""
        return self._complete

    def node(self, node: str) -> NodeSync | None:
        """What is known of a connected node; None where it is not connected."""
        streams = self._nodes.get(node)
        if not streams:
            return None
        # One that is still taking in what it is to begin with serves nobody: its predecessor does.
        return next((one.sync for one in reversed(streams) if one.arrived), streams[-1].sync)

    def handler(self, serve: Callable[[AsyncIterator[Any], Any], AsyncIterator[Any]]) -> Any:
        """The protocol as a handler of gRPC, for a function that serves one stream by ``serve`` below."""
        method = grpc.stream_stream_rpc_method_handler(
            serve,
            request_deserializer=self._schema.type(f"{_DISCOVERY}DeltaDiscoveryRequest").FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def start(self) -> None:
        """Listen. The socket is private to this user."""
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()

        async def local(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
            async for message in self.serve(requests, None):
                yield message

        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", MOST_BYTES)])
        self._server.add_generic_rpc_handlers((self.handler(local),))
        self._server.add_insecure_port(f"unix:{self._socket}")
        await self._server.start()
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        """Close every stream and stop listening."""
        if self._server is not None:
            await self._server.stop(0.2)
            self._server = None

    def change(self, changes: Iterable[tuple[str, str, Resource | None]], *, complete: bool) -> None:
        """Change the target: (type, name, resource or None to remove it). ``complete``: it names all there is."""
        touched: dict[str, list[str]] = {kind: [] for kind in TYPES}
        for kind, name, resource in changes:
            if resource is None:
                self._target[kind].pop(name, None)
            else:
                self._target[kind][name] = resource
            touched[kind].append(name)
        self._complete = self._complete or complete
        # Both of a node that is being replaced serve callers.
        for stream in chain.from_iterable(self._nodes.values()):
            for kind, names in touched.items():
                stream.sync.touch(kind, names)
            stream.sync.complete = self._complete
            stream.wake.set()
        self._set.set()

    async def settled(self, done: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until ``done``, asked after every word of a node, is true; False after so many seconds."""
        async with self._news:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait_for(done)
            except TimeoutError:
                return False
        return True

    async def serve(self, requests: AsyncIterator[Any], proved: str | None) -> AsyncIterator[Any]:
        """One stream of one node, from its first request to its end. It may only be whom it ``proved`` to be."""
        try:
            first = await anext(requests)
        except StopAsyncIteration:
            return
        node = str(first.node.id)
        if proved is not None and node != proved:
            log.warning("gateway %s calls itself %r, and gets nothing", proved, node)
            return
        stream = _Stream(NodeSync(self._target))
        stream.sync.complete = self._complete
        stream.sync.receive(_request(first))
        self._nodes.setdefault(node, []).append(stream)
        reader = asyncio.create_task(self._read(requests, stream))
        log.info("gateway %s connected", node)
        try:
            await self._set.wait()
            while not reader.done():
                stream.wake.clear()
                # Made before the first is sent: while one is being sent, the target may change.
                for message in [self._message(response) for response in stream.sync.responses()]:
                    yield message
                if stream.sync.warming and stream.warmer is None:
                    stream.warmer = asyncio.create_task(self._warm(node, stream))
                await stream.wake.wait()
        finally:
            reader.cancel()
            if stream.warmer is not None:
                stream.warmer.cancel()
            self._nodes[node].remove(stream)
            if not self._nodes[node]:
                del self._nodes[node]
            log.info("gateway %s disconnected", node)
            await self._tell()

    async def _read(self, requests: AsyncIterator[Any], stream: "_Stream") -> None:
        try:
            async for message in requests:
                request = _request(message)
                if request.error is not None:
                    log.warning("a gateway refused %s: %s", request.type, words(request.error))
                stream.sync.receive(request)
                stream.arrived = stream.arrived or stream.sync.caught_up()
                stream.wake.set()
                await self._tell()
        finally:
            stream.wake.set()

    async def _warm(self, node: str, stream: "_Stream") -> None:
        waiting = set(stream.sync.warming)
        await self._warmed(node)
        stream.sync.warming -= waiting
        stream.warmer = None
        stream.wake.set()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _message(self, response: Response) -> Any:
        message: Any = self._schema.type(f"{_DISCOVERY}DeltaDiscoveryResponse")()
        message.type_url = response.type
        message.nonce = response.nonce
        message.removed_resources.extend(response.removed)
        for name in response.names:
            resource = self._target[response.type][name]
            entry = message.resources.add(name=name, version=resource.version)
            entry.resource.type_url = response.type
            entry.resource.value = resource.body
        return message


class _Stream:
    def __init__(self, sync: NodeSync) -> None:
        self.sync = sync
        self.arrived = False
        """Whether it once had all there is."""
        self.wake = asyncio.Event()
        self.warmer: asyncio.Task[None] | None = None


def _request(message: Any) -> Request:
    return Request(
        type=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )
