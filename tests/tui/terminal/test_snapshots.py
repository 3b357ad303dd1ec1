"""A few screens as they look, at a fixed size, on a fixed inventory at a fixed moment.

After a change that is meant to be seen: ``pytest tests/tui/terminal/test_snapshots.py --snapshot-update``.
"""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from inventory.store import Store
from tui.picture import pictures


@pytest.mark.parametrize("name", ["pulse", "endpoints", "routes"])
async def test_a_screen_of_eighty_by_twenty_four(name: str, snapshot: SnapshotAssertion, store: Store, now) -> None:
    drawn = await pictures(store, (name,), size=(80, 24), clock=lambda: now)
    assert drawn[name] == snapshot(extension_class=SVGImageSnapshotExtension)
