"""How a listing of endpoints is sorted: pure, the same for every screen and page."""

from dataclasses import dataclass

SORTABLE = ("risk", "endpoint", "kind", "product", "posture", "governance", "routing", "owner", "presence", "seen",
            "found", "site", "scope")  # fmt: skip
"""What a listing can be sorted by: ``endpoint`` is its address by number, ``seen`` and ``found`` are moments."""


@dataclass(frozen=True, slots=True)
class Order:
    """One of ``SORTABLE`` and a direction. Equals are in the order of address, port and id."""

    by: str = "risk"
    descending: bool = True
