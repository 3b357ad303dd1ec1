"""What one run of the terminal UI knows: the store, the last snapshot, and what can be undone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from inventory.settings import Settings
from inventory.store import Store
from tui.changes import Edit
from tui.history import History, Location, Opened
from tui.kept import Kept, load, save
from tui.keymap import Keymap
from tui.viewmodel.state import Snapshot

if TYPE_CHECKING:
    from tui.sealing import Sealer


class Busy:
    """What is being read or written right now. ``wait`` returns once that is nothing."""

    def __init__(self) -> None:
        self._works: set[object] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, work: object) -> None:
        """Something began."""
        self._works.add(work)
        self._idle.clear()

    def discard(self, work: object) -> None:
        """Something ended."""
        self._works.discard(work)
        if not self._works:
            self._idle.set()

    async def wait(self) -> None:
        """Return once nothing is being done."""
        await self._idle.wait()


@dataclass
class Session:
    """Shared by the app and its screens, and changed only on the UI's thread.

    ``version`` is the newest that was heard of, ``shown`` the one that screens may show: behind it while
    the screen is frozen. ``stale_since`` is when the database stopped answering, ``stale_why`` what it said last.
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
    version: int = -1
    shown: int = -1
    undo: list[Edit] = field(default_factory=list)
    redo: list[Edit] = field(default_factory=list)
    busy: Busy = field(default_factory=Busy)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by what reads much: two threads that compute keep the interpreter from the one that draws."""
    history: History = field(default_factory=lambda: History((Location("pulse"),)))
    scrolls: dict[Opened, float] = field(default_factory=dict)
    kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        self.kept = load(self.settings.state_folder)

    def keep(self, **changes: Any) -> str:
        """Keep something for the next session; why not, in a sentence, where the folder cannot be written."""
        self.kept = self.kept.model_copy(update=changes)
        try:
            save(self.settings.state_folder, self.kept)
        except OSError as error:
            return f"it holds until you leave: {self.settings.state_folder} cannot be written ({error.strerror})"
        return ""

    def sealer(self) -> "Sealer":
        """What tries direct paths from this machine. It reads the signatures, so ask beside the UI's thread."""
        from tui.sealing import Sealer

        return Sealer(self.store, self.settings)

    @property
    def held_back(self) -> bool:
        """Whether there is news that the freeze holds back."""
        return self.frozen and self.version > self.shown


def empty(now: datetime) -> Snapshot:
    """A snapshot of nothing, for the moment before the first one."""
    return Snapshot(version=-1, at=now)
