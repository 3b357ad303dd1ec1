"""Records in, evidence out: the pure core that the monitor runs live and that a replay runs from a list."""

import contextlib
import hashlib
import random
from collections.abc import Callable, Iterable
from datetime import datetime

from inventory.model import Disagreement, RouteSpec, ShadowEvidence
from router.shadow.compare import Outcome, Read, Result, compare
from router.shadow.pair import Loss, Lost, Pair, Pairer, Window
from router.shadow.records import Record
from router.shadow.render import safe_text
from router.shadow.rules import RuleError, Rules, compile_rules
from router.shadow.tally import Tally

SpecOf = Callable[[str, int | None], RouteSpec | None]
"""The specification of a route at a revision (the latest where None); None where there is no such route."""

ResumeFrom = Callable[[str], Iterable[ShadowEvidence]]
"""What is already known of a route."""

Offer = Callable[[Pair, RouteSpec, datetime], None]
"""Takes each pair that is counted, with its route's specification."""

_BAD_RULES = Result(Outcome.INCOMPARABLE, reason="the route's comparison rules cannot be used")
_MOST_KNOWN = 1000

Key = tuple[str, str, str]

_Origins = tuple[str, str, str, str]
"""The entries and clusters of both answers: what decides where a pair is counted."""


class _Setting:
    """What records of one route and revision are judged by. ``rules`` None: they cannot be used."""

    def __init__(self, spec: RouteSpec) -> None:
        self.spec = spec
        self.names = {backend.name for backend in spec.backends}
        self.rules: Rules | None = None
        with contextlib.suppress(RuleError):
            self.rules = compile_rules(spec.comparison)
        self.read = _reader(spec)
        self.keeps = spec.samples is not None
        self.most_copied = spec.shadow.max_body_bytes if spec.shadow else None
        self._judged = f"{spec.comparison.model_dump_json()}\n{spec.descriptor}".encode()
        self._bases: dict[tuple[str, str], str] = {}

    def basis(self, primary: str, shadow: str) -> str:
        """What would make two counts incommensurable when it changes; weights and percentages do not."""
        if (primary, shadow) not in self._bases:
            urls = {backend.name: backend.url for backend in self.spec.backends}
            said = f"{urls.get(primary)}\n{urls.get(shadow)}\n".encode() + self._judged
            self._bases[primary, shadow] = hashlib.sha256(said).hexdigest()[:16]
        return self._bases[primary, shadow]


_Known = tuple[_Setting, Tally, int | None]
"""By what a pair is judged, where it is counted, and its revision."""


class EvidenceFold:
    """Folds records into evidence by route and pair of backends.

    ``capture`` names the file that the records' positions are of. Rows of ``resume_from`` that were counted
    from the same file say up to where; what lies before is not counted again. ``offer`` is told each pair once.
    """

    def __init__(
        self,
        spec_of: SpecOf,
        *,
        resume_from: ResumeFrom = lambda _route: (),
        window: Window | None = None,
        capture: str = "",
        offer: Offer = lambda _pair, _spec, _at: None,
    ) -> None:
        self.pairer = Pairer(window)
        self.records = 0
        self.unknown = 0
        self._spec_of = spec_of
        self._resume_from = resume_from
        self._capture = capture
        self._offer = offer
        self._position = 0
        self._tallies: dict[Key, Tally] = {}
        self._known_routes: set[str] = set()
        self._settings: dict[tuple[str, int | None], _Setting | None] = {}
        self._known: dict[_Origins, _Known] = {}
        # Which examples are kept is no secret and should be the same in a replay.
        self._random = random.Random(7)  # noqa: S311 - sampling, not cryptography

    def add(self, record: Record, now: float, at: datetime, start: int = 0, end: int = 0) -> None:
        """Take one record that lies from ``start`` to ``end`` in the capture file."""
        self.records += 1
        if end > self._position:
            self._position = end
        for event in self.pairer.add(record, now, start, end):
            if isinstance(event, Pair):
                self._take(event, at)
            else:
                self._lose(event)

    def expire(self, now: float) -> None:
        """Count as lost what has waited too long."""
        for lost in self.pairer.expire(now):
            self._lose(lost)

    def give_up(self, record: Record, count: int) -> None:
        """Count answers like this one as lost, which were never looked at."""
        self._lose(Lost(record, Loss.SHED, 0), count)

    def changed(self, at: datetime) -> list[ShadowEvidence]:
        """The evidence that changed since it was last said to be saved."""
        return [tally.evidence(at, self._capture, self._position) for tally in self._tallies.values() if tally.changed]

    def saved(self, rows: Iterable[ShadowEvidence]) -> None:
        """These rows are stored: they are no longer changed."""
        for row in rows:
            self._tallies[row.route, row.primary, row.shadow].changed = False

    def moved(self, capture: str) -> None:
        """From here on positions are of another file, or of the same one from its start again."""
        self._capture = capture
        self._position = 0
        self.pairer.forget_positions()
        for tally in self._tallies.values():
            tally.counted_up_to = 0
            tally.changed = True

    def specs_may_have_changed(self) -> None:
        """Ask again for specifications."""
        self._settings.clear()
        self._known.clear()

    def _lose(self, event: Lost, count: int = 1) -> None:
        record = event.record
        setting = self._setting(record)
        if setting is None:
            self.unknown += 1
            return
        own = record.place.backend or _default_backend(record, setting.spec)
        other = setting.spec.shadow.backend if setting.spec.shadow else None
        key = (own, other) if record.role == "p" else (setting.spec.primary.name, own)
        if key[0] is None or key[1] is None:
            self.unknown += 1
            return
        tally = self._tally(record.place.route, key[0], key[1], setting)
        if tally is None:
            return
        # An answer that waited was not counted before, wherever it lies; a repeated one was, at its place.
        if event.reason is Loss.DUPLICATE and 0 < event.end <= tally.counted_up_to:
            return
        tally.lose(event.reason, count)

    def _take(self, pair: Pair, at: datetime) -> None:
        primary, shadow = pair.primary, pair.shadow
        known = self._known.get((primary.entry, primary.cluster, shadow.entry, shadow.cluster)) or self._find(pair)
        if known is None:
            return
        setting, tally, revision = known
        if 0 < pair.end <= tally.counted_up_to:
            return
        if setting.keeps:
            self._offer(pair, setting.spec, at)
        result = _BAD_RULES
        if setting.rules is not None:
            result = compare(primary, shadow, setting.rules, max_mirrored_bytes=setting.most_copied, read=setting.read)
        tally.count(pair, result, revision)
        if result.outcome is Outcome.DIFFER:
            tally.keep(_disagreement(pair, result, at), self._random)

    def _find(self, pair: Pair) -> _Known | None:
        """What is to be known of a pair; None where the store knows of no such backends."""
        setting = self._setting(pair.primary)
        if setting is None:
            self.unknown += 1
            return None
        primary = pair.primary.place.backend or _default_backend(pair.primary, setting.spec)
        shadow = pair.shadow.place.backend or _default_backend(pair.shadow, setting.spec)
        if primary is None or shadow is None:
            self.unknown += 1
            return None
        tally = self._tally(pair.primary.place.route, primary, shadow, setting)
        if tally is None:
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        origins = pair.primary.entry, pair.primary.cluster, pair.shadow.entry, pair.shadow.cluster
        known = self._known[origins] = setting, tally, pair.primary.place.revision
        return known

    def _setting(self, record: Record) -> _Setting | None:
        key = (record.place.route, record.place.revision)
        if key not in self._settings:
            spec = self._spec_of(*key)
            self._settings[key] = None if spec is None else _Setting(spec)
        return self._settings[key]

    def _tally(self, route: str, primary: str, shadow: str, setting: _Setting) -> Tally | None:
        """The counts of one pair of backends; None for backends that the route does not have."""
        if primary not in setting.names or shadow not in setting.names:
            self.unknown += 1
            return None
        if route not in self._known_routes:
            self._known_routes.add(route)
            for row in self._resume_from(route):
                same_file = row.capture == self._capture
                self._tallies[route, row.primary, row.shadow] = Tally.resume(row, same_file=same_file)
        basis = setting.basis(primary, shadow)
        tally = self._tallies.get((route, primary, shadow))
        if tally is None or tally.basis != basis:
            counted_up_to = tally.counted_up_to if tally else 0
            tally = Tally(route, primary, shadow, basis, counted_up_to=counted_up_to)
            self._tallies[route, primary, shadow] = tally
            self._known.clear()
        return tally


def _default_backend(record: Record, spec: RouteSpec) -> str | None:
    if record.role == "p":
        return spec.primary.name
    return spec.shadow.backend if spec.shadow else None


def _reader(spec: RouteSpec) -> Read | None:
    if not spec.descriptor:
        return None
    # Protobuf is for the routes that need it.
    from router.shadow.messages import reader

    return reader(spec.descriptor)


def replay(
    records: Iterable[Record], spec_of: SpecOf, at: datetime, *, window: Window | None = None
) -> list[ShadowEvidence]:
    """The evidence that these records amount to. What stays unpaired at the end is counted as lost."""
    fold = EvidenceFold(spec_of, window=window)
    for record in records:
        fold.add(record, 0.0, at)
    fold.expire(float("inf"))
    return fold.changed(at)


def _disagreement(pair: Pair, result: Result, at: datetime) -> Disagreement:
    first = result.differences[0]
    return Disagreement(
        at=at,
        request_id=safe_text(pair.primary.rid, 128),
        path=first.path,
        primary=first.primary,
        shadow=first.shadow,
        why=first.why,
        group=first.group,
        operation=safe_text(f"{pair.primary.method} {pair.primary.path}".strip()),
        paths=tuple(difference.path for difference in result.differences),
    )
