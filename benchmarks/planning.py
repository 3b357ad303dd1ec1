"""How long it takes to plan 10.0.0.0/8 by 20 ports, and what memory: bars 1 s and 150 MB, the interpreter included."""

import resource
import subprocess
import sys
import time
from statistics import median

TARGET, PORTS = "10.0.0.0/8", "8000-8019"
SECONDS, MEGABYTES = 1.0, 150


def main() -> int:
    if sys.argv[1:] == ["--ours"]:
        return ours()
    runs = []
    for _ in range(5):
        began = time.monotonic()
        out = subprocess.run([sys.executable, __file__, "--ours"], check=True, capture_output=True, text=True).stdout
        seconds, megabytes = map(float, out.split())
        runs.append((seconds, megabytes, time.monotonic() - began))
    planning, memory, whole = (median(column) for column in zip(*runs, strict=True))
    met = planning < SECONDS and memory < MEGABYTES
    print(f"{TARGET} x {PORTS}: planned in {planning * 1000:.1f} ms, {memory:.0f} MB at most (medians of {len(runs)})")
    print(f"the whole process, with the first 100,000 pairs as arrays: {whole:.2f} s")
    print(f"bars of {SECONDS:.0f} s and {MEGABYTES} MB: {'met' if met else 'missed'}")
    return 0


def ours() -> int:
    from scanner.batches import batches
    from scanner.plan import make_plan
    from scanner.ports import parse_ports
    from scanner.targets import Addresses, parse_network

    began = time.monotonic()
    plan = make_plan([Addresses(parse_network(TARGET))], parse_ports(PORTS), key=b"benchmark")
    assert plan.account.planned == 2**24 * 20
    assert plan.digest
    plan.pair(len(plan) - 1)
    seconds = time.monotonic() - began
    taken = 0
    for batch in batches(plan):
        taken += len(batch.addresses)
        if taken >= 100_000:
            break
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return 0


if __name__ == "__main__":
    sys.exit(main())
