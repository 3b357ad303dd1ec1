"""Which paths to try where nothing describes a service: the paths it mentions itself, then the usual ones. Pure."""

import re
from collections.abc import Iterable, Iterator

from scanner.exchange import Answer
from scanner.lexicon import ROUTE_WORDS, route_weight, words_of

USUAL = (
    "/predict", "/api/predict", "/score", "/invocations", "/classify", "/v1/predict", "/api/v1/predict",
    "/infer", "/inference", "/api/v2/predict", "/recommend", "/forecast", "/embed", "/v1/score", "/detect",
    "/ner", "/tag", "/knn", "/summarize", "/sentiment", "/v1/chat/completions", "/v1/classify", "/api/score",
    "/generate",
)  # fmt: skip
"""Inference paths by how usual they are in published services."""

PREFIXES = (
    "/ml", "/model", "/serving", "/inference", "/models", "/serving/v1", "/serving/v2", "/serving/v3", "/ml/v1",
    "/ml/iris", "/ml/model", "/ml/api", "/predict", "/ai", "/api/ml", "/models/iris", "/model/v1",
)  # fmt: skip
"""Where proxies and parent applications mount model services."""

PAGES = ("/gradio", "/demo", "/ui", "/app")
"""Where pages are mounted beside an API."""

MOVED = ("/inference/schema", "/api/openapi.json", "/v1/openapi.json", "/api/v1/openapi.json")
"""Where descriptions are moved to when they are not at the framework's own place."""

_QUOTED = re.compile(r"(?:[\"'\s=(>]|^)(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80})(?=[\"'\s)<>,.?]|$)")
_DJANGO = re.compile(r"<li>\s*<code>\s*([a-z0-9_/^-]{2,80}/?)\$?\s*</code>", re.IGNORECASE)
_HREF = re.compile(r"href=[\"']?(?:\./)?(/?[A-Za-z0-9_-]{2,40}(?:/[A-Za-z0-9_-]{1,40})?/)[\"'\s>]")
_STATIC = re.compile(r"\.(js|css|png|ico|svg|html?|map|woff2?|json|txt|csv)$|/(static|assets|docs)(/|$)")


def mentioned(pages: Iterable[Answer]) -> Iterator[str]:
    """Paths that the pages name and that sound like inference, and the patterns of a Django debug page."""
    for page in pages:
        text = page.text[:65536]
        if "tried these URL patterns" in text:
            yield from ("/" + match.lstrip("^/") for match in _DJANGO.findall(text)[:40])
        for path in _QUOTED.findall(text)[:60]:
            clean = path.rstrip(".")
            if not _STATIC.search(clean) and route_weight(clean) > 0.5:
                yield clean


def hinted(pages: Iterable[Answer]) -> Iterator[str]:
    """Paths made of inference words that short pages use of themselves."""
    for page in pages:
        if page.ok and len(page.body) <= 4096:
            for word in words_of(re.sub(r"<[^>]*>", " ", page.text)):
                if ROUTE_WORDS.get(word, 0.0) >= 0.9:
                    yield "/" + word


def siblings(path: str) -> tuple[str, ...]:
    """What is often served beside an inference route."""
    if path.endswith("/"):
        return ()
    return (path + "_batch", path + "/batch")


def linked_bases(page: Answer) -> tuple[str, ...]:
    """Folders on the same host that a page links to, without the trailing slash: other applications, maybe."""
    if page.media != "text/html":
        return ()
    folders = ("/" + link.strip("/") for link in _HREF.findall(page.text[:65536])[:20])
    return tuple(dict.fromkeys(folder for folder in folders if not _STATIC.search(folder)))[:4]


def candidates(pages: list[Answer], *, most: int) -> tuple[str, ...]:
    """The paths to try, best first, each once, at most ``most`` and never one with a parameter."""
    listed = any("tried these URL patterns" in page.text[:65536] for page in pages)
    ranked = [*mentioned(pages), *hinted(pages), *(() if listed else USUAL)]
    return tuple(dict.fromkeys(path for path in ranked if "{" not in path and "<" not in path))[:most]
