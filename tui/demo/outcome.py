"""What the story came to, in numbers, and how it is told in a pipe. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inventory.coverage import Coverage, Metric
from inventory.model import Account, Endpoint, ShadowEvidence


@dataclass(frozen=True)
class Share:
    """One step of the rollout: what the replacement was to get, and what the callers saw of it.

    ``weight`` is in percent; the counts are of the requests that callers made after the gateway had
    acknowledged the weight, and before the next was asked for.
    """

    weight: int
    requests: int
    by_replacement: int
    failed: int

    @property
    def measured(self) -> float:
        """The share that the replacement served, in percent."""
        return 100.0 * self.by_replacement / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Calls:
    """All that the callers did from the first request through the gateway to the last. Latencies in ms."""

    requests: int
    failed: int
    failures: dict[str, int]
    median: float | None
    p99: float | None


@dataclass(frozen=True)
class Outcome:
    """Everything that the story tells, for a test or a summary.

    ``first_look`` is what the comparison found before the route was told what to ignore. ``coverage``
    and ``endpoints`` are as of the end; ``scan`` is the first.
    """

    subnet: str
    servers: int
    scan: Account
    scan_requests: int
    scan_seconds: float
    endpoints: tuple[Endpoint, ...]
    coverage: Coverage
    route_url: str
    first_look: ShadowEvidence
    evidence: ShadowEvidence
    shares: tuple[Share, ...]
    calls: Calls
    seconds: float


def summary(outcome: Outcome) -> str:
    """The story in lines of plain text."""
    return "\n".join(_lines(outcome)) + "\n"


def _lines(outcome: Outcome) -> Iterator[str]:
    yield from _found(outcome)
    yield ""
    yield from _moved(outcome)
    yield ""
    yield from _left(outcome)


def _found(outcome: Outcome) -> Iterator[str]:
    account = outcome.scan
    yield (
        f"FOUND on {outcome.subnet}: {len(outcome.endpoints)} endpoints; {account.probed} of {account.planned} "
        f"address-port pairs probed, {account.answered} answered, {account.lost} lost; "
        f"{outcome.scan_requests} harmless requests; {outcome.scan_seconds:.1f} s"
    )
    yield from listed(outcome.endpoints)
    for one in outcome.coverage.metrics:
        if one.whole:
            yield f"  {measured(one)}"


def _moved(outcome: Outcome) -> Iterator[str]:
    evidence, calls = outcome.evidence, outcome.calls
    yield f"MOVED {outcome.route_url}"
    yield f"  {agreement(outcome.first_look)}; they differ at {places(outcome.first_look)}"
    yield f"  with that ignored, {agreement(evidence)}"
    for share in outcome.shares:
        yield f"  {told(share)}"
    latency = f"; median {calls.median:.1f} ms, p99 {calls.p99:.1f} ms" if calls.median and calls.p99 else ""
    yield f"  failed requests: {calls.failed} of {calls.requests}, as counted by the callers{latency}"
    for why, count in sorted(calls.failures.items()):
        yield f"    {count} x {why}"


def _left(outcome: Outcome) -> Iterator[str]:
    governed = metric(outcome.coverage, "governed")
    ungoverned = governed.whole - governed.part
    more = len(outcome.coverage.gaps) - ungoverned
    yield f"STILL UNGOVERNED: {ungoverned} of {governed.whole} {governed.unit}" + (
        f"; other gaps: {more}" if more else ""
    )
    yield from aligned([(gap.title, f"risk {gap.risk}", gap.why) for gap in outcome.coverage.gaps])


def metric(coverage: Coverage, name: str) -> Metric:
    """The metric of that name."""
    return next(one for one in coverage.metrics if one.name == name)


def agreement(evidence: ShadowEvidence) -> str:
    """What the paired answers say, with the bound, in one line."""
    bound = (
        f"at least {100 * evidence.lower_bound:.1f} % agree with 95 % confidence"
        if evidence.lower_bound is not None
        else "too few to say how many agree"
    )
    return f"{evidence.agreed} of {evidence.compared} paired answers agree ({bound}), {evidence.lost} lost"


def places(evidence: ShadowEvidence) -> str:
    """Where answers differ, as JSON paths, the most frequent first."""
    ordered = sorted(evidence.paths.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{path} ({count} times)" for path, count in ordered[:3]) or "no place"


def told(share: Share) -> str:
    """One step, as asked for and as the callers saw it."""
    return (
        f"weight {share.weight} %: the replacement served {share.by_replacement} of {share.requests} requests "
        f"({share.measured:.0f} %), {share.failed} failed"
    )


def listed(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """Endpoints as lines, the riskiest first."""
    ordered = sorted(endpoints, key=lambda one: (-one.risk, one.url))
    return aligned(
        [
            (
                one.url,
                one.kind.value if one.kind else "unidentified",
                one.product or "-",
                one.posture.value,
                f"risk {one.risk}",
                routes_of(one),
            )
            for one in ordered
        ]
    )


def measured(metric: Metric) -> str:
    """A metric with its denominator."""
    percent = "unknown" if metric.percent is None else f"{metric.percent:.0f} %"
    return f"{metric.title}: {metric.part} of {metric.whole} {metric.unit} ({percent})"


def routes_of(endpoint: Endpoint) -> str:
    """The inference routes of an endpoint, as ``POST /predict``."""
    return ", ".join(f"{route.method} {route.path}" for route in endpoint.inference_routes)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells as lines, indented, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
