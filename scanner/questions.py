"""The interpreter of the identification machine: it opens the connections and sends what the machine yields."""

import asyncio
import secrets
from collections.abc import Callable

from inventory.model import Evidence, Exposed, Identified, Kind, Listener, Questioned, Scheme
from scanner.certificate import read_certificate
from scanner.dialogue import CANARY
from scanner.exchange import Answer, Request
from scanner.findings import TLS_PORTS, Ask, Finding, Limits
from scanner.hosts import merged, names_told, tells_more
from scanner.identify import Machine
from scanner.interview import Interview
from scanner.io.http import HttpConnection
from scanner.knowledge import Knowledge
from scanner.ledger import Ledger
from scanner.recall import Recall
from scanner.second import speak_http2

_PLAIN_TO_TLS = (b"plain HTTP request was sent to HTTPS", b"HTTP request to an HTTPS server", b"sent an HTTP request")
_FEWEST, _MOST_REDIRECTS, _MOST_FIRST = 6, 8, 4
_H2_SETTINGS = b"\x04\x00\x00\x00\x00\x00"


def new_token() -> str:
    """A random word for paths that surely do not exist."""
    return secrets.token_hex(6)


def asks(knowledge: Knowledge, limits: Limits) -> Ask:
    """What asks by some knowledge, and remembers what it learns of hosts that answer alike."""
    recall = Recall(knowledge, limits, new_token())

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        return await question(listener, knowledge, limits, Ledger(knowledge), recall)

    return ask


async def question(
    listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger, recall: Recall | None = None
) -> tuple[Finding, ...]:
    """Ask a listener what it is. Never raises for anything that the host does; bounded by ``limits``.

    ``recall`` is what was learnt by asking others, of the same knowledge and limits.

    The findings are ``Exposed``, a ``Certificate`` where TLS was spoken, ``Identified`` and ``Postured``
    for every application found, and ``Questioned`` with all that was asked. What the ledger refuses is
    not sent. Cancelling the task drops the connection at once.
    """
    recall = recall or Recall(knowledge, limits, new_token())
    conversation = _Conversation(listener, knowledge, limits, ledger, recall)
    try:
        async with asyncio.timeout(limits.host):
            await conversation.run()
    except TimeoutError:
        conversation.cut_short()
    finally:
        conversation.close()
    asked = ledger.close(listener)
    return (*conversation.findings, Finding(fact=Questioned(requests=asked)))


class _Conversation:
    def __init__(
        self, listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger, recall: Recall
    ) -> None:
        self._listener = listener
        self._knowledge = knowledge
        self._limits = limits
        self._ledger = ledger
        self._recall = recall
        self._connection: HttpConnection | None = None
        self._machine: Machine | None = None
        self._scheme = Scheme.TCP
        self._applications: tuple[Finding, ...] = ()
        self._certificate: bytes | None = None
        self._why = "no answer was HTTP"
        self._redirects: list[Answer] = []
        self._first: dict[str, Answer] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is known by now."""
        found = [Finding(fact=Exposed(scheme=self._scheme))]
        if self._certificate is not None:
            certificate = read_certificate(self._certificate)
            found.append(Finding(fact=certificate))
        applications = self._applications or (
            Finding(
                fact=Identified(kind=Kind.NOT_HTTP, confidence=0.9),
                evidence=(Evidence(signal=self._why),),
            ),
        )
        return (*found, *applications)

    async def run(self) -> None:
        """Try plain HTTP and TLS, the likelier first, until one of them is answered by HTTP."""
        order = (True, False) if self._listener.port in TLS_PORTS else (False, True)
        only_http2 = False
        for tls in order:
            self.close()
            self._connection = self._connect(tls=tls)
            if not await self._connection.connect():
                if self._connection.failure in {"refused", "timeout"} and not tls:
                    return
                only_http2 = only_http2 or self._connection.failure == "alpn"
                continue
            if tls:
                self._certificate = self._connection.certificate
                self._scheme = Scheme.TLS
            if await self._interview(Scheme.HTTPS if tls else Scheme.HTTP):
                await self._ask_by_name(tls=tls)
                return
            if self._scheme is Scheme.GRPC:
                await self._speak_http2(tls=False)
                return
        if self._certificate is not None or only_http2:
            await self._speak_http2(tls=True)

    def _connect(self, *, tls: bool, name: str | None = None) -> HttpConnection:
        address, port, ignored = self._listener.address, self._listener.port, self._knowledge.ignored
        alike = self._recall.alike
        return HttpConnection(address, port, self._limits, tls=tls, name=name, ignored=ignored, alike=alike)

    async def _ask_by_name(self, *, tls: bool) -> None:
        """Say the names that the listener told to it, where nothing telling answers to its address."""
        found = self._applications
        if tells_more(found):
            return
        certificate = read_certificate(self._certificate).names if self._certificate else ()
        for name in names_told(certificate, self._redirects):
            left = self._limits.requests - len(self._ledger.asked(self._listener))
            if left < _FEWEST:
                return
            self.close()
            self._connection = self._connect(tls=tls, name=name)
            if await self._connection.connect() and await self._differs():
                machine = self._recall.machine(self._listener.port, left - 2)
                self._applications = merged(found, await self._hold(machine, self._note) or (), name)
            if tells_more(self._applications):
                return

    async def _speak_http2(self, *, tls: bool) -> None:
        """Question a listener that speaks HTTP/2 and no HTTP/1.1."""
        self.close()
        spoken = await speak_http2(self._listener, self._knowledge, self._limits, self._ledger, tls=tls)
        self._certificate = spoken.certificate or self._certificate
        if spoken.scheme is not None:
            self._scheme, self._applications = spoken.scheme, spoken.findings

    async def _differs(self) -> bool:
        """Whether the root or an unknown path is answered otherwise by name than by address."""
        for request in (Request("GET", CANARY, CANARY), Request("GET", "/", "/")):
            before = self._first.get(str(request))
            if before is None or self._ledger.refusal(self._listener, request) is not None:
                continue
            assert self._connection is not None
            answer = await self._connection.ask(request)
            self._ledger.record(self._listener, answer)
            if self._note(answer) and answer.status is not None and answer.shape != before.shape:
                return True
        return False

    async def _hold(self, machine: Machine, heed: Callable[[Answer], bool]) -> tuple[Finding, ...] | None:
        """Let a machine ask over the open connection, to its end or until it is not to be heeded."""
        assert self._connection is not None
        return await Interview(machine, self._connection, self._ledger, self._listener, heed).run()

    async def _interview(self, scheme: Scheme) -> bool:
        """Let the machine ask over the open connection. False where this is not the scheme that is spoken."""
        self._machine = self._recall.machine(self._listener.port, self._limits.requests)
        first = True

        def heed(answer: Answer) -> bool:
            nonlocal first
            other, first = first and self._is_other_scheme(answer, scheme), False
            return self._note(answer) and not other

        found = await self._hold(self._machine, heed)
        if found is None:
            return False
        self._applications = found
        if found:
            self._scheme = scheme
        return bool(found)

    def _note(self, answer: Answer) -> bool:
        """Keep of an answer what may tell other names of the host. Always True: there is more to ask."""
        if len(self._redirects) < _MOST_REDIRECTS and answer.header("location"):
            self._redirects.append(answer)
        if len(self._first) < _MOST_FIRST:
            self._first.setdefault(str(answer.request), answer)
        return True

    def _is_other_scheme(self, answer: Answer, scheme: Scheme) -> bool:
        if scheme is not Scheme.HTTP:
            return False
        if answer.status == 400 and any(words in answer.body for words in _PLAIN_TO_TLS):
            return True
        if answer.raw[3:9] == _H2_SETTINGS:
            self._scheme = Scheme.GRPC
            self._why = "it speaks HTTP/2 without an upgrade, as gRPC servers do"
        return False

    def cut_short(self) -> None:
        """The time is up: keep what the answers so far come to, as inconclusive."""
        machine, self._machine = self._machine, None
        if machine is None or self._applications:
            return
        ending: Callable[[Answer], Request] = machine.send
        try:
            request = Request("GET", "/")
            for _ in range(200):
                request = ending(Answer(request, outcome="timeout"))
        except (StopIteration, TypeError) as stop:
            found = getattr(stop, "value", None) or ()
            self._applications = tuple(_inconclusive(finding) for finding in found)
            if found:
                self._scheme = Scheme.HTTPS if self._certificate else Scheme.HTTP

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _inconclusive(finding: Finding) -> Finding:
    if isinstance(finding.fact, Identified):
        return finding.model_copy(update={"fact": finding.fact.model_copy(update={"conclusive": False})})
    return finding
