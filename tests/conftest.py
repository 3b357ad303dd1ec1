"""How the suite is shared between workers: a file's tests stay together, and so do all that set up demonstrations.

Demonstrations claim the same few loopback subnets, and one test holds all of them at once.
"""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        demonstration = item.path.parent.name == "demo" or item.path.name == "test_demo.py"
        item.add_marker(pytest.mark.xdist_group("demo" if demonstration else str(item.path)))
