"""Questions listeners as a scan does, for the benchmarks that score the answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory.model import Asked, Identified, Listener, Postured, Questioned
from inventory.settings import Settings
from scanner.asking import Asker
from scanner.findings import Finding
from scanner.questioning import Questioning

ML_KINDS = {"model-endpoint", "notebook", "ml-ui", "ml-platform"}


@dataclass
class Interview:
    """What one listener was taken for, and what it was asked."""

    facts: list[Identified] = field(default_factory=list)
    postures: dict[str, str] = field(default_factory=dict)
    bases: dict[int, str] = field(default_factory=dict)
    asked: tuple[Asked, ...] = ()

    @property
    def best(self) -> Identified:
        """Where one listener has several applications, the one that matters most stands for it."""
        return max(self.facts, key=lambda f: (f.is_model_endpoint, f.kind.value in ML_KINDS, f.confidence))

    @property
    def posture(self) -> str | None:
        """The posture of the best."""
        return self.postures.get(self.bases.get(id(self.best), ""))


async def interview(places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Interview]:
    """Question these listeners. What was found, by place."""
    settings = Settings()
    found: dict[tuple[str, int], Interview] = {}

    def done(listener: Listener, result: tuple[Finding, ...] | Exception) -> None:
        if isinstance(result, Exception):
            raise result
        one = found[listener.address, listener.port] = Interview()
        for finding in result:
            if isinstance(finding.fact, Identified):
                one.facts.append(finding.fact)
                one.bases[id(finding.fact)] = finding.base_path
            elif isinstance(finding.fact, Postured):
                one.postures[finding.base_path] = finding.fact.posture.value
            elif isinstance(finding.fact, Questioned):
                one.asked = finding.fact.requests

    questioning = Questioning(Asker(settings), done, concurrency=settings.scan_concurrency)
    for address, port in places:
        await questioning.put(Listener(site="zoo", address=address, port=port))
    await questioning.finish()
    return found
