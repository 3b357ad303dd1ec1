"""Pure: the inventory in formats that other tools read. CycloneDX services, SARIF results, CSV of the graph's edges.

Sources: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/; SARIF 2.1.0, OASIS, sections 3.13 to 3.27.
"""

import csv
import io
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from inventory.coverage import is_governed, why_not
from inventory.drift import MEANING, Drift, Item
from inventory.graph import Graph
from inventory.model import Endpoint, Posture, Presence

_LEVELS = ((70, "error"), (30, "warning"), (0, "note"))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cyclonedx(endpoints: Iterable[Endpoint], now: datetime) -> str:
    """A CycloneDX 1.6 document with a service for each endpoint. The serial number follows from its content."""
    services = [_service(one) for one in endpoints]
    body = json.dumps(services, sort_keys=True)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, body)}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "tools": {"components": [{"type": "application", "name": "gnomon"}]},
        },
        "services": services,
    }
    return json.dumps(document, indent=2) + "\n"


def _service(one: Endpoint) -> dict[str, Any]:
    service: dict[str, Any] = {
        "bom-ref": one.id,
        "name": one.product or (one.kind.value if one.kind else "unidentified"),
        "endpoints": list(dict.fromkeys([one.url, *(way.url for way in one.exposures)])),
        "x-trust-boundary": any(way.via in {"ingress", "load-balancer", "gateway"} for way in one.exposures),
        "properties": [
            {"name": f"gnomon:{name}", "value": str(value)}
            for name, value in (
                ("kind", one.kind), ("posture", one.posture), ("presence", one.presence), ("routing", one.routing),
                ("governance", one.governance), ("risk", one.risk), ("site", one.site), ("owner", one.owner),
                ("last_seen", one.last_seen.isoformat()),
            )
            if value is not None
        ],
    }  # fmt: skip
    if one.version:
        service["version"] = one.version
    if one.posture is not Posture.UNKNOWN:
        service["authenticated"] = one.posture is Posture.PROTECTED
    return service


def sarif(endpoints: Iterable[Endpoint], version: str) -> str:
    """A SARIF 2.1.0 log with a result for each ML endpoint that is present and not governed."""
    open_ = [
        one
        for one in endpoints
        if one.kind is not None and one.kind.is_ml and one.presence is not Presence.GONE and not is_governed(one)
    ]
    rules = {str(one.kind): f"an ungoverned {one.kind}" for one in open_}
    return _log(version, rules, [_result(one) for one in open_])


def drift_sarif(
    items: Iterable[Item], version: str, *, gone: Iterable[Item] = (), known: Collection[str] | None = None
) -> str:
    """A SARIF 2.1.0 log with a result for each entry of the lists of drift; what is not sure is a note.

    With an earlier state, each result says whether it is new or not (``known`` holds what was there, by ``key_of``),
    and what is ``gone`` since then is listed as absent.
    """

    def state(item: Item) -> str | None:
        return None if known is None else "unchanged" if key_of(item) in known else "new"

    results = [_drifted(item, state(item)) for item in items]
    results += [_drifted(item, "absent") for item in gone]
    return _log(version, {name.value: said for name, said in MEANING.items()}, results)


def key_of(item: Item) -> str:
    """What makes an entry of a list the same as an earlier one."""
    return f"{item.drift.value}:{item.subject}"


_DRIFT_LEVELS = {Drift.SHADOW: "error", Drift.ZOMBIE: "error", Drift.BYPASS: "error", Drift.ORPHAN: "warning",
                 Drift.GHOST: "warning", Drift.UNSEEN: "note"}  # fmt: skip


def _drifted(item: Item, state: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": item.drift.value,
        "level": _DRIFT_LEVELS[item.drift] if item.sure else "note",
        "message": {"text": f"{item.title}: {item.why}" + ("" if item.sure else " (not sure: a source was not read)")},
        "locations": [{"logicalLocations": [{"name": item.title, "fullyQualifiedName": item.subject}]}],
        "partialFingerprints": {"gnomonDrift/v1": key_of(item)},
        "rank": float(item.risk),
    }
    return found if state is None else {**found, "baselineState": state}


def _log(version: str, rules: Mapping[str, str], results: list[dict[str, Any]]) -> str:
    """A log of one run. ``rules`` are descriptions by id."""
    described = [{"id": name, "shortDescription": {"text": rules[name]}} for name in sorted(rules)]
    driver = {"name": "gnomon", "version": version, "rules": described}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2) + "\n"


def _result(one: Endpoint) -> dict[str, Any]:
    return {
        "ruleId": str(one.kind),
        "level": next(level for least, level in _LEVELS if one.risk >= least),
        "message": {"text": f"{one.url}: {why_not(one)}; risk {one.risk}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": one.url}}}],
        "partialFingerprints": {"gnomonEndpoint/v1": one.id},
        "rank": float(one.risk),
    }


def edges_csv(graph: Graph) -> str:
    """The edges of a graph, one a row; a spreadsheet runs none of its cells."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["source", "source_label", "relation", "target", "target_label"])
    for source, target, data in sorted(graph.edges(data=True), key=lambda edge: edge[:2]):
        labels = [str(graph.nodes[node].get("label", node)) for node in (source, target)]
        row = [source, labels[0], str(data["relation"]), target, labels[1]]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row])
    return out.getvalue()
