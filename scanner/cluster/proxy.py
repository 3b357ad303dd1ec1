"""The API server's proxy: where a Service or a pod is reached, whose an answer is, and what the application said. Pure.

The proxy writes its own path before links and redirects, and answers with errors of its own that look like
the application's. Both are undone here, so that the questions get what the application said.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from scanner.apiserver import Reply
from scanner.exchange import Answer, Request

Through = Literal["services", "pods"]
"""What the proxy is asked to lead to. Each is a permission of its own."""

REWRITTEN = frozenset({"text/html", "application/xhtml+xml"})
_UNREACHED = re.compile(r"\s*error trying to reach service", re.IGNORECASE)
_LATE = re.compile(r"time(?:d )?out|deadline exceeded", re.IGNORECASE)
_NO_WAY = re.compile(r"no endpoints available for service|no service port |address not allowed")
_OF_THE_SERVER = frozenset({"audit-id", "x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"})


@dataclass(frozen=True, slots=True)
class Door:
    """A port behind the proxy, of a Service or of a pod itself.

    ``port`` is as the proxy wants it: of a Service its name where it has one, else its number; of a pod the number.
    """

    namespace: str
    name: str
    port: str
    through: Through = "services"
    tls: bool = False

    @property
    def prefix(self) -> str:
        """What comes before the application's own paths; it ends without a slash."""
        name = f"https:{self.name}" if self.tls else self.name
        return f"/api/v1/namespaces/{self.namespace}/{self.through}/{name}:{self.port}/proxy"

    @property
    def permission(self) -> str:
        """What has to be allowed, as RBAC names it."""
        return f"{self.through}/proxy"

    @property
    def noun(self) -> str:
        """What it is a door of, in words."""
        return "Service" if self.through == "services" else "pod"


class NotThrough(RuntimeError):  # noqa: N818 - an outcome, not a fault
    """The proxy did not reach the application.

    ``outcome`` is ``forbidden``, ``refused``, ``timeout``, or ``absent`` where the door leads nowhere: its
    Service or pod is not there any more, or the API server has no address for it that it would connect to.
    """

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def own_error(reply: Reply, door: Door) -> NotThrough | None:
    """What the API server itself says, where the answer seems to be its own; None where the application's.

    Its errors are Status objects; older servers say that a connection failed in plain text, with a status of
    502 to 504. Applications that are API servers themselves answer Status objects too, mostly 401 and 403:
    whether ``forbidden`` is true only the API server can tell, asked what is allowed.
    """
    if reply.status < 400:
        return None
    said = reply.document
    if said.get("kind") == "Status" and said.get("apiVersion") == "v1" and said.get("code") == reply.status:
        return _by_status(reply.status, str(said.get("message", "")), door)
    text = reply.body[:1024].decode("utf-8", "replace")
    if reply.status in {502, 503, 504} and _UNREACHED.match(text):
        return _unreached(text, door)
    return None


def _by_status(code: int, message: str, door: Door) -> NotThrough | None:
    if code in {401, 403}:
        return NotThrough("forbidden", f"{door.permission} is forbidden")
    if code == 404:
        # Anything else that is not found is a path of an application that is an API server.
        gone = message == f'{door.through} "{door.name}" not found'
        return NotThrough("absent", f"the {door.noun} is not there any more") if gone else None
    if _NO_WAY.search(message):
        return NotThrough("absent", f"the API server has no address of the {door.noun} that it connects to")
    if code == 504:
        return NotThrough("timeout", f"the {door.noun} did not answer the API server in time")
    return _unreached(message, door)


def _unreached(message: str, door: Door) -> NotThrough:
    if _LATE.search(message):
        return NotThrough("timeout", f"the {door.noun} did not answer the API server in time")
    return NotThrough("refused", f"the API server could not connect to the {door.noun}")


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
        host_names=frozenset({door.name, f"{door.name}.{door.namespace}"}),
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
