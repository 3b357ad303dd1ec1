"""The error of everything that reads policies, cases and schemas."""

from collections.abc import Sequence

from router.errors import RouteError


class PolicyError(RouteError):
    """A policy set that cannot be used. Its text is one sentence; ``problems`` are all of them, one line each."""

    def __init__(self, sentence: str, problems: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.problems = tuple(problems) or (sentence,)
