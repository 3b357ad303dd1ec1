"""What the platforms of a cluster say is supposed to run: models, notebooks and pools of them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from scanner.cluster.links import Links
from scanner.cluster.objects import Meta
from scanner.cluster.platforms import PlatformObject
from scanner.cluster.routing import Pool
from scanner.cluster.world import PLATFORMS, World

PROMISING = (*PLATFORMS, "InferencePool")
"""The kinds that declare what is supposed to run."""

_PRODUCTS = {"InferenceService": "kserve", "SeldonDeployment": "seldon-wrapper"}


@dataclass(frozen=True, slots=True)
class Promise:
    """One declared thing. ``runs`` are the UIDs of the workloads that run for it, and its own.

    ``models`` are URIs, the main one first; ``model`` is the name that its model is served by, where the
    platform sets that.
    """

    kind: str
    meta: Meta
    runs: tuple[str, ...]
    urls: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    model: str | None = None
    product: str | None = None
    details: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What names it in its cluster."""
        return f"{self.kind}/{self.meta.namespace}/{self.meta.name}"


def promises(links: Links) -> list[Promise]:
    """Everything that is declared in the namespaces that are looked at, by key."""
    world = links.world
    found = [*_of_platforms(links), *_of_pools(links)]
    looked_at = [one for one in found if world.any_namespace or one.meta.namespace in world.namespaces]
    return sorted(looked_at, key=lambda one: one.key)


def told_in_full(world: World) -> bool:
    """Whether everything that declares was read: only then is what is not there any more withdrawn."""
    return not any(hole.resource.kind in PROMISING for hole in world.holes) and not world.unreadable


def _of_platforms(links: Links) -> Iterator[Promise]:
    for one in links.world.all(PlatformObject):
        yield Promise(
            one.kind,
            one.meta,
            _runs(links, one.meta),
            one.urls,
            one.models,
            model=one.meta.name if one.kind in {"InferenceService", "Model"} else None,
            product=_PRODUCTS.get(one.kind),
            details=one.details,
        )


def _of_pools(links: Links) -> Iterator[Promise]:
    for pool in links.world.all(Pool):
        ports = ", ".join(str(port) for port in pool.ports)
        yield Promise("InferencePool", pool.meta, _runs(links, pool.meta), details=(f"port {ports}",) if ports else ())


def _runs(links: Links, meta: Meta) -> tuple[str, ...]:
    # A ghost stands in the inventory as a workload with the UID of what declares it.
    return (meta.uid, *sorted(links.runs_for.get(meta.uid, ())))
