"""A scope of several clusters as scopes of one each, so that none waits for another. No cluster is asked."""

import hashlib
import re

from inventory.model import Scope
from scanner.sources import choose
from scanner.targets import Prefixed, TargetError, parse_cluster

PREFIX = "k8s"
ANY = "*"
_LONGEST = 40
_NO_SITE = "default"


def parts_of(scope: Scope) -> list[Scope]:
    """The scopes to scan for a scope: itself, or one for each cluster that it names. Raises TargetError.

    A cluster is a site of its own unless the scope names one, because the pod networks of clusters
    overlap: what has the address 10.0.0.5 in two of them are two pods.
    """
    prefix, targets = choose(scope.targets)
    if prefix != PREFIX:
        return [scope]
    wanted = [parse_cluster(one.rest) for one in targets if isinstance(one, Prefixed)]
    contexts: dict[str, tuple[str, ...]] = {}
    for one in wanted:
        for name in _every_context() if one.context == ANY else (one.context,):
            contexts[name] = (*contexts.get(name, ()), *one.namespaces)
    if len(contexts) > 1 and scope.site != _NO_SITE:
        raise TargetError(
            f"{len(contexts)} clusters cannot share the site {scope.site!r}, because their pods' addresses overlap: "
            "leave the site out, or make a scope of each"
        )
    alone = len(contexts) == 1 and wanted[0].context != ANY
    return [_part(scope, name, namespaces, alone=alone) for name, namespaces in contexts.items()]


def _part(scope: Scope, context: str, namespaces: tuple[str, ...], *, alone: bool) -> Scope:
    name = slug(context)
    return scope.model_copy(
        update={
            "name": scope.name if alone else f"{scope.name[: 62 - len(name)].rstrip('-')}-{name}",
            "site": scope.site if scope.site != _NO_SITE else f"{PREFIX}-{name}",
            "targets": (f"{PREFIX}:{context}" + (f"#{','.join(dict.fromkeys(namespaces))}" if namespaces else ""),),
        }
    )


def slug(context: str) -> str:
    """A context's name, fit to be part of the name of a scope or a site."""
    words = re.sub(r"[^a-z0-9]+", "-", context.lower()).strip("-")
    if words == context and len(words) <= _LONGEST:
        return words
    return f"{words[-_LONGEST:].strip('-')}-{hashlib.blake2b(context.encode(), digest_size=3).hexdigest()}".strip("-")


def _every_context() -> tuple[str, ...]:
    from scanner.sources.kubernetes import known_contexts

    found = known_contexts()
    if not found:
        raise TargetError("the kubeconfig holds no context: name a cluster as k8s:CONTEXT")
    return found
