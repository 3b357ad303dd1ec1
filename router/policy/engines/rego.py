"""Rego, evaluated in this process: compiled once, asked often.

Language: https://www.openpolicyagent.org/docs/policy-language.
"""

import json
from collections.abc import Sequence

from regopy import Interpreter, RegoError

from inventory.model import Decision, PolicySet
from router.policy import Question
from router.policy.documents import PACKAGE, decision_of, document_of, failed
from router.policy.errors import PolicyError

_QUERY = f"answer = data.{PACKAGE}"


class RegoEngine:
    """One Rego module. Not for several threads at once."""

    def __init__(self, text: str) -> None:
        """Read and compile it. PolicyError where it is not Rego, or has no ``allow`` in the package ``gnomon``."""
        self._interpreter = Interpreter()
        try:
            self._interpreter.add_module("policies", text)
            self._bundle = self._interpreter.build(_QUERY)
        except RegoError as error:
            raise PolicyError(f"the policies are not Rego: {_first(error)}") from error
        if not self._bundle.ok:
            raise PolicyError("the policies are not Rego: they cannot be compiled")
        probe = self._one(document_of(Question("", {}, "", {}, {})))
        if probe.errors:
            raise PolicyError(f"{probe.errors[0]}: write `package {PACKAGE}` and `default allow := false`")

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question, in their order."""
        return [self._one(document_of(question)) for question in questions]

    def mentions(self) -> None:
        """None: what a Rego module looks at is not read off it, so anything may count."""

    def _one(self, document: dict[str, object]) -> Decision:
        try:
            self._interpreter.set_input_term(json.dumps(document))
            output = self._interpreter.query_bundle(self._bundle)
            if not output.ok():
                return failed(str(output))
            # Where no rule of the package has a value, there is no answer, and no JSON either.
            answer = str(output)
            return decision_of(json.loads(answer)["bindings"]["answer"] if answer.startswith("{") else None)
        except (RegoError, ValueError, LookupError, TypeError) as error:
            return failed(_first(error))


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def load(version: PolicySet) -> RegoEngine:
    """The engine of a version. PolicyError where it cannot be used."""
    return RegoEngine(version.text)
