"""Which paths to try where nothing describes a service: the paths it mentions itself, then the usual ones. Pure."""

import re
from collections.abc import Iterable, Iterator

from scanner.exchange import Answer
from scanner.lexicon import ROUTE_WORDS, page_weight, route_weight, words_of

_VERSIONS = ("v1", "v2", "v3")

USUAL = (
    "/predict", "/api/predict", "/score", "/invocations", "/classify", "/v1/predict", "/api/v1/predict",
    "/infer", "/inference", "/model/predict", "/embed", "/recommend", "/forecast", "/detect", "/v1/embeddings",
    "/translate", "/api/v2/predict", "/summarize", "/sentiment", "/transcribe", "/v1/chat/completions",
    "/ner", "/tag", "/knn", "/generate",
)  # fmt: skip
"""Inference paths by how usual they are: predict under the usual prefixes, what model servers and clouds prescribe,
and the verbs of common tasks."""

_MOUNTS = ("/model", "/ml", "/serving", "/inference")
PREFIXES = (*_MOUNTS, *(f"{mount}/{v}" for v in _VERSIONS for mount in _MOUNTS))
"""Where proxies and parent applications mount model services: a word for it, with or without a version."""

PAGES = ("/gradio", "/demo", "/ui")
"""Where pages are mounted beside an API."""

MOVED = ("/api/openapi.json", "/api/v1/openapi.json")
"""Where descriptions are moved to when they are not at the framework's own place."""

_QUOTED = re.compile(r"(?:[\"'\s=(>]|^)(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80})(?=[\"'\s)<>,.?]|$)")
_DJANGO = re.compile(r"<li>\s*<code>\s*([a-z0-9_/^-]{2,80}/?)\$?\s*</code>", re.IGNORECASE)
_POSTED = re.compile(r"\bPOST(?:\s+to)?(?:\s|<[^>]{1,40}>|:)+(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80}[A-Za-z0-9_/-])")
_FORM = re.compile(r"<form\b[^>]{0,200}?\baction=[\"']?(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80})", re.IGNORECASE)
_HREF = re.compile(r"href=[\"']?(?:\./)?(/?[A-Za-z0-9_-]{2,40}(?:/[A-Za-z0-9_-]{1,40})?/)[\"'\s>]")
_SIGNPOST = re.compile(
    r"[\"'\s=(>](/[A-Za-z0-9_][A-Za-z0-9_./-]{0,80})/"
    r"(?:docs|redoc|swagger|openapi\.json|healthz?|livez|readyz?|ready|live|ping|status|info|metadata|version)"
    r"/?(?=[\"'\s)<>,.?]|$)"
)
_JSON_PATH = re.compile(r"\"(/[a-z0-9_-]{2,40}(?:/[a-z0-9_-]{1,40})?)/?\"", re.IGNORECASE)
_NEIGHBOUR = re.compile(
    r"[\"'\s=(>](?:/[A-Za-z0-9_-]{1,40}){0,3}/(?:models?|model/info|healthz?|status|info|metadata|version)"
    r"/?(?=[\"'\s)<>,.?]|$)"
)
_KEY = re.compile(r"\bx-api-key\b|\bapi[ _-]?key\b|\bauthorization:\s|\bbearer\b", re.IGNORECASE)
_STATIC = re.compile(r"\.(js|css|png|ico|svg|html?|map|woff2?|json|txt|csv)$|/(static|assets|docs)(/|$)")


def mentioned(pages: Iterable[Answer]) -> Iterator[str]:
    """Paths that the pages name and that sound like inference, and the patterns of a Django debug page.

    Where a page speaks of a model, the paths that it says to POST to count too, whatever they are called.
    """
    for page in pages:
        text = page.text[:65536]
        if "tried these URL patterns" in text:
            yield from ("/" + match.lstrip("^/") for match in _DJANGO.findall(text)[:40])
        for path in _QUOTED.findall(text)[:60]:
            clean = path.rstrip(".")
            if not _STATIC.search(clean) and route_weight(clean) > 0.5:
                yield clean
        if page.ok and page_weight(text)[0] > 0:
            for path in (*_POSTED.findall(text)[:8], *_FORM.findall(text)[:4]):
                if not _STATIC.search(path):
                    yield path


def hinted(pages: Iterable[Answer]) -> Iterator[str]:
    """Paths made of inference words that short pages use of themselves."""
    for page in pages:
        if page.ok and len(page.body) <= 4096:
            for word in words_of(re.sub(r"<[^<>]*>", " ", page.text)):
                if ROUTE_WORDS.get(word, 0.0) >= 0.9:
                    yield "/" + word


def siblings(path: str) -> tuple[str, ...]:
    """What is often served beside an inference route."""
    if path.endswith("/"):
        return ()
    return (path + "_batch", path + "/batch")


def signposts(pages: Iterable[Answer]) -> tuple[str, ...]:
    """Pages beside the routes that the pages name and that are harmless to read: health, status and the like."""
    found = (match.group(0)[1:] for page in pages for match in _NEIGHBOUR.finditer(page.text[:65536]))
    return tuple(dict.fromkeys(found))[:4]


def asks_for_key(pages: Iterable[Answer]) -> Answer | None:
    """The page that tells its callers to bring a key; None where none does."""
    return next((page for page in pages if _KEY.search(page.text[:65536])), None)


def linked_bases(page: Answer) -> tuple[str, ...]:
    """Folders on the same host that a page tells of, without the trailing slash: other applications, maybe.

    They are the parents of documentation and health pages, the folders that HTML links to, and the paths that
    a short JSON document lists.
    """
    text = page.text[:65536]
    folders = _SIGNPOST.findall(text)[:20]
    if page.media == "text/html":
        folders += ["/" + link.strip("/") for link in _HREF.findall(text)[:20]]
    elif "json" in page.media and len(page.body) <= 4096:
        folders += [path for path in _JSON_PATH.findall(text)[:8] if not _SIGNPOST.search(f'"{path}"')]
    return tuple(dict.fromkeys(folder for folder in folders if not _STATIC.search(folder)))[:4]


def candidates(pages: list[Answer], *, most: int) -> tuple[str, ...]:
    """The paths to try, best first, each once, at most ``most`` and never one with a parameter."""
    listed = any("tried these URL patterns" in page.text[:65536] for page in pages)
    ranked = [*mentioned(pages), *hinted(pages), *(() if listed else USUAL)]
    return tuple(dict.fromkeys(path for path in ranked if "{" not in path and "<" not in path))[:most]
