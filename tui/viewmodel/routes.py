"""Routes: what is desired, what gateways acknowledged, how live requests split, and whether the shadow agrees."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from inventory.model import Disagreement, GatewayStatus, Revision, RouteSpec, ShadowEvidence, Traffic
from inventory.model.rollout import Rollout, Status
from tui.viewmodel.bars import Share, bar, stacked, texture
from tui.viewmodel.columns import Column
from tui.viewmodel.detail import field, heading
from tui.viewmodel.state import RouteState
from tui.viewmodel.table import Cell, Table, of_rows
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, fit, join, line, number, plural, width_of, wrap

COLUMNS = (
    Column("route", "Route", 14, 22, grow=True),
    Column("split", "Live split", 16, 30),
    Column("revision", "Revision", 13, 16, drop=1),
    Column("shadow", "Shadow", 6, 8, drop=3, align="right"),
    Column("agreement", "Agreement", 18, 22, drop=2),
    Column("requests", "Requests", 8, 10, drop=4, align="right"),
    Column("failed", "Failed", 6, 7, drop=5, align="right"),
)
SIDES = (Tone.ACCENT, Tone.INFO, Tone.GOOD, Tone.WARN)
"""The tones of a route's backends, by their place in it."""
ENOUGH_PAIRS = 100
"""Below this many pairs an agreement is shown as preliminary."""


def table(states: Sequence[RouteState], gateways: Sequence[GatewayStatus]) -> Table[RouteState]:
    """The table of routes, by name."""
    return of_rows(
        COLUMNS,
        states,
        lambda state: state.revision.route,
        partial(cells, gateways=gateways),
        empty=("No route yet.", "gnomon adopt ID puts an endpoint behind the gateway."),
    )


def cells(state: RouteState, gateways: Sequence[GatewayStatus]) -> tuple[Cell, ...]:
    """One row, in the order of ``COLUMNS``."""
    spec = spec_of(state)
    failures = sum(traffic.failures for traffic in state.traffic)
    evidence = current(state)
    return (
        line(Run(clean(state.revision.route), Tone.STRONG)),
        partial(split_bar, state),
        acknowledged(state.revision, gateways),
        line(f"{spec.shadow.percent:g} %") if spec.shadow else line(Run("—", Tone.FAINT)),
        agreement(evidence),
        line(number(sum(traffic.requests for traffic in state.traffic))),
        line(Run(f"✗ {number(failures)}", Tone.BAD) if failures else Run("0", Tone.GOOD)),
    )


def spec_of(state: RouteState) -> RouteSpec:
    """The specification of a route that is live. A removed route is in no listing."""
    if state.revision.spec is None:
        raise ValueError(f"the route {state.revision.route!r} is removed")
    return state.revision.spec


def current(state: RouteState) -> ShadowEvidence | None:
    """The evidence of the pair that the route has now: the one of its shadow; the latest of several."""
    shadow = spec_of(state).shadow
    fitting = [e for e in state.evidence if e.primary != e.shadow and (shadow is None or e.shadow == shadow.backend)]
    return max(fitting, key=lambda evidence: evidence.updated_at, default=None)


def split_bar(state: RouteState, width: int) -> Line:
    """The weights of the backends as one bar, with the shares in percent before and after it."""
    backends = spec_of(state).backends
    numbers = join([line(Run(f"{b.weight}", side(i))) for i, b in enumerate(backends)], "/")
    size = sum(len(run.text) for run in numbers) + 1
    shares = [Share(b.weight, side(i), texture(i)) for i, b in enumerate(backends)]
    return line(*stacked(shares, max(width - size, 4)), " ", *numbers)


def side(index: int) -> Tone:
    """The tone of the n-th backend."""
    return SIDES[index % len(SIDES)]


def acknowledged(revision: Revision, gateways: Sequence[GatewayStatus]) -> Line:
    """The desired revision, and whether every gateway has it."""
    if not gateways:
        return line(f"r{revision.number} ", Run("? no gateway", Tone.WARN))
    behind = [g for g in gateways if g.revisions.get(revision.route, 0) < revision.number]
    if any(g.refusal_of(revision) for g in gateways):
        return line(f"r{revision.number} ", Run("✗ refused", Tone.BAD))
    if not behind:
        return line(f"r{revision.number} ", Run("✓ in force", Tone.GOOD))
    least = min(g.revisions.get(revision.route, 0) for g in behind)
    return line(f"r{revision.number} ", Run(f"◐ at r{least}" if least else "◌ pending", Tone.WARN))


def agreement(evidence: ShadowEvidence | None) -> Line:
    """The agreement that is proven: its lower bound, with the count it rests on."""
    if evidence is None or evidence.lower_bound is None:
        return line(Run("— no pairs", Tone.FAINT))
    pairs = Run(f" {plural(evidence.compared, 'pair')}", Tone.MUTED)
    return line(Run(f"{glyph_of(evidence)} ≥{_down(evidence.lower_bound)}", tone_of(evidence)), pairs)


def tone_of(evidence: ShadowEvidence) -> Tone:
    """How good the agreement is, by its lower bound."""
    bound = evidence.lower_bound or 0.0
    if evidence.compared < ENOUGH_PAIRS:
        return Tone.WARN
    return Tone.GOOD if bound >= 0.99 else Tone.WARN if bound >= 0.95 else Tone.BAD


def glyph_of(evidence: ShadowEvidence) -> str:
    """The same in a glyph."""
    return {Tone.GOOD: "✓", Tone.WARN: "◐", Tone.BAD: "✗"}[tone_of(evidence)]


def _down(fraction: float) -> str:
    """A fraction in percent, rounded down: a bound is never shown above itself."""
    return f"{int(fraction * 1000 + 1e-9) / 10:.1f} %"


def detail(state: RouteState, gateways: Sequence[GatewayStatus], width: int, now: datetime) -> list[Line]:
    """Everything about one route."""
    spec, revision = spec_of(state), state.revision
    lines = [
        line(Run(clean(revision.route), Tone.STRONG), Run(f"  {clean(', '.join(spec.names), 300)}", Tone.MUTED)),
        field(
            "revision", line(*acknowledged(revision, gateways), Run(f"  {age(revision.at, now)}", Tone.MUTED)), width
        ),
        field("by", line(clean(revision.who, 60), Run(f"  {clean(revision.why, 300)}", Tone.MUTED)), width),
        (),
        *backends(state, width),
        (),
        *_gateways(revision, gateways, width, now),
        (),
        *shadow(state, width, now),
    ]
    evidence = current(state)
    if evidence and evidence.disagreements:
        lines.extend([(), *disagreements(evidence, width, now)])
    return capped(lines, width)


def backends(state: RouteState, width: int) -> list[Line]:
    """Each backend: its weight, where it is, and the live requests that it really got."""
    spec = spec_of(state)
    counted = {traffic.backend: traffic for traffic in state.traffic}
    total = sum(traffic.requests for traffic in state.traffic)
    lines = [heading("LIVE SPLIT", width, f"{plural(total, 'request')} since the route was made")]
    lines.append(split_bar(state, width))
    for i, backend in enumerate(spec.backends):
        traffic = counted.get(backend.name, Traffic(route=spec.name, backend=backend.name))
        is_shadow = spec.shadow is not None and spec.shadow.backend == backend.name
        lines.append(
            line(Run(f"{texture(i)} ", side(i)), *fit(line(Run(clean(backend.name), Tone.STRONG)), 14),
                 *fit(line(f"{backend.weight} %"), 6, "right"),
                 Run(f"  {clean(backend.url, 200)}", Tone.MUTED), Run("  ◫ shadow" if is_shadow else "", Tone.INFO))
        )  # fmt: skip
        failed = (
            Run(f"✗ {number(traffic.failures)} failed", Tone.BAD) if traffic.failures else Run("0 failed", Tone.GOOD)
        )
        mirrored = f", {number(traffic.shadowed)} mirrored to it" if traffic.shadowed else ""
        lines.append(line("  ", f"{plural(traffic.requests, 'request')}, ", failed, mirrored))
    return lines


def _gateways(revision: Revision, gateways: Sequence[GatewayStatus], width: int, now: datetime) -> list[Line]:
    lines = [heading("GATEWAYS", width, plural(len(gateways), "gateway"))]
    if not gateways:
        return [*lines, line(Run("none has reported: gnomon serve runs one", Tone.WARN))]
    for gateway in gateways:
        health = Run("● healthy", Tone.GOOD) if gateway.healthy else Run("✗ unhealthy", Tone.BAD)
        has = gateway.revisions.get(revision.route, 0)
        behind = has < revision.number
        at = Run(
            f"r{has} of r{revision.number}" if has else f"none of r{revision.number}",
            Tone.WARN if behind else Tone.GOOD,
        )
        heard = Run(f"heard {ago(gateway.heartbeat_at, now)}", Tone.MUTED)
        lines.append(line(*fit(line(clean(gateway.id, 40)), 14), *fit(line(health), 12),
                          *fit(line(at), 12), "  ", heard))  # fmt: skip
        if error := gateway.refusal_of(revision):
            lines.extend(line("  ", Run(part, Tone.BAD)) for part in wrap(clean(error, 600), width - 2))
    return lines


def shadow(state: RouteState, width: int, now: datetime) -> list[Line]:
    """What the paired answers say: pairs, agreement with its bound, what was lost, and the latencies."""
    spec, evidence = spec_of(state), current(state)
    percent = f"{spec.shadow.percent:g} % of {', '.join(spec.shadow.methods)}" if spec.shadow else "off"
    lines = [heading("SHADOW", width, percent)]
    share = evidence.agreement if evidence else None
    if evidence is None or share is None:
        said = "no pair of answers was compared yet" if spec.shadow else "gnomon shadow starts one"
        return [*lines, line(Run(said, Tone.MUTED))]
    bound = _down(evidence.lower_bound) if evidence.lower_bound is not None else "unknown"
    early = "" if evidence.compared >= ENOUGH_PAIRS else f", preliminary below {ENOUGH_PAIRS} pairs"
    lines += [
        bar(share, width, tone_of(evidence)),
        field("agreement", line(Run(f"{glyph_of(evidence)} {_down(share)}", tone_of(evidence)),
              Run(f"  at least {bound} with confidence{early}", Tone.MUTED)), width),
        field("pairs", line(f"{number(evidence.agreed)} agreed of {number(evidence.compared)}",
              Run(f"  {number(evidence.lost)} lost", Tone.WARN if evidence.lost else Tone.MUTED),
              Run(f"  {number(evidence.incomparable)} incomparable" if evidence.incomparable else "", Tone.WARN),
              Run(f"  {number(sum(evidence.unread.values()))} by size alone" if evidence.unread else "", Tone.WARN)),
              width),
        field("median", line(f"{clean(evidence.primary)} {_ms(evidence.primary_p50)}", Run("  against  ", Tone.MUTED),
              f"{clean(evidence.shadow)} {_ms(evidence.shadow_p50)}"), width),
        field("updated", line(Run(ago(evidence.updated_at, now), Tone.MUTED)), width),
    ]  # fmt: skip
    return lines


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} ms"


def disagreements(evidence: ShadowEvidence, width: int, now: datetime) -> list[Line]:
    """Answers that differ, side by side."""
    items = sorted(evidence.disagreements, key=lambda item: item.at, reverse=True)
    lines = [heading("DISAGREEMENTS", width, plural(len(items), "example"))]
    half = (width - 3) // 2
    names = (Run(clean(evidence.primary), side(0)), Run(f"{clean(evidence.shadow)} (shadow)", side(1)))
    lines.append((*fit(line(names[0]), half), Run(" │ ", Tone.FAINT), *fit(line(names[1]), half)))
    for item in items:
        lines.extend(_disagreement(item, half, width, now))
    return lines


def _disagreement(item: Disagreement, half: int, width: int, now: datetime) -> list[Line]:
    head = line(Run(clean(item.path, 200), Tone.ACCENT), f"  {clean(item.why, 200)}",
                Run(f"  {ago(item.at, now)}", Tone.MUTED))  # fmt: skip
    lines: list[Line] = [(), fit(head, width)]
    left, right = wrap(clean(item.primary, 400), half, 4), wrap(clean(item.shadow, 400), half, 4)
    for i in range(max(len(left), len(right))):
        a, b = (side_[i] if i < len(side_) else "" for side_ in (left, right))
        lines.append((*fit(line(a), half), Run(" │ ", Tone.FAINT), *fit(line(b), half)))
    return lines


def pending(steps: Mapping[str, Sequence[Line]], width: int) -> list[Line]:
    """What gateways still have to do, in the order in which they do it."""
    lines = [heading("PLAN", width, plural(sum(map(len, steps.values())), "step"))]
    if not any(steps.values()):
        return [*lines, line(Run("● every gateway has what is desired", Tone.GOOD))]
    return capped([*lines, *(each for found in steps.values() for each in found)], width)


def rollout(one: Rollout, width: int, now: datetime) -> list[Line]:
    """The ladder of a rollout: which steps were taken, where it stands, and why."""
    tone = {Status.RUNNING: Tone.INFO, Status.DONE: Tone.GOOD}.get(one.status, Tone.WARN)
    lines = [heading("ROLLOUT", width, f"{one.candidate} takes over from {one.incumbent}")]
    steps: list[list[Run]] = [[]]
    for n, step in enumerate(one.steps):
        mark, its = ("●", Tone.GOOD) if n < one.position else ("▸", tone) if n == one.position else ("·", Tone.FAINT)
        said = Run(f"{mark} {step.words}{' (approval)' if step.approval else ''}   ", its)
        if steps[-1] and width_of((*steps[-1], said)) > width:
            steps.append([])
        steps[-1].append(said)
    stands = f"  at {one.steps[one.position].words}, for {age(one.since, now)}"
    lines.append(line(Run(one.status.value, tone), Run(stands, Tone.MUTED)))
    lines += [line(*part) for part in steps]
    lines += [line(Run(part, Tone.MUTED)) for part in wrap(clean(one.why, 400), width)] if one.why else []
    return capped(lines, width)


def revisions(history: Sequence[Revision], width: int, now: datetime) -> list[Line]:
    """Every revision, newest first: who, when, why, and the weights it gave."""
    lines = [heading("REVISIONS", width, str(len(history)))]
    for revision in history:
        weights = "/".join(str(b.weight) for b in revision.spec.backends) if revision.spec else "removed"
        lines.append(
            line(*fit(line(Run(f"r{revision.number}", Tone.ACCENT)), 6), *fit(line(weights), 12),
                 *fit(line(Run(age(revision.at, now), Tone.MUTED)), 6),
                 *fit(line(clean(revision.who, 40)), 14), Run(clean(revision.why, 300), Tone.MUTED))
        )  # fmt: skip
    return capped(lines, width)


def preview(spec: RouteSpec, weights: Mapping[str, int], width: int) -> list[Line]:
    """The split before and after a shift, as two bars over each other."""
    after = [weights.get(backend.name, backend.weight) for backend in spec.backends]
    before = [backend.weight for backend in spec.backends]
    lines: list[Line] = []
    for label, values in (("now", before), ("then", after)):
        shares = [Share(value, side(i), texture(i)) for i, value in enumerate(values)]
        numbers = join([line(Run(str(value), side(i))) for i, value in enumerate(values)], "/")
        lines.append(line(Run(f"{label:<6}", Tone.MUTED), *stacked(shares, max(width - 20, 8)), "  ", *numbers))
    return lines
