"""Forms that occur many times: what they say is made once, however many routes say it."""

from typing import Any


class Fixed(dict[str, Any]):
    """The form of a message, never changed once it is made. To everybody else it is a plain mapping."""

    __slots__ = ("by", "said")

    def __init__(self, form: dict[str, Any]) -> None:
        """Nothing is said of it yet."""
        super().__init__(form)
        self.by: object = None
        """Who last made a message of it, and ``said``: that message, serialised."""
        self.said = b""
