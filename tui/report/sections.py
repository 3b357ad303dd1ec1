"""The sections of a report, each made of the facts. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from inventory.coverage import Metric, Trend, why_not
from inventory.drift import MEANING, Drift
from inventory.model import Scan, Verdict
from tui.report.facts import MOST, Facts
from tui.report.markup import Child, Html, bar, spark, table, tag, text
from tui.viewmodel.routes import current
from tui.viewmodel.text import number, plural, span

Section = tuple[str, str, Html]
"""A title, one sentence of what it is, and its content."""

_TRENDING = ("identified", "owned", "fronted", "governed", "sealed")
_SAID = {Verdict.SEALED: "sealed", Verdict.BYPASS: "bypassed", Verdict.UNPROVED: "not proved"}


def moment(at: datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"


def summary(facts: Facts) -> Html:
    """The three figures that matter most, with what they are of."""
    named = {metric.name: metric for metric in facts.coverage.coverage.metrics}
    cards = []
    for name, said in (("governed", "governed"), ("sealed", "shown to be sealed"), ("owned", "have an owner")):
        metric = named.get(name)
        if metric is not None:
            cards.append(tag("div", tag("b", _percent(metric)), tag("span", said), _of(metric), class_="card"))
    cards.append(tag("div", tag("b", number(facts.gaps)), tag("span", "gaps"), "endpoints and parts of scopes",
                     class_="card"))  # fmt: skip
    return tag("div", *cards, class_="cards")


def sections(facts: Facts) -> Iterator[Section]:
    """Every section that has something to say, in order."""
    yield "Coverage", "Each figure with what it is a part of, and the oldest scan that it rests on.", _coverage(facts)
    if len(facts.trend) > 1:
        since = f"After each of the latest {len(facts.trend)} scans, since {moment(facts.trend[0].at)}."
        yield "Coverage over time", since, _trend(facts.trend)
    yield "What is not known", "Missing evidence is unknown: never zero, gone or safe.", _unknown(facts)
    yield "In the open", f"The riskiest of {plural(facts.gaps, 'gap')}, and why each is one.", _gaps(facts)
    yield "Against what is declared", _declared_line(facts), _drift(facts)
    yield "Behind the gateway", "Routes, how far each has come, and whether there is a way around it.", _routes(facts)
    yield "Policies and keys", "What is enforced on calls, and what stands in for identity.", _policies(facts)
    yield "What changed", f"From {moment(facts.since)} to {moment(facts.at)}.", _changes(facts)
    yield "How this was measured", "Scans of the period, with an account of every probe.", _scans(facts)


def _coverage(facts: Facts) -> Html:
    rows: list[list[Child]] = [
        [metric.title, bar(metric.percent), _percent(metric), _of(metric), metric.why, moment(metric.as_of)]
        for metric in facts.coverage.coverage.metrics
    ]
    whole = table(("", "", "%", "of", "what it says", "as of"), rows, numeric=frozenset({2}))
    timings: list[list[Child]] = [
        [one.title, span(one.seconds) if one.seconds is not None else "unknown", number(one.count), one.why]
        for one in facts.coverage.timings
    ]
    return text(whole, table(("", "median", "cases", "what it says"), timings, numeric=frozenset({2})))


def _trend(trend: tuple[Trend, ...]) -> Html:
    rows: list[list[Child]] = []
    for name in _TRENDING:
        percents = [_standing(one, name) for one in trend]
        known = [one for one in percents if one is not None]
        if known:
            rows.append([name, spark(percents), f"{known[0]:.0f} %", f"{known[-1]:.0f} %"])
    return table(("", "", "then", "now"), rows, numeric=frozenset({2, 3}))


def _standing(trend: Trend, name: str) -> float | None:
    standing = next((one for one in trend.standings if one.name == name), None)
    return 100 * standing.part / standing.whole if standing and standing.whole else None


def _unknown(facts: Facts) -> Html:
    rows: list[list[Child]] = [[one.what, number(one.count), one.why] for one in facts.coverage.unknowns]
    flags: list[list[Child]] = [
        [one.network, one.site, number(one.endpoints), one.why] for one in facts.coverage.red_flags[:MOST]
    ]
    blocks = table(("block with endpoints", "site", "endpoints", "why"), flags, numeric=frozenset({2}))
    told = table(("what", "count", "why"), rows, numeric=frozenset({1})) if rows else tag("p", "Nothing of that kind.")
    return text(told, blocks if flags else None)


def _gaps(facts: Facts) -> Html:
    rows: list[list[Child]] = [
        [number(one.risk), one.url, one.kind, one.product, one.posture, one.owner or "nobody", why_not(one),
         "; ".join(reason.why for reason in one.risk_reasons[:3])]
        for one in facts.worst
    ]  # fmt: skip
    heads = ("risk", "where", "kind", "product", "posture", "owner", "why it is a gap", "what the risk is made of")
    return text(table(heads, rows, numeric=frozenset({0})), _rest(facts.gaps, len(rows)))


def _declared_line(facts: Facts) -> str:
    found = facts.drift
    if not found.sources:
        return "No registry, gateway or list of approved endpoints was read: everything that runs is a shadow then."
    incomplete = f" Not read to the end: {'; '.join(found.incomplete)}." if found.incomplete else ""
    return f"{plural(found.sources, 'source')} say what is supposed to run.{incomplete}"


def _drift(facts: Facts) -> Html:
    counts = Counter(item.drift for item in facts.drift.items)
    summed: list[list[Child]] = [[one.value, number(counts[one]), MEANING[one]] for one in Drift]
    order = {one: n for n, one in enumerate(Drift)}
    items = sorted(facts.drift.items, key=lambda item: (order[item.drift], -item.risk, item.title))[:MOST]
    rows: list[list[Child]] = [
        [
            item.drift.value,
            item.title,
            item.owner or "nobody",
            moment(item.since),
            item.why,
            "" if item.sure else "not sure",
        ]
        for item in items
    ]
    heads = ("list", "what", "owner", "since", "why", "")
    listed = text(table(heads, rows), _rest(len(facts.drift.items), len(rows))) if rows else None
    return text(table(("list", "count", "meaning"), summed, numeric=frozenset({1})), listed)


def _routes(facts: Facts) -> Html:
    if not facts.routes:
        return tag("p", "There is no route: nothing is behind the gateway.")
    rows: list[list[Child]] = []
    for state in facts.routes[:MOST]:
        spec = state.revision.spec
        if spec is None:
            continue
        seal, evidence = facts.seals.get(spec.name), current(state)
        live = ", ".join(f"{one.name} {one.weight} %" for one in spec.backends)
        agrees = (
            f"{100 * evidence.agreement:.1f} % of {number(evidence.compared)}"
            if evidence and evidence.agreement
            else "-"
        )
        proof = (
            f"{_SAID[seal.verdict]}, {moment(seal.at)}, from {seal.vantage}: {seal.reason}" if seal else "never tried"
        )
        rows.append([spec.name, ", ".join(spec.hosts), live, agrees, proof])
    heads = ("route", "hosts", "live", "shadow agrees", "the direct path")
    return text(table(heads, rows), _rest(len(facts.routes), len(rows)))


def _policies(facts: Facts) -> Html:
    state = facts.policy
    enforced = (
        f"version {state.enforced} is enforced" if state.enforced else "no policy is enforced: every caller may call"
    )
    candidate = (
        f"version {state.candidate} is the candidate, for {state.percent} % of the callers" if state.candidate else ""
    )
    said = tag("p", enforced, "; " if candidate else "", candidate, ".")
    rows: list[list[Child]] = [
        [one.id, one.owner, moment(one.expires_at), moment(one.last_used_at)] for one in facts.keys[:MOST]
    ]
    keys = table(("key", "owner", "ends", "last used"), rows) if rows else tag("p", "No key is in use.")
    return text(said, keys, _rest(len(facts.keys), len(rows)))


def _changes(facts: Facts) -> Html:
    events: list[list[Child]] = [
        [moment(one.at), one.what.value, one.url, one.product,
         f"{one.field}: {one.before} → {one.after}" if one.field else one.after]
        for one in facts.events
    ]  # fmt: skip
    decisions: list[list[Child]] = [[moment(c.at), c.who, c.action, c.subject, c.why] for c in facts.changes]
    found = table(("when", "what", "where", "product", "how"), events) if events else tag("p", "No endpoint changed.")
    made = table(("when", "who", "did", "to", "why"), decisions) if decisions else tag("p", "Nobody decided anything.")
    full = max(len(events), len(decisions)) >= MOST
    return text(found, made, tag("p", f"The latest {MOST} of each; `gnomon changes` has all.") if full else None)


def _scans(facts: Facts) -> Html:
    if not facts.scans:
        return tag("p", "No scan ran in the period: every figure above is older.")
    heads = (
        "began",
        "scope",
        "ended",
        "planned",
        "answered",
        "refused",
        "silent",
        "lost",
        "excluded",
        "not reached",
        "loss",
    )
    return table(heads, [_scan(one) for one in facts.scans[:MOST]], numeric=frozenset(range(3, 11)))


def _scan(scan: Scan) -> list[Child]:
    account = scan.account
    status = f"{scan.status.value}: {scan.reason}" if scan.reason else scan.status.value
    rate = scan.loss.rate if scan.loss else None
    counts = (account.planned, account.answered, account.refused, account.silent, account.lost, account.excluded,
              account.unprobed)  # fmt: skip
    loss = f"{100 * rate:.2f} %" if rate is not None else "unknown"
    return [moment(scan.started_at), scan.scope, status, *map(number, counts), loss]


def _percent(metric: Metric) -> str:
    return "unknown" if metric.percent is None else f"{metric.percent:.0f} %"


def _of(metric: Metric) -> str:
    return f"{number(metric.part)} of {number(metric.whole)} {metric.unit}"


def _rest(whole: int, shown: int) -> Html | None:
    return tag("p", f"and {number(whole - shown)} more", class_="rest") if whole > shown else None
