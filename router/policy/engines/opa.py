"""Open Policy Agent over its data API: POST to the URL of a decision (https://www.openpolicyagent.org/docs/rest-api).

The URL is that of a package, ``…/v1/data/gnomon``, or of a rule in it; ``answers`` says what it has to answer.
"""

import json
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from inventory.model import Decision, PolicySet
from router.policy import Question
from router.policy.engines.answers import decision_of, dump, failed, input_of
from router.policy.errors import PolicyError

SECONDS = 2.0
_LONGEST = 1_000_000


class OpaEngine:
    """One decision of an OPA. What it cannot be asked is a denial that says why."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        """``seconds`` is how long an answer may take. PolicyError where the URL is none."""
        try:
            parts = urlsplit(url.strip())
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            usable = None
        if not usable or not parts.path.startswith("/v1/data/"):
            raise PolicyError(
                f"not the URL of an OPA decision: {url.strip()!r}; one is http://HOST:8181/v1/data/gnomon"
            )
        self._parts = parts
        self._seconds = seconds

    def mentions(self) -> frozenset[str] | None:
        """None: what an OPA looks at is not known here."""
        return None

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question, all over one connection."""
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=self._seconds)
        decided: list[Decision] = []
        try:
            for question in questions:
                decided.append(self._ask(connection, question))
                if decided[-1].errors:
                    # Who did not answer in time is not waited for again and again.
                    decided += [decided[-1]] * (len(questions) - len(decided))
                    break
        finally:
            connection.close()
        return decided

    def _ask(self, connection: HTTPConnection, question: Question) -> Decision:
        try:
            connection.request(
                "POST",
                self._parts.path + (f"?{self._parts.query}" if self._parts.query else ""),
                dump({"input": input_of(question)}),
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            body = response.read(_LONGEST + 1)
            if response.status != 200:
                return failed(f"OPA answered {response.status}")
            if len(body) > _LONGEST:
                return failed("OPA's answer is longer than a megabyte")
            answer = json.loads(body)
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            return failed(f"OPA could not be asked: {' '.join(str(error).split()) or type(error).__name__}")
        if not isinstance(answer, dict) or "result" not in answer:
            # The API leaves the result out where the document is undefined.
            return failed("OPA has no such decision")
        return decision_of(answer["result"])


def load(version: PolicySet) -> OpaEngine:
    """The engine of a version. PolicyError where it cannot be used."""
    return OpaEngine(version.text)
