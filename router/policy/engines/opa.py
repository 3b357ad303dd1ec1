"""Open Policy Agent over its REST API: policies that are kept elsewhere, asked one question at a time.

Interface: OPA's Data API, POST of ``{"input": …}`` to the URL of a document, which answers ``{"result": …}``
(https://www.openpolicyagent.org/docs/rest-api). Where it is away or slow, the answer is a denial that says so.
"""

import http.client
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from inventory.model import Decision, PolicySet
from router.policy import Question
from router.policy.documents import decision_of, document_of, failed
from router.policy.errors import PolicyError

SECONDS = 2.0
MOST_BYTES = 1 << 20
_GIVE_UP = 3
"""After so many failures in one batch, the rest is not asked: a server that is away holds nobody up for long."""


class OpaEngine:
    """One document of one OPA."""

    def __init__(self, url: str) -> None:
        """At the URL of the document. PolicyError where that is none."""
        parts = urlsplit(url.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
            raise PolicyError(f"{url.strip()[:200]!r} is not the URL of a decision, as http://HOST:8181/v1/data/gnomon")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path or "/v1/data/gnomon"

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question, in their order, over one connection."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=SECONDS)
        decided: list[Decision] = []
        failures = 0
        try:
            for question in questions:
                if failures >= _GIVE_UP:
                    decided.append(failed(f"the policy server at {self._host} is not asked: it failed before"))
                    continue
                try:
                    decided.append(self._one(connection, question))
                except (OSError, http.client.HTTPException, ValueError) as error:
                    failures += 1
                    connection.close()
                    decided.append(failed(f"the policy server at {self._host} failed: {_words(error)}"))
        finally:
            connection.close()
        return decided

    def mentions(self) -> None:
        """None: the policies are elsewhere, so anything may count."""

    def _one(self, connection: http.client.HTTPConnection, question: Question) -> Decision:
        body = json.dumps({"input": document_of(question)}).encode()
        connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(MOST_BYTES + 1)
        if answer.status != 200:
            raise ValueError(f"it answered {answer.status}")
        if len(content) > MOST_BYTES:
            raise ValueError("its answer is too large")
        told = json.loads(content)
        return decision_of(told.get("result") if isinstance(told, dict) else None)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def load(version: PolicySet) -> OpaEngine:
    """The engine of a version. PolicyError where it cannot be used."""
    return OpaEngine(version.text)
