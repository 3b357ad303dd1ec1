"""How each word of the domain looks: a glyph and a tone, so that no meaning hangs on colour alone."""

from datetime import datetime

from inventory.model import Endpoint, Governance, Kind, Posture, Presence, Routing, ScanStatus
from tui.viewmodel.text import Line, Run, Tone, clean, line, span

NONE = Run("—", Tone.FAINT)

_KINDS = {
    Kind.MODEL_ENDPOINT: Run("◉ model", Tone.ACCENT),
    Kind.NOTEBOOK: Run("▤ notebook", Tone.BAD),
    Kind.ML_UI: Run("▣ ml-ui", Tone.INFO),
    Kind.ML_PLATFORM: Run("▦ ml-platform", Tone.INFO),
    Kind.ORDINARY_WEB: Run("○ web", Tone.MUTED),
    Kind.NOT_HTTP: Run("◌ not-http", Tone.MUTED),
}
_POSTURES = {
    Posture.OPEN: Run("✗ open", Tone.BAD),
    Posture.PROTECTED: Run("✓ protected", Tone.GOOD),
    Posture.UNKNOWN: Run("? unknown", Tone.WARN),
}
_PRESENCES = {
    Presence.SEEN: Run("● seen", Tone.GOOD),
    Presence.STALE: Run("◐ stale", Tone.WARN),
    Presence.GONE: Run("○ gone", Tone.MUTED),
    Presence.UNKNOWN: Run("? unknown", Tone.WARN),
}
_GOVERNANCES = {
    Governance.UNREVIEWED: Run("○ unreviewed", Tone.WARN),
    Governance.MANAGED: Run("● managed", Tone.GOOD),
    Governance.EXEMPT: Run("◐ exempt", Tone.INFO),
    Governance.BLOCKED: Run("■ blocked", Tone.BAD),
    Governance.RETIRED: Run("□ retired", Tone.MUTED),
}
_ROUTINGS = {
    Routing.DIRECT: Run("→ direct", Tone.WARN),
    Routing.FRONTED: Run("◇ fronted", Tone.INFO),
    Routing.SHADOWED: Run("◫ shadowed", Tone.INFO),
    Routing.SPLIT: Run("◧ split", Tone.INFO),
    Routing.ENFORCED: Run("◆ enforced", Tone.GOOD),
    Routing.SEALED: Run("■ sealed", Tone.GOOD),
}
_STATUSES = {
    ScanStatus.RUNNING: Run("◌ running", Tone.INFO),
    ScanStatus.COMPLETE: Run("✓ complete", Tone.GOOD),
    ScanStatus.INCOMPLETE: Run("◐ incomplete", Tone.WARN),
    ScanStatus.FAILED: Run("✗ failed", Tone.BAD),
}


def kind(value: Kind | None) -> Run:
    """What an endpoint is; an open port that nothing identified is a question."""
    return Run("? open port", Tone.WARN) if value is None else _KINDS[value]


def posture(value: Posture) -> Run:
    """Whether a stranger may use it."""
    return _POSTURES[value]


def presence(value: Presence) -> Run:
    """Whether it is there."""
    return _PRESENCES[value]


def routing(value: Routing) -> Run:
    """How its callers reach it."""
    return _ROUTINGS[value]


def scan_status(value: ScanStatus) -> Run:
    """How a scan stands."""
    return _STATUSES[value]


def governance(endpoint: Endpoint, now: datetime) -> Line:
    """What people decided, with the time that is left of an exemption."""
    run = _GOVERNANCES[endpoint.governance]
    if endpoint.governance is not Governance.EXEMPT or endpoint.exempt_until is None:
        return line(run)
    left = (endpoint.exempt_until - now).total_seconds()
    if left <= 0:
        return line(run, Run(" ended", Tone.BAD))
    return line(run, Run(f" {span(left)}", Tone.MUTED))


def decision(value: Governance) -> Run:
    """A governance word by itself."""
    return _GOVERNANCES[value]


def risk_tone(risk: int) -> Tone:
    """The tone of a risk score: 70 and above is bad, 40 and above a warning."""
    if risk >= 70:
        return Tone.BAD
    return Tone.WARN if risk >= 40 else Tone.MUTED


def risk(value: int) -> Line:
    """A risk score with a glyph for its band: ``▲`` high, ``◆`` middle, ``·`` low."""
    glyph = {Tone.BAD: "▲", Tone.WARN: "◆"}.get(risk_tone(value), "·")
    return line(Run(f"{glyph}{value:>3}", risk_tone(value)))


def product(endpoint: Endpoint) -> Line:
    """The product and its version, as the endpoint said them."""
    if endpoint.product is None:
        said = endpoint.server or endpoint.title
        return line(Run(clean(said, 60), Tone.MUTED)) if said else line(NONE)
    version = Run(f" {clean(endpoint.version, 30)}", Tone.MUTED) if endpoint.version else Run("")
    return line(clean(endpoint.product, 60), version)


def place(endpoint: Endpoint) -> Line:
    """Where it answers: host and port stand out, the path follows."""
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    path = "" if endpoint.base_path == "/" else endpoint.base_path
    return line(Run(clean(host), Tone.STRONG), Run(f":{endpoint.port}"), Run(clean(path, 200), Tone.MUTED))


def owner(endpoint: Endpoint) -> Line:
    """Who owns it, or a dash."""
    return line(clean(endpoint.owner, 120)) if endpoint.owner else line(NONE)
