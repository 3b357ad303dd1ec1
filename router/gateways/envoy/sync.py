"""Pure: the delta xDS protocol of one node, without I/O. Requests go in; the responses to send come out.

The order that never fails a request is kept here, for each node by itself: a route is sent once the clusters that it
names are acknowledged; clusters go once no route or scope is on its way. Every resource is acknowledged or
refused by name: a response of many that is refused is sent again, one by one.

Source: Envoy's "xDS REST and gRPC protocol", incremental variant.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SCOPE = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
TYPES = (CLUSTER, EXTENSION, ROUTE, SCOPE)

BATCH = 500
"""Resources in one response at most."""

SINGLE = 16
"""Up to so many changed resources are sent one by one, so that a refusal names its resource at once."""


class Resource(NamedTuple):
    """One resource of the target: its version, its serialised form, the clusters it needs first, and its route."""

    version: str
    body: bytes
    needs: frozenset[str] = frozenset()
    resolves: bool = False
    route: str = ""


Target = dict[str, dict[str, Resource]]
"""What every node shall have, by type and name."""


class Request(NamedTuple):
    """What a node says: subscriptions, and the verdict on the response of that nonce."""

    type: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = {}
    nonce: str = ""
    error: str | None = None


class Response(NamedTuple):
    """What to send to a node. ``names`` are resources of the target; ``removed`` are no longer."""

    type: str
    nonce: str
    names: tuple[str, ...]
    removed: tuple[str, ...] = ()


class _Sent(NamedTuple):
    versions: dict[str, str]
    removed: tuple[str, ...]


@dataclass
class _Subscription:
    """What a node has of one type. Names in ``dirty`` may differ from the target."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    acked: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    flying: dict[str, _Sent] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    alone: set[str] = field(default_factory=set)
    opened: bool = False
    greeted: bool = False

    def wants(self, name: str) -> bool:
        return self.opened and (self.wildcard or name in self.names)

    def on_its_way(self) -> dict[str, str]:
        return {name: version for sent in self.flying.values() for name, version in sent.versions.items()}

    def on_its_way_out(self) -> set[str]:
        return {name for sent in self.flying.values() for name in sent.removed}


class NodeSync:
    """One stream of one node. The target is shared and changed by its owner, who then calls ``touch``."""

    def __init__(self, target: Target) -> None:
        """Over the target; nothing is removed from the node until ``complete`` is set."""
        self._target = target
        self._of = {kind: _Subscription() for kind in TYPES}
        self._count = 0
        self.complete = False
        self.warming: set[str] = set()
        self.stirred: set[str] = set()
        """Routes of which the node has something else than before. Whoever reads it empties it."""

    def touch(self, kind: str, names: Iterable[str]) -> None:
        """The target of these names changed."""
        self._of[kind].dirty.update(names)

    def acknowledged(self, kind: str, name: str) -> str | None:
        """The version that the node acknowledged."""
        return self._of[kind].acked.get(name)

    def refusal(self, kind: str, name: str, version: str) -> str | None:
        """Why the node refused this version; None where it did not."""
        refused, error = self._of[kind].refused.get(name, ("", ""))
        return error if refused == version else None

    def caught_up(self) -> bool:
        """Whether the node has, or has refused, all that it is to have."""
        if not self.complete or any(one.flying for one in self._of.values()):
            return False
        told = [(self._target[kind], self._of[kind]) for kind in (CLUSTER, ROUTE, SCOPE)]
        # Names are compared only where there are enough of them: this is asked after each word of a node.
        return all(len(one.acked) + len(one.refused) >= len(wanted) for wanted, one in told) and all(
            name in one.acked or name in one.refused for wanted, one in told for name in wanted
        )

    def receive(self, request: Request) -> None:
        """Take in what the node says. A type that is not served is ignored."""
        subscription = self._of.get(request.type)
        if subscription is None:
            return
        if request.nonce:
            self._verdict(request, subscription)
        if not subscription.opened:
            self._open(request, subscription)
        else:
            self._resubscribe(request, subscription)
        for name in request.unsubscribe:
            subscription.names.discard(name)
            subscription.acked.pop(name, None)
            self._stir(request.type, name)

    def responses(self) -> Iterator[Response]:
        """What can be sent now. Each response counts as sent."""
        yield from self._changed(EXTENSION)
        yield from self._changed(CLUSTER)
        if self._of[CLUSTER].flying or self.warming:
            return
        yield from self._changed(ROUTE)
        yield from self._changed(SCOPE)
        if not self.complete:
            return
        yield from self._removed(SCOPE)
        if not self._routes_at_rest():
            return
        yield from self._removed(CLUSTER)

    def _open(self, request: Request, subscription: _Subscription) -> None:
        subscription.opened = True
        subscription.wildcard = not request.subscribe or "*" in request.subscribe
        subscription.names = set(request.subscribe) - {"*"}
        subscription.acked.update(request.initial)
        subscription.greeted = bool(request.initial) or not subscription.wildcard
        subscription.dirty.update(subscription.names, self._target[request.type], request.initial)

    def _resubscribe(self, request: Request, subscription: _Subscription) -> None:
        for name in request.subscribe:
            if name == "*":
                subscription.wildcard = True
                subscription.dirty.update(self._target[request.type])
            else:
                # Who subscribes again has dropped what it had, and waits to be told.
                subscription.names.add(name)
                subscription.acked.pop(name, None)
                subscription.dirty.add(name)
                self._stir(request.type, name)

    def _verdict(self, request: Request, subscription: _Subscription) -> None:
        sent = subscription.flying.pop(request.nonce, None)
        if sent is None:
            return
        if request.error is None:
            self._acknowledge(request.type, subscription, sent)
        elif len(sent.versions) == 1 and not sent.removed:
            (name, version), *_ = sent.versions.items()
            subscription.refused[name] = (version, request.error)
            subscription.alone.discard(name)
            self._stir(request.type, name)
        else:
            subscription.alone.update(sent.versions)
            subscription.dirty.update(sent.versions)

    def _acknowledge(self, kind: str, subscription: _Subscription, sent: _Sent) -> None:
        subscription.acked.update(sent.versions)
        for name in sent.removed:
            subscription.acked.pop(name, None)
        for name in sent.versions:
            subscription.alone.discard(name)
            subscription.refused.pop(name, None)
            self._stir(kind, name)
            resource = self._target[kind].get(name)
            if resource is not None and resource.resolves:
                self.warming.add(name)

    def _stir(self, kind: str, name: str) -> None:
        resource = self._target[kind].get(name)
        if resource is not None:
            self.stirred.add(resource.route)

    def _changed(self, kind: str) -> Iterator[Response]:
        subscription = self._of[kind]
        flying, leaving = subscription.on_its_way(), subscription.on_its_way_out()
        ready: list[str] = []
        for name in sorted(subscription.dirty):
            resource = self._target[kind].get(name)
            # Wanted again while its removal is under way: it is sent once that is acknowledged.
            if resource is None or name in leaving:
                continue
            if self._settled(subscription, flying, name, resource) or not subscription.wants(name):
                subscription.dirty.discard(name)
            elif self._needs_met(resource):
                ready.append(name)
        subscription.dirty.difference_update(ready)
        if kind == SCOPE and self.complete and ready and not (subscription.acked or flying or subscription.alone):
            # A node that begins to listen with some of its scopes would know nothing of the others' hosts.
            yield self._send(kind, tuple(ready))
            return
        singles = [name for name in ready if len(ready) <= SINGLE or name in subscription.alone]
        together = [name for name in ready if len(ready) > SINGLE and name not in subscription.alone]
        for name in singles:
            yield self._send(kind, (name,))
        for start in range(0, len(together), BATCH):
            yield self._send(kind, tuple(together[start : start + BATCH]))
        waiting = any(name in self._target[kind] for name in subscription.dirty)
        if subscription.opened and not subscription.greeted and not waiting:
            # A node that has nothing waits for an answer before it listens: an empty one is one.
            yield self._send(kind, ())

    @staticmethod
    def _settled(subscription: _Subscription, flying: Mapping[str, str], name: str, resource: Resource) -> bool:
        """Whether nothing is left to send: it is on its way, or acknowledged, or was refused as it is."""
        if name in flying:
            return flying[name] == resource.version
        if subscription.refused.get(name, ("", ""))[0] == resource.version:
            return True
        return subscription.acked.get(name) == resource.version

    def _needs_met(self, resource: Resource) -> bool:
        clusters = self._of[CLUSTER]
        wanted, leaving = self._target[CLUSTER], clusters.on_its_way_out()
        return all(
            name in wanted and name not in leaving and clusters.acked.get(name) == wanted[name].version
            for name in resource.needs
        )

    def _removed(self, kind: str) -> Iterator[Response]:
        subscription = self._of[kind]
        flying = subscription.on_its_way()
        gone = [name for name in sorted(subscription.dirty) if name not in self._target[kind] and name not in flying]
        if not subscription.opened or any(sent.removed for sent in subscription.flying.values()):
            return
        had = tuple(name for name in gone if name in subscription.acked)
        subscription.dirty.difference_update(gone)
        for start in range(0, len(had), BATCH):
            yield self._send(kind, (), had[start : start + BATCH])

    def _routes_at_rest(self) -> bool:
        """Whether no change of a route is under way or waits, so that no cluster is named by mistake."""
        return not any(self._of[kind].flying for kind in (ROUTE, SCOPE)) and not any(
            name in self._target[kind] and self._of[kind].wants(name)
            for kind in (ROUTE, SCOPE)
            for name in self._of[kind].dirty
        )

    def _send(self, kind: str, names: tuple[str, ...], removed: tuple[str, ...] = ()) -> Response:
        self._count += 1
        nonce = str(self._count)
        versions = {name: self._target[kind][name].version for name in names}
        self._of[kind].flying[nonce] = _Sent(versions, removed)
        self._of[kind].greeted = True
        return Response(kind, nonce, names, removed)
