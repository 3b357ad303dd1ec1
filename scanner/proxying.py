"""Puts the questions of the identification machine to a Service, through the API server's proxy."""

import secrets
import time
from collections.abc import Sequence

from inventory.model import Evidence, Exposed, Identified, Listener, Questioned, Scheme
from scanner.apiserver import Api, Unanswered
from scanner.cluster.proxy import Door, NotThrough, application_answer, failed, own_error
from scanner.exchange import Answer, Request
from scanner.findings import TLS_PORTS, Finding, Limits
from scanner.identify import Subject, identify
from scanner.knowledge import Knowledge
from scanner.ledger import Ledger

_HEADERS = {
    "Accept": "application/json, text/html;q=0.9, */*;q=0.8",
    "Accept-Encoding": "identity",
}
_ASKED_BY_TLS = (b"plain HTTP request was sent to HTTPS", b"HTTP request to an HTTPS server")


async def question_by_proxy(
    api: Api, door: Door, listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger
) -> tuple[Finding, ...]:
    """Ask what answers behind a Service. The findings are those of ``scanner.questions.question``.

    ``listener`` is the workload's port that they are about. Raises NotThrough where the proxy never
    reached it, and then nothing is known of it. What the ledger refuses is not sent.
    """
    conversation = _Conversation(api, listener, knowledge, limits, ledger)
    schemes = (True, False) if listener.port in TLS_PORTS else (False, True)
    error: NotThrough | None = None
    for tls in schemes:
        try:
            found = await conversation.interview(Door(door.namespace, door.service, door.port, tls))
        except NotThrough as trouble:
            error = error or trouble
            if trouble.outcome in {"forbidden", "absent", "timeout"}:
                break
            continue
        if found:
            return (*found, Finding(fact=Questioned(requests=ledger.close(listener))))
    ledger.close(listener)
    raise error or NotThrough("refused", "what answers there is no HTTP")


class _Conversation:
    def __init__(self, api: Api, listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger) -> None:
        self._api = api
        self._listener = listener
        self._knowledge = knowledge
        self._limits = limits
        self._ledger = ledger

    async def interview(self, door: Door) -> Sequence[Finding]:
        """Let the machine ask through one door. Empty where this is not the scheme that is spoken there."""
        machine = identify(self._knowledge, self._limits, Subject(self._listener.port, secrets.token_hex(6)))
        deadline = time.monotonic() + self._limits.host
        request = next(machine)
        first, late = True, False
        try:
            while True:
                left = deadline - time.monotonic()
                late = late or left <= 0
                answer = Answer(request, outcome="timeout") if late else await self._answer(door, request, left, first)
                if first and not door.tls and answer.status == 400 and any(s in answer.body for s in _ASKED_BY_TLS):
                    return ()
                first = False
                request = machine.send(answer)
        except StopIteration as stop:
            found: tuple[Finding, ...] = stop.value
        if not found:
            return ()
        said = Evidence(
            signal=f"asked through the API server's proxy of Service {door.namespace}/{door.service}", source="proxy"
        )
        exposed = Finding(fact=Exposed(scheme=Scheme.HTTPS if door.tls else Scheme.HTTP), evidence=(said,))
        return (exposed, *(_inconclusive(one) if late else one for one in found))

    async def _answer(self, door: Door, request: Request, left: float, first: bool) -> Answer:
        """One answer. Raises NotThrough where the first request already does not reach the application."""
        if self._ledger.refusal(self._listener, request) is not None:
            return Answer(request, outcome="forbidden")
        started = time.monotonic()
        try:
            answer = await self._send(door, request, min(left, self._limits.answer + self._limits.connect))
        except NotThrough as error:
            if first:
                raise
            answer = failed(request, error, (time.monotonic() - started) * 1000)
        if answer.outcome != "forbidden":
            self._ledger.record(self._listener, answer)
        return answer

    async def _send(self, door: Door, request: Request, seconds: float) -> Answer:
        started = time.monotonic()
        try:
            reply = await self._api.get(
                door.prefix + request.path,
                method=request.method,
                headers=_HEADERS,
                most=self._limits.body,
                seconds=seconds,
            )
        except Unanswered as error:
            raise NotThrough("timeout", f"the API server: {error}") from error
        own = own_error(reply)
        if own is not None:
            raise own
        return application_answer(request, reply, door, self._api.host, (time.monotonic() - started) * 1000)


def _inconclusive(finding: Finding) -> Finding:
    if isinstance(finding.fact, Identified):
        return finding.model_copy(update={"fact": finding.fact.model_copy(update={"conclusive": False})})
    return finding
