"""The story, told while it happens: found, put behind the gateway, compared, moved, and what is left to do.

Every act does with gnomon's own code what a command of gnomon does, and fails as loudly.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from inventory.coverage import coverage
from inventory.model import (
    Comparison,
    Endpoint,
    Gate,
    Governance,
    Revision,
    RouteSpec,
    Routing,
    Scan,
    ScanStatus,
    Scope,
    ShadowEvidence,
    utc_now,
)
from router import desired, gates
from scanner.ports import MODEL_PORTS, describe_ports
from scanner.runner import run_scan
from scanner.sources import Progress
from tui import convergence
from tui.demo import cast, outcome
from tui.demo.outcome import Calls, Outcome, Share
from tui.demo.process import DemoError
from tui.demo.stage import Stage, answered_everywhere, eventually
from tui.demo.traffic import Callers, Tally, learn
from tui.output import narrate, progress

ROUTE = "payments"
PATH = "/predict"
SHADOW_PERCENT = 50.0
SCAN_RATE = 20_000
FIRST_LOOK = 20
IGNORED = "$.took_ms"
GATE = Gate(agreement=0.98, new_errors=0.02, latency_slack_ms=100.0)
"""What must be shown before each step. About 190 pairs without fault pass; the slack is for a busy machine."""

STEPS = (10, 50, 100)
SETTLING_REQUESTS = 12
REQUESTS_PER_STEP = 200
SECONDS_PER_ACT = 60.0
WHO = "gnomon demo"

# What the callers ask about: payments from small and near to large, at night and far away.
PAYMENTS = tuple(
    {"amount": 3.0 * 1.22**n, "hour": (7.3 * n) % 24, "distance_km": 0.4 * n**2, "account_days": 900.0 / (1 + n)}
    for n in range(40)
)


@dataclass(frozen=True)
class Found:
    """What the first scan came to: itself, how long it took, and the two endpoints that the story is about."""

    scope: Scope
    scan: Scan
    seconds: float
    original: Endpoint
    replacement: Endpoint


async def tell(stage: Stage) -> Outcome:
    """Play the whole story on a stage that is set up. Returns all its numbers.

    Raises DemoError where an act does not come to its end, among others when a single request fails.
    """
    started = time.monotonic()
    found = await find(stage)
    await eventually(
        lambda: any(one.healthy for one in stage.store.gateways.list()) or None,
        SECONDS_PER_ACT,
        "the gateway was not ready",
    )
    spec = await adopt(stage, found)
    questions = await learn(found.original.address, found.original.port, PATH, PAYMENTS)
    gateway = (stage.settings.gateway_address, stage.settings.gateway_port, spec.hosts[0])
    async with Callers(*gateway, PATH, questions) as callers:
        await callers.more(REQUESTS_PER_STEP // 2, SECONDS_PER_ACT)
        narrate(f"{callers.tally.requests} requests through the gateway, {callers.tally.failed} failed")
        spec, revision, first = await compare(stage, spec)
        shares: list[Share] = []
        for weight in STEPS:
            evidence = await pass_gate(stage, revision)
            if not shares:
                narrate("the gate is open:")
                for check in gates.decide(evidence, GATE).checks:
                    narrate(f"  {check.name}: {check.sentence}")
            shares.append(await move(stage, spec, weight, callers))
    return await end(stage, found, spec, (first, evidence), shares, callers.tally, started)


async def find(stage: Stage) -> Found:
    """Scan the subnet, and pick the two endpoints of the story out of the inventory."""
    foreign = await answered_everywhere(stage.subnet, MODEL_PORTS)
    if foreign:
        narrate(f"left out: other programs of this machine listen on all addresses, port {describe_ports(foreign)}")
    scope = Scope(
        name="demo",
        targets=(stage.subnet,),
        ports=describe_ports(set(MODEL_PORTS) - set(foreign)),
        rate=SCAN_RATE,
        created_at=utc_now(),
    )
    await asyncio.to_thread(stage.store.scopes.save, scope)
    began = time.monotonic()
    scan = await _scan(stage, scope)
    seconds = time.monotonic() - began
    endpoints = await asyncio.to_thread(stage.store.endpoints.list)
    narrate(f"{scan.account.probed} address-port pairs probed, {len(endpoints)} endpoints found in {seconds:.1f} s")
    for line in outcome.listed(endpoints):
        narrate(line)
    narrate(outcome.measured(outcome.metric(coverage(endpoints, [scan]), "governed")))
    original, replacement = (_endpoint_of(stage, name, endpoints) for name in (cast.ORIGINAL, cast.REPLACEMENT))
    return Found(scope, scan, seconds, original, replacement)


async def _scan(stage: Stage, scope: Scope) -> Scan:
    with progress(f"scanning {stage.subnet}") as report:

        def show(state: Progress) -> None:
            report(int(state.percent), 100, f"{state.open} open, {state.identified} identified")

        scan = await run_scan(scope, stage.store, stage.settings, report=show)
    if scan.status is not ScanStatus.COMPLETE:
        raise DemoError(f"the scan of {stage.subnet} is {scan.status.value}: {scan.reason}")
    return scan


def _endpoint_of(stage: Stage, name: str, endpoints: list[Endpoint]) -> Endpoint:
    program = stage.program(name)
    for endpoint in endpoints:
        if (endpoint.address, endpoint.port) == (program.address, program.port) and endpoint.is_model_endpoint:
            return endpoint
    raise DemoError(f"the scan did not recognise the model of {name} at {program.address}:{program.port}")


async def adopt(stage: Stage, found: Found) -> RouteSpec:
    """Put the original behind the gateway, with the replacement beside it and no live request on it yet."""
    spec = desired.adopt(
        found.original,
        name=ROUTE,
        domain=stage.settings.gateway_domain,
        to=desired.origin_url(found.replacement),
        to_endpoint=found.replacement.id,
    )
    both = [found.original.id, found.replacement.id]
    await asyncio.to_thread(
        stage.store.triage.apply, both, governance=Governance.MANAGED, owner="payments-team", who=WHO,
        why="adopted in the demonstration",
    )  # fmt: skip
    await desire(stage, spec, "put behind the gateway")
    narrate(
        f"adopted {found.original.url}: its callers now use "
        f"http://{spec.hosts[0]}:{stage.settings.gateway_port}, and get the same answers"
    )
    return spec


async def compare(stage: Stage, spec: RouteSpec) -> tuple[RouteSpec, Revision, ShadowEvidence]:
    """Copy half of the live requests to the replacement, and find what differs: a field that tells the time.

    The route is told to ignore it, and evidence starts anew. Returns the route, its revision and that first look.
    """
    spec = desired.shadow(spec, desired.REPLACEMENT, SHADOW_PERCENT)
    revision = await desire(stage, spec, "compare the replacement with live requests")
    narrate(f"{SHADOW_PERCENT:g} % of the live requests are copied to the replacement; no caller gets its answers")
    first = await _evidence(stage, revision, lambda seen: seen.compared >= FIRST_LOOK)
    narrate(f"{outcome.agreement(first)}; they differ at {outcome.places(first)}")
    spec = spec.model_copy(update={"comparison": Comparison(ignore=(IGNORED,))})
    revision = await desire(stage, spec, f"{IGNORED} is no part of the answer")
    narrate(f"{IGNORED} says how long the model took and is ignored from now on")
    return spec, revision, first


async def pass_gate(stage: Stage, revision: Revision) -> ShadowEvidence:
    """Wait until the evidence lets live requests move. Raises DemoError where it forbids that."""

    def decided(seen: ShadowEvidence) -> bool:
        return gates.decide(seen, GATE).decision is not gates.Decision.HOLD

    evidence = await _evidence(stage, revision, decided)
    verdict = gates.decide(evidence, GATE)
    if verdict.decision is gates.Decision.ROLL_BACK:
        raise DemoError(f"no live request moves. {verdict.sentence}; answers differ at {outcome.places(evidence)}")
    return evidence


async def _evidence(stage: Stage, revision: Revision, enough: Callable[[ShadowEvidence], bool]) -> ShadowEvidence:
    """What original and replacement answered since a revision of the route, once that is enough."""
    between = (desired.ORIGIN, desired.REPLACEMENT)
    wanted = gates.pairs_needed(GATE)
    with progress("comparing answers") as report:

        def look() -> ShadowEvidence | None:
            for one in stage.store.shadow.of(ROUTE):
                if (one.primary, one.shadow) == between and (one.revision or 0) >= revision.number:
                    report(min(one.compared, wanted), wanted, f"{one.agreed} of {one.compared} agree")
                    return one if enough(one) else None
            return None

        return await eventually(look, SECONDS_PER_ACT, "too few answers could be compared")


async def move(stage: Stage, spec: RouteSpec, weight: int, callers: Callers) -> Share:
    """Give the replacement this share and watch live requests; if one fails, everything goes back."""
    failed_before = callers.tally.failed
    weights = {desired.ORIGIN: 100 - weight, desired.REPLACEMENT: weight}
    await desire(stage, desired.shift(spec, weights), f"the replacement takes {weight} %")
    # What was under way when the weight changed can fail, and is watched, but says nothing about the share.
    await callers.more(SETTLING_REQUESTS, SECONDS_PER_ACT)
    requests_before = callers.tally.requests
    served = await callers.more(REQUESTS_PER_STEP, SECONDS_PER_ACT)
    share = Share(
        weight=weight,
        requests=callers.tally.requests - requests_before,
        by_replacement=served[cast.REPLACEMENT_SAYS],
        failed=callers.tally.failed - failed_before,
    )
    narrate(outcome.told(share))
    if share.failed:
        await desire(stage, spec, f"{share.failed} requests failed at {weight} %")
        raise DemoError(f"{share.failed} requests failed at weight {weight}: all requests went back to the original")
    return share


async def end(
    stage: Stage,
    found: Found,
    spec: RouteSpec,
    looks: tuple[ShadowEvidence, ShadowEvidence],
    shares: list[Share],
    tally: Tally,
    started: float,
) -> Outcome:
    """Take stock: what is governed now, what is not, and why."""
    await eventually(
        lambda: stage.store.endpoints.get(found.original.id).routing is Routing.ENFORCED or None,
        SECONDS_PER_ACT,
        "the gateway did not report that all requests go to the replacement",
    )
    # The direct paths may have changed since: what is said about them is to be seen now.
    scan = await _scan(stage, found.scope)
    endpoints = await asyncio.to_thread(stage.store.endpoints.list)
    report = coverage(endpoints, [scan])
    narrate(f"scanned again; {outcome.measured(outcome.metric(report, 'governed'))}, {len(report.gaps)} gaps")
    return Outcome(
        subnet=stage.subnet,
        servers=len(stage.programs),
        scan=found.scan.account,
        scan_requests=found.scan.requests,
        scan_seconds=found.seconds,
        endpoints=tuple(endpoints),
        coverage=report,
        route_url=f"http://{spec.hosts[0]}:{stage.settings.gateway_port}{PATH}",
        first_look=looks[0],
        evidence=looks[1],
        shares=tuple(shares),
        calls=Calls(tally.requests, tally.failed, dict(tally.failures), tally.median, tally.quantile(0.99)),
        seconds=time.monotonic() - started,
    )


async def desire(stage: Stage, spec: RouteSpec, why: str) -> Revision:
    """Make a route desired, and wait until the gateway acknowledged it. Raises DemoError if it does not."""
    revision = await asyncio.to_thread(stage.store.routes.put, spec, who=WHO, why=why)
    result = await asyncio.to_thread(convergence.await_gateways, stage.store, [revision], SECONDS_PER_ACT)
    if result.outcome is not convergence.Outcome.IN_FORCE:
        raise DemoError(f"route {spec.name} revision {revision.number} is not in force: {result.words}")
    return revision
