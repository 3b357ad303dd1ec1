"""Everything that is known of one endpoint, as sections: what it is, why that is believed, what was asked."""

import json
from collections.abc import Sequence
from datetime import datetime

from inventory.changes import Event
from inventory.coverage import is_governed, why_not
from inventory.model import Asked, Change, Endpoint, Evidence
from tui.viewmodel import words
from tui.viewmodel.bars import bar
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, fit, line, plural, span, wrap

LABEL = 12
"""Cells of the label column."""


def heading(title: str, width: int, note: str = "") -> Line:
    """The title of a section with a rule that runs to the right edge, and a note at its end."""
    rule = max(width - len(title) - len(note) - (2 if note else 1), 0)
    return line(Run(title, Tone.TITLE), " ", Run("─" * rule, Tone.FAINT), Run(f" {note}" if note else "", Tone.MUTED))


def field(label: str, value: Line, width: int) -> Line:
    """A label and its value on one line, the value cut at the edge."""
    return (*fit(line(Run(label, Tone.MUTED)), LABEL), *fit(value, width - LABEL))


def paragraph(label: str, text: str, width: int, tone: Tone = Tone.PLAIN) -> list[Line]:
    """A label and a text that may take several lines."""
    parts = wrap(text, width - LABEL)
    first = (*fit(line(Run(label, Tone.MUTED)), LABEL), Run(parts[0], tone))
    return [first, *(line(" " * LABEL, Run(part, tone)) for part in parts[1:])]


def summary(endpoint: Endpoint, width: int, now: datetime) -> list[Line]:
    """What it is, how it stands and how risky it is."""
    return [
        line(Run(clean(endpoint.url, 400), Tone.STRONG)),
        line(words.kind(endpoint.kind), "  ", *words.product(endpoint)),
        (),
        field("posture", line(words.posture(endpoint.posture)), width),
        *_decided(endpoint, width),
        field("presence", line(words.presence(endpoint.presence), _since(endpoint, now)), width),
        field("governance", words.governance(endpoint, now), width),
        field("routing", line(words.routing(endpoint.routing)), width),
        field("owner", words.owner(endpoint), width),
        (),
        *risk(endpoint, width),
        (),
        *governed(endpoint, width),
    ]


def pane(endpoint: Endpoint, width: int, now: datetime) -> list[Line]:
    """What fits beside the table: how it stands, then why that is believed and what was asked."""
    sections = (
        summary(endpoint, width, now),
        inference(endpoint, width),
        evidence(endpoint.evidence, width),
        asked(endpoint.asked, width),
    )
    return capped([each for section in sections for each in (*section, ())][:-1], width)


def full(
    endpoint: Endpoint,
    changes: Sequence[Change],
    events: Sequence[Event],
    around: Sequence[Line],
    width: int,
    now: datetime,
) -> list[Line]:
    """Everything, for the endpoint's own screen. ``around`` is drawn by ``neighbours``."""
    sections = (
        summary(endpoint, width, now),
        about(endpoint, width, now),
        inference(endpoint, width),
        exposures(endpoint, width),
        [heading("AROUND IT", width), *around],
        evidence(endpoint.evidence, width),
        asked(endpoint.asked, width),
        happened(events, width, now),
        history(changes, width, now),
    )
    return capped([each for section in sections for each in (*section, ())][:-1], width)


def _decided(endpoint: Endpoint, width: int) -> list[Line]:
    decided_by = endpoint.posture_evidence
    text = clean(decided_by, 400) if decided_by else "no request has decided it yet"
    return paragraph("decided by", text, width, Tone.PLAIN if decided_by else Tone.MUTED)


def _since(endpoint: Endpoint, now: datetime) -> Run:
    return Run(f"  {ago(endpoint.last_seen, now)}, known for {span((now - endpoint.first_seen).total_seconds())}",
               Tone.MUTED)  # fmt: skip


def risk(endpoint: Endpoint, width: int) -> list[Line]:
    """The risk, as a bar and as the sum that it is."""
    tone = words.risk_tone(endpoint.risk)
    lines = [heading("RISK", width, f"{endpoint.risk} of 100"), bar(endpoint.risk / 100, width, tone)]
    for reason in endpoint.risk_reasons:
        parts = wrap(clean(reason.why, 400), width - 5)
        lines.append(line(Run(f"{reason.weight:+4d} ", tone), parts[0]))
        lines.extend(line("     ", part) for part in parts[1:])
    return lines


def governed(endpoint: Endpoint, width: int) -> list[Line]:
    """Whether it is governed, and why not."""
    if endpoint.kind is None or not endpoint.kind.is_ml:
        return [line(Run("○ not about machine learning: nothing to govern here", Tone.MUTED))]
    if is_governed(endpoint):
        return [line(Run("● governed", Tone.GOOD))]
    parts = wrap(clean(why_not(endpoint), 400), width - 14)
    return [line(Run("○ ungoverned  ", Tone.BAD), parts[0]), *(line(" " * 14, part) for part in parts[1:])]


def about(endpoint: Endpoint, width: int, now: datetime) -> list[Line]:
    """Its names and where it was seen."""
    lines = [heading("IDENTITY", width, f"confidence {endpoint.confidence:.0%}")]
    rows: list[tuple[str, str | None]] = [
        ("id", endpoint.id),
        ("title", endpoint.title),
        ("server", endpoint.server),
        ("site", f"{endpoint.site}, scope {endpoint.scope}"),
        ("first seen", f"{endpoint.first_seen:%Y-%m-%d %H:%M} UTC, {ago(endpoint.first_seen, now)}"),
        ("last seen", f"{endpoint.last_seen:%Y-%m-%d %H:%M} UTC, {ago(endpoint.last_seen, now)}"),
        ("certificate", ", ".join(endpoint.certificate_names) or None),
        ("needs", ", ".join(endpoint.needs) or None),
        ("catch-all", "answers every path alike" if endpoint.catch_all else None),
    ]
    for label, value in rows:
        if value:
            lines.extend(paragraph(label, clean(value, 600), width))
    return lines


def inference(endpoint: Endpoint, width: int) -> list[Line]:
    """The method and path of each route that runs a model. None of them was ever called."""
    routes = endpoint.inference_routes
    lines = [heading("INFERENCE ROUTES", width, f"{len(routes)}, none called")]
    if not routes:
        return [*lines, line(Run("none known", Tone.MUTED))]
    lines.extend(line(Run(f"{clean(r.method, 10):<8}", Tone.ACCENT), clean(r.path, 400)) for r in routes)
    return lines


def exposures(endpoint: Endpoint, width: int) -> list[Line]:
    """Each way to reach it."""
    lines = [heading("EXPOSURES", width, str(len(endpoint.exposures)))]
    if not endpoint.exposures:
        return [*lines, line(Run("only its address", Tone.MUTED))]
    return [*lines, *(field(each.via, line(clean(each.url, 400)), width) for each in endpoint.exposures)]


def evidence(items: Sequence[Evidence], width: int) -> list[Line]:
    """Why it is believed to be what it is: each signal with its weight, and the request that showed it."""
    lines = [heading("EVIDENCE", width, plural(len(items), "signal"))]
    if not items:
        return [*lines, line(Run("none beyond an open port", Tone.MUTED))]
    for item in sorted(items, key=lambda item: -abs(item.weight)):
        glyph, tone = ("+", Tone.GOOD) if item.weight > 0 else ("-", Tone.BAD) if item.weight < 0 else ("·", Tone.MUTED)
        parts = wrap(clean(item.signal, 600), width - 7)
        lines.append(line(Run(f"{glyph}{abs(item.weight):5.1f} ", tone), parts[0]))
        lines.extend(line(" " * 7, part) for part in parts[1:])
        if item.request:
            lines.append(line(" " * 7, Run(fit_text(f"{item.request} · {item.source}", width - 7), Tone.MUTED)))
    return lines


def asked(items: Sequence[Asked], width: int) -> list[Line]:
    """What gnomon sent to it, in order, with what came back."""
    lines = [heading("WHAT WAS ASKED", width, plural(len(items), "request"))]
    if not items:
        return [*lines, line(Run("nothing beyond opening a connection", Tone.MUTED))]
    path = max(width - 38, 10)
    for item in items:
        answer = (
            Run(f"{item.status}", _status_tone(item.status)) if item.status else Run(clean(item.outcome, 12), Tone.WARN)
        )
        lines.append(
            (
                Run(f"{item.method:<8}", Tone.MUTED),
                *fit(line(clean(item.path, 400)), path),
                *fit(line(" ", answer), 13),
                *fit(line(Run(f"{item.bytes:,} B", Tone.MUTED)), 10, "right"),
                *fit(line(Run(f"{item.milliseconds:.0f}ms", Tone.MUTED)), 7, "right"),
            )
        )
    return lines


def history(changes: Sequence[Change], width: int, now: datetime) -> list[Line]:
    """Who decided what, newest first."""
    lines = [heading("HISTORY", width, plural(len(changes), "change"))]
    if not changes:
        return [*lines, line(Run("nobody has decided anything about it", Tone.MUTED))]
    for change in changes:
        head = line(Run(f"{age(change.at, now):>4}  ", Tone.MUTED), Run(clean(change.who, 40), Tone.ACCENT),
                    f"  {clean(change.action, 60)}")  # fmt: skip
        lines.append(fit(head, width))
        for label, before, after in differences(change):
            lines.append(
                fit(line("      ", Run(f"{label} ", Tone.MUTED), before, Run(" → ", Tone.FAINT), after), width)
            )
        if change.why:
            lines.append(fit(line("      ", Run(clean(change.why, 300), Tone.MUTED)), width))
    return lines


def happened(events: Sequence[Event], width: int, now: datetime) -> list[Line]:
    """What scans found out about it over time, newest first."""
    lines = [heading("WHAT HAPPENED", width, plural(len(events), "event"))]
    for event in events:
        moved = f"{event.field} {_shown(event.before)} → {_shown(event.after)}" if event.field else event.after or ""
        lines.append(
            fit(line(Run(f"{age(event.at, now):>4}  ", Tone.MUTED), Run(event.what.value, Tone.INFO),
                     f"  {clean(moved, 300)}"), width)
        )  # fmt: skip
    return lines if events else [*lines, line(Run("nothing since it was first seen", Tone.MUTED))]


def differences(change: Change) -> list[tuple[str, str, str]]:
    """What a change changed: field, value before and value after, as cleaned text; a dash for nothing."""
    before, after = _fields(change.before), _fields(change.after)
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return [(clean(name, 40), _shown(before.get(name)), _shown(after.get(name))) for name in names]


def _fields(text: str | None) -> dict[str, object]:
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"value": text}
    return value if isinstance(value, dict) else {"value": value}


def _shown(value: object) -> str:
    return "—" if value in (None, "", [], {}) else clean(value, 120)


def fit_text(text: str, width: int) -> str:
    """Cleaned text cut to a width with an ellipsis."""
    return "".join(run.text for run in fit(line(clean(text, 600)), width)).rstrip()


def _status_tone(status: int | None) -> Tone:
    if status is None or status >= 500:
        return Tone.BAD
    if status in {401, 403, 407}:
        return Tone.GOOD
    return Tone.WARN if status >= 400 else Tone.PLAIN
