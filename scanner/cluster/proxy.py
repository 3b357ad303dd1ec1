"""The API server's service proxy: where a Service is reached, whose an answer is, and what the application said. Pure.

The proxy writes its own path before links and redirects, and answers with errors of its own that look like
the application's. Both are undone here, so that the questions get what the application said.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from scanner.apiserver import Reply
from scanner.exchange import Answer, Request

REWRITTEN = frozenset({"text/html", "application/xhtml+xml"})
_UNREACHED = re.compile(rb"^\s*error trying to reach service", re.IGNORECASE)
_OF_THE_SERVER = frozenset({"audit-id", "x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"})


@dataclass(frozen=True, slots=True)
class Door:
    """A port of a Service behind the proxy. ``port`` is its name where it has one, else its number."""

    namespace: str
    service: str
    port: str
    tls: bool = False

    @property
    def prefix(self) -> str:
        """What comes before the application's own paths; it ends without a slash."""
        name = f"https:{self.service}" if self.tls else self.service
        return f"/api/v1/namespaces/{self.namespace}/services/{name}:{self.port}/proxy"


class NotThrough(RuntimeError):  # noqa: N818 - an outcome, not a fault
    """The proxy did not reach the application. ``outcome`` is ``forbidden``, ``refused``, ``timeout`` or ``absent``."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def own_error(reply: Reply) -> NotThrough | None:
    """What the API server itself says, where the answer is its own; None where the application's.

    Its errors are Status objects, but for a failed connection, which is plain text with a status of 502 to 504.
    """
    if reply.status < 400:
        return None
    said = reply.document
    if said.get("kind") == "Status" and said.get("apiVersion") == "v1" and said.get("code") == reply.status:
        message = str(said.get("message", ""))
        if reply.status in {401, 403}:
            return NotThrough("forbidden", "services/proxy is forbidden")
        if reply.status == 404:
            return NotThrough("absent", "the Service is not there any more")
        if "timed out" in message or "deadline exceeded" in message or reply.status == 504:
            return NotThrough("timeout", "the Service did not answer the API server in time")
        return NotThrough("refused", "no endpoint of the Service takes connections")
    if reply.status in {502, 503, 504} and _UNREACHED.match(reply.body):
        late = b"timeout" in reply.body or b"deadline" in reply.body
        return NotThrough("timeout" if late else "refused", "the API server could not connect to the Service")
    return None


def application_answer(request: Request, reply: Reply, door: Door, host: str, milliseconds: float) -> Answer:
    """What the application answered, with the proxy's rewriting undone. ``host`` is the API server's URL."""
    media = next((value for name, value in reply.headers if name == "content-type"), "")
    body = reply.body
    if media.partition(";")[0].strip().lower() in REWRITTEN:
        body = body.replace(door.prefix.encode(), b"")
    headers = tuple(
        (name, _moved_back(value, door, host) if name in {"location", "content-location"} else value)
        for name, value in reply.headers
        if name not in _OF_THE_SERVER
    )
    return Answer(
        request,
        status=reply.status,
        reason=reply.reason,
        headers=headers,
        body=body,
        outcome="answered" if reply.whole else "too-large",
        milliseconds=milliseconds,
        host_names=frozenset({door.service, f"{door.service}.{door.namespace}"}),
    )


def _moved_back(location: str, door: Door, host: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    if parts.netloc and parts.netloc != urlsplit(host).netloc:
        return location
    if not parts.path.startswith(door.prefix):
        return location
    path = parts.path.removeprefix(door.prefix) or "/"
    return f"{path}?{parts.query}" if parts.query else path


def failed(request: Request, error: NotThrough, milliseconds: float) -> Answer:
    """The answer that stands for one that the application never gave."""
    return replace(Answer(request, milliseconds=milliseconds), outcome=error.outcome)
