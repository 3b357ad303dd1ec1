"""Kept requests, sent to another candidate, and its answers compared with those that callers once got.

Nothing of it touches the gateway or live traffic. Requests are sent one after the other, as they were kept: without
credentials and without a query, which are never kept. Calls of gRPC are sent as such.
"""

import base64
import contextlib
import http.client
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from inventory.model import RouteSpec, ShadowEvidence, utc_now
from router.errors import RouteError
from router.shadow.bodies import UnreadMessagesError
from router.shadow.evidence import replay
from router.shadow.records import ANSWER_LIMIT, GRPC, Record
from router.shadow.samples import Sample

if TYPE_CHECKING:
    from router.io.calling import Caller

CANDIDATE = "candidate"
MOST_BYTES = 65_536
"""Bytes of an answer that are compared, as at the gateway; a longer one is incomparable."""

_MARKER = "x-gnomon-shadow"


def send_all(
    samples: Iterable[Sample],
    spec: RouteSpec,
    url: str,
    *,
    timeout: float = 30.0,
    report: Callable[[int], None] = lambda _done: None,
) -> ShadowEvidence | None:
    """The evidence that a candidate's answers amount to; None where there was no sample.

    ``timeout`` in seconds for each answer. RouteError where the URL is none that can be sent to.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise RouteError(f"{url!r} is no URL of a candidate: write it like http://10.0.0.9:8000")
    replayed = _with_candidate(spec, url)
    records: list[Record] = []
    with contextlib.ExitStack() as closing:
        caller: Caller | None = None
        for number, sample in enumerate(samples):
            rid = str(number)
            kept = sample.primary(rid, spec.name, spec.primary.name)
            if sample.request_type.startswith(GRPC):
                caller = caller or closing.enter_context(_caller(url, timeout))
                records += [_uncompressed(kept), _call(sample, rid, spec.name, caller)]
            else:
                records += [kept, _ask(sample, rid, spec.name, url, timeout)]
            report(number + 1)
    rows = replay(records, lambda _route, _revision: replayed, utc_now())
    return rows[0] if rows else None


def is_public(url: str) -> bool:
    """Whether some address of a URL's host is neither private nor loopback. RouteError where it has none."""
    host = urlsplit(url).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise RouteError(f"the host {host!r} of the candidate has no address: {error}") from error
    return any(not ipaddress.ip_address(str(one).partition("%")[0]).is_private for one in found)


def _with_candidate(spec: RouteSpec, url: str) -> RouteSpec:
    primary = spec.primary
    return RouteSpec.model_validate(
        {
            **spec.model_dump(),
            "backends": [
                {**primary.model_dump(), "weight": 100},
                {"name": CANDIDATE, "url": url, "weight": 0},
            ],
            "shadow": {"backend": CANDIDATE, "percent": 100},
        }
    )


def _ask(sample: Sample, rid: str, route: str, url: str, timeout: float) -> Record:
    """The candidate's answer to one kept request; status 0 where there was none."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    headers = {_MARKER: "1", **({"content-type": sample.request_type} if sample.request_type else {})}
    began = time.perf_counter()
    code, body, content_type, encoding, length = 0, b"", "", "", 0
    try:
        connection.request(
            sample.method, parts.path.rstrip("/") + sample.path, base64.b64decode(sample.request), headers
        )
        answer = connection.getresponse()
        content_type = answer.headers.get("content-type", "")
        encoding = answer.headers.get("content-encoding", "")
        body = answer.read(MOST_BYTES + 1)
        code, length = answer.status, len(body)
    except (OSError, http.client.HTTPException):
        code = 0
    finally:
        connection.close()
    return replace(
        _record(sample, rid, route, began),
        code=code,
        flagged=_flags(code),
        sent=length,
        body=body[:MOST_BYTES],
        content_type=content_type,
        content_encoding=encoding,
    )


def _caller(url: str, timeout: float) -> "Caller":
    # gRPC is for the routes that need it.
    from router.io.calling import Caller

    return Caller(url, timeout=timeout, marker=_MARKER)


def _call(sample: Sample, rid: str, route: str, caller: "Caller") -> Record:
    """The candidate's answer to one kept call; status 0 where there was none."""
    from router.shadow.messages import framed, frames

    began = time.perf_counter()
    try:
        called = caller.call(sample.path, list(frames(base64.b64decode(sample.request))), MOST_BYTES)
    except UnreadMessagesError as error:
        raise RouteError(f"a kept call of {sample.path} cannot be sent: {error}") from error
    body = b"".join(framed(message) for message in called.messages)
    code = 0 if called.cut or called.status is None else 200
    return replace(
        _record(sample, rid, route, began),
        code=code,
        flagged="" if called.cut else _flags(code),
        returned=ANSWER_LIMIT if called.cut else 0,
        sent=len(body),
        body=body,
        content_type=sample.content_type,
        grpc_status=called.status,
    )


def _uncompressed(kept: Record) -> Record:
    """A kept answer of gRPC as the candidate's is: with open frames, so that sizes can be compared."""
    from router.shadow.messages import framed, frames

    try:
        body = b"".join(framed(message) for message in frames(kept.body))
    except UnreadMessagesError:
        return kept
    return replace(kept, body=body, sent=len(body))


def _flags(code: int) -> str:
    """As the gateway flags what has no answer."""
    return "" if code else "UF"


def _record(sample: Sample, rid: str, route: str, began: float) -> Record:
    """A candidate's answer that just ended, without what it says."""
    micros = int((time.perf_counter() - began) * 1e6)
    return Record(
        rid=rid, role="s", entry=route, cluster=f"{route}|{CANDIDATE}", micros=micros, sent=0, method=sample.method,
        asked=sample.path,
    )  # fmt: skip
