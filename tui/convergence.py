"""Whether gateways have what is desired: pure, with one function that waits for it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from inventory.model import GatewayStatus, Revision, utc_now
from inventory.store import Store

# A gateway reports each second; one that missed several is not there.
ALIVE_FOR = timedelta(seconds=10)
LOOK_EVERY = 0.05
PATIENCE = 10.0


class Outcome(Enum):
    """How a revision fares."""

    IN_FORCE = "in force"
    REFUSED = "refused"
    PENDING = "pending"


@dataclass(frozen=True)
class Result:
    """An outcome, and the words that go with it: where it is in force, why it was refused, what is awaited."""

    outcome: Outcome
    words: str


def judge(gateways: Sequence[GatewayStatus], revision: Revision, now: datetime) -> Result:
    """How a revision fares on the gateways that are alive. One refusal is enough to be refused."""
    running = alive(gateways, now)
    if not running:
        return Result(Outcome.PENDING, "no gateway runs: start one by `gnomon serve`")
    refusals = [f"{one.id}: {error}" for one in running if (error := one.refusal_of(revision))]
    if refusals:
        return Result(Outcome.REFUSED, "; ".join(refusals))
    behind = [one.id for one in running if not _has(one, revision)]
    if behind:
        return Result(Outcome.PENDING, f"gateway {', '.join(behind)} has not acknowledged it yet")
    return Result(Outcome.IN_FORCE, f"gateway {', '.join(one.id for one in running)}")


def words_of(gateways: Sequence[GatewayStatus], revision: Revision) -> str:
    """How a revision fares now, in a few words."""
    result = judge(gateways, revision, utc_now())
    return result.words if result.outcome is Outcome.PENDING else f"{result.outcome.value} ({result.words})"


def judge_all(gateways: Sequence[GatewayStatus], revisions: Sequence[Revision], now: datetime) -> Result:
    """How revisions fare that were made together: refused where one is, pending while one is."""
    results = [judge(gateways, revision, now) for revision in revisions]
    refused = [one for one in results if one.outcome is Outcome.REFUSED]
    if refused:
        # Of a change that fell together, the one that the gateway named tells why.
        return next((one for one in refused if "together with" not in one.words), refused[0])
    pending = [one for one in results if one.outcome is Outcome.PENDING]
    if pending and len(revisions) > 1:
        return Result(Outcome.PENDING, f"{len(pending)} of {len(revisions)} are not in force: {pending[0].words}")
    return (pending or results)[0]


def taken_back(store: Store, revisions: Sequence[Revision], seconds: float = 1.0) -> bool:
    """Whether the daemon made another revision in place of one that was refused, as it does within moments."""
    until = time.monotonic() + seconds
    while True:
        latest = [store.routes.get(one.route) for one in revisions]
        if any(now is not None and now.number > one.number for now, one in zip(latest, revisions, strict=True)):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_EVERY)


def await_gateways(store: Store, revisions: Sequence[Revision], seconds: float | None = None) -> Result:
    """Wait until the revisions are in force, or one is refused. Returns how they fare then.

    It waits at most ``seconds``; where that is None, some seconds while a gateway is there to wait for.
    """
    began = time.monotonic()
    while True:
        one = revisions[0].route if len(revisions) == 1 else None
        gateways, now = store.gateways.of(one) if one else store.gateways.list(), utc_now()
        result = judge_all(gateways, revisions, now)
        patience = (PATIENCE if alive(gateways, now) else 0.0) if seconds is None else seconds
        if result.outcome is not Outcome.PENDING or time.monotonic() - began >= patience:
            return result
        time.sleep(LOOK_EVERY)


def alive(gateways: Sequence[GatewayStatus], now: datetime) -> list[GatewayStatus]:
    """The gateways that are healthy and were heard of lately."""
    return [one for one in gateways if one.healthy and now - one.heartbeat_at <= ALIVE_FOR]


def _has(gateway: GatewayStatus, revision: Revision) -> bool:
    if revision.spec is None:
        return revision.route not in gateway.revisions
    return gateway.revisions.get(revision.route, 0) >= revision.number
