"""Policies: which versions count, who would break under the candidate, and how much that rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory.calls import Recording
from inventory.model import PolicySet, Principal, PrincipalKind
from router.audit.evidence import Evidence
from router.policy.impact import Coverage
from tui.viewmodel.bars import bar
from tui.viewmodel.detail import heading
from tui.viewmodel.pulse import stack
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, fit, line, number, plural

SHOWN = 12
"""Rows of a section at most; the command line lists all of them."""

QUIET = timedelta(minutes=1)
"""A recorder that has said nothing for so long is away: it gives a sign of life oftener."""

_TONES = {"would deny": Tone.BAD, "let through": Tone.WARN, "would limit": Tone.WARN, "would allow": Tone.INFO}
_GLYPHS = {"would deny": "✗", "let through": "◐", "would limit": "◐", "would allow": "+"}


@dataclass(frozen=True, slots=True)
class Governed:
    """What is known of policies and callers at one moment. ``why_not`` are the hindrances of the candidate.

    ``versions`` are the newest first, ``callers`` those that were seen last first. ``unread`` is why the policies
    cannot be read here, "" where they can.
    """

    evidence: Evidence
    versions: tuple[PolicySet, ...] = ()
    callers: tuple[Principal, ...] = ()
    why_not: tuple[str, ...] = ()
    unread: str = ""


def page(governed: Governed, width: int, now: datetime) -> list[Line]:
    """The whole page for a width in cells: how much is known comes before what follows from it."""
    found = governed.evidence
    parts = [
        versions(governed, width, now),
        coverage(found.coverage, width, age(found.since, now)),
        impacts(found, width, now),
        gate(governed, width),
        callers(governed.callers, width, now),
        keys(governed.callers, width, now),
        record(found.recordings, width, now),
    ]
    return capped(stack(parts), width)


def versions(governed: Governed, width: int, now: datetime) -> list[Line]:
    """The versions that count, and the latest ones."""
    state = governed.evidence.state
    lines = [heading("VERSIONS", width)]
    if not governed.versions:
        return [*lines, line(Run("no policies yet: every caller may do everything", Tone.WARN))]
    for one in governed.versions[:SHOWN]:
        counts = one.number in (state.enforced, state.candidate)
        if counts or one is governed.versions[0]:
            lines.append(fit(line(*_version(one, governed, now)), width))
    if governed.unread:
        lines.append(line(Run(f"? {clean(governed.unread, 300)}", Tone.WARN)))
    return lines


def _version(one: PolicySet, governed: Governed, now: datetime) -> list[Run]:
    state = governed.evidence.state
    runs = [Run(f"v{one.number}", Tone.STRONG), Run(f" {one.engine} ")]
    if one.number == state.enforced:
        runs.append(Run("✓ enforced ", Tone.GOOD))
    if one.number == state.candidate:
        runs.append(Run(f"◐ candidate, {state.percent} % of the callers are held to it ", Tone.INFO))
    if one.number not in (state.enforced, state.candidate):
        runs.append(Run("◌ not in use ", Tone.MUTED))
    runs.append(Run(f"{age(one.at, now)} by {clean(one.who, 60)}: {clean(one.why, 200)}", Tone.MUTED))
    return runs


def coverage(covered: Coverage, width: int, since: str) -> list[Line]:
    """How many of the identities seen are known to the policies, and who is not."""
    lines = [heading("COVERAGE", width, f"of the calls of the last {since}")]
    if covered.share is None and not covered.anonymous_calls:
        return [*lines, line(Run("no call was recorded", Tone.MUTED))]
    if covered.share is None:
        lines.append(line(Run("nobody said who they are", Tone.WARN)))
    else:
        tone = Tone.GOOD if covered.known == covered.identities else Tone.WARN
        said = f" {covered.known} of {plural(covered.identities, 'identity', 'identities')} known to the policies"
        lines.append(line(*bar(covered.share, max(width - len(said), 4), tone), said))
    judged = f"{number(covered.decided)} of {plural(covered.calls, 'call')} judged by the candidate"
    lines.append(line(Run(f"{judged}, {number(covered.anonymous_calls)} anonymous", Tone.MUTED)))
    for one in (*covered.unknown[:SHOWN], *covered.anonymous[:SHOWN]):
        lacks = f"lacks {', '.join(one.missing)}" if one.missing else "has no identity"
        calls = Run(f"  {plural(one.calls, 'call')}", Tone.MUTED)
        lines.append(fit(line(Run("? ", Tone.WARN), Run(clean(one.identity, 200)), f" {lacks}", calls), width))
    return [*lines, *_more(len(covered.unknown) + len(covered.anonymous), min(len(covered.unknown), SHOWN)
                           + min(len(covered.anonymous), SHOWN))]  # fmt: skip


def impacts(evidence: Evidence, width: int, now: datetime) -> list[Line]:
    """Who would be treated otherwise, on which route, and why; what nobody judged is not known."""
    found = evidence.impacts
    if evidence.state.candidate is None:
        return []
    denied = {one.identity for one in found if one.what == "would deny"}
    lines = [heading("UNDER THE CANDIDATE", width, f"{len(denied)} would be denied" if denied else "")]
    if not evidence.coverage.decided:
        return [*lines, line(Run("? no call was judged by the candidate yet", Tone.WARN))]
    if not found:
        return [*lines, line(Run("nobody who called would be treated otherwise", Tone.GOOD))]
    for one in found[:SHOWN]:
        head = Run(f"{_GLYPHS[one.what]} {one.what} ", _TONES[one.what])
        who = Run(clean(one.identity, 200), Tone.STRONG)
        lines.append(fit(line(head, who, Run(f" on {clean(one.route)}")), width))
        said = f"    {clean(one.reason, 200)} · {plural(one.calls, 'call')}, the last {ago(one.last_at, now)}"
        lines.append(fit(line(Run(said, Tone.MUTED)), width))
    return [*lines, *_more(len(found), SHOWN)]


def gate(governed: Governed, width: int) -> list[Line]:
    """Whether the candidate may be enforced, or what is in the way."""
    if governed.evidence.state.candidate is None:
        return []
    lines = [heading("MAY IT BE ENFORCED", width)]
    if not governed.why_not:
        return [*lines, line(Run("✓ nothing is in the way", Tone.GOOD))]
    return [*lines, *(line(Run("✗ ", Tone.BAD), clean(one, 300)) for one in governed.why_not)]


def callers(found: Sequence[Principal], width: int, now: datetime) -> list[Line]:
    """Who called, the latest first, and what is known of them."""
    lines = [heading("CALLERS", width, number(len(found)) if found else "")]
    if not found:
        return [*lines, line(Run("nobody was seen yet", Tone.MUTED))]
    for one in found[:SHOWN]:
        known = ", ".join(
            f"{name} {value if isinstance(value, str) else '/'.join(value)}" for name, value in one.attributes.items()
        )
        seen = Run(f"{age(one.last_seen, now):>5} ", Tone.MUTED)
        told = Run(f"  {clean(known, 300)}", Tone.MUTED) if known else Run("  nothing is known", Tone.WARN)
        lines.append(fit(line(seen, Run(f"{one.kind.value} ", Tone.FAINT), clean(one.id, 200), told), width))
    return [*lines, *_more(len(found), SHOWN)]


def keys(found: Sequence[Principal], width: int, now: datetime) -> list[Line]:
    """API keys that are in use: each is a gap, because whoever has it is its owner."""
    used = [one for one in found if one.kind is PrincipalKind.KEY]
    if not used:
        return []
    lines = [heading("KEYS IN USE", width, f"{plural(len(used), 'gap')}")]
    for one in used[:SHOWN]:
        seen = Run(f"  last used {ago(one.last_seen, now)}", Tone.MUTED)
        lines.append(fit(line(Run("! ", Tone.WARN), clean(one.id, 200), seen), width))
    return [*lines, *_more(len(used), SHOWN)]


def record(found: Sequence[Recording], width: int, now: datetime) -> list[Line]:
    """What the record lacks: calls that were lost, what waits, and recorders that are away."""
    lines = [heading("RECORD", width)]
    if not found:
        return [*lines, line(Run("no gateway's calls are recorded", Tone.WARN))]
    for one in found:
        runs = [Run(f"{clean(one.gateway)} ", Tone.STRONG), Run(f"{plural(one.recorded, 'call')}  ")]
        runs.append(Run(f"✗ {number(one.lost)} lost  ", Tone.BAD) if one.lost else Run("✓ none lost  ", Tone.GOOD))
        runs.append(
            Run(f"◐ {number(one.behind)} bytes behind  ", Tone.WARN) if one.behind else Run("✓ up to date  ", Tone.GOOD)
        )
        away = now - one.at > QUIET
        heard = f"✗ silent for {age(one.at, now)}" if away else f"as of {ago(one.at, now)}"
        runs.append(Run(heard, Tone.BAD if away else Tone.MUTED))
        lines.append(fit(line(*runs), width))
    return lines


def _more(count: int, shown: int) -> list[Line]:
    return [line(Run(f"  and {count - shown} more", Tone.FAINT))] if count > shown else []
