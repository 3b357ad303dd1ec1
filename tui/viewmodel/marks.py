"""Which rows are marked, pure: one by one, in ranges, or all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Marks:
    """Marked keys. While a range is open, ``anchor`` is where it began and ``base`` what was marked before."""

    marked: frozenset[str] = frozenset()
    anchor: str | None = None
    base: frozenset[str] = frozenset()

    def toggled(self, key: str) -> "Marks":
        """With that one marked, or unmarked."""
        return replace(self, marked=self.marked ^ {key})

    def added(self, key: str) -> "Marks":
        """With that one marked."""
        return replace(self, marked=self.marked | {key})

    def ranged(self, key: str) -> "Marks":
        """With a range begun there, or the open one ended."""
        if self.anchor is not None:
            return Marks(self.marked)
        return Marks(self.marked | {key}, anchor=key, base=self.marked)

    def extended(self, keys: Sequence[str], to: str) -> "Marks":
        """With the open range reaching to that key. Ended where its beginning is not among the keys any more."""
        if self.anchor is None:
            return self
        try:
            a, b = keys.index(self.anchor), keys.index(to)
        except ValueError:
            return Marks(self.marked)
        return replace(self, marked=self.base | frozenset(keys[min(a, b) : max(a, b) + 1]))

    def all_or_none(self, keys: Sequence[str]) -> "Marks":
        """With all of those marked, or none of them where all were."""
        shown = frozenset(keys)
        return Marks(self.marked - shown if shown <= self.marked else self.marked | shown)

    def kept(self, keys: Sequence[str]) -> "Marks":
        """Without what is not there any more."""
        return replace(self, marked=self.marked.intersection(keys)) if self.marked else self
