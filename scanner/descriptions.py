"""Where a service describes its interface, and what its first pages look like. Sans-I/O, as ``scanner.examine``."""

import re

from scanner.application import Application, Asks
from scanner.exchange import Answer
from scanner.lexicon import page_weight
from scanner.openapi import describe
from scanner.routes import MOVED
from scanner.signature import Layer

_GREETING = 600
_DESCRIBED_AT = re.compile(r"(?:url\s*:|spec-url\s*=|data-url\s*=)\s*[\"'](/[\w./-]{1,120})[\"']", re.IGNORECASE)
_ASGI = re.compile(r"^(uvicorn|hypercorn|granian|daphne)", re.IGNORECASE)
DESCRIBED = frozenset({"connexion", "fastapi", "litestar", "plumber"})
"""Frameworks that write a description of every service unless they are told not to."""


def _named_documents(app: Application) -> list[str]:
    said = [match for page in app.pages for match in re.findall(
        r"[\"'(](/?[\w./-]{0,80}(?:openapi|swagger|apispec)[\w-]{0,10}\.json)[\"')]", page.text[:32768])]  # fmt: skip
    return [path if path.startswith("/") else "/" + path for path in said if not path.startswith("//")]


def _own_documents(app: Application) -> list[str]:
    """Where the frameworks that are believed put a description."""
    return [path for name in sorted(app.stacks) for path in app.knowledge.signatures[name].documents]


def likely_documents(app: Application) -> tuple[str, ...]:
    """Where a description surely is: as pages say, and where a framework puts the one that it always writes."""
    own = _own_documents(app) if app.stacks & DESCRIBED else []
    return tuple(dict.fromkeys([*_named_documents(app), *own]))


def other_documents(app: Application) -> tuple[str, ...]:
    """Where else a description may be: as it is moved to, or as extensions of the framework put it."""
    own = _own_documents(app)
    if app.stacks & DESCRIBED:
        return (*own, *(() if app.base or (app.pages and not speaks_json(app)) else MOVED))
    if app.beliefs.best(Layer.FRAMEWORK) is None and speaks_json(app):
        asynchronous = app.canary is not None and _ASGI.search(app.canary.header("server"))
        return ("/openapi.json", *MOVED) if asynchronous else ("/openapi.json", "/docs", "/swagger.json")
    return tuple(own[:1] if app.base else own[:2] if is_plain_site(app) else own)


def speaks_json(app: Application) -> bool:
    """Whether its first answers are JSON."""
    answers = (app.canary, app.root)
    return any(answer is not None and "json" in answer.media for answer in answers)


def read_description(app: Application, documents: tuple[str, ...]) -> Asks:
    """Step 4: ask for the description of the interface, and where a page of documentation says that it is."""
    waiting = [path for path in documents if f"GET {path}" not in app.asked]
    while waiting and app.description is None and not app.dialogue.over:
        answer = yield from app.ask("GET", waiting.pop(0))
        take_description(app, answer)
        said = _DESCRIBED_AT.search(answer.text[:32768]) if answer.ok and answer.media == "text/html" else None
        path = said.group(1).removeprefix(app.base) if said else ""
        if path.startswith("/") and f"GET {path}" not in app.asked:
            waiting.insert(0, path)


def take_description(app: Application, answer: Answer) -> None:
    """Keep the description in an answer, where there is one."""
    if not answer.ok:
        return
    description = describe(answer.document, app.base)
    if description is not None:
        app.description, app.described_by, app.described_raw = description, str(answer.request), answer.digest


def says_little(app: Application) -> bool:
    """Whether a program answers that shows no page: a framework or JSON, and nothing for people to read."""
    program = app.beliefs.best(Layer.FRAMEWORK) is not None or speaks_json(app)
    return program and not any(page.media == "text/html" for page in app.pages)


def is_plain_site(app: Application) -> bool:
    """Whether the root is a page about something else, or every path leads elsewhere.

    A page of a few words without a link is a greeting, not a site, where a framework serves it.
    """
    if app.canary is not None and app.canary.status in {301, 302, 303, 307, 308, 401, 403, 502, 503}:
        return True
    said = max((page_weight(page.text)[0] for page in app.pages), default=0.0)
    sites = (page for page in app.pages if page.media == "text/html")
    served = app.beliefs.best(Layer.FRAMEWORK) is None and not speaks_json(app)
    return said == 0 and any(served or len(page.body) > _GREETING or "<a " in page.text for page in sites)


def may_mount(app: Application) -> bool:
    """Whether services may be mounted below: a proxy that answers for itself, or FastAPI without a description."""
    empty = app.root is not None and not app.root.ok
    return empty and not app.base and app.description is None and "fastapi" in app.stacks


def base_in_policy(app: Application) -> list[str]:
    """The base path that a Jupyter server under a prefix names in its policy's report address."""
    policy = app.canary.header("content-security-policy") if app.canary is not None else ""
    report = re.search(r"report-uri\s+(/\S+?)/api/security/csp-report", policy)
    return [report.group(1)] if report else []
