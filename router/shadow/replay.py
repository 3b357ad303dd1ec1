"""Kept requests, sent to another candidate, and its answers compared with those that callers once got.

Nothing of it touches the gateway or live traffic. Requests are sent one after the other, as they were kept: without
credentials and without a query, which are never kept.
"""

import base64
import http.client
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from inventory.model import RouteSpec, ShadowEvidence, utc_now
from router.errors import RouteError
from router.shadow.evidence import replay
from router.shadow.records import Record
from router.shadow.samples import Sample

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
    for number, sample in enumerate(samples):
        rid = str(number)
        records += [sample.primary(rid, spec.name, spec.primary.name), _ask(sample, rid, spec.name, url, timeout)]
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
    micros = int((time.perf_counter() - began) * 1e6)
    return Record(
        rid=rid, role="s", route=route, revision=None, backend=CANDIDATE, code=code, flags="", micros=micros,
        received=None, sent=length, request=b"", body=body[:MOST_BYTES], content_type=content_type,
        content_encoding=encoding, method=sample.method, path=sample.path,
    )  # fmt: skip
