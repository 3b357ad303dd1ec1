"""The sources of observations, one module each, and the registry that chooses one by a target's prefix.

What lives here: what each source speaks to, turned into observations and an account of what was
covered. What doesn't: running, storing and scheduling (``scanner.runner``), and what answers mean
(``scanner.identify`` and its neighbours).
"""

from collections.abc import Iterable
from importlib import import_module
from typing import cast

from scanner.sources.source import Progress, Run, Source, Update
from scanner.targets import Prefixed, Target, TargetError, parse_target

SOURCES: dict[str, str] = {
    "": "scanner.sources.subnet:prepare",
    "listen": "scanner.sources.listening:prepare",
    "k8s": "scanner.sources.kubernetes:prepare",
    "mlflow": "scanner.sources.mlflow:prepare",
    "sagemaker": "scanner.sources.sagemaker:prepare",
    "azureml": "scanner.sources.azureml:prepare",
    "vertex": "scanner.sources.vertex:prepare",
    "wandb": "scanner.sources.wandb:prepare",
    "catalogue": "scanner.sources.catalogue:prepare",
    "envoy": "scanner.sources.envoy:prepare",
    "kong": "scanner.sources.kong:prepare",
    "nginx": "scanner.sources.nginx:prepare",
    "haproxy": "scanner.sources.haproxy:prepare",
}
"""A target's prefix, and the function of the source that it chooses. Imported when it is used."""

__all__ = ["SOURCES", "Progress", "Run", "Source", "Update", "choose", "source_of", "split"]


def source_of(prefix: str) -> Source:
    """The source that a prefix chooses. KeyError where there is none."""
    module, _, name = SOURCES[prefix].partition(":")
    return cast("Source", getattr(import_module(module), name))


def source_name(prefix: str) -> str:
    """What a Scan calls the source of a prefix."""
    return SOURCES[prefix].partition(":")[0].rpartition(".")[2]


def split(texts: Iterable[str]) -> dict[str, tuple[Target, ...]]:
    """Targets by the prefix of their source. Raises TargetError for one that no source takes."""
    found: dict[str, list[Target]] = {}
    for text in texts:
        target = parse_target(text)
        prefix = target.prefix if isinstance(target, Prefixed) else ""
        if prefix not in SOURCES:
            raise TargetError(_unknown(text, prefix))
        found.setdefault(prefix, []).append(target)
    return {prefix: tuple(targets) for prefix, targets in found.items()}


def choose(texts: Iterable[str]) -> tuple[str, tuple[Target, ...]]:
    """The one source of a scope's targets, as its prefix, and the targets. Raises TargetError."""
    by_prefix = split(texts)
    if len(by_prefix) != 1:
        kinds = " and ".join(source_name(prefix) for prefix in sorted(by_prefix)) or "none"
        raise TargetError(f"a scope has targets of one source, and these are of {kinds}: make a scope of each")
    return next(iter(by_prefix.items()))


def _unknown(text: str, prefix: str) -> str:
    known = ", ".join(f"{name}:" for name in sorted(SOURCES) if name)
    there_are = f"the sources are {known} and addresses" if known else "addresses are the only source so far"
    return f"{text!r}: there is no source {prefix!r} ({there_are}); a host's port is a number, as in {prefix}:8000"
