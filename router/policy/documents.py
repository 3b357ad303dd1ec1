"""Pure: a question as the document that Rego policies see as ``input``, and what their answer must look like.

``input.principal`` has the caller's ``id`` and attributes, ``input.resource`` the route's ``name`` and attributes,
``input.context`` what is known of the request. The answer is the package ``gnomon``: ``allow`` is true or false, and
``policies`` a set of the ids of those that decided.
"""

from typing import Any

from inventory.model import Decision
from router.policy import Question

PACKAGE = "gnomon"


def document_of(question: Question) -> dict[str, Any]:
    """The input of one question."""
    return {
        "principal": {**_words(question.attributes), "id": question.principal},
        "resource": {**_words(question.route_attributes), "name": question.route},
        "context": dict(question.context),
    }


def decision_of(answer: object) -> Decision:
    """What a policy answered; a denial with the reason where it answered nothing that can be read."""
    if not isinstance(answer, dict) or not isinstance(answer.get("allow"), bool):
        return failed(f"the policy's package {PACKAGE} has no allow that is true or false")
    policies = answer.get("policies", [])
    if isinstance(policies, dict):
        policies = list(policies)
    if not isinstance(policies, list) or not all(isinstance(one, str) for one in policies):
        return failed(f"what the policy's package {PACKAGE} calls policies is no set of ids")
    return Decision(allowed=answer["allow"], policies=tuple(sorted(policies)))


def failed(why: str) -> Decision:
    """A denial because of an error."""
    return Decision(allowed=False, errors=(" ".join(why.split())[:500],))


def _words(attributes: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else list(value) for name, value in attributes.items()}
