"""A few screens as they look, at a fixed size, on a fixed inventory at a fixed moment.

After a change that is meant to be seen: ``pytest tests/tui/terminal/test_snapshots.py --snapshot-update``.
"""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from inventory.calls import Recording
from inventory.model import Call, Decision, Principal, PrincipalKind
from inventory.store import Store
from tui.picture import pictures


@pytest.mark.parametrize("name", ["pulse", "endpoints", "routes"])
async def test_a_screen_of_eighty_by_twenty_four(name: str, snapshot: SnapshotAssertion, store: Store, now) -> None:
    drawn = await pictures(store, (name,), size=(80, 24), clock=lambda: now)
    assert drawn[name] == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_the_policies(snapshot: SnapshotAssertion, store: Store, now) -> None:
    allowed, asked = Decision(allowed=True, policies=("teams",)), {"route": "churn", "revision": 1, "method": "POST"}
    where = {"path": "/predict", "status": 200, "network": "10.0.0.0/24", "client": "curl/8", "at": now}
    calls = [
        Call.model_validate({"id": f"r{n}", "principal": who, "enforced": allowed} | asked | where)
        for n, who in enumerate(("https://idp|ana", "https://idp|ana", "key:abcd1234", ""))
    ]
    store.calls.append(calls, Recording("local", "1:2", 99, 0, 0, 512, now), after=None, lost=2)
    seen = {"first_seen": now, "last_seen": now}
    store.principals.seen(
        [
            Principal(id="https://idp|ana", kind=PrincipalKind.TOKEN, attributes={"team": "churn"}, **seen),
            Principal(id="key:abcd1234", kind=PrincipalKind.KEY, **seen),
        ]
    )
    drawn = await pictures(store, ("policies",), size=(80, 30), clock=lambda: now)
    assert drawn["policies"] == snapshot(extension_class=SVGImageSnapshotExtension)
