"""The stage: a folder, an inventory, the servers and a gateway of their own, all gone when it is left.

Nothing of the user's is touched: database, state folder and gateway port are the demonstration's.
"""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inventory.settings import Settings
from inventory.store import Store, open_store
from tui.convergence import LOOK_EVERY
from tui.demo import cast
from tui.demo.process import DemoError, Program, Servers, free_port
from tui.output import narrate

T = TypeVar("T")

Service = Callable[[asyncio.Event], Coroutine[None, None, None]]
GatewayService = Callable[[Store, Settings], Service]
"""Makes what runs a gateway over a store until its event is set."""

SERVERS_SECONDS = 60.0
"""How long the servers may take to answer, on a machine that is busy."""

_DATABASE = "inventory.db"
_NOBODY = 250
"""The last number of an address on which no server of the cast listens."""


@dataclass(frozen=True)
class Stage:
    """What the story plays on, until it is left."""

    settings: Settings
    store: Store
    subnet: str
    programs: dict[str, Program]
    servers: Servers

    def program(self, name: str) -> Program:
        """The server of that name."""
        return self.programs[name]


@asynccontextmanager
async def set_up(settings: Settings, gateway: GatewayService, *, keep: bool = False) -> AsyncIterator[Stage]:
    """Start everything; stop it, and delete what it wrote, when left. ``keep`` leaves the folder.

    ``gateway`` makes what runs the gateway, as ``gnomon serve`` does. Raises DemoError where a port is
    taken or a server does not start, and GatewayError where the gateway does not.
    """
    cast.check_installed()
    folder = Path(tempfile.mkdtemp(prefix="gnomon-demo-"))
    try:
        with cast.claim_stage() as number:
            written = cast.make_folder(folder / "servers")
            programs = cast.programs(number, written)
            own = own_settings(settings, folder, cast.STAGES.index(number))
            with Servers(written, temporary=None if keep else folder) as servers:
                for program in programs:
                    servers.start(program)
                narrate(f"starting {len(programs)} servers on {number}.0/24, and a gateway")
                with await asyncio.to_thread(open_store, own.database, own) as store:
                    async with _running(gateway(store, own)):
                        await servers.ready(programs, SERVERS_SECONDS)
                        by_name = {program.name: program for program in programs}
                        yield Stage(own, store, f"{number}.0/24", by_name, servers)
            if keep:
                narrate(f"kept: gnomon --database {own.database} tui")
    finally:
        if not keep:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def own_settings(settings: Settings, folder: Path, place: int = 0) -> Settings:
    """The settings in force, with a database, a state folder and a gateway port for this stage alone.

    ``place`` tells stages apart that are set up at the same time: the port counts up from the usual one.
    """
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    return settings.model_copy(
        update={
            "database": f"sqlite:///{folder / _DATABASE}",
            "state_folder": state,
            "gateway_address": "127.0.0.1",
            # Its callers prove nothing, and another gnomon of this machine may have the port.
            "token_port": 0,
            "gateway_port": free_port("127.0.0.1", settings.gateway_port and settings.gateway_port + place),
        }
    )


async def answered_everywhere(subnet: str, ports: Iterable[int]) -> list[int]:
    """The ports on which a program of this machine listens on all addresses, so on each of the subnet.

    A scan would rightly find it on every address of the subnet, which is true and tells no story.
    """
    address = subnet.replace(".0/24", f".{_NOBODY}")

    async def listens(port: int) -> bool:
        with socket.socket() as trial:
            trial.setblocking(False)
            try:
                async with asyncio.timeout(1.0):
                    await asyncio.get_running_loop().sock_connect(trial, (address, port))
            except OSError:
                return False
            return True

    wanted = list(ports)
    found = await asyncio.gather(*(listens(port) for port in wanted))
    return [port for port, answers in zip(wanted, found, strict=True) if answers]


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    """The gateway runs inside. If it fails, so does what is inside."""
    stop, inside = asyncio.Event(), asyncio.current_task()
    assert inside is not None
    task = asyncio.create_task(service(stop), name="gateway")
    task.add_done_callback(lambda _: stop.is_set() or inside.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and not stop.is_set():
            inside.uncancel()
            raise _cause(task) from None
        raise
    finally:
        stop.set()
        await asyncio.wait([task])
    task.result()


def _cause(task: asyncio.Task[None]) -> BaseException:
    """Why the gateway ended: its error, out of the groups that it came in."""
    error: BaseException | None = None if task.cancelled() else task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error or DemoError("the gateway ended by itself")


async def eventually(look: Callable[[], T | None], seconds: float, failure: str) -> T:
    """What ``look`` sees, asked in a thread until it is something. Raises DemoError with ``failure``."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                seen = await asyncio.to_thread(look)
                if seen is not None:
                    return seen
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        raise DemoError(f"{failure} within {seconds:g} s") from None
