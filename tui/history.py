"""Where a person has been: back and forward, pure."""

from dataclasses import dataclass
from typing import NamedTuple


class Opened(NamedTuple):
    """A page that was opened on a screen: its kind and what it is about."""

    place: str
    key: str


class Location(NamedTuple):
    """One of the first screens, and the pages that were opened on it, outermost first."""

    root: str
    opened: tuple[Opened, ...] = ()


LONGEST = 100


@dataclass(frozen=True, slots=True)
class History:
    """Locations that were visited, oldest first, and which of them is shown."""

    visited: tuple[Location, ...]
    at: int = 0

    @property
    def here(self) -> Location:
        """What is shown."""
        return self.visited[self.at]

    @property
    def can_back(self) -> bool:
        """Whether something was visited before."""
        return self.at > 0

    @property
    def can_forward(self) -> bool:
        """Whether one went back from something."""
        return self.at + 1 < len(self.visited)

    def go(self, to: Location) -> "History":
        """With another location shown: what one went back from is forgotten."""
        if to == self.here:
            return self
        visited = (*self.visited[: self.at + 1], to)[-LONGEST:]
        return History(visited, len(visited) - 1)

    def back(self) -> "History":
        """With the one before shown; unchanged at the first."""
        return History(self.visited, max(self.at - 1, 0))

    def forward(self) -> "History":
        """With the one after shown; unchanged at the last."""
        return History(self.visited, min(self.at + 1, len(self.visited) - 1))
