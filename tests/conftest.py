"""How the suite is shared between workers: a file's tests stay together, and so do all that set up demonstrations.

Each file has loopback addresses of its own, demonstrations claim the same few, and one test holds all of those at once.
"""

import pytest


@pytest.hookimpl(tryfirst=True)  # the workers read the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        demonstration = item.path.parent.name == "demo" or item.path.name == "test_demo.py"
        item.add_marker(pytest.mark.xdist_group("demo" if demonstration else str(item.path)))
