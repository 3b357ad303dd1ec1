"""Policies as code: what an engine is asked and what it answers, who is held to which version, and what follows.

Everything here is pure but ``engines``, one file each and one line in ``engines.ENGINES``. Nothing here knows how a
decision is enforced: the gateways do that, from what ``router.governor`` gives them. Tokens and keys are in
``router.identity``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from inventory.model import Attribute, Decision

Context = Mapping[str, str | int | bool]
"""What is known of one request.

``method``, ``path``, ``size`` in bytes, ``network`` (an address), ``purpose``, ``hour`` (0 to 23) and ``weekday`` (0 is
Monday) in UTC, and ``now`` in seconds since 1970.
"""


class Question(NamedTuple):
    """May this caller call this route? ``principal`` is the id of ``inventory.model.Principal``.

    ``context`` holds what is known of the request: only the time where decisions are made ahead of requests.
    """

    principal: str
    attributes: Mapping[str, Attribute]
    route: str
    route_attributes: Mapping[str, Attribute]
    context: Context


class PolicyEngine(Protocol):
    """One policy set, read once and asked often. Made by ``engines.load``, which raises PolicyError."""

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question, in their order. What cannot be evaluated is a denial with its errors."""

    def mentions(self) -> frozenset[str] | None:
        """What the policies look at; None where that cannot be told, and then anything may count.

        ``principal.NAME``, ``resource.NAME``, ``context.NAME``; ``principal`` or ``resource`` for their ids, and
        ``principal=ID`` or ``resource=ID`` where all that counts is whether the id is that one.
        """
