"""Which screens there are: one line for each."""

from collections.abc import Callable, Mapping

from tui.screens.base import Page
from tui.screens.endpoint import EndpointPage
from tui.screens.endpoints import EndpointsPage
from tui.screens.gaps import GapsPage
from tui.screens.help import HelpPage
from tui.screens.policies import PoliciesPage
from tui.screens.pulse import PulsePage
from tui.screens.route import RoutePage
from tui.screens.routes import RoutesPage
from tui.screens.scan import ScanPage
from tui.screens.scans import ScansPage
from tui.screens.space import SpacePage
from tui.session import Session

FIRST: Mapping[str, type[Page]] = {
    "pulse": PulsePage, "endpoints": EndpointsPage, "gaps": GapsPage, "routes": RoutesPage, "scans": ScansPage,
    "policies": PoliciesPage,
}  # fmt: skip
"""The screens that a number key leads to."""

OPENED: Mapping[str, Callable[[Session, str], Page]] = {
    "endpoint": EndpointPage, "route": RoutePage, "scan": ScanPage, "help": HelpPage, "space": SpacePage,
}  # fmt: skip
"""The screens that are opened about something, by its key."""
