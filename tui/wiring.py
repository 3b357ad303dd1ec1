"""The one composition root: makes the objects of each layer and hands them to each other.

A command asks here for what it needs; nothing else in gnomon constructs a store, a controller or a
scanner. Every import of another layer is inside a function, so that a command pays for what it uses.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inventory.model import Listener, Scan, Scope
    from inventory.settings import Settings
    from inventory.store import Store
    from router.audit.evidence import Load
    from router.identity.invitations import Token
    from scanner.authoring import Trial
    from scanner.findings import Finding
    from scanner.plan import Shard
    from scanner.sources import Progress, Run
    from tui.demo.outcome import Outcome


Service = Callable[[asyncio.Event], Coroutine[None, None, None]]

SWITCH_SECONDS = 0.001
"""How long one thread of the daemon may have the interpreter while another waits for it."""
"""Something that runs until the event is set."""


@dataclass(frozen=True)
class Options:
    """The options before the command, as they were given."""

    database: str | None = None
    config: Path | None = None


@dataclass(frozen=True)
class Workspace:
    """The settings in force and the open store."""

    settings: Settings
    store: Store


def settings_of(options: Options, signatures: Path | None = None) -> Settings:
    """The settings in force. Raises SettingsError."""
    from inventory.settings import load_settings

    return load_settings(options.config, database=options.database, signatures=signatures)


@contextmanager
def workspace(options: Options, signatures: Path | None = None) -> Iterator[Workspace]:
    """The settings and the store, which is closed at the end. Raises SettingsError or StoreError."""
    from inventory.store import open_store

    settings = settings_of(options, signatures)
    with open_store(settings.database, settings) as store:
        yield Workspace(settings, store)


def check_scope(settings: Settings, scope: Scope) -> Run:
    """Check a scope as a scan would, sending nothing. Raises TargetError, PortsError or NotAuthorised."""
    from scanner.scopes import parts_of
    from scanner.sources import choose, source_of

    async def nobody(listener: Listener) -> tuple[Finding, ...]:
        raise AssertionError(f"a check asks nobody, not even {listener}")

    async def prepare(part: Scope) -> Run:
        prefix, targets = choose(part.targets)
        return await source_of(prefix)(part, targets, nobody, settings)

    checked = [asyncio.run(prepare(part)) for part in parts_of(scope)]
    return checked[0]


def explain_questions(settings: Settings, target: str, ports: Sequence[int]) -> list[dict[str, str]]:
    """What a scan would ask of each port and why, each row once. Nothing is sent."""
    from scanner.explain import explain
    from scanner.findings import Limits
    from scanner.knowledge import load_knowledge

    knowledge = load_knowledge(settings.signatures)
    rows = (row for port in ports for row in explain(target, port, knowledge, Limits()))
    return list({tuple(row.values()): row for row in rows}.values())


def try_signature(settings: Settings, file: Path, listener: Listener) -> Trial:
    """Question a host with one signature added. Raises SignatureError for a file that is none."""
    from scanner.authoring import try_signature as attempt
    from scanner.findings import Limits
    from scanner.knowledge import load_knowledge, read_signature

    return asyncio.run(attempt(read_signature(file), listener, load_knowledge(settings.signatures), Limits()))


def record_transcript(settings: Settings, listener: Listener) -> str:
    """Question a host, and give the transcript as YAML."""
    from scanner.authoring import record
    from scanner.findings import Limits
    from scanner.knowledge import load_knowledge

    return asyncio.run(record(listener, load_knowledge(settings.signatures), Limits()))


def scan_until_done(
    here: Workspace,
    scope: Scope,
    report: Callable[[Progress], None],
    *,
    shard: Shard | None = None,
    resume: bool = False,
) -> list[Scan]:
    """Scan a scope, or one shard of it; each cluster that it names is a scan of its own, all at once.

    The first Ctrl-C or SIGTERM ends them early and keeps what was found. Where one of several cannot
    begin, the others go on; its error is raised only where none could.
    """
    from scanner.asking import Asker
    from scanner.runner import Runner
    from scanner.scopes import parts_of

    async def run() -> list[Scan]:
        ask = Asker(here.settings)

        def tell(progress: Progress) -> None:
            # Probes are about to go: while they are on their way there is time to load the questions.
            ask.prepare()
            report(progress)

        async with _stop_on_signals() as stop:
            runner = Runner(here.store, here.settings, ask)
            results = await asyncio.gather(
                *(runner.run(part, stop=stop, report=tell, shard=shard, resume=resume) for part in parts_of(scope)),
                return_exceptions=True,
            )
        return _scans(results)

    return asyncio.run(run())


def _scans(results: Sequence[Scan | BaseException]) -> list[Scan]:
    """The scans among the results of several. Raises the first error where there is none, or one that is a defect."""
    from tui.exits import exit_of
    from tui.output import narrate

    errors = [one for one in results if isinstance(one, BaseException)]
    scans = [one for one in results if not isinstance(one, BaseException)]
    for error in errors:
        if not scans or not isinstance(error, Exception) or exit_of(error) is None:
            raise error
        narrate(f"gnomon: {error}")
    return scans


def daemon(here: Workspace, *, gateway: bool, schedules: bool, clusters: bool) -> None:
    """Run the controller with its gateway, the schedules, and the watches of clusters, until Ctrl-C or SIGTERM.

    Whichever part fails ends the others too, and its error is raised.
    """

    async def run() -> None:
        # A change of a route goes through the event loop, and must not wait long for a thread that is at work.
        sys.setswitchinterval(SWITCH_SECONDS)
        async with _stop_on_signals() as stop:
            parts: list[Service] = [notifier(here)]
            if gateway:
                parts.append(gateway_service(here.store, here.settings, detached=True))
            if here.settings.metrics_port:
                parts.append(_metrics(here))
            if schedules:
                parts.append(_schedules(here))
            if here.settings.seal_interval:
                parts.append(_seals(here))
            if clusters:
                parts.append(_clusters(here))
            await _all_until_stopped(parts, stop)

    asyncio.run(run())


def has_joined(settings: Settings) -> str:
    """Where the gnomon is that the gateway of this state folder joined; "" where it joined none."""
    from router.gateways.envoy.membership import control_of

    return control_of(settings.state_folder)


def join(settings: Settings, host: str, port: int, token: Token) -> str:
    """Join the gnomon of another machine, for this state folder; the name that it gave. Raises GatewayError."""
    from router.gateways.envoy.membership import keep
    from router.io.enrol import join as ask

    joined = asyncio.run(ask(host, port, token))
    keep(settings.state_folder, joined)
    return joined.gateway


def fresh_invitation(settings: Settings) -> tuple[str, str]:
    """A new token to join, as text, and the digest that is kept of it. Raises GatewayError."""
    from router.identity import certificates, invitations
    from router.io.enrol import authority_of

    authority = authority_of(settings.state_folder)
    token = invitations.fresh(certificates.fingerprint(authority.certificate))
    return invitations.text_of(token), invitations.digest(token.secret)


def gateway_alone(settings: Settings) -> None:
    """Serve the last good configuration without a database, or for the gnomon that was joined.

    Until Ctrl-C, SIGTERM or a controller takes over. Raises GatewayError.
    """
    from router.gateways import serve_alone, serve_joined

    serve = serve_joined if has_joined(settings) else serve_alone

    async def run() -> None:
        async with _stop_on_signals() as stop:
            await serve("envoy", settings, stop)

    asyncio.run(run())


def notifier(here: Workspace) -> Service:
    """What tells of everything new, on stdout and to the webhook. Raises SettingsError."""
    from tui.notifier import Notifier

    return Notifier(here.store, here.settings).run


def show(here: Workspace, *, read_only: bool) -> None:
    """Open the terminal UI."""
    from tui import pace
    from tui.app import GnomonApp

    settings = here.settings
    GnomonApp(here.store, settings, read_only=read_only, keys=settings.keys, ready=pace.started).run()


def serve_screen(options: Sequence[str], host: str, port: int, *, read_only: bool) -> None:
    """Serve the terminal UI to browsers until Ctrl-C or SIGTERM. Raises OSError where the port is taken."""
    import ipaddress

    from tui.output import narrate
    from tui.web import GuardedServer, command_line

    if not ipaddress.ip_address(host).is_loopback:
        narrate(f"{host} is not loopback: what is typed and shown, and the key, cross the network in the clear")
    GuardedServer(command_line(options, read_only=read_only), host, port).serve()


def play(settings: Settings, *, keep: bool, screen: bool) -> Outcome:
    """Play the demonstration, ending in the terminal UI where ``screen`` is true. Raises DemoError.

    Ctrl-C, SIGTERM and a terminal that goes away end it, and stop what it started, like its end does.
    """
    from tui.demo.stage import set_up
    from tui.demo.story import tell

    async def run() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with set_up(settings, partial(gateway_service, detached=False), keep=keep) as stage:
            outcome = await tell(stage)
            if screen:
                from tui.app import GnomonApp

                await GnomonApp(stage.store, stage.settings, keys=stage.settings.keys).run_async()
            return outcome

    try:
        return asyncio.run(run())
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


def gateway_service(store: Store, settings: Settings, *, detached: bool) -> Service:
    """The controller with its gateway, and beside it what follows shadows and rollouts.

    ``detached``: the gateway goes on serving when this process is killed.
    """
    from router.controller import Beside, Controller
    from router.governing import Governing
    from router.rollouts import Rollouts
    from router.shadow.guard import Guard
    from router.shadow.monitor import Monitor

    async def monitor(here: Beside, stop: asyncio.Event) -> None:
        await Monitor(here.store, here.capture).run(stop)

    async def rollouts(here: Beside, stop: asyncio.Event) -> None:
        await Rollouts(here.store, here.gateway).run(stop)

    async def guard(here: Beside, stop: asyncio.Event) -> None:
        await Guard(here.store, here.gateway).run(stop)

    companions = [monitor, rollouts, guard, *Governing(store, settings).companions()]
    return Controller(store, settings, detached=detached, companions=companions).run


def policy_loader() -> Load:
    """What reads a version of the policies in its language. It raises PolicyError for a text that is none."""
    from router.policy.engines import load

    return load


def switch_off_shadow(settings: Settings, route: str) -> bool:
    """Have the gateway of this machine copy no more requests of a route, at once. False where none runs here."""
    from router.gateways.envoy import switch
    from router.gateways.envoy.files import Files

    try:
        switch.turn(Files(settings.state_folder).admin, route, off=True)
    except OSError:
        return False
    return True


def _metrics(here: Workspace) -> Service:
    from router.metrics import Exporter

    return Exporter(here.store, here.settings.metrics_port).run


def _schedules(here: Workspace) -> Service:
    from scanner.asking import Asker
    from scanner.runner import Runner
    from scanner.schedule import Scheduler
    from scanner.scopes import parts_of

    runner = Runner(here.store, here.settings, Asker(here.settings))

    async def scan(scope: Scope, stop: asyncio.Event) -> list[Scan]:
        parts = parts_of(scope)
        results = await asyncio.gather(*(runner.run(part, stop=stop) for part in parts), return_exceptions=True)
        return _scans(results)

    return Scheduler(here.store, scan).run


def _seals(here: Workspace) -> Service:
    from tui.sealing import SealKeeper

    return SealKeeper(here.store, here.settings).run


def _clusters(here: Workspace) -> Service:
    from scanner.asking import Asker
    from scanner.follow import Follower

    return Follower(here.store, here.settings, Asker(here.settings)).run


async def _all_until_stopped(parts: list[Service], stop: asyncio.Event) -> None:
    async def run(part: Service) -> None:
        try:
            await part(stop)
        finally:
            stop.set()

    results = await asyncio.gather(*(run(part) for part in parts), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


@asynccontextmanager
async def _stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second one does what it always did."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask_to_stop)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
