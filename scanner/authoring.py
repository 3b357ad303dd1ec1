"""For people who add products: transcripts of real hosts, and a signature tried against one of them.

A transcript is a YAML file: which product, where it comes from, and each request with its answer. The tests
replay all of them through the machine, without a socket.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inventory.model import Asked, Identified, Listener, Postured, Questioned
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.identify import Subject, identify
from scanner.knowledge import Knowledge, assemble
from scanner.ledger import Ledger
from scanner.questions import question
from scanner.signature import Signature

LONGEST_BODY = 16 * 1024
"""Bytes of a body that a transcript keeps."""

_NOWHERE = "192.0.2.1"
_TOKEN = re.compile(
    r"((?:token|xsrf|csrf|secret|session)[\w-]*[\\\"']{0,3}\s*[:=]\s*[\\\"']{0,3})[\w|+/=.-]{12,}", re.IGNORECASE
)
_KEPT = frozenset(
    {
        "allow",
        "content-security-policy",
        "content-type",
        "location",
        "server",
        "www-authenticate",
        "x-powered-by",
    }
)
_SECRET = ("cookie", "authorization", "token", "key", "date", "etag", "request-id")


class RecordingLedger(Ledger):
    """A ledger that also keeps every answer whole, for a transcript."""

    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(knowledge)
        self.answers: list[Answer] = []

    def record(self, listener: Listener, answer: Answer) -> None:
        """As every ledger, and keep the answer."""
        super().record(listener, answer)
        self.answers.append(answer)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a signature at one host: what was found, and each of its signals that held or not."""

    findings: tuple[Finding, ...]
    held: tuple[str, ...]
    missed: tuple[str, ...]
    requests: tuple[Asked, ...] = field(default=())

    @property
    def identified(self) -> tuple[str, ...]:
        """The products that were found, one for every base path."""
        facts = (finding.fact for finding in self.findings)
        return tuple(fact.product or "nothing" for fact in facts if isinstance(fact, Identified))


async def try_signature(signature: Signature, listener: Listener, knowledge: Knowledge, limits: Limits) -> Trial:
    """Question a host with one signature added to the knowledge. Raises SignatureError where they conflict.

    A signal is listed as missed only where its request was answered.
    """
    together = assemble([*(s for s in knowledge.signatures.values() if s.id != signature.id), signature])
    ledger = RecordingLedger(together)
    findings = await question(listener, together, limits, ledger)
    held: list[str] = []
    missed: list[str] = []
    for signal in signature.signals:
        heard = [answer for answer in ledger.answers if signal.on in _names(answer)]
        if heard:
            words = f"{signal.on}: {signal.proves}"
            (held if any(signal.when.holds(answer) for answer in heard) else missed).append(words)
    asked = next((f.fact.requests for f in findings if isinstance(f.fact, Questioned)), ())
    return Trial(findings, tuple(held), tuple(missed), asked)


def _names(answer: Answer) -> tuple[str, ...]:
    request = answer.request
    named = ["any", f"{request.method} {request.relative or request.path}"]
    named += ["root"] if (request.relative or request.path) == "/" else []
    named += ["canary"] if request.path.endswith("/-/routes") and request.method == "GET" else []
    return tuple(named)


async def record(listener: Listener, knowledge: Knowledge, limits: Limits) -> str:
    """Question a host and write down the transcript, as YAML. Cookies, tokens, keys and dates are left out."""
    ledger = RecordingLedger(knowledge)
    findings = await question(listener, knowledge, limits, ledger)
    written = write_transcript(ledger.answers, findings, port=listener.port, origin="recorded")
    return _TOKEN.sub(r"\1redacted", written.replace(listener.address, _NOWHERE))


def write_transcript(answers: list[Answer], findings: tuple[Finding, ...], *, port: int, origin: str) -> str:
    """The transcript of answers as YAML, with what they were found to be."""
    document = {
        "origin": origin,
        "port": port,
        "expect": [
            {
                "base_path": finding.base_path,
                "product": finding.fact.product,
                "kind": finding.fact.kind.value,
                "is_model_endpoint": finding.fact.is_model_endpoint,
                "posture": _posture(findings, finding.base_path),
            }
            for finding in findings
            if isinstance(finding.fact, Identified)
        ],
        "answers": [_written(answer) for answer in answers],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _posture(findings: tuple[Finding, ...], base_path: str) -> str:
    facts = (f.fact for f in findings if f.base_path == base_path)
    return next((fact.posture.value for fact in facts if isinstance(fact, Postured)), "unknown")


def _written(answer: Answer) -> dict[str, Any]:
    written: dict[str, Any] = {"ask": str(answer.request), "status": answer.status}
    if answer.reason:
        written["reason"] = answer.reason
    if answer.outcome != "answered":
        written["outcome"] = answer.outcome
    headers = {name: value[:300] for name, value in answer.headers if _is_kept(name)}
    if headers:
        written["headers"] = headers
    if answer.body:
        written["body"] = answer.text[:LONGEST_BODY]
    return written


def _is_kept(name: str) -> bool:
    return name in _KEPT or (name.startswith("x-") and not any(secret in name for secret in _SECRET))


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript, read: the answers by request, the port and what they should be found to be."""

    origin: str
    port: int
    expect: tuple[Mapping[str, Any], ...]
    answers: Mapping[str, Answer]

    def replay(self, knowledge: Knowledge, limits: Limits) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """Let the machine question the transcript: its findings, and the requests it made, in order.

        A request that the transcript does not hold is answered as its canary was; the ledger refuses
        here what it refuses in earnest.
        """
        listener = Listener(site="transcript", address=_NOWHERE, port=self.port)
        ledger = Ledger(knowledge)
        machine = identify(knowledge, limits, Subject(self.port, "0123456789ab"))
        asked: list[str] = []
        try:
            request = next(machine)
            while True:
                if ledger.refusal(listener, request) is not None:
                    answer = Answer(request, outcome="forbidden")
                else:
                    answer = self._answer(request)
                    asked.append(str(request))
                    ledger.record(listener, answer)
                request = machine.send(answer)
        except StopIteration as stop:
            return stop.value, tuple(asked)

    def _answer(self, request: Request) -> Answer:
        known = self.answers.get(str(request))
        if known is None and request.method == "OPTIONS":
            return Answer(request, status=404)
        if known is None:
            known = self.answers.get("GET /-/routes") or Answer(request, status=404)
        return Answer(
            request=request,
            status=known.status,
            reason=known.reason,
            headers=known.headers,
            body=b"" if request.method == "HEAD" else known.body,
            outcome=known.outcome,
            host_names=frozenset({_NOWHERE, f"{_NOWHERE}:{self.port}"}),
        )


def read_transcript(path: Path) -> Transcript:
    """The transcript in a file. Raises ValueError with one sentence where it is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    whole = isinstance(document, dict) and isinstance(document.get("answers"), list)
    if not whole:
        raise ValueError(f"{path}: a transcript has origin, port, expect and answers; record one with signature record")
    return Transcript(
        origin=str(document.get("origin", "")),
        port=int(document.get("port", 80)),
        expect=tuple(document.get("expect", ())),
        answers={str(answer.request): answer for answer in map(_read, document["answers"])},
    )


def _read(entry: Mapping[str, Any]) -> Answer:
    method, _, path = str(entry["ask"]).partition(" ")
    headers = entry.get("headers") or {}
    return Answer(
        request=Request(method, path, path),  # type: ignore[arg-type]  # the ledger checks it on replay
        status=entry.get("status"),
        reason=str(entry.get("reason", "")),
        headers=tuple((str(name), str(value)) for name, value in headers.items()),
        body=str(entry.get("body", "")).encode(),
        outcome=str(entry.get("outcome", "answered")),
    )


def replay_all(
    folder: Path, knowledge: Knowledge, limits: Limits
) -> Iterator[tuple[Path, Transcript, tuple[Finding, ...]]]:
    """Every transcript of a folder with the findings of its replay, in the order of names."""
    for path in sorted(folder.glob("*.yaml")):
        transcript = read_transcript(path)
        yield path, transcript, transcript.replay(knowledge, limits)[0]
