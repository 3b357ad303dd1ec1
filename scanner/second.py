"""Servers that speak HTTP/2 and nothing else: gRPC lists its services, whatever else is questioned as ever."""

import secrets
from dataclasses import dataclass

from inventory.model import Evidence, Identified, Kind, Listener, Scheme
from scanner.dialogue import CANARY
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.identify import Subject, identify
from scanner.knowledge import Knowledge
from scanner.ledger import Ledger
from scanner.rpc import judge_services


@dataclass(frozen=True, slots=True)
class Spoken:
    """What came of it: the scheme (None where no HTTP/2 was spoken), the certificate in DER, and the findings."""

    scheme: Scheme | None
    certificate: bytes | None = None
    findings: tuple[Finding, ...] = ()


async def speak_http2(
    listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger, *, tls: bool = False
) -> Spoken:
    """Question a listener over HTTP/2, by prior knowledge or within TLS. Never raises for what the host does.

    The canary tells: where it is answered as gRPC answers, services are listed instead of asking on.
    """
    from scanner.io.http2 import Http2Connection

    connection = Http2Connection(listener.address, listener.port, limits, tls=tls)
    try:
        if not await connection.connect():
            return Spoken(None, connection.certificate)
        canary = await connection.ask(Request("GET", CANARY, CANARY))
        ledger.record(listener, canary)
        if _is_grpc(canary):
            return Spoken(
                Scheme.GRPC, connection.certificate, await _list_services(listener, knowledge, limits, ledger, tls)
            )
        machine = identify(knowledge, limits, Subject(listener.port, secrets.token_hex(6)))
        try:
            next(machine)
            request = machine.send(canary)
            while True:
                if ledger.refusal(listener, request) is not None:
                    answer = Answer(request, outcome="forbidden")
                else:
                    answer = await connection.ask(request)
                    ledger.record(listener, answer)
                request = machine.send(answer)
        except StopIteration as stop:
            found: tuple[Finding, ...] = stop.value
        return Spoken(Scheme.HTTPS if tls else Scheme.HTTP, connection.certificate, found)
    finally:
        connection.close()


def _is_grpc(canary: Answer) -> bool:
    """Whether the answer to a plain GET is that of a gRPC server: its status or media type, or none at all."""
    named = canary.header("grpc-status") or canary.media.startswith("application/grpc")
    return bool(named) or canary.status in {None, 415}


async def _list_services(
    listener: Listener, knowledge: Knowledge, limits: Limits, ledger: Ledger, tls: bool
) -> tuple[Finding, ...]:
    from scanner.io.grpc import ask_services

    replies = await ask_services(listener.address, listener.port, limits, tls=tls)
    for reply in replies:
        ledger.record_call(listener, reply)
    why = "it speaks HTTP/2 without an upgrade, as gRPC servers do"
    silent = Finding(fact=Identified(kind=Kind.NOT_HTTP, confidence=0.9), evidence=(Evidence(signal=why),))
    return judge_services(replies, knowledge) or (silent,)
