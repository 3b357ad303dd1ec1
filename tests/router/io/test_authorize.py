"""The authorisation service on its socket: shared limits, counted over all who ask."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from making import NOW

from inventory.model import Access, Principal, PrincipalKind, RateLimit
from inventory.store import Store
from router.audit.decide import InForce
from router.io.authorize import POLICY_HEADER, Authorizer

SHARED = RateLimit(by="principal", requests=2, seconds=3600, candidate=False, shared=True)
ROUTES = {
    "iris": Access(limits=(SHARED,)),
    "both": Access(limits=(SHARED, RateLimit(by="route", requests=3, seconds=60, candidate=False, shared=True))),
    "alone": Access(limits=(SHARED.model_copy(update={"shared": False}),)),
    "seen": Access(limits=(SHARED.model_copy(update={"candidate": True}),)),
    "teams": Access(limits=(RateLimit(by="team", requests=2, seconds=3600, candidate=False, shared=True),)),
    "ahead": Access(enforce=True, limits=(SHARED,)),
}


@pytest.fixture
async def service(store: Store, tmp_path: Path, until: Any) -> AsyncIterator[aiohttp.ClientSession]:
    socket, stop = tmp_path / "ask.sock", asyncio.Event()
    running = asyncio.create_task(
        Authorizer(store, socket, lambda: InForce(routes=ROUTES), recording=lambda: True).run(stop)
    )
    await until(socket.exists)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
        yield session
    stop.set()
    await running


async def ask(session: aiohttp.ClientSession, route: str, who: str = "", address: str = "127.0.0.1") -> tuple[int, str]:
    headers = {"x-gnomon-sub": who, "x-gnomon-address": address}
    async with session.post(f"http://gnomon/{route}/predict", headers=headers) as answer:
        assert (answer.status == 429) == ("retry-after" in answer.headers)
        return answer.status, answer.headers.get(POLICY_HEADER, "")


@pytest.mark.parametrize("route", ["iris", "ahead"])
async def test_a_shared_limit_is_counted_by_caller_and_by_network_for_who_is_nobody(
    service: aiohttp.ClientSession, route: str
) -> None:
    over = (429, "limit by principal")
    assert [await ask(service, route, "ana") for _ in range(3)] == [(200, ""), (200, ""), over]
    assert [await ask(service, route, "bo") for _ in range(3)] == [(200, ""), (200, ""), over]
    anonymous = [await ask(service, route, address=f"127.0.0.{n}") for n in range(3)]
    assert anonymous == [(200, ""), (200, ""), over]
    assert await ask(service, route, address="127.0.1.1") == (200, "")


async def test_the_members_of_a_team_are_counted_together(service: aiohttp.ClientSession, store: Store) -> None:
    teams = {"ana": "churn", "bo": "churn", "cy": "risk"}
    store.principals.seen(
        Principal(id=who, kind=PrincipalKind.TOKEN, attributes={"team": team}, first_seen=NOW, last_seen=NOW)
        for who, team in teams.items()
    )
    answers = [(await ask(service, "teams", who))[0] for who in ("ana", "bo", "ana", "bo", "cy")]
    assert answers == [200, 200, 429, 429, 200]


async def test_who_is_over_one_limit_takes_nothing_of_another(service: aiohttp.ClientSession) -> None:
    assert [(await ask(service, "both", "ana"))[0] for _ in range(9)] == [200, 200, *[429] * 7]
    assert await ask(service, "both", "bo") == (200, "")
    assert await ask(service, "both", "cy") == (429, "limit by route")


@pytest.mark.parametrize("route", ["alone", "seen"])
async def test_what_is_not_shared_or_only_a_candidate_is_not_counted_here(
    service: aiohttp.ClientSession, route: str
) -> None:
    assert [await ask(service, route, "ana") for _ in range(4)] == [(200, "")] * 4
