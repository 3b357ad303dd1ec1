"""The first screen: how much is covered, what is in the way, and what moves right now."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from inventory.coverage import Facet, Metric, Trend, why_not
from inventory.model import Kind, Posture, Presence, Scan, ScanStatus
from tui.viewmodel import alerts, words
from tui.viewmodel.bars import Share, bar, spark, stacked
from tui.viewmodel.detail import heading
from tui.viewmodel.routes import split_bar
from tui.viewmodel.scans import pace
from tui.viewmodel.state import RouteState, Snapshot
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, fit, line, number, plural, span

WIDE = 118
"""From this width on, two columns."""
_MARGIN = 4
BAR = 12
"""A bar shorter than this is worth less than a unit spelled out."""


def page(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """The whole page for a width in cells."""
    if width < WIDE:
        parts = [
            headline(snapshot.metrics, width),
            alerts.section(snapshot, width, now),
            metrics(snapshot.metrics, width, now),
            gaps(snapshot, width, limit=6),
            scans(snapshot, width, now),
            kinds(snapshot.facets, width),
            trends(snapshot, width, now),
            routes(snapshot.routes, width),
        ]
        return capped(stack(parts), width)
    left_width = (width - _MARGIN) * 11 // 20
    right_width = width - _MARGIN - left_width
    left = stack(
        [
            metrics(snapshot.metrics, left_width, now),
            kinds(snapshot.facets, left_width),
            trends(snapshot, left_width, now),
        ]
    )
    right = stack(
        [
            alerts.section(snapshot, right_width, now),
            gaps(snapshot, right_width, limit=8),
            routes(snapshot.routes, right_width),
            scans(snapshot, right_width, now),
        ]
    )
    return capped([*headline(snapshot.metrics, width), (), *beside(left, right, left_width)], width)


def stack(parts: Sequence[Sequence[Line]]) -> list[Line]:
    """Sections one under the other, an empty line between those that say something."""
    lines: list[Line] = []
    for part in parts:
        if part:
            lines.extend([(), *part] if lines else part)
    return lines


def beside(left: Sequence[Line], right: Sequence[Line], left_width: int) -> list[Line]:
    """Two columns side by side."""
    height = max(len(left), len(right))
    rows = ((left[i] if i < len(left) else (), right[i] if i < len(right) else ()) for i in range(height))
    return [(*fit(a, left_width), Run(" " * _MARGIN), *b) for a, b in rows]


def headline(items: Sequence[Metric], width: int) -> list[Line]:
    """One sentence and one bar: how much of what belongs behind the gateway is there."""
    governed = next((metric for metric in items if metric.name == "governed"), None)
    if governed is None or not governed.whole:
        said = "Nothing about machine learning was found yet. Run a scan: gnomon scan 127.0.0.0/24"
        return [line(Run(said, Tone.STRONG)), bar(None, width)]
    left = governed.whole - governed.part
    tone = Tone.GOOD if not left else Tone.WARN if governed.part else Tone.BAD
    percent = Run(f"{shown_percent(governed)} governed", Tone.TITLE)
    rest = f"   {number(governed.part)} of {plural(governed.whole, 'ML endpoint')}" + (
        f", {number(left)} still in the open" if left else ", none left"
    )
    return [line(percent, rest), bar(governed.part / governed.whole, width, tone)]


def shown_percent(metric: Metric) -> str:
    """A percentage that says 0 and 100 only when it is; a dash without a denominator."""
    if metric.percent is None:
        return "—"
    if 0 < metric.percent < 1:
        return "<1 %"
    if 99 < metric.percent < 100:
        return ">99 %"
    return f"{metric.percent:.0f} %"


def metrics(items: Sequence[Metric], width: int, now: datetime) -> list[Line]:
    """Each metric with its bar, its percentage and its denominator."""
    oldest = min((metric.as_of for metric in items if metric.as_of), default=None)
    note = f"as of {ago(oldest, now)}" if oldest else ""
    lines = [heading("COVERAGE", width, note)]
    title = max((len(metric.title) for metric in items), default=0) + 2
    said = [_count(metric) for metric in items]
    if width - title - 9 - max(map(len, said), default=0) < BAR:
        said = [count.partition(" of ")[0] + "/" + number(m.whole) for count, m in zip(said, items, strict=True)]
    counts = max(map(len, said), default=0)
    bar_width = min(width - title - 9 - counts, 40)
    for metric, count in zip(items, said, strict=True):
        fraction = metric.part / metric.whole if metric.whole else None
        drawn = bar(fraction, bar_width, _tone(fraction)) if bar_width >= 6 else ()
        percent = fit(line(Run(shown_percent(metric), Tone.STRONG)), 7, "right")
        lines.append(
            line(*fit(line(clean(metric.title)), title), *drawn, *percent, "  ",
                 *fit(line(Run(count, Tone.MUTED)), counts))
        )  # fmt: skip
    return lines


def _count(metric: Metric) -> str:
    return f"{number(metric.part)} of {number(metric.whole)} {metric.unit}"


def _tone(fraction: float | None) -> Tone:
    if fraction is None:
        return Tone.FAINT
    if fraction >= 0.9:
        return Tone.GOOD
    return Tone.WARN if fraction >= 0.4 else Tone.BAD


def gaps(snapshot: Snapshot, width: int, limit: int) -> list[Line]:
    """The riskiest gaps, each with its reason; parts of scopes that nobody knows count as well."""
    total = snapshot.gaps
    lines = [heading("IN THE OPEN", width, f"{number(total)} · 3 shows all" if total else "")]
    if not total:
        return [*lines, line(Run("● no gap is known", Tone.GOOD))]
    found = [(e.risk, e.url, why_not(e)) for e in snapshot.worst]
    found += [(gap.risk, gap.title, gap.why) for gap in snapshot.scope_gaps]
    found.sort(key=lambda gap: -gap[0])
    for risk, title, why in found[:limit]:
        lines.append(line(*words.risk(risk), "  ", Run(clean(title, 200), Tone.STRONG)))
        lines.append(fit(line("      ", Run(clean(why, 300), Tone.MUTED)), width))
    if total > limit:
        lines.append(line(Run(f"      and {plural(total - limit, 'more', 'more')}", Tone.FAINT)))
    return lines


def kinds(facets: Iterable[Facet], width: int) -> list[Line]:
    """What is there: a count of each kind, drawn by how many of them a stranger may use."""
    posture: Counter[tuple[Kind | None, Posture]] = Counter()
    by_kind: Counter[Kind | None] = Counter()
    for facet in facets:
        if facet.presence is not Presence.GONE:
            posture[facet.kind, facet.posture] += facet.count
            by_kind[facet.kind] += facet.count
    lines = [heading("WHAT IS THERE", width, "━ open  ╍ unknown  ═ protected")]
    if not by_kind:
        return [*lines, line(Run("nothing yet", Tone.MUTED))]
    most = max(by_kind.values())
    digits = max(len(number(count)) for count in by_kind.values())
    room = max(width - 17 - digits, 4)
    order: list[Kind | None] = [*Kind, None]
    for kind in order:
        if not (count := by_kind[kind]):
            continue
        shares = [
            Share(posture[kind, Posture.OPEN], Tone.BAD, "━"),
            Share(posture[kind, Posture.UNKNOWN], Tone.WARN, "╍"),
            Share(posture[kind, Posture.PROTECTED], Tone.GOOD, "═"),
        ]
        drawn = stacked(shares, max(round(count / most * room), 1))
        lines.append(line(*fit(line(words.kind(kind)), 15), *fit(line(number(count)), digits, "right"), "  ", *drawn))
    return lines


def trends(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """How coverage went from scan to scan; what was found and decided on each of the last days."""
    return stack([coverage_trend(snapshot, width, now), daily(snapshot, width, now)])


def coverage_trend(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """Some metrics after each of the latest scans, with how many points they moved; nothing before a second scan."""
    if len(snapshot.trend) < 2:
        return []
    room = min(max(width - 32, 4), len(snapshot.trend))
    shown = snapshot.trend[-room:]
    since = f"the last {plural(len(shown), 'scan')}, since {ago(shown[0].at, now)}"
    lines = [heading("COVERAGE OVER TIME", width, since)]
    for name in _TRENDING:
        percents = [_percent_of(one, name) for one in shown]
        known = [one for one in percents if one is not None]
        if not known:
            continue
        moved = round(known[-1] - known[0])
        said = f"  {known[-1]:3.0f} %" + (f"  {moved:+d} points" if moved else "")
        tone = Tone.GOOD if moved > 0 else Tone.BAD if moved < 0 else Tone.MUTED
        drawn = spark([round(one or 0) for one in percents], room, most=100)
        lines.append(line(*fit(line(name), 12), Run(drawn, Tone.INFO), Run(said, tone)))
    return lines


_TRENDING = ("identified", "owned", "fronted", "governed", "sealed")


def _percent_of(trend: Trend, name: str) -> float | None:
    standing = next((one for one in trend.standings if one.name == name), None)
    return 100 * standing.part / standing.whole if standing and standing.whole else None


def daily(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """What was found and what was decided on each of the last days, and how many of each."""
    if not snapshot.found:
        return []
    days = len(snapshot.found)
    decided = [0] * days
    for change in snapshot.changes:
        age_days = int((now - change.at).total_seconds() // 86_400)
        if 0 <= age_days < days:
            decided[days - 1 - age_days] += 1
    room = min(max(width - 30, 4), days)
    lines = [heading("TRENDS", width, f"the last {plural(room, 'day')}, today at the right")]
    for title, values, tone in (("found", list(snapshot.found), Tone.WARN), ("decided", decided, Tone.GOOD)):
        shown = values[-room:]
        lines.append(line(*fit(line(title), 10), Run(spark(shown, room), tone),
                          Run(f"  {number(shown[-1])} today, {number(sum(shown))} in all", Tone.MUTED)))  # fmt: skip
    return lines


def routes(states: Sequence[RouteState], width: int) -> list[Line]:
    """The live split of each route."""
    if not states:
        return []
    lines = [heading("ROUTES", width, f"{number(len(states))} · 4 shows all")]
    for state in states[:6]:
        name = fit(line(Run(clean(state.revision.route), Tone.STRONG)), 20)
        lines.append(line(*name, "  ", *split_bar(state, max(width - 22, 8))))
    return lines


def scans(snapshot: Snapshot, width: int, now: datetime) -> list[Line]:
    """Running scans with their progress, rate and time left, then the last one of each scope; the next to come."""
    items = snapshot.scans
    lines = [heading("SCANS", width, "" if not items else "5 shows all")]
    if not items:
        return [*lines, line(Run("none has run yet", Tone.MUTED))]
    running = [scan for scan in items if scan.status is ScanStatus.RUNNING]
    ended = [scan for scan in items if scan.status is not ScanStatus.RUNNING]
    seen: set[str] = set()
    for scan in [*running, *ended]:
        if scan.scope in seen and scan.status is not ScanStatus.RUNNING:
            continue
        seen.add(scan.scope)
        lines.append(_scan(scan, width, now))
        if scan.status is ScanStatus.RUNNING:
            lines.append(line(" " * 13, Run(pace(scan, now), Tone.INFO)))
        if len(lines) > 6:
            break
    due = [s.next_run_at for s in snapshot.schedules if s.next_run_at and not s.paused]
    if due:
        left = max((min(due) - now).total_seconds(), 0)
        lines.append(line(Run(f"next scheduled scan in {span(left)}", Tone.MUTED)))
    return lines


def _scan(scan: Scan, width: int, now: datetime) -> Line:
    account = scan.account
    todo = account.planned - account.excluded - account.forbidden
    room = min(width - 13 - 14 - 17 - 5, 30)
    drawn = bar(account.probed / todo if todo else None, room, Tone.INFO) if room >= 4 else ()
    when = age(scan.ended_at or scan.started_at, now)
    return line(
        *fit(line(words.scan_status(scan.status)), 13),
        *fit(line(Run(clean(scan.scope), Tone.STRONG)), 14),
        *drawn,
        *fit(line(f" {number(account.probed)}/{number(todo)}"), 17),
        *fit(line(Run(when, Tone.MUTED)), 5, "right"),
    )
