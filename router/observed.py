"""What a gateway has: the revisions that it acknowledged, and the ones that it refused."""

from pydantic import Field

from inventory.model import Revision, Value


class Rejection(Value):
    """A revision that the gateway refused, and its words for why."""

    number: int
    error: str


class Observed(Value):
    """The state of one gateway.

    ``routes`` maps the name of a route to the revision that is served. ``rejected`` maps it to the newest
    revision that the gateway refused; what it served before is still in ``routes``.
    """

    routes: dict[str, Revision] = Field(default_factory=dict)
    rejected: dict[str, Rejection] = Field(default_factory=dict)
