"""Policy languages behind one interface: a module and a line of ``ENGINES`` for each."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from inventory.model import PolicySet
from router.policy import PolicyEngine
from router.policy.errors import PolicyError

__all__ = ["ENGINES", "PolicyError", "load"]

ENGINES: Final[Mapping[str, str]] = {
    "cedar": "router.policy.engines.cedar",
    "rego": "router.policy.engines.rego",
    "opa": "router.policy.engines.opa",
}
"""The module of each language. It has ``load(PolicySet) -> PolicyEngine``, and is imported where it is needed."""


def load(version: PolicySet) -> PolicyEngine:
    """The engine of a version of the policies. PolicyError with one sentence where it cannot be used."""
    module = import_module(ENGINES[version.engine])
    loader = cast("Callable[[PolicySet], PolicyEngine]", module.load)
    return loader(version)
