"""Is confidence what it says? Every answer's confidence beside how often such answers were right.

Over the recorded transcripts, and, where `--zoo FOLDER` (or GNOMON_ZOO) names a running zoo of real servers
with a `zoo.py` that tells the truth, over its listeners. An answer is right where its kind and its verdict
on being a model endpoint both are. What a transcript expects was written by gnomon and read over by people,
so the zoo, whose truth gnomon never touched, weighs more.
Run: python benchmarks/calibration.py [--zoo FOLDER] [--misses]
"""

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from interview import interview

from inventory.model import Identified
from scanner.authoring import replay_all
from scanner.findings import Limits
from scanner.knowledge import Knowledge, load_knowledge

TRANSCRIPTS = Path(__file__).parent.parent / "tests" / "data" / "transcripts"
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
BAR = 0.1
FEW = 10
"""With fewer answers a bucket's accuracy is an anecdote: it is shown, and not held to the bar."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: what it was about, how sure it was, and whether it was right."""

    about: str
    confidence: float
    right: bool


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--zoo", type=Path, default=os.environ.get("GNOMON_ZOO"), help="the folder of zoo.py")
    arguments.add_argument("--misses", action="store_true", help="name every answer that was wrong")
    given = arguments.parse_args()
    knowledge = load_knowledge()
    said = {"transcripts": list(of_transcripts(knowledge))}
    if given.zoo:
        said["zoo"] = list(of_zoo(Path(given.zoo)))
        said["both together"] = [one for answers in said.values() for one in answers]
    else:
        print("no zoo is named (--zoo FOLDER): the transcripts alone\n")
    met = [show(name, answers, misses=given.misses and name != "both together") for name, answers in said.items()]
    return 0 if all(met) else 1


def of_transcripts(knowledge: Knowledge) -> Iterable[Said]:
    """What the replay of each transcript is taken for, beside what it expects. One not found at all is wrong."""
    for path, transcript, findings in replay_all(TRANSCRIPTS, knowledge, Limits()):
        identified = {finding.base_path: finding.fact for finding in findings if isinstance(finding.fact, Identified)}
        expected = {expect["base_path"]: expect for expect in transcript.expect}
        for base, fact in identified.items():
            wanted = expected.get(base, {})
            yield _said(f"{path.stem}{base}", fact, wanted.get("kind"), is_model=wanted.get("is_model_endpoint"))


def of_zoo(folder: Path) -> Iterable[Said]:
    """What each running listener of the zoo is taken for, beside its truth. Sockets of other members are left out."""
    harness = folder / "zoo.py"
    if not harness.is_file():
        raise SystemExit(f"{harness} does not exist: name the folder of the zoo")
    told = subprocess.run(
        [sys.executable, str(harness), "truth", "--running"], capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise SystemExit(f"the zoo does not tell its truth: {told.stderr.strip()[-300:]}")
    truth = {(row["address"], row["port"]): row for row in json.loads(told.stdout) if not row["aux"]}
    if not truth:
        raise SystemExit("nothing of the zoo runs: bring it up first, with its own ZOO_CACHE")
    for place, interviewed in asyncio.run(interview(truth)).items():
        row = truth[place]
        if interviewed.facts:
            name = f"{row['member']} {place[0]}:{place[1]}"
            yield _said(name, interviewed.best, row["kind"], is_model=row["is_model_endpoint"])


def _said(about: str, fact: Identified, kind: str | None, *, is_model: bool | None) -> Said:
    right = fact.kind.value == kind and fact.is_model_endpoint == bool(is_model)
    return Said(
        f"{about}: said {fact.kind.value}/{fact.is_model_endpoint}, is {kind}/{is_model}", fact.confidence, right
    )


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share (Wilson, "Probable inference", 1927)."""
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return middle - half, middle + half


def show(name: str, answers: list[Said], *, misses: bool) -> bool:
    """The table of one collection. Whether every bucket of some size is within the bar."""
    right = sum(one.right for one in answers)
    brier = sum((one.confidence - one.right) ** 2 for one in answers) / max(1, len(answers))
    print(f"{name}: {len(answers)} answers, {right} right, Brier score {brier:.3f}")
    print(f"{'confidence':>12}{'answers':>9}{'right':>7}{'said':>7}{'observed':>10}{'95% interval':>16}{'gap':>7}")
    met, expected_error = [], 0.0
    for low, high in pairwise(EDGES):
        inside = [one for one in answers if low <= one.confidence < high or one.confidence == high == EDGES[-1]]
        if not inside:
            continue
        hits = sum(one.right for one in inside)
        mean, observed = sum(one.confidence for one in inside) / len(inside), hits / len(inside)
        gap = observed - mean
        expected_error += abs(gap) * len(inside) / len(answers)
        enough = len(inside) >= FEW
        met.append(abs(gap) <= BAR or not enough)
        least, most = wilson(hits, len(inside))
        verdict = "" if abs(gap) <= BAR else "  MISSED" if enough else f"  (fewer than {FEW})"
        span = f"{least:.2f} to {most:.2f}"
        bucket = f"{low:g} to {high:g}"
        print(f"{bucket:>12}{len(inside):9}{hits:7}{mean:7.2f}{observed:10.2f}{span:>16}{gap:+7.2f}{verdict}")
    good = bool(met) and all(met)
    verdict = "met" if good else "MISSED"
    print(f"expected calibration error {expected_error:.3f}; every gap within {BAR:g} (buckets of {FEW}): {verdict}\n")
    for one in answers if misses else ():
        if not one.right:
            print(f"  {one.confidence:.2f} {one.about}")
    return good


if __name__ == "__main__":
    sys.exit(main())
