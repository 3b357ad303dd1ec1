"""How far a workload's specification shows machine learning, before anything is asked of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from inventory.model import Evidence, Kind
from scanner.belief import probability
from scanner.cluster import signs
from scanner.cluster.objects import Container
from scanner.cluster.signs import Sign
from scanner.cluster.workloads import Running, own_containers


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload weighed. ``log_odds`` in nats; ``kind`` and ``product`` are what speaks loudest."""

    log_odds: float
    evidence: tuple[Evidence, ...]
    kind: Kind | None = None
    product: str | None = None

    @property
    def is_likely(self) -> bool:
        """Whether it is more likely than not that machine learning is served there."""
        return self.log_odds > signs.LIKELY

    @property
    def probability(self) -> float:
        """The probability of that."""
        return probability(self.log_odds)


def weigh(one: Running, port: int) -> Candidate:
    """Weigh one port of a workload by its image, command line, ports, probes, labels and names of variables."""
    found = list(_signals(one, port))
    evidence = [Evidence(signal="few workloads met at random serve models", weight=signs.PRIOR, source="prior")]
    evidence += [signal.evidence for signal in found]
    telling = max(
        (signal for signal in found if signal.kind is not None), key=lambda s: s.evidence.weight, default=None
    )
    total = signs.PRIOR + sum(signal.evidence.weight for signal in found)
    likely = total > signs.LIKELY
    return Candidate(
        round(total, 2),
        tuple(evidence),
        telling.kind if telling else (Kind.MODEL_ENDPOINT if likely else None),
        telling.product if telling else None,
    )


@dataclass(frozen=True, slots=True)
class _Signal:
    evidence: Evidence
    kind: Kind | None = None
    product: str | None = None


def _signals(one: Running, port: int) -> Iterator[_Signal]:
    pod = one.first
    containers = list(own_containers(pod))
    listening = [c for c in containers if any(number == port for _, number in c.ports)] or containers
    for container in listening:
        yield from _image(container)
        yield from _command(container)
        yield from _environment(container)
    yield from _probes(listening)
    yield from _labels(one)
    if port in signs.USUAL_PORTS:
        yield _say(f"port {port} is usual for this", signs.USUAL_PORT, "inferred")


def _say(signal: str, weight: float, source: str, sign: Sign | None = None) -> _Signal:
    said = Evidence(signal=signal, weight=weight, source=source)
    return _Signal(said, sign.kind, sign.product) if sign else _Signal(said)


def _image(container: Container) -> Iterator[_Signal]:
    image = container.image.lower().partition("@")[0]
    sign = signs.product_in(image)
    if sign is not None:
        yield _say(f"image {image} is of {sign.product}", signs.IMAGE_PRODUCT, "inferred", sign)
    elif signs.ORDINARY.search(image):
        yield _say(f"image {image} is of something else", signs.ORDINARY_IMAGE, "inferred")
    elif word := signs.WORDS.search(image):
        yield _say(f"image {image} has {word[1]} in its name", signs.IMAGE_WORD, "inferred")


def _command(container: Container) -> Iterator[_Signal]:
    for shown in container.shown:
        if shown.product is not None and shown.kind is not None:
            weight = signs.COMMAND_PRODUCT
            said = Evidence(signal=f"{shown.what} in container {container.name}", weight=weight, source="inferred")
            yield _Signal(said, shown.kind, shown.product)
        elif shown.port is None:
            yield _say(f"{shown.what} in container {container.name}", signs.COMMAND_WORD, "inferred")


def _environment(container: Container) -> Iterator[_Signal]:
    names = [name for name in container.environment if signs.ENVIRONMENT_NAMES.match(name)]
    if names:
        weight = min(signs.ENVIRONMENT_MOST, signs.ENVIRONMENT * len(names))
        told = ", ".join(sorted(names)[:4])
        yield _say(f"container {container.name} has variables of the names {told}", weight, "inferred")


def _probes(containers: list[Container]) -> Iterator[_Signal]:
    paths = sorted({path for container in containers for path, _ in container.probes if signs.PROBES.match(path)})
    if paths:
        yield _say(f"a probe asks for {paths[0]}", signs.PROBE_WORD, "declared")


def _labels(one: Running) -> Iterator[_Signal]:
    labels = {**one.meta.labels, **one.first.meta.labels}
    for key, (product, kind) in signs.PLATFORM_LABELS.items():
        if key in labels:
            said = Evidence(signal=f"label {key}={labels[key]}", weight=signs.PLATFORM_LABEL, source="declared")
            yield _Signal(said, kind, product)
            return
    named = f"{one.workload.name} {' '.join(labels.values())}".lower()
    if word := signs.WORDS.search(named):
        yield _say(f"its name or labels say {word[1]}", signs.LABEL_WORD, "declared")
    if any("seldon" in key or "kserve" in key or "kubeflow" in key for key in one.meta.annotations):
        yield _say("its annotations are of a serving platform", signs.ANNOTATION, "declared")
