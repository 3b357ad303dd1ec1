"""Puts the questions of the identification machine to a Service or a pod, through the API server's proxy."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from inventory.model import Evidence, Exposed, Identified, Listener, Questioned, Scheme
from scanner.apiserver import Api, Reply, Unanswered
from scanner.cluster.proxy import Door, NotThrough, application_answer, failed, own_error
from scanner.exchange import Answer, Request
from scanner.findings import TLS_PORTS, Finding, Limits
from scanner.identify import Subject, identify
from scanner.knowledge import Knowledge
from scanner.ledger import Ledger
from scanner.permissions import may_ask

_HEADERS = {
    "Accept": "application/json, text/html;q=0.9, */*;q=0.8",
    "Accept-Encoding": "identity",
}
_ASKED_BY_TLS = (b"plain HTTP request was sent to HTTPS", b"HTTP request to an HTTPS server")


class Doorkeeper:
    """Which of the proxy's permissions are missing in which namespace, as the API server itself says.

    A 403 that comes through the proxy may be an application's own: some are API servers themselves, and others
    would have a whole namespace pass for forbidden.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._closed: set[tuple[str, str]] = set()
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    def is_closed(self, door: Door) -> bool:
        """Whether doors of its kind are known to be forbidden in its namespace."""
        return (door.permission, door.namespace) in self._closed

    async def closes(self, door: Door) -> bool:
        """Whether a refusal at a door is the API server's. One that does not say is taken at its first word."""
        async with self._turns[door.permission, door.namespace]:
            if self.is_closed(door):
                return True
            try:
                allowed = await may_ask(self._api, door.namespace, door.through)
            except Unanswered:
                allowed = False
            if not allowed:
                self._closed.add((door.permission, door.namespace))
            return not allowed


async def question_by_proxy(
    api: Api, door: Door, keeper: Doorkeeper, listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger
) -> tuple[Finding, ...]:
    """Ask what answers behind a door. The findings are those of ``scanner.questions.question``.

    ``listener`` is the workload's port that they are about. Raises NotThrough where the proxy never
    reached it, and then nothing is known of it. What the ledger refuses is not sent.
    """
    conversation = _Conversation(api, keeper, listener, knowledge, limits, ledger)
    schemes = (True, False) if listener.port in TLS_PORTS else (False, True)
    error: NotThrough | None = None
    for tls in schemes:
        try:
            found = await conversation.interview(replace(door, tls=tls))
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
    def __init__(
        self, api: Api, keeper: Doorkeeper, listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger
    ) -> None:
        self._api = api
        self._keeper = keeper
        self._listener = listener
        self._knowledge = knowledge
        self._limits = limits
        self._ledger = ledger
        self._admitted = False

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
            signal=f"asked through the API server's proxy of {door.noun} {door.namespace}/{door.name}", source="proxy"
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
        deadline = started + seconds
        reply = await self._get(door, request, seconds)
        own = own_error(reply, door)
        if own is not None and own.outcome == "forbidden" and not _forbids_options(request, reply, door):
            if not self._admitted:
                if await self._keeper.closes(door):
                    raise own
                self._admitted = True
                # Once more: where the credentials had run out, asking what is allowed has renewed them.
                before, reply = reply, await self._get(door, request, max(0.1, deadline - time.monotonic()))
                own = own_error(reply, door)
                if own is not None and own.outcome == "forbidden":
                    self._ledger.record(self._listener, self._heard(door, request, before, started))
            own = own if own is None or own.outcome != "forbidden" else None
        if own is not None:
            raise own
        return self._heard(door, request, reply, started)

    def _heard(self, door: Door, request: Request, reply: Reply, started: float) -> Answer:
        return application_answer(request, reply, door, self._api.host, (time.monotonic() - started) * 1000)

    async def _get(self, door: Door, request: Request, seconds: float) -> Reply:
        try:
            return await self._api.get(
                door.prefix + request.path,
                method=request.method,
                headers=_HEADERS,
                most=self._limits.body,
                seconds=seconds,
            )
        except Unanswered as error:
            raise NotThrough("timeout", f"the API server: {error}") from error


def _forbids_options(request: Request, reply: Reply, door: Door) -> bool:
    """Whether only OPTIONS is forbidden, which is no verb that a role can name: it says nothing of the rest."""
    said = str(reply.document.get("message", ""))
    return request.method == "OPTIONS" and reply.status == 403 and f'resource "{door.permission}"' in said


def _inconclusive(finding: Finding) -> Finding:
    if isinstance(finding.fact, Identified):
        return finding.model_copy(update={"fact": finding.fact.model_copy(update={"conclusive": False})})
    return finding
