"""The off switch of a shadow: a runtime key, which Envoy looks at for each request.

It acts at once, whatever is desired and whatever else gnomon is doing. Blocking, as ``admin``.
"""

import http
import json
from pathlib import Path

from router.gateways.envoy import admin
from router.gateways.envoy.resources import switch_key


def turn(socket: Path, route: str, *, off: bool) -> None:
    """Stop copying the requests of a route, or follow what is desired again. OSError where Envoy cannot be asked."""
    status, said = admin.ask(socket, f"/runtime_modify?{switch_key(route)}={'0' if off else ''}", method="POST")
    if status != http.HTTPStatus.OK:
        raise ConnectionError(f"Envoy did not take the switch of {route}: {said[:200]}")


def switched_off(socket: Path) -> set[str]:
    """The routes whose switch is off. OSError where Envoy cannot be asked."""
    _, said = admin.ask(socket, "/runtime?format=json")
    entries = json.loads(said).get("entries", {})
    prefix = switch_key("")
    return {
        key.removeprefix(prefix)
        for key, entry in entries.items()
        if key.startswith(prefix) and entry.get("final_value") == "0"
    }
