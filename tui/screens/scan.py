"""One scan: where its probes went, what it covered, and the schedules of its scope."""

from typing_extensions import override

from tui.screens.sheet import Sheet
from tui.viewmodel import scans
from tui.viewmodel.text import Line, Run, Tone, line


class ScanPage(Sheet):
    """Everything about one scan."""

    PLACE = "scan"

    @property
    @override
    def headline(self) -> str:
        return self.key

    @override
    def lines(self, width: int) -> list[Line]:
        snapshot = self.session.snapshot
        scan = next((each for each in snapshot.scans if each.id == self.key), None)
        if scan is None:
            return [line(Run("It is not among the latest scans any more.", Tone.WARN))]
        return scans.detail(scan, snapshot.schedules, width, self.now)
