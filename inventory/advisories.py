"""Versions of products with a known hole, each with the version that mends it: pure.

The list is short on purpose: what is used over the network, to run code or to read files, keys and accounts. It grows
by one line an advisory, and says nothing of versions that are not told or cannot be read.
Source: each advisory's own record under its name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from packaging.version import InvalidVersion, Version


@dataclass(frozen=True, slots=True)
class Advisory:
    """One known hole of a product, in the versions from ``since`` and below ``mended``. ``what`` it does, in words."""

    product: str
    mended: str
    name: str
    what: str
    since: str = "0"


ADVISORIES = (
    Advisory("bentoml", "1.4.3", "CVE-2025-27520", "runs code that a request carries", since="1.3.4"),
    Advisory("flowise", "3.0.6", "CVE-2025-59528", "runs code that a request carries"),
    Advisory("flowise", "3.1.0", "GHSA-f6hc-c5jr-878p", "gives away accounts"),
    Advisory("gradio", "4.11.0", "CVE-2023-51449", "gives away files of its host"),
    Advisory("langflow", "1.3.0", "CVE-2025-3248", "runs code that a request carries"),
    Advisory("langflow", "1.9.0", "CVE-2026-33017", "runs code that a request carries"),
    Advisory("litellm", "1.44.8", "CVE-2024-6587", "gives away its keys of model providers"),
    Advisory("litellm", "1.83.7", "CVE-2026-42271", "runs commands of whoever has a key", since="1.74.2"),
    Advisory("mlflow", "2.2.1", "CVE-2023-1177", "gives away files of its host"),
    Advisory("mlflow", "2.9.2", "CVE-2023-6977", "gives away files of its host"),
    Advisory("ollama", "0.1.34", "CVE-2024-37032", "runs code that a model carries"),
    Advisory("torchserve", "0.8.2", "CVE-2023-43654", "loads models from anywhere, and runs their code"),
)


@lru_cache(maxsize=4096)
def advisories(product: str | None, version: str | None) -> tuple[Advisory, ...]:
    """The known holes of a product in a version, the one that was mended last first."""
    told = _version(version)
    if product is None or told is None:
        return ()
    return tuple(sorted(_open_in(product, told), key=lambda one: Version(one.mended), reverse=True))


def _open_in(product: str, version: Version) -> Iterator[Advisory]:
    for one in ADVISORIES:
        if one.product == product and Version(one.since) <= version < Version(one.mended):
            yield one


def _version(text: str | None) -> Version | None:
    try:
        return Version(text or "")
    except InvalidVersion:
        return None
