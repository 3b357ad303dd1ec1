import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from inventory.model import Exposed, Listener, Scheme, Scope, utc_now
from inventory.settings import Settings
from scanner.findings import Ask, Finding
from scanner.plan import NotAuthorised
from scanner.sources import Run, Update, choose
from scanner.sources.subnet import prepare
from scanner.targets import TargetError

ROOT = Path(__file__).parents[3]
OPEN = [("127.85.0.1", 28200), ("127.85.0.2", 28200), ("127.85.0.2", 28203)]


@pytest.fixture
async def servers() -> AsyncIterator[list[asyncio.Server]]:
    started = [await asyncio.start_server(lambda _, writer: writer.close(), *pair) for pair in OPEN]
    yield started
    for server in started:
        server.close()


async def is_open(listener: Listener) -> tuple[Finding, ...]:
    return (Finding(fact=Exposed(scheme=Scheme.TCP)),)


async def made(*targets: str, ask: Ask = is_open, **parts: object) -> Run:
    defaults = {"name": "lab", "ports": "28200-28203", "rate": 50_000, "created_at": utc_now()}
    scope = Scope.model_validate(defaults | {"targets": targets} | parts)
    return await prepare(scope, choose(targets)[1], ask, Settings(scan_timeout=0.5))


async def all_of(run: Run, stop: asyncio.Event | None = None) -> list[Update]:
    async with asyncio.timeout(20), aclosing(run.observe("s1", stop or asyncio.Event())) as updates:
        return [update async for update in updates]


@pytest.mark.usefixtures("servers")
async def test_updates_tell_everything_once() -> None:
    run = await made("127.85.0.0/29", "127.85.0.2:28200", exclude=["127.85.0.7"])
    assert (run.account.planned, run.account.excluded, run.account.unprobed) == (32, 4, 28)
    updates = await all_of(run)
    seen = [one for update in updates for one in update.observations]
    assert sorted((one.listener.address, one.listener.port) for one in seen) == OPEN
    assert {one.scan for one in seen} == {"s1"}
    last = updates[-1]
    assert (last.account.answered, last.account.refused, last.account.unprobed) == (3, 25, 0)
    assert (last.progress.open, last.progress.identified, last.progress.percent) == (3, 3, 100.0)
    assert (run.shortfalls, run.notes) == ([], ["ports were probed by connecting: loopback has no link layer"])


async def test_targets_with_ports_of_their_own_are_asked_on_those_alone(servers: list[asyncio.Server]) -> None:
    run = await made("127.85.0.1:28200", "http://127.85.0.2:28203/x")
    last = (await all_of(run))[-1]
    assert (last.account.planned, last.account.answered) == (2, 2)
    # One rectangle is claimed, and 127.85.0.2:28200 is in none.
    assert (run.targets, run.ports) in [(("127.85.0.1/32",), (28200,)), (("127.85.0.2/32",), (28203,))]


@pytest.mark.usefixtures("servers")
async def test_a_host_name_is_resolved_and_authorised() -> None:
    run = await made("localhost", ports="1")
    assert "127.0.0.1/32" in run.targets
    assert (await made("127.0.0.1", exclude=["localhost"])).account.unprobed == 0


async def test_a_name_without_an_address_is_a_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("scanner.sources.subnet.resolve", resolve)
    for parts in ({"targets": ("nowhere.invalid",)}, {"targets": ("127.0.0.1",), "exclude": ["nowhere.invalid"]}):
        with pytest.raises(TargetError, match=r"\Athe host name 'nowhere\.invalid' has no address [^\n]+\Z"):
            await made(*parts.pop("targets"), **parts)


async def test_a_name_that_leads_to_a_public_address_is_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(name: str) -> tuple[str, ...]:
        return ("127.0.0.1", "203.0.113.9")

    monkeypatch.setattr("scanner.sources.subnet.resolve", resolve)
    with pytest.raises(NotAuthorised, match=r"203\.0\.113\.9 is not scanned: it is neither private nor loopback"):
        await made("models.example")


async def test_a_large_network_is_authorised_and_on_a_link_or_not_scanned() -> None:
    with pytest.raises(TargetError, match=r"'fd5a:11::/64' holds 1.8e\+19 addresses, .* on no link of this machine"):
        await made("127.85.0.1", "fd5a:11::/64")
    with pytest.raises(TargetError, match="'fe80::/64' is link-local: it does not say which link"):
        await made("fe80::/64", allow_public=True)
    with pytest.raises(NotAuthorised, match="2001:db8::/64 is not scanned"):
        await made("2001:db8::/64")


async def test_stopping_midway_leaves_an_honest_account() -> None:
    stop = asyncio.Event()
    run = await made("127.85.1.0/24", rate=500)
    async with asyncio.timeout(20), aclosing(run.observe("s1", stop)) as updates:
        async for update in updates:
            if update.account.refused > 20:
                stop.set()
    account = update.account
    assert account.planned == 1024
    assert 20 < account.refused == account.probed < 1024
    assert run.shortfalls == [
        f"{account.unprobed} of 1024 planned probes were not sent and 0 open ports were not asked to the end"
    ]


@pytest.mark.usefixtures("servers")
async def test_closing_it_early_leaves_no_task_behind() -> None:
    never = asyncio.Event()

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        await never.wait()
        return ()

    run = await made("127.85.0.0/29", ask=ask)
    before = asyncio.all_tasks()
    async with asyncio.timeout(20), aclosing(run.observe("s1", asyncio.Event())) as updates:
        async for update in updates:
            if update.account.answered == 3:
                break
    assert asyncio.all_tasks() == before


LOST = """
import asyncio, sys
from pathlib import Path
from inventory.model import Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.runner import Runner

async def ask(listener):
    return ()

folder = Path(sys.argv[1])
settings = Settings(database=f"sqlite:///{folder / 'inventory.db'}", state_folder=folder)
scope = Scope(name="lab", targets=("127.0.0.0/30",), ports="80", rate=50000, created_at=utc_now())
with open_store(settings.database) as store:
    scan = asyncio.run(Runner(store, settings, ask).run(scope))
print(scan.status, scan.account.lost, scan.reason)
"""


def test_lost_probes_make_a_scan_incomplete(tmp_path: Path) -> None:
    namespace = shutil.which("unshare")
    if namespace is None or subprocess.run([namespace, "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make network namespaces")
    # The loopback of a new namespace is down: there is no route to anywhere.
    command = [namespace, "-rn", sys.executable, "-c", LOST, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = "4 of 4 planned probes were lost: 4 by Network is unreachable (ENETUNREACH); "
    said += "ports were probed by connecting: loopback has no link layer"
    assert done.stdout == f"incomplete 4 {said}\n", done.stderr
