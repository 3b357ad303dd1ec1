"""Pairs a CPU second: captured lines parsed, joined, compared and counted, as the monitor does it.

Run: python benchmarks/compare.py
"""

import base64
import gzip
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from inventory.model import Comparison, RouteSpec
from router.shadow.evidence import EvidenceFold
from router.shadow.records import parse

SPEC = RouteSpec.model_validate(
    {
        "name": "r",
        "hosts": ["r.localhost"],
        "backends": [
            {"name": "origin", "url": "http://127.0.0.1:1", "weight": 100},
            {"name": "replacement", "url": "http://127.0.0.1:2"},
        ],
        "shadow": {"backend": "replacement", "percent": 100},
        "comparison": Comparison(ignore=("$.took_ms",)),
    }
)
NOW = datetime(2026, 5, 4, tzinfo=UTC)
chance = random.Random(5)


def small(role: str, at: int) -> bytes:
    return json.dumps({"class": at % 3, "probability": 0.1 * (at % 7), "took_ms": at + (role == "s")}).encode()


def embedding(role: str, at: int) -> bytes:
    numbers = random.Random(at)
    return json.dumps({"embedding": [numbers.gauss(0, 1) + 1e-10 * (role == "s") for _ in range(384)]}).encode()


def nested(role: str, at: int) -> bytes:
    rows = [{"id": row, "score": 0.01 * row, "labels": ["a", "b", str(row)]} for row in range(20)]
    return json.dumps({"rows": rows, "took_ms": at + (role == "s")}, indent=None if role == "p" else 1).encode()


def identical(_role: str, at: int) -> bytes:
    return json.dumps({"class": at % 3, "text": "x" * 200}).encode()


def wrong(role: str, at: int) -> bytes:
    return json.dumps({"class": at + (role == "s")}).encode()


def lines(body: Callable[[str, int], bytes], pairs: int, *, packed: bool) -> list[bytes]:
    made = []
    for at in range(pairs):
        for role in "ps":
            raw = gzip.compress(body(role, at)) if packed else body(role, at)
            record = {
                "rid": f"{at:032x}", "role": role, "entry": "r@1", "code": 200, "flags": "-",
                "cluster": "r|origin" if role == "p" else "r|replacement|shadow", "us": chance.randrange(1000, 90_000),
                "rx": 90, "tx": len(raw), "rb": base64.b64encode(b"{}" * 45).decode(),
                "sb": base64.b64encode(raw).decode(), "n": len(raw), "ct": "application/json",
                "ce": "gzip" if packed else "", "method": "POST", "path": "/predict",
            }  # fmt: skip
            made.append(json.dumps(record).encode())
    return made


def main() -> None:
    cases = [
        ("identical bodies", identical, 20_000, False),
        ("small JSON, a path ignored", small, 20_000, False),
        ("small JSON, gzip", small, 10_000, True),
        ("20 rows of 3 fields", nested, 3000, False),
        ("embedding of 384 numbers", embedding, 1000, False),
        ("every pair differs", wrong, 10_000, False),
    ]
    print(f"{'answers':28} {'bytes':>7} {'pairs':>7} {'agreed':>7} {'pairs/CPU s':>12}")
    for name, body, pairs, packed in cases:
        captured = lines(body, pairs, packed=packed)
        fold = EvidenceFold(lambda _route, _revision: SPEC)
        before = time.process_time()
        for line in captured:
            fold.add(parse(line), 0.0, NOW)
        (row,) = fold.changed(NOW)
        spent = time.process_time() - before
        assert row.pairs == pairs
        size = len(body("p", 1))
        print(f"{name:28} {size:>7} {row.pairs:>7} {row.agreed:>7} {pairs / spent:>12,.0f}")


if __name__ == "__main__":
    main()
