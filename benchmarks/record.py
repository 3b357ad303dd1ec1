"""How many calls a second are recorded: lines of a gateway parsed, decided by two policy sets, and stored.

``python -m benchmarks.record [--calls N] [--callers N] [--database URL]``: the recorder on a file that is there
already, as after a time in which the store was away. One machine, one process; nothing is sent.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from inventory.calls import COLUMNS, digest_of, row_of
from inventory.garbage import collect_seldom
from inventory.model import Access, Decision, Issuer, RateLimit
from inventory.store import Store, open_store
from router.audit.decide import Asked, Decider, InForce
from router.audit.lines import Line, parse
from router.audit.recorder import Recorder
from router.policy import Question
from router.shadow.tail import prepare

IDP = Issuer(name="idp", url="https://idp.example", audiences=("gnomon",), attributes={"team": "team"})


class Teams:
    """A policy set in Python: what an engine costs is measured elsewhere."""

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """Half of the teams may."""
        return [Decision(allowed=one.attributes.get("team", "") < "team-5", policies=("teams",)) for one in questions]

    def mentions(self) -> frozenset[str] | None:
        """The team."""
        return frozenset({"principal.team"})


IN_FORCE = InForce(
    1, Teams(), Teams(), {IDP.url: IDP}, {}, {f"route-{n}": Access(limits=(RateLimit(by="team", requests=100),))
                                              for n in range(20)}
)  # fmt: skip


def line_of(number: int, callers: int) -> bytes:
    """A line as the gateway writes it, of one of so many callers."""
    who = number * 7919 % callers
    fields = {
        "rid": f"{number:032x}", "at": 1_795_800_000_000 + number, "route": f"route-{number % 20}", "rev": 3,
        "backend": "main", "iss": IDP.url, "sub": f"caller-{who}",
        "claims": {"iss": IDP.url, "sub": f"caller-{who}", "aud": "gnomon", "team": f"team-{who % 10}"},
        "addr": f"10.0.{who % 250}.7", "ua": "python-requests/2.32.3", "method": "POST", "path": "/invocations",
        "code": 200, "det": "via_upstream", "flags": "-", "rx": 812, "tx": 93, "us": 4211,
    }  # fmt: skip
    return json.dumps(fields).encode() + b"\n"


def rate(count: int, began: float) -> str:
    """So many a second since a moment of ``perf_counter``."""
    return f"{count / (time.perf_counter() - began):>12,.0f} a second"


async def recorded(store: Store, path: Path, count: int) -> None:
    """Run the recorder until everything is in the store."""
    stop = asyncio.Event()
    task = asyncio.create_task(Recorder(store, path, lambda: IN_FORCE).run(stop))
    while (known := store.calls.recording("local")) is None or known.recorded < count:  # noqa: ASYNC110 - a database does not tell
        await asyncio.sleep(0.05)
    stop.set()
    await task


def parts(lines: Sequence[bytes]) -> None:
    """What each step costs by itself."""
    began = time.perf_counter()
    read = [one for one in (parse(line, IN_FORCE.issuers) for line in lines) if isinstance(one, Line)]
    print("parse         ", rate(len(lines), began))
    asked = [Asked(one.call, one.attributes or {}, one.address) for one in read]
    began = time.perf_counter()
    decided = Decider().decide(asked, IN_FORCE)
    print("decide, twice ", rate(len(lines), began))
    calls = [
        one.call.model_copy(update={"enforced": first, "candidate": second})
        for one, (first, second) in zip(asked, decided, strict=True)
    ]
    began = time.perf_counter()
    rows = [row_of(one, "local") | {"number": n, "batch": 1} for n, one in enumerate(calls)]
    digest_of("", 1, "local", 0, ([row[name] for name in COLUMNS] for row in rows))
    print("rows, digest  ", rate(len(lines), began))


def main() -> None:
    """Measure."""
    collect_seldom()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--callers", type=int, default=1000)
    parser.add_argument("--database", help="by default SQLite in a folder that is deleted")
    options = parser.parse_args()
    lines = [line_of(number, options.callers) for number in range(options.calls)]
    parts(lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls" / "calls.jsonl"
        prepare(path)
        path.write_bytes(b"".join(lines))
        with open_store(options.database or f"sqlite:///{folder}/inventory.db") as store:
            began = time.perf_counter()
            asyncio.run(recorded(store, path, options.calls))
            print("whole recorder", rate(options.calls, began))
            began = time.perf_counter()
            checked = store.calls.verify()
            print("verify        ", rate(checked.calls, began), "" if checked.broken is None else checked.why)
            began = time.perf_counter()
            found = len(store.calls.tallies())
            print(f"tallies        {time.perf_counter() - began:.3f} s for {found} rows")


if __name__ == "__main__":
    main()
