"""Requests that a route keeps with their answers, to be replayed: opt-in, bounded, redacted, private, and not for long.

The samples of a route are one file, for its owner alone, replaced as a whole, so that a kill leaves the old or the new.
"""

import base64
import json
import os
import random
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from inventory.model import Comparison, Moment, RouteSpec, Samples, Value
from router.shadow import bodies
from router.shadow.pair import Pair
from router.shadow.records import Record
from router.shadow.rules import Rules, State, compile_rules

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of one route's samples at most, whatever their number may be."""


class Sample(Value):
    """One request with the answer that its caller got. Bodies are base64; ``at`` is when they were captured."""

    at: Moment
    method: str
    path: str
    request_type: str = ""
    request: str = ""
    code: int
    content_type: str = ""
    answer: str = ""
    micros: int | None = None
    grpc_status: int | None = None

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return 400 + len(self.request) + len(self.answer)

    def primary(self, rid: str, route: str, backend: str) -> Record:
        """The answer as the gateway captured it, under a new id."""
        body = base64.b64decode(self.answer)
        return Record(
            rid=rid, role="p", entry=route, cluster=f"{route}|{backend}", code=self.code, micros=self.micros,
            sent=len(body), body=body, content_type=self.content_type, method=self.method, asked=self.path,
            grpc_status=self.grpc_status,
        )  # fmt: skip


def sample_of(pair: Pair, settings: Samples, at: datetime) -> Sample | None:
    """What is kept of a pair; None where it was not captured whole, failed, or cannot be redacted."""
    primary = pair.primary
    whole = primary.complete and primary.received == len(primary.request)
    if not whole or primary.failed:
        return None
    rules = compile_rules(Comparison(ignore=settings.redact))
    request = redacted(primary.request, rules)
    try:
        opened = bodies.decoded(primary.body, primary.content_encoding)
    except ValueError:
        return None
    answer = redacted(opened, rules)
    if request is None or answer is None:
        return None
    return Sample(
        at=at,
        method=primary.method,
        path=primary.path,
        request_type=primary.request_type,
        request=base64.b64encode(request).decode(),
        code=primary.code,
        content_type=primary.content_type,
        answer=base64.b64encode(answer).decode(),
        micros=primary.micros,
        grpc_status=primary.grpc_status,
    )


def redacted(body: bytes, rules: Rules) -> bytes | None:
    """A JSON body with null at every place that the rules name. None where it is no JSON, so that nothing is sure."""
    if not rules.patterns or not body:
        return body
    try:
        document = bodies.parse_json(body)
    except ValueError:
        return None
    return json.dumps(_without(document.value, rules, rules.start, 0)).encode()


def _without(value: object, rules: Rules, state: State, depth: int) -> object:
    if rules.ignored(state) or depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {key: _without(each, rules, rules.step(state, key), depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, rules, rules.step(state, at), depth + 1) for at, each in enumerate(value)]
    return value


_DEEPEST = 200


class Keeper:
    """The samples of every route that keeps some. ``offer`` each pair, and ``save`` now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, list[Sample]] = {}
        self._seen: dict[str, int] = {}
        self._settings: dict[str, Samples] = {}
        self._changed: set[str] = set()
        # Which requests are kept decides nothing that is secret.
        self._chance = random.Random()  # noqa: S311 - sampling, not cryptography

    def offer(self, pair: Pair, spec: RouteSpec, at: datetime) -> None:
        """Maybe keep a pair: a fair sample of those that were offered since the start.

        Source: J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11 (1985), algorithm R.
        """
        if spec.samples is None:
            return
        route, settings = spec.name, spec.samples
        kept = self._kept.setdefault(route, load(self._folder, route))
        if self._settings.get(route) != settings:
            self._settings[route] = settings
            # What was redacted less, or kept for longer, is not kept on.
            kept.clear()
            self._changed.add(route)
        seen = self._seen[route] = self._seen.get(route, len(kept)) + 1
        place = len(kept) if len(kept) < settings.count else self._chance.randrange(seen)
        if place >= settings.count:
            return
        sample = sample_of(pair, settings, at)
        if sample is None:
            return
        kept[place : place + 1] = [sample]
        self._changed.add(route)

    def save(self, now: datetime) -> None:
        """Write what changed, without what is too old or too much. OSError where it cannot be written."""
        for route in list(self._changed):
            settings, kept = self._settings[route], self._kept[route]
            kept[:] = fitting(kept, settings, now)
            write(self._folder, route, kept)
            self._changed.discard(route)


def fitting(samples: list[Sample], settings: Samples, now: datetime) -> list[Sample]:
    """The samples that may be kept: young enough, and within the bounds of number and size."""
    left = [one for one in samples if now - one.at <= timedelta(days=settings.days)][: settings.count]
    total = 0
    for at, one in enumerate(left):
        total += one.size
        if total > MOST_BYTES:
            return left[:at]
    return left


def load(folder: Path, route: str) -> list[Sample]:
    """The samples of a route; empty where there are none. Lines that are no samples are left out."""
    found = []
    try:
        lines = _file(folder, route).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(Sample.model_validate_json(line))
        except ValidationError:
            continue
    return found


def write(folder: Path, route: str, samples: list[Sample]) -> None:
    """Replace the samples of a route; without any, there is no file."""
    path = _file(folder, route)
    if not samples:
        path.unlink(missing_ok=True)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.writelines(f"{one.model_dump_json()}\n" for one in samples)
    new.replace(path)


def expire(folder: Path, specs: dict[str, RouteSpec], now: datetime) -> None:
    """Delete what is too old, and every sample of a route that keeps none any more."""
    for path in folder.glob("*.jsonl"):
        spec = specs.get(path.stem)
        if spec is None or spec.samples is None:
            path.unlink(missing_ok=True)
            continue
        samples = load(folder, path.stem)
        left = fitting(samples, spec.samples, now)
        if len(left) < len(samples):
            write(folder, path.stem, left)


def _file(folder: Path, route: str) -> Path:
    return folder / f"{route}.jsonl"
