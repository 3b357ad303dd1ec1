"""Facets: how many endpoints there are of each combination of the values that lists filter and sort by.

A million endpoints have a few thousand combinations. So a count, a metric of coverage, or which way to
read a page is worked out from the facets, and an endpoint's row names the facet that it is in. The
counts are kept by every transaction that writes endpoints; ``gnomon db check`` compares them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import delete
from sqlmodel import Session, col

from inventory.listing import block_key
from inventory.model import Endpoint
from inventory.query import value_of
from inventory.store.database import batches, insert_into
from inventory.store.tables import BlockRow, FacetRow

COLUMNS: Final = (
    "site", "scope", "scheme", "kind", "product", "is_model_endpoint", "posture", "presence", "governance", "routing",
    "owner", "risk", "cluster", "namespace",
)  # fmt: skip
BATCH = 1000


def facet_values(endpoint: Endpoint) -> dict[str, Any]:
    """The values of an endpoint that make its facet."""
    return {name: value_of(endpoint, name) for name in COLUMNS}


def facet_id(values: Mapping[str, Any]) -> int:
    """A name for the combination: 63 bits of BLAKE2b over its JSON, the same in every database."""
    text = json.dumps([values[name] for name in COLUMNS])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


class FacetDeltas:
    """What a transaction does to the counts, summed up and written once."""

    def __init__(self) -> None:
        self._deltas: Counter[int] = Counter()
        self._values: dict[int, dict[str, Any]] = {}
        self._ids: dict[tuple[Any, ...], int] = {}

    def joins(self, endpoint: Endpoint) -> int:
        """An endpoint is in the facet of its values from now on. The facet's id."""
        key = tuple([value_of(endpoint, name) for name in COLUMNS])
        number = self._ids.get(key)
        if number is None:
            values = dict(zip(COLUMNS, key, strict=True))
            number = self._ids[key] = facet_id(values)
            self._values[number] = values
        self._deltas[number] += 1
        return number

    def leaves(self, number: int) -> None:
        """An endpoint is no longer in that facet."""
        self._deltas[number] -= 1

    def write(self, session: Session) -> None:
        """Write the sums. One writer at a time has the clock, so no two of them meet here."""
        rows = [
            self._values.get(number, _PLACEHOLDER) | {"id": number, "count": delta}
            for number, delta in sorted(self._deltas.items())
            if delta
        ]
        upsert = insert_into(session, FacetRow)
        adding = upsert.on_conflict_do_update(
            index_elements=["id"], set_={"count": col(FacetRow.count) + upsert.excluded["count"]}
        )
        for batch in batches(rows, BATCH):
            session.connection().execute(adding, batch)
        fewer = [row["id"] for row in rows if row["count"] < 0]
        for ids in batches(fewer, BATCH):
            session.connection().execute(delete(FacetRow).where(col(FacetRow.id).in_(ids), col(FacetRow.count) <= 0))
        self._deltas.clear()


class BlockDeltas:
    """What a transaction does to the counts of blocks of addresses, summed up and written once."""

    def __init__(self) -> None:
        self._deltas: Counter[tuple[str, str]] = Counter()

    def add(self, site: str, place: str, number: int) -> None:
        """So many endpoints more, or fewer, at a place of a site."""
        if key := block_key(place):
            self._deltas[site, key] += number

    def write(self, session: Session) -> None:
        """Write the sums."""
        rows = [{"site": site, "key": key, "count": n} for (site, key), n in sorted(self._deltas.items()) if n]
        upsert = insert_into(session, BlockRow)
        adding = upsert.on_conflict_do_update(
            index_elements=["site", "key"], set_={"count": col(BlockRow.count) + upsert.excluded["count"]}
        )
        for batch in batches(rows, BATCH):
            session.connection().execute(adding, batch)
        if any(number < 0 for number in self._deltas.values()):
            session.connection().execute(delete(BlockRow).where(col(BlockRow.count) <= 0))
        self._deltas.clear()


# Only ever conflicts with the row that is there: what leaves a facet had joined it.
_PLACEHOLDER: Final[dict[str, Any]] = {
    "site": "", "scope": "", "scheme": "", "kind": None, "product": None, "is_model_endpoint": False, "posture": "",
    "presence": "", "governance": "", "routing": "", "owner": None, "risk": 0, "cluster": None, "namespace": None,
}  # fmt: skip
