"""Gateways: what makes desired routes real. One package for each kind, and one line here.

A gateway takes a ``router.plan.Plan``, says what it acknowledged and what it refused, and counts what passed.
Nothing here reads the store, and nothing here decides what is desired.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast, runtime_checkable

from inventory.model import Member, Refusal, Revision, Traffic
from inventory.settings import Settings
from router.governance import Governance
from router.observed import Observed
from router.plan import Plan


class Gateway(Protocol):
    """What the controller asks of a gateway. Every method is called from one event loop."""

    @property
    def address(self) -> str:
        """Where callers reach it, ``host:port``."""

    @property
    def healthy(self) -> bool:
        """Whether it is up and takes changes."""

    @property
    def restarts(self) -> int:
        """How often its proxy had to be started again."""

    @property
    def unknown_hosts(self) -> int:
        """How many requests named a host that no route has, as counted by ``traffic``."""

    def observed(self, routes: Iterable[str] | None = None) -> Observed:
        """What it has acknowledged and refused, of these routes, or of all."""

    def stirred(self) -> frozenset[str]:
        """The routes of which it may have something else than when this was asked last."""

    def seed(self, served: Iterable[Revision]) -> None:
        """Before the start: what it served when last heard of, to fall back to."""

    def last_good(self) -> tuple[Revision, ...]:
        """What it kept on disk of the revisions it served; empty where it kept nothing that can be read."""

    async def start(self) -> None:
        """Bring it up. GatewayError, with one sentence, where it cannot be."""

    async def apply(self, plan: Plan) -> None:
        """Do a plan; return once every touched route is acknowledged, refused and rolled back, or late."""

    def forget_others(self, routes: Collection[str]) -> None:
        """Once all that is desired was done: what was remembered of other routes is nothing to fall back to."""

    async def traffic(self) -> list[Traffic]:
        """What passed since the last call, by route and backend. Empty where it cannot be asked."""

    async def keep(self) -> None:
        """Called about each second: keep on disk what is served, and tidy up."""

    async def stop(self) -> None:
        """Take it down, letting requests under way finish within bounds."""


class Copied(NamedTuple):
    """Copies to the shadow of one route: requests and bytes that were sent, and how many are under way."""

    requests: int = 0
    size: int = 0
    in_flight: int = 0


@runtime_checkable
class Governed(Protocol):
    """What a gateway may offer beside: to enforce by itself what was decided about callers."""

    async def govern(self, governance: Governance) -> None:
        """Enforce this from now on; return once it is acknowledged. GatewayError, and nothing changed, where not."""

    @property
    def governance(self) -> Governance:
        """What it enforces."""


@runtime_checkable
class Measured(Protocol):
    """What a gateway may offer beside: live counts without waiting, and a switch for shadows that acts at once."""

    async def counts(self, route: str) -> list[Traffic]:
        """What passed for one route since the gateway was started, by backend. Empty where it cannot be asked."""

    async def copied(self) -> dict[str, Copied]:
        """How much was copied to shadows since the gateway was started, by route. Empty where it cannot be asked."""

    async def switch_off_shadow(self, route: str, *, off: bool = True) -> None:
        """Stop copying the requests of a route at once, or follow what is desired again. OSError where it cannot."""

    async def switched_off(self) -> set[str]:
        """The routes whose copying was switched off. Empty where it cannot be asked."""


class Joint(NamedTuple):
    """A gateway of another machine that is served by the same one.

    ``news`` is what is new of its routes: the number that it serves, None for none, and what it refused.
    """

    id: str
    address: str
    machine: tuple[str, ...]
    healthy: bool
    restarts: int
    unknown_hosts: int
    news: Mapping[str, tuple[int | None, Refusal | None]]


@runtime_checkable
class Joined(Protocol):
    """What a gateway may offer beside: to serve gateways of other machines, which joined."""

    def admit(self, members: Iterable[Member]) -> None:
        """Who belongs to the fleet from now on; others are cut off."""

    def joints(self) -> list[Joint]:
        """How each of them stands, with what is new since this was asked last."""

    def renewed(self) -> list[Member]:
        """Members that got another certificate since this was asked last."""


GATEWAYS = {"envoy": "router.gateways.envoy.gateway:EnvoyGateway"}
"""Each kind of gateway, and the class to import for it."""

MEMBERS = {"envoy": "router.gateways.envoy.joined:JoinedGateway"}
"""The same on another machine than its controller."""

ALONE = {"envoy": "router.gateways.envoy.alone:Alone"}
"""The same without a controller: what serves the last good configuration by itself."""

Factory = Callable[..., Gateway]


def make_gateway(kind: str, settings: Settings, *, detached: bool = False) -> Gateway:
    """A gateway of one kind. ``detached``: it goes on serving when this process is killed."""
    module, _, name = GATEWAYS[kind].partition(":")
    factory = cast("Factory", getattr(import_module(module), name))
    return factory(settings, detached=detached)


async def serve_alone(kind: str, settings: Settings, stop: asyncio.Event) -> None:
    """Serve what was served last until ``stop`` is set or a controller takes over. GatewayError where it cannot."""
    module, _, name = ALONE[kind].partition(":")
    await getattr(import_module(module), name)(settings).run(stop)


async def serve_joined(kind: str, settings: Settings, stop: asyncio.Event) -> None:
    """Serve what the gnomon says that was joined, until ``stop`` is set. GatewayError where it cannot."""
    module, _, name = MEMBERS[kind].partition(":")
    await getattr(import_module(module), name)(settings).run(stop)


def node_calls_file(calls: Path, gateway: str) -> Path:
    """Where the calls of a gateway of another machine are put, beside those of the one here."""
    return calls.with_name(f"at-{gateway}.jsonl")


def capture_file(state_folder: Path) -> Path:
    """Where gateways write captured answers of primary and shadow, as JSON lines. Private to this user."""
    return state_folder / "capture" / "pairs.jsonl"


def calls_file(state_folder: Path) -> Path:
    """Where gateways write one JSON line of each call that is to be recorded. Private to this user."""
    return state_folder / "calls" / "calls.jsonl"


def ask_socket(state_folder: Path) -> Path:
    """The Unix socket on which gateways of this machine reach the authorisation service."""
    from router.gateways.envoy.files import Files

    return Files(state_folder).ask


def samples_folder(state_folder: Path) -> Path:
    """Where the samples of routes that keep some are, a file a route. Private to this user."""
    return state_folder / "samples"
