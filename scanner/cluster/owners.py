"""Who owns a workload, by what its objects say: each with where it is said and how far that can be relied on. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inventory.model import Evidence, Owned
from scanner.cluster.objects import Meta, PlainObject
from scanner.cluster.workloads import Running

_NAMED = ("owner", "team", "contact", "maintainer", "email", "slack")
_TOOLS = frozenset({"helm", "argocd", "argo-cd", "kustomize", "kubectl", "flux", "terraform", "seldon-core", "istio"})
_SHARED_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_MOST_SAID = 4

AT_WORKLOAD, AT_POD, AT_NAMESPACE, BY_PART_OF, BY_ARGO, BY_HELM, BY_NAME = 0.95, 0.9, 0.8, 0.6, 0.5, 0.4, 0.3
"""Confidence by where it is said; docs/operators.md lists them."""


@dataclass(frozen=True, slots=True)
class Said:
    """One word about who owns something."""

    owner: str
    by: str
    confidence: float


def owner_of(one: Running, namespace: PlainObject | None) -> tuple[Owned, tuple[Evidence, ...]] | None:
    """The surest word about who owns a workload, and what else is said. None where nothing is."""
    said = sorted(_said(one, namespace), key=lambda word: (-word.confidence, word.by))
    if not said:
        return None
    best = said[0]
    others = tuple(
        Evidence(signal=f"owner {word.owner} by {word.by} (confidence {word.confidence:.2f})", source="declared")
        for word in said[:_MOST_SAID]
    )
    return Owned(owner=best.owner, said_by=best.by, confidence=best.confidence), others


def _said(one: Running, namespace: PlainObject | None) -> Iterator[Said]:
    workload = one.workload
    yield from _named(one.meta, f"{workload.kind} {workload.namespace}/{workload.name}", AT_WORKLOAD)
    if one.first.meta.uid != one.meta.uid:
        yield from _named(one.first.meta, f"pod {one.first.meta.namespace}/{one.first.meta.name}", AT_POD)
    if one.declares is not None:
        yield from _named(one.declares.meta, f"{one.declares.kind} {one.declares.meta.name}", AT_WORKLOAD)
    if namespace is not None:
        yield from _named(namespace.meta, f"namespace {namespace.meta.name}", AT_NAMESPACE)
    yield from _tools(one.meta, one.first.meta.labels)
    if workload.namespace not in _SHARED_NAMESPACES:
        yield Said(workload.namespace, f"the name of namespace {workload.namespace}", BY_NAME)


def _named(meta: Meta, where: str, confidence: float) -> Iterator[Said]:
    for what, table in (("label", meta.labels), ("annotation", meta.annotations)):
        for key in sorted(table):
            last = key.rpartition("/")[2].lower().replace("_", "-")
            if table[key] and any(last == name or last.endswith(f"-{name}") for name in _NAMED):
                yield Said(table[key], f"{what} {key} of {where}", confidence)


def _tools(meta: Meta, pod_labels: Mapping[str, str]) -> Iterator[Said]:
    """What Helm, Argo CD and the recommended labels say: names of releases and applications, not of teams."""
    labels = {**pod_labels, **meta.labels}
    part_of = labels.get("app.kubernetes.io/part-of", "")
    if part_of and part_of.lower() not in _TOOLS:
        yield Said(part_of, "label app.kubernetes.io/part-of", BY_PART_OF)
    tracking = meta.annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
    application = tracking or labels.get("argocd.argoproj.io/instance", "")
    if application:
        yield Said(application, "the Argo CD application", BY_ARGO)
    release = meta.annotations.get("meta.helm.sh/release-name", "")
    if release:
        where = meta.annotations.get("meta.helm.sh/release-namespace", "")
        yield Said(release, f"the Helm release{f' in {where}' if where else ''}", BY_HELM)
