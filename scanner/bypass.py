"""Tries direct paths of endpoints, and the gateway beside them as a control, to see whether there is a way around.

A trial is one harmless request without credentials, for a path that no framework serves. It goes through the
ledger like every request of a scan. What is silent is tried again before it is called so.
"""

import asyncio
import socket
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from ipaddress import ip_address

from inventory.model import Control, Direct, Listener, Path, Scope, Tried, utc_now
from inventory.settings import Settings
from scanner.dialogue import CANARY
from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.io.http import HttpConnection
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.quiet import parse_quiet, quiet_until
from scanner.targets import TargetError, parse_network
from scanner.together import together

ATTEMPTS = 3
"""How often a path is tried that neither accepts nor refuses: a lost packet is no firewall."""

_AT_ONCE = 64
_NOBODY = "nobody.invalid"
_FAILED = {
    "refused": (Direct.REFUSED, "refuses connections"),
    "timeout": (Direct.SILENT, "does not answer"),
    "reset": (Direct.SILENT, "cannot be reached"),
    "tls": (Direct.CLOSED, "accepts no TLS handshake of a stranger"),
    "alpn": (Direct.OPEN, "accepts a TLS handshake"),
}
_UNHEARD = {
    "closed": (Direct.CLOSED, "accepts, and hangs up without a byte"),
    "reset": (Direct.CLOSED, "accepts, and hangs up without a byte"),
    "tls": (Direct.CLOSED, "accepts no TLS handshake of a stranger"),
    "timeout": (Direct.UNKNOWN, "accepts and says nothing: whether it would serve is not known"),
    "forbidden": (Direct.UNKNOWN, "must not be asked"),
}


class Trial:
    """Tries paths with the limits and signatures of the settings. Raises SignatureError where those are wrong."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is sent before ``paths`` or ``control``."""
        self._knowledge = load_knowledge(settings.signatures)
        self._limits = Limits(connect=settings.scan_timeout, answer=settings.answer_timeout)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def paths(self, paths: Sequence[Path], scope: Scope) -> tuple[Tried, ...]:
        """What each path does, in their order. Never raises for anything that a host does.

        What the scope excludes or does not allow, and anything in its quiet hours, is not tried.
        """
        return tuple(await together(self._path(one, scope) for one in paths))

    async def control(self, address: str, port: int, host: str, base: str = "/") -> Control:
        """What the gateway at an address answers for a host name, below a path. It is asked with and without TLS."""
        answer = Answer(Request("GET", CANARY, CANARY), outcome="!timeout")
        where = Path(via="gateway", host=address, port=port, name=host)
        for tls in (False, True):
            where = where.model_copy(update={"tls": tls})
            answer = await self._ask(where, address, base.rstrip("/"))
            if answer.status is not None or answer.outcome in {"!refused", "!timeout"}:
                break
        if answer.status is not None:
            # What answers for every name alike leads nowhere, or is no gateway at all.
            nobody = await self._ask(where.model_copy(update={"name": _NOBODY}), address, base.rstrip("/"))
            if nobody.shape == answer.shape:
                return Control(address=str(where), host=host, words="answers as for a name that it does not have,")
            return Control(address=str(where), host=host, status=answer.status)
        _, words = _told(answer)
        return Control(address=str(where), host=host, words=words)

    async def _path(self, path: Path, scope: Scope) -> Tried:
        untried = partial(Tried, path=path, did=Direct.UNKNOWN)
        try:
            address = await _address_of(path)
        except OSError:
            return untried(words="has a name that means nothing here")
        if why := hindrance(scope, address, utc_now()):
            return untried(words=why)
        source = _source_towards(address, path.port)
        if source is None:
            return untried(words="has no route from here")
        answer = await self._ask(path, address)
        did, words = _told(answer)
        return Tried(path=path, did=did, words=words, source=source)

    async def _ask(self, path: Path, address: str, base: str = "") -> Answer:
        """The answer of one path, tried until it is no longer in doubt."""
        request = Request("GET", base + CANARY, CANARY)
        listener, ledger = Listener(site="seal", address=address, port=path.port), Ledger(self._knowledge)
        answer = Answer(request, outcome="forbidden")
        async with self._slots:
            for _ in range(ATTEMPTS):
                if ledger.refusal(listener, request) is not None:
                    break
                connection = HttpConnection(address, path.port, self._limits, tls=path.tls, name=path.name)
                try:
                    opened = await connection.connect()
                    # A connection that failed is marked, to be told from one that opened and then failed.
                    failed = Answer(request, outcome=f"!{connection.failure}")
                    answer = await connection.ask(request) if opened else failed
                finally:
                    connection.close()
                ledger.record(listener, answer)
                if answer.status is not None or answer.raw or answer.outcome not in {"!timeout", "!reset", "timeout"}:
                    break
        return answer


def hindrance(scope: Scope, address: str, now: datetime) -> str | None:
    """Why an address must not be sent anything now, by the scope that an endpoint is of; None where it may."""
    numeric = ip_address(address.partition("%")[0])
    for excluded in scope.exclude:
        try:
            network = parse_network(excluded)
        except TargetError:
            continue
        if numeric.version == network.version and numeric in network:
            return f"is excluded from the scope {scope.name}"
    if numeric.is_global and not scope.allow_public:
        return f"is public, which the scope {scope.name} does not allow"
    if (until := quiet_until([parse_quiet(one) for one in scope.quiet], now)) is not None:
        return f"is in the scope {scope.name}, which has quiet hours until {until:%H:%M} UTC"
    return None


def _told(answer: Answer) -> tuple[Direct, str]:
    if answer.status is not None:
        return Direct.OPEN, f"answered {answer.status}"
    if answer.raw or answer.outcome in {"invalid-http", "too-large"}:
        return Direct.OPEN, "answered, though not by HTTP"
    if answer.outcome.startswith("!"):
        return _FAILED.get(answer.outcome[1:], (Direct.UNKNOWN, "could not be tried"))
    return _UNHEARD.get(answer.outcome, (Direct.UNKNOWN, "could not be tried"))


async def _address_of(path: Path) -> str:
    """The address that a path's host means here. Raises OSError where it means nothing."""
    if path.name is None:
        return path.host
    found = await asyncio.get_running_loop().getaddrinfo(path.host, path.port, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def _source_towards(address: str, port: int) -> str | None:
    """The address that this machine would speak from; None where it has no route. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))
        except OSError:
            return None
        return str(probe.getsockname()[0])
