"""What is still ungoverned, and why; and the map of what was scanned."""

from typing import Any, ClassVar

from typing_extensions import override

from tui.keymap import bindings
from tui.screens.inventory import Inventory


class GapsPage(Inventory):
    """Endpoints that nobody governs, riskiest first."""

    PLACE = "gaps"
    BINDINGS: ClassVar[list[Any]] = bindings("gaps")
    HEADLINE = "Gaps"
    GAPS = True
    DEFAULT = ("risk", "endpoint", "kind", "why", "owner")

    @override
    def known(self) -> int:
        return self.session.snapshot.gaps - len(self.session.snapshot.scope_gaps)

    @override
    def nothing(self) -> tuple[str, ...]:
        if self.feed.loaded and not self.feed.query.terms:
            return ("● No gap is known.", "Every ML endpoint that was found is governed.")
        return super().nothing()
