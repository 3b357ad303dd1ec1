"""What is kept on disk of what is served: for the next gnomon, and for an Envoy that starts while there is none.

Each route is turned into text once, when it changes, so that keeping ten thousand costs little more than writing them.
"""

import json
from collections.abc import Mapping
from typing import Any

from inventory.model import Revision
from router.gateways.envoy import lastgood
from router.gateways.envoy.bootstrap import Start, standalone
from router.gateways.envoy.files import Files
from router.gateways.envoy.resources import resources

_CLUSTERS, _SCOPES = "@clusters@", "@scopes@"


class Keeper:
    """Writes two files: the revisions that are served, and a configuration of Envoy that serves them by itself."""

    def __init__(self, files: Files, start: Start) -> None:
        """Nothing is written before ``keep``."""
        self._files = files
        self._form = json.dumps(standalone(start, [_CLUSTERS], [_SCOPES]))
        self._texts: dict[str, tuple[Revision, str, str, str]] = {}

    def keep(self, served: Mapping[str, Revision]) -> None:
        """Write what is served. OSError where it cannot be written; what was there stays then."""
        for route in self._texts.keys() - served.keys():
            del self._texts[route]
        for route, revision in served.items():
            known = self._texts.get(route)
            if known is None or known[0] is not revision:
                self._texts[route] = (revision, revision.model_dump_json(), *_texts(revision))
        ordered = [self._texts[route] for route in sorted(self._texts)]
        lastgood.save(self._files.lastgood, (text for _, text, _, _ in ordered))
        clusters = ",".join(text for _, _, text, _ in ordered if text)
        scopes = ",".join(text for _, _, _, text in ordered if text)
        # With no route the list of scopes would be empty, which Envoy refuses: one that nobody can ask for stands in.
        form = self._form.replace(f'"{_CLUSTERS}"', clusters).replace(f'"{_SCOPES}"', scopes or _NOBODY)
        lastgood.write(self._files.standalone, form)


def _texts(revision: Revision) -> tuple[str, str]:
    """The clusters of a route, and its scopes with what they lead to, as items of JSON lists."""
    made = resources(revision)
    scopes = [_inline(scope, made.routes) for scope in made.scopes.values()]
    return tuple(",".join(json.dumps(one) for one in forms) for forms in (made.clusters.values(), scopes))  # type: ignore[return-value]


def _inline(scope: Mapping[str, Any], routes: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in scope.items() if key != "route_configuration_name"}
    return {**rest, "route_configuration": routes[scope["route_configuration_name"]]}


_NOBODY = json.dumps(
    {
        "name": "nobody",
        "key": {"fragments": [{"string_key": "nobody.invalid"}]},
        "route_configuration": {"name": "nobody", "virtual_hosts": []},
    }
)
