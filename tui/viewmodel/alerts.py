"""What somebody should look at now, each with the reason and where to go: pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from inventory.model import ScanStatus
from inventory.space import RedFlag
from tui.viewmodel.detail import heading
from tui.viewmodel.routes import ENOUGH_PAIRS, current
from tui.viewmodel.state import RouteState, Snapshot
from tui.viewmodel.text import Line, Run, Tone, age, ago, clean, line, number, plural, wrap

SILENT = timedelta(seconds=30)
"""A gateway that reports each second and was not heard of for this long is not there."""
SHOWN = 6


def section(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """The alerts, the gravest first; nothing at all where there is none."""
    found = sorted(alerts(snapshot, now), key=lambda alert: alert.tone is not Tone.BAD)
    if not found:
        return []
    lines = [heading("ALERTS", width, number(len(found)))]
    for alert in found[:SHOWN]:
        glyph = "✗ " if alert.tone is Tone.BAD else "▲ "
        parts = wrap(clean(alert.text, 400), width - 2, 2)
        lines.append(line(Run(glyph, alert.tone), Run(parts[0], alert.tone)))
        lines += [line("  ", Run(part, alert.tone)) for part in parts[1:]]
    if len(found) > SHOWN:
        lines.append(line(Run(f"  and {plural(len(found) - SHOWN, 'more', 'more')}", Tone.FAINT)))
    return lines


def alerts(snapshot: Snapshot, now: datetime) -> Iterator[Run]:
    """Each alert as a sentence in its tone."""
    yield from _gateways(snapshot, now)
    for state in snapshot.routes:
        yield from _route(state)
    newest = {scan.scope: scan for scan in reversed(snapshot.scans)}
    for scan in newest.values():
        if scan.status is ScanStatus.FAILED:
            yield Run(f"the last scan of {scan.scope} failed: {scan.reason or 'it did not say why'}", Tone.BAD)
    if flags := snapshot.red_flags:
        said = (
            "holds endpoints and was not scanned whole"
            if len(flags) == 1
            else "hold endpoints and were not all scanned"
        )
        known = number(sum(one.endpoints for one in flags))
        yield Run(f"{_blocks(flags)} {said} ({known} known): 3 and M show where", Tone.WARN)
    for schedule in snapshot.schedules:
        late = now - schedule.next_run_at if schedule.next_run_at and not schedule.paused else timedelta()
        if late > timedelta(minutes=5):
            yield Run(f"schedule {schedule.name} is {age(now - late, now)} late: is gnomon serve running?", Tone.WARN)


def _blocks(flags: Sequence[RedFlag]) -> str:
    """The fullest of some blocks by name, and how many more there are."""
    named = ", ".join(one.network for one in flags[:2])
    return f"{named} and {plural(len(flags) - 2, 'more block')}" if len(flags) > 2 else named


def _gateways(snapshot: Snapshot, now: datetime) -> Iterator[Run]:
    if snapshot.routes and not snapshot.gateways:
        yield Run(f"{plural(len(snapshot.routes), 'route')} desired, and no gateway has reported", Tone.BAD)
    for gateway in snapshot.gateways:
        if now - gateway.heartbeat_at > SILENT:
            yield Run(f"gateway {gateway.id} was last heard of {ago(gateway.heartbeat_at, now)}", Tone.BAD)
        elif not gateway.healthy:
            yield Run(f"gateway {gateway.id} says that it is unhealthy", Tone.BAD)
        for route, error in gateway.errors.items():
            yield Run(f"gateway {gateway.id} refused route {route}: {error}", Tone.BAD)


def _route(state: RouteState) -> Iterator[Run]:
    for traffic in state.traffic:
        if traffic.failures and traffic.failures * 100 >= traffic.requests:
            yield Run(
                f"route {traffic.route}: {number(traffic.failures)} of {number(traffic.requests)} live requests to "
                f"{traffic.backend} failed",
                Tone.BAD,
            )
    evidence = current(state)
    if evidence and evidence.compared >= ENOUGH_PAIRS and (evidence.upper_bound or 1.0) < 0.95:
        yield Run(f"route {evidence.route}: the shadow disagrees in more than 5 % of the answers", Tone.WARN)
