"""What tests of a real gateway share: a route to backends that they started, and how they wait."""

from collections.abc import Awaitable, Callable
from typing import Any

from inventory.model import RouteSpec

Until = Callable[..., Awaitable[Any]]
HOST = "iris.localhost"


def spec_of(*backends: Any, **parts: Any) -> RouteSpec:
    """The first backend has every live request."""
    listed = [
        {"name": one.name, "url": one.url + base, "weight": 0 if number else 100}
        for number, (one, base) in enumerate(one if isinstance(one, tuple) else (one, "") for one in backends)
    ]
    return RouteSpec.model_validate({"name": "iris", "hosts": (HOST,), "backends": listed, **parts})
