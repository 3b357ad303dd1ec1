"""The identification machine, sans-I/O: answers in, the next request or the findings out.

It is a generator: it yields a ``Request``, is sent its ``Answer``, and returns ``Findings``. So its tests
are transcripts, and the one interpreter (``scanner.questions``) does all the I/O. The course:

1. a canary that is harmless everywhere; its error shape names the framework and unmasks catch-alls
2. the root page, or its head where a signature says that the page may do harm
3. the most telling requests of the products that something spoke for
4. the service's own description of its interface: where pages or the framework say, later where it is moved to
5. OPTIONS on inference paths, the most usual first; between the first few and the rest, what divides the
   products that nothing contradicts
6. other base paths: what pages link or redirect to, where an unknown path is answered otherwise than at the
   root, and usual prefixes
"""

import re
from collections.abc import Generator
from dataclasses import dataclass

from inventory.model import Evidence, Identified, Kind
from scanner.application import Application, Asks, is_wall, local_target
from scanner.descriptions import base_in_policy, may_mount, take_description
from scanner.dialogue import CANARY, Dialogue
from scanner.examine import examine, known, try_routes
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.knowledge import Knowledge
from scanner.lexicon import page_weight
from scanner.routes import HIDDEN, PAGES, PROXIED, linked_bases
from scanner.signature import Layer
from scanner.verdict import findings, judge

Machine = Generator[Request, Answer, tuple[Finding, ...]]

_TOGETHER = 6
"""How many prefixes are asked for at once: where one of the first is hit, few questions were too many."""
_API_FRAMEWORKS = frozenset(
    {"aiohttp", "bottle", "express", "falcon", "fastapi", "flask", "litestar", "quart", "sanic", "starlette", "tornado"}
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the machine is about: the port (a weak hint) and a random word for paths that do not exist."""

    port: int
    token: str


def identify(knowledge: Knowledge, limits: Limits, subject: Subject) -> Machine:
    """Identify what answers behind a listener. Returns no findings where it speaks no HTTP."""
    dialogue = Dialogue(limits.requests)
    app = Application("", dialogue, knowledge, subject.port)
    yield from app.greet(subject.token)
    if app.canary is None or (app.canary.status is None and not _began_http(app.canary)):
        return ()
    if app.canary.raw and not app.canary.raw.startswith(b"HTTP/"):
        return ()  # RTSP and ICE answer in HTTP's form
    if app.canary.status is None:
        return (_hardly_http(app.canary),)
    yield from examine(app)
    apps = [app]
    if not dialogue.over:
        apps += yield from _others(app, subject)
    return tuple(finding for found in apps for finding in findings(found, conclusive=not dialogue.stalled))


def _began_http(answer: Answer) -> bool:
    return answer.outcome in {"timeout", "too-large", "closed"} and answer.raw.startswith(b"HTTP/1")


def _hardly_http(answer: Answer) -> Finding:
    identified = Identified(kind=Kind.ORDINARY_WEB, confidence=0.6, conclusive=False)
    signal = f"it began an HTTP answer that did not end ({answer.outcome})"
    return Finding(fact=identified, evidence=(Evidence(signal=signal, request=str(answer.request)),))


def _others(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    """Step 6: applications under other base paths than the root."""
    judged = judge(app)
    if judged.product is not None or judged.model.is_model or app.walled or app.catch_all:
        return []
    found: list[Application] = []
    for base in _bases_told(app):
        other = Application(base, app.dialogue, app.knowledge, subject.port)
        yield from other.greet(subject.token)
        if other.canary is not None and other.canary.status is not None and not app.dialogue.over:
            same = app.canary is not None and other.canary.shape == app.canary.shape
            yield from (_look_in(other, app) if same else examine(other))
            if _stands_alone(other):
                found.append(other)
    if not found and _hides_something(app):
        found += yield from _under_prefixes(app, subject)
    if not found and _shows_nothing(app) and app.stacks & {"fastapi", "starlette"}:
        found += yield from _pages_under(app, subject)
    return found


def _look_in(other: Application, app: Application) -> Asks:
    """Look into a part of the root's application: its page, its description, and a few routes."""
    yield from examine(other, distinct=False)
    if known(other) is None and other.description is None and app.stacks & _API_FRAMEWORKS:
        yield from try_routes(other)


def _pages_under(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    """A page that is mounted beside an API, as Gradio is, or served under a base path, as Streamlit can be."""
    for base in PAGES:
        other = Application(base, app.dialogue, app.knowledge, subject.port)
        other.canary = app.canary
        yield from other.visit()
        if other.root is not None and other.root.ok and not app.dialogue.over:
            yield from examine(other, distinct=False)
            return [other] if _stands_alone(other) else []
    return []


def _bases_told(app: Application) -> tuple[str, ...]:
    bases: list[str] = []
    first = app.dialogue.answers.get("GET /") or app.dialogue.answers.get("HEAD /")
    target = local_target(first) if first is not None else None
    if first is not None and target and not is_wall(first):
        bases.append("/" + target.partition("?")[0].strip("/"))
    bases += base_in_policy(app)
    bases += unlike_the_root(app)
    for page in app.pages:
        bases += linked_bases(page)
    return tuple(dict.fromkeys(base for base in bases if 1 < len(base) < 100))[:4]


def unlike_the_root(app: Application) -> list[str]:
    """Folders below which an unknown path is answered otherwise than at the root: another application is there."""
    if app.canary is None or app.canary.status != 404 or app.base:
        return []
    unknown = {app.canary.shape} | {answer.shape for text, answer in app.dialogue.answers.items()
                                    if text.endswith(f" {CANARY}")}  # fmt: skip
    folders = [answer.request.path.partition("?")[0].rpartition("/")[0] for answer in app.dialogue.answers.values()
               if answer.status == 404 and answer.request.method != "HEAD" and answer.shape not in unknown]  # fmt: skip
    return list(dict.fromkeys(folder for folder in folders if folder))[:2]


def _stands_alone(other: Application) -> bool:
    judged = judge(other)
    return judged.product is not None or judged.model.is_model


def _hides_something(app: Application) -> bool:
    """Whether more than the root is likely: a proxy's stock page, or a framework that serves nothing at its root."""
    stock = any(page_weight(page.title)[0] == 0 and re.search(
        r"welcome to nginx|apache2? .*default page|it works|caddy works|test page", page.text[:4096], re.IGNORECASE)
        for page in app.pages)  # fmt: skip
    return stock or (_shows_nothing(app) and bool(app.stacks) and app.description is None)


def _shows_nothing(app: Application) -> bool:
    """Whether the root is not there, and no interface explains why."""
    return app.root is not None and app.root.status == 404 and app.interface is None


def _under_prefixes(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    """Ask below usual prefixes for a description; an answer unlike the root's shows another application there."""
    if app.canary is None or not (may_mount(app) or app.beliefs.best(Layer.FRAMEWORK) is None):
        return []
    places = HIDDEN if may_mount(app) else tuple((base, "/openapi.json") for base in PROXIED)
    for first in range(0, len(places), _TOGETHER):
        some = [(Application(base, app.dialogue, app.knowledge, subject.port), document)
                for base, document in places[first : first + _TOGETHER]]  # fmt: skip
        for other, answer in (yield from _ask_together(some)):
            take_description(other, answer)
            if other.description is not None:
                other.canary = app.canary
                other.beliefs.hear(answer, ("any",), news=True)
                return [other]
            elsewhere = answer.status in {401, 404} and answer.shape != app.canary.shape
            if elsewhere and not app.dialogue.over:
                yield from other.greet(subject.token)
                yield from examine(other)
                if _stands_alone(other):
                    return [other]
    return []


def _ask_together(
    places: list[tuple[Application, str]],
) -> Generator[Request, Answer, list[tuple[Application, Answer]]]:
    """The answers of several applications to a GET of a path each, which may all be asked at once."""
    ahead = [Request("GET", other.base + path, path) for other, path in places]
    answers: list[tuple[Application, Answer]] = []
    for number, (other, path) in enumerate(places, 1):
        answer = yield from other.ask("GET", path, ahead=tuple(ahead[number:]))
        answers.append((other, answer))
    return answers
