"""Everything that was found: the table, and the detail of the row under the cursor."""

from typing import Any, ClassVar

from tui.keymap import bindings
from tui.screens.inventory import Inventory


class EndpointsPage(Inventory):
    """The inventory."""

    PLACE = "endpoints"
    BINDINGS: ClassVar[list[Any]] = bindings("endpoints")
    HEADLINE = "Endpoints"
