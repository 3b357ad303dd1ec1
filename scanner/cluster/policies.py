"""Whether NetworkPolicies keep others than a gateway from a port of a pod. Pure.

Semantics: Kubernetes documentation, "Network Policies". A pod that no policy selects for ingress takes
everybody; one that some select takes whom any rule lets in. Whether the cluster's network enforces
policies at all cannot be read from the API: what answered on the wire has the last word.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from scanner.cluster.objects import PodObject
from scanner.cluster.routing import Ingress, Peer, Policy, Selector
from scanner.cluster.workloads import port_number


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may come in: ``open`` where nothing narrows it down, with the reason in words."""

    open: bool
    why: str


def entry(pod: PodObject, port: int, policies: Iterable[Policy]) -> Entry:
    """Who may reach a port of a pod, by the policies of the pod's namespace."""
    selecting = [
        policy
        for policy in policies
        if policy.incoming and policy.meta.namespace == pod.meta.namespace and policy.pods.matches(pod.meta.labels)
    ]
    if not selecting:
        return Entry(open=True, why="no NetworkPolicy selects its pods")
    peers: list[str] = []
    for policy in selecting:
        for rule in policy.rules:
            if not _covers(rule, port, pod):
                continue
            wide = _wide(rule)
            if wide is not None:
                return Entry(open=True, why=f"NetworkPolicy {policy.meta.name} lets in {wide}")
            peers += [_in_words(peer) for peer in rule.peers or ()]
    names = ", ".join(sorted({policy.meta.name for policy in selecting})[:3])
    if not peers:
        return Entry(open=False, why=f"NetworkPolicy {names} lets nobody in")
    return Entry(open=False, why=f"NetworkPolicy {names} lets in only {', '.join(dict.fromkeys(peers))}"[:300])


def _covers(rule: Ingress, port: int, pod: PodObject) -> bool:
    if not rule.ports:
        return True
    for first, last in rule.ports:
        number = port_number(pod, first)
        if number is not None and number <= port <= (last or number):
            return True
    return False


def _wide(rule: Ingress) -> str | None:
    """Whom a rule lets in that no gateway needs; None where its peers are selected."""
    if rule.peers is None:
        return "everybody"
    for peer in rule.peers:
        if peer.block in {"0.0.0.0/0", "::/0"}:
            return f"every address ({peer.block})"
        if peer.namespaces is not None and peer.namespaces.is_empty and _any(peer.pods):
            return "pods of every namespace"
        if peer.namespaces is None and peer.block is None and peer.pods is not None and peer.pods.is_empty:
            return "every pod of its namespace"
    return None


def _any(selector: Selector | None) -> bool:
    return selector is None or selector.is_empty


def _in_words(peer: Peer) -> str:
    if peer.block is not None:
        return f"addresses of {peer.block}"
    pods = "pods" if _any(peer.pods) else f"pods with {_labels(peer.pods)}"
    return pods if peer.namespaces is None else f"{pods} of namespaces with {_labels(peer.namespaces)}"


def _labels(selector: Selector | None) -> str:
    if selector is None or selector.is_empty:
        return "any label"
    said = [f"{key}={value}" for key, value in selector.labels.items()]
    return " and ".join(said + [f"{key} {operator}" for key, operator, _ in selector.expressions])
