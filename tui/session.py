"""What one run of the terminal UI knows: the store, the last snapshot, and what can be undone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from inventory.coverage import Coverage
from inventory.settings import Settings
from inventory.store import Store
from tui.changes import Edit
from tui.keymap import Keymap
from tui.viewmodel.state import Snapshot

NOTHING = Coverage((), ())


@dataclass
class Session:
    """Shared by the app and its screens, and changed only on the UI's thread.

    ``stale_since`` is when the database stopped answering. ``waiting`` is a newer snapshot that the
    freeze holds back.
    """

    store: Store
    settings: Settings
    clock: Callable[[], datetime]
    keys: Keymap
    read_only: bool
    snapshot: Snapshot
    loaded: bool = False
    stale_since: datetime | None = None
    stale_why: str = ""
    frozen: bool = False
    waiting: Snapshot | None = None
    undo: list[Edit] = field(default_factory=list)
    redo: list[Edit] = field(default_factory=list)

    @property
    def newest(self) -> Snapshot:
        """The newest snapshot, shown or held back."""
        return self.waiting or self.snapshot


def empty(now: datetime) -> Snapshot:
    """A snapshot of nothing, for the moment before the first one."""
    return Snapshot(version=-1, at=now, endpoints=(), coverage=NOTHING)
