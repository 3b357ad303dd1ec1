"""Which paths to try where nothing describes a service: the paths it mentions itself, then the usual ones. Pure."""

import re
from collections.abc import Iterable, Iterator

from scanner.exchange import Answer
from scanner.lexicon import ROUTE_WORDS, page_weight, route_weight, words_of

_VERBS: dict[str, float] = {
    "predict": 0.32, "score": 0.04, "classify": 0.04, "detect": 0.035, "embed": 0.035, "generate": 0.04,
    "infer": 0.03, "inference": 0.03, "recommend": 0.03, "transcribe": 0.025, "summarize": 0.025, "analyze": 0.04,
    "forecast": 0.02, "sentiment": 0.02, "translate": 0.02, "prediction": 0.015, "predictions": 0.012,
    "embeddings": 0.015, "segment": 0.015, "rerank": 0.007, "tag": 0.015, "ner": 0.015, "ocr": 0.015,
    "similarity": 0.015, "anomaly": 0.012, "caption": 0.01, "knn": 0.01, "toxicity": 0.01, "encode": 0.01,
    "rank": 0.01, "spam": 0.01, "run": 0.008,
}  # fmt: skip
"""What the last segment of an inference path is, as a share: counted over some ninety hand-written services in public
repositories that were looked up by their task and their framework, and rounded; tasks seen once share what is left."""

_BEFORE: dict[str, float] = {
    "": 0.60, "/api": 0.12, "/api/v1": 0.06, "/v1": 0.06, "/model": 0.03, "/ml": 0.03, "/api/v2": 0.025,
    "/v2": 0.015, "/ai": 0.015, "/inference": 0.015, "/serving": 0.01, "/models": 0.005,
}  # fmt: skip
"""What stands before it, from the same services; a service that stands alone mostly has nothing. Below ``/models``
mostly others are loaded and deleted: of ten routes there in public repositories none was inference."""

_PRESCRIBED: dict[str, float] = {
    "/invocations": 0.03, "/models/-/predict": 0.009, "/predict/-": 0.004, "/v1/chat/completions": 0.004,
    "/v1/models/-:predict": 0.003, "/-/predict": 0.003,
}  # fmt: skip
"""What clouds and protocols prescribe, and routes with a name in them: any name fits, so ``-`` is asked for."""

_MOST_USUAL = 40
_ROUNDED = 1e-6


def _usual() -> tuple[str, ...]:
    shares = {f"{before}/{verb}": a * b for before, a in _BEFORE.items() for verb, b in _VERBS.items()}
    shares.update(_PRESCRIBED)
    # Halved or not, what has less than half of the least usual that counts is not among the most usual.
    least = sorted(shares.values())[-_MOST_USUAL] / 2 - _ROUNDED
    weights = {path: route_weight(path) for path, share in shares.items() if share >= least}
    gains = {path: shares[path] if weight > _TELLING else shares[path] / 2 for path, weight in weights.items()}
    return tuple(sorted(gains, key=lambda path: (-round(gains[path], 6), -weights[path], path))[:_MOST_USUAL])


_TELLING = 1.5
"""The weight of a name from which a route that takes only POST is likelier a model than not (``scanner.classify``)."""

USUAL = _usual()
"""Inference paths, the most telling first: how usual a path is, halved where its name alone would not say enough."""

_DOCUMENT = "/openapi.json"
_TASKS = ("sentiment", "forecast", "risk", "anomaly", "recommend", "price", "fraud", "spam", "credit")
"""What models below ``/ml`` do, the most usual first: tasks that three or more public repositories mount or call there,
of some twenty that were looked for. Names of data sets stay out, however usual."""

_MOUNTED = ("/ml", "/model", "/ai", "/v1", "/models", "/inference", "/serving", "/predict")
_VERSIONED = tuple(
    f"{word}/{version}" for version in ("v1", "v2", "v3") for word in ("/model", "/ml", "/serving", "/inference")
)
_SCHEMAS = ("/api", "/ml", "/model", "/inference", "/ai", "/serving", "/predict")
"""Below which words a description called ``schema``, a usual other name for it, is looked for."""

HIDDEN = (
    *((base, _DOCUMENT) for base in ("/api", "/api/v1", *_MOUNTED, *_VERSIONED)),
    *((base, "/schema") for base in _SCHEMAS),
)  # fmt: skip
"""Where a description may be of a service that shows none: the base path, and the document's name below it. A word for
it with or without a version, then the other name."""

PROXIED = ("/api", "/ml", "/model", "/api/v1", "/ai", "/api/ml", "/predict", "/ml-api", "/v1", "/models", "/inference",
           "/serving", "/ml/v1", "/ai/v1", *(f"/ml/{task}" for task in _TASKS))  # fmt: skip
"""Where proxies that show a page of their own pass requests on: a word for it, with or without a version, then
tasks below ``/ml``, since a proxy tells nothing of the folders above."""

SELF = ("/api/health", "/healthz", "/info", "/status", "/ping", "/ready")
"""Pages on which services tell of themselves, the most usual first. ``/health``, where of twenty such pages in public
repositories seventeen were, is not among them: two model servers run a model there."""

PAGES = ("/gradio", "/demo", "/ui")
"""Where pages are mounted beside an API."""

MOVED = ("/docs", "/api/openapi.json", "/api/v1/openapi.json")
"""Where descriptions are moved to when they are not at the framework's own place, and pages that say where."""

_QUOTED = re.compile(r"(?:[\"'\s=(>]|^)(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80})(?=[\"'\s)<>,.?]|$)")
_DJANGO = re.compile(r"<li>\s*<code>\s*([a-z0-9_/^-]{2,80}/?)\$?\s*</code>", re.IGNORECASE)
_POSTED = re.compile(r"\bPOST(?:\s+to)?(?:\s|<[^>]{1,40}>|:)+(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80}[A-Za-z0-9_/-])")
_FORM = re.compile(r"<form\b[^>]{0,200}?\baction=[\"']?(/[A-Za-z0-9_][A-Za-z0-9_./-]{1,80})", re.IGNORECASE)
_FORM_TAG = re.compile(r"<form\b[^>]{0,400}>", re.IGNORECASE)
_POSTS = re.compile(r"\bmethod\s*=\s*[\"']?post\b", re.IGNORECASE)
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


_STOP = frozenset({
    "a", "an", "and", "api", "app", "application", "by", "demo", "for", "from", "hello", "home", "is", "it", "its",
    "json", "main", "my", "of", "ok", "online", "page", "ready", "root", "running", "server", "service", "services",
    "status", "super", "team", "test", "the", "this", "to", "up", "version", "web", "welcome", "with", "world", "your",
})  # fmt: skip
_NAMED = re.compile(r"\"(?:service|name|app|application)\"\s*:\s*\"([\w .-]{2,40})\"", re.IGNORECASE)


def named_things(pages: Iterable[Answer]) -> tuple[str, ...]:
    """What short pages call the service: the words of its title or name that are no filler, joined by hyphens."""
    found: list[str] = []
    for page in pages:
        if page.ok and len(page.body) <= 4096:
            titles = [page.title] if page_weight(page.text)[0] > 0 else []
            names = titles if page.media == "text/html" else _NAMED.findall(page.text)[:3]
            for name in names:
                words = [word for word in words_of(name) if _names_a_thing(word)]
                if 1 <= len(words) <= 2:
                    found.append("-".join(words))
    return tuple(dict.fromkeys(found))[:2]


def _names_a_thing(word: str) -> bool:
    """Whether a word names what a model is about: no filler, no verb of inference, no word for a model as such."""
    weight = ROUTE_WORDS.get(word, 0.0)
    return word not in _STOP and not word.isdigit() and (weight == 0 or 0.3 < weight < 3.0)


def of_things(pages: Iterable[Answer]) -> Iterator[str]:
    """Paths made of what a service calls itself."""
    for thing in named_things(pages):
        yield from (f"/{thing}/predict", f"/{thing}", f"/predict/{thing}")


def named_route(path: str) -> str:
    """A path that was tried with ``-`` in a name's place, as a route with a parameter."""
    return re.sub(r"(?<=/)-(?=[/:]|$)", "{name}", path)


def candidates(pages: list[Answer], *, most: int, below: bool = False) -> tuple[str, ...]:
    """The paths to try, best first, each once, at most ``most`` and never one with a parameter.

    ``below`` a base path that is known the verb follows at once.
    """
    listed = any("tried these URL patterns" in page.text[:65536] for page in pages)
    general = [path for path in USUAL if not below or path.count("/") == 1]
    usual = () if listed else (*general[:4], *of_things(pages), *general[4:])
    ranked = [*mentioned(pages), *hinted(pages), *usual]
    return tuple(dict.fromkeys(path for path in ranked if "{" not in path and "<" not in path))[:most]


def told_posts(pages: Iterable[Answer]) -> tuple[str, ...]:
    """The paths that pages about a model say to POST to, by a form or in words."""
    found: list[str] = []
    for page in pages:
        text = page.text[:65536]
        if page.ok and page_weight(text)[0] > 0:
            forms = [form for form in _FORM_TAG.findall(text)[:4] if _POSTS.search(form)]
            said = (*_POSTED.findall(text)[:8], *(path for form in forms for path in _FORM.findall(form)))
            found += [path for path in said if not _STATIC.search(path)]
    return tuple(dict.fromkeys(found))
