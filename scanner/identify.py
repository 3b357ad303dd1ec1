"""The identification machine, sans-I/O: answers in, the next request or the findings out.

It is a generator: it yields a ``Request``, is sent its ``Answer``, and returns ``Findings``. So its tests
are transcripts, and the one interpreter (``scanner.questions``) does all the I/O. The course:

1. a canary that is harmless everywhere; its error shape names the framework and unmasks catch-alls
2. the root page, or its head where a signature says that the page may do harm
3. the most telling requests of the products that something spoke for
4. the service's own description of its interface, also at moved places
5. the most telling requests of the products that nothing contradicts
6. OPTIONS on a short list of inference paths, where unknown paths answer 404
7. other base paths: what the root links or redirects to, and usual prefixes
"""

import re
from collections.abc import Generator
from dataclasses import dataclass

from inventory.model import Evidence, Identified, InferenceRoute, Kind
from scanner.application import Application, is_wall, local_target
from scanner.belief import SURE
from scanner.dialogue import CANARY, Dialogue
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.knowledge import Knowledge
from scanner.lexicon import page_weight
from scanner.openapi import describe
from scanner.routes import MOVED, PAGES, PREFIXES, candidates, linked_bases, siblings, signposts
from scanner.signature import Layer, Signature
from scanner.verdict import findings, judge

Asks = Generator[Request, Answer, None]
Machine = Generator[Request, Answer, tuple[Finding, ...]]

_WORTH_ASKING = 0.12
"""Expected nats from which a request of a suspected product is worth sending."""
_WORTH_A_DOUBT = 3.0
"""Expected nats from which another product is looked into although one is sure already."""
_WORTH_A_SURVEY = 0.45
_MOST_SURVEY = 4


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
    if app.canary.status is None:
        return (_hardly_http(app.canary),)
    yield from _examine(app)
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


def _examine(app: Application, *, distinct: bool = True) -> Asks:
    """Steps 2 to 6 for one application; other products are looked for only where it is ``distinct`` from the root."""
    yield from app.visit()
    yield from _pursue(app)
    if _known(app) is None and app.root is not None and app.root.request.method == "HEAD":
        yield from app.visit()
        yield from _pursue(app)
    if _known(app) is None and not app.walled:
        yield from _explore(app, distinct=distinct)
    elif app.walled is not None and app.walled.status == 401 and not app.base:
        yield from _try_routes(app)
    product = app.beliefs.best(Layer.PRODUCT)
    if product is not None:
        yield from _settle(app, product)


def _explore(app: Application, *, distinct: bool) -> Asks:
    """Steps 4 to 6, for a host that no product's clue explained."""
    yield from _read_description(app)
    yield from _pursue(app)
    if _known(app) is None and distinct and not judge(app).model.is_model:
        yield from _survey(app)
    if _known(app) is None and app.description is None and not (_base_in_policy(app) and not app.base):
        yield from _try_routes(app)


def _known(app: Application) -> Signature | None:
    """The product, where it is sure enough that nothing more need be asked to tell it."""
    product = app.beliefs.best(Layer.PRODUCT)
    return product if product and app.beliefs.log_odds(product) >= SURE else None


def _pursue(app: Application) -> Asks:
    """Ask what tells most about the products that something spoke for, until one is sure or none is worth it."""
    for _ in range(12):
        product = _known(app)
        name, gain = app.beliefs.next_request(app.stacks, frozenset(app.asked), clued_only=True)
        if app.dialogue.over or not name or gain < (_WORTH_ASKING if product is None else _WORTH_A_DOUBT):
            return
        yield from app.ask_named(name)


def _survey(app: Application) -> Asks:
    """Ask what divides the products that nothing contradicts; stop when the next would tell too little."""
    worth = _WORTH_A_SURVEY * (4 if _is_plain_site(app) else 1)
    for _ in range(_MOST_SURVEY):
        name, gain = app.beliefs.next_request(app.stacks, frozenset(app.asked), clued_only=False)
        if app.dialogue.over or not name or gain < worth:
            return
        yield from app.ask_named(name)
        yield from _pursue(app)
        if _known(app) is not None:
            return


def _settle(app: Application, product: Signature) -> Asks:
    """Ask what decides posture, version and routes of the product that it is."""
    for rule in product.posture:
        if rule.on in {"canary", "root", "any"}:
            continue
        answer = yield from app.ask_named(rule.on)
        if rule.when.holds(answer):
            break
    for on in (rule.on for rules in (product.routes_from, product.version) for rule in rules):
        if on not in {"canary", "root", "any"}:
            yield from app.ask_named(on)
    if product.model.value == "routes" and app.description is None:
        yield from _read_description(app)


def _documents(app: Application) -> tuple[str, ...]:
    """Where a description may be: as pages say, as the framework puts it, as it is usually moved."""
    said = [match for page in app.pages for match in re.findall(
        r"[\"'(](/?[\w./-]{0,80}(?:openapi|swagger|apispec)[\w-]{0,10}\.json)[\"')]", page.text[:32768])]  # fmt: skip
    stacks = app.stacks
    own = [path for name in sorted(stacks) for path in app.knowledge.signatures[name].documents]
    own = own[:1] if app.base else own
    if not own and _speaks_json(app):
        own = list(app.knowledge.documents[:3])
    named = [path if path.startswith("/") else "/" + path for path in said if not path.startswith("//")]
    return tuple(dict.fromkeys([*named, *own]))


def _speaks_json(app: Application) -> bool:
    answers = (app.canary, app.root)
    return any(answer is not None and "json" in answer.media for answer in answers)


def _read_description(app: Application) -> Asks:
    moved = MOVED if app.stacks & {"fastapi", "litestar"} and not app.base else ()
    documents = _documents(app)
    for path in (*documents, *moved):
        if app.dialogue.over or app.description is not None:
            return
        if path in moved and path not in documents and app.pages and not _speaks_json(app):
            return
        answer = yield from app.ask("GET", path)
        _take_description(app, answer)


def _take_description(app: Application, answer: Answer) -> None:
    if not answer.ok:
        return
    description = describe(answer.document, app.base)
    if description is not None:
        app.description, app.described_by, app.described_raw = description, str(answer.request), answer.digest


def _try_routes(app: Application) -> Asks:
    """OPTIONS on inference paths, which runs no handler in any framework that knows its routes' methods.

    It tells something only where OPTIONS of a path that does not exist is answered 404.
    """
    if app.canary is None or app.canary.status not in {404, 400, 401, 405}:
        return
    baseline = yield from app.ask("OPTIONS", CANARY)
    if baseline.status != 404:
        return
    tried = list(candidates([app.canary, *app.pages], most=_how_many(app)))
    while tried and not app.dialogue.over:
        path = tried.pop(0)
        answer = yield from app.ask("OPTIONS", path)
        if local_target(answer) == app.base + path + "/":
            path += "/"
            answer = yield from app.ask("OPTIONS", path)
        if _takes_posts(answer, baseline):
            first = not app.found
            app.found.append(InferenceRoute(method="POST", path=app.base + path))
            app.post_only |= {app.base + path} if "GET" not in answer.header("allow").upper() else set()
            tried = [*siblings(path), *tried[:1]] if first and judge(app).model.is_model else tried
    if app.found:
        for path in signposts(app.pages)[:2]:
            yield from app.ask("GET", path)


def _how_many(app: Application) -> int:
    """How many paths are worth trying: few where a page shows a site about something else."""
    if app.walled is not None or app.base:
        return 6
    if any("tried these URL patterns" in answer.text for answer in (app.canary, app.root) if answer is not None):
        return 8
    if _is_plain_site(app):
        return 6
    return 12 if "fastapi" in app.stacks else 26


def _is_plain_site(app: Application) -> bool:
    """Whether the root is a page about something else, or every path leads elsewhere."""
    if app.canary is not None and app.canary.status in {301, 302, 303, 307, 308, 401, 403, 502, 503}:
        return True
    said = max((page_weight(page.text)[0] for page in app.pages), default=0.0)
    return said == 0 and any(page.media == "text/html" for page in app.pages)


def _takes_posts(answer: Answer, baseline: Answer) -> bool:
    """Whether the answer to OPTIONS shows a route for POST. Tornado names no methods, but knows its routes."""
    allowed = {method.strip().upper() for method in answer.header("allow").split(",")}
    if answer.status is None or answer.shape == baseline.shape:
        return False
    if "POST" in allowed and (answer.ok or answer.status == 405):
        return True
    return answer.status == 405 and allowed == {""} and "405: Method Not Allowed" in answer.text


def _others(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    """Step 7: applications under other base paths than the root."""
    judged = judge(app)
    if judged.product is not None or judged.model.is_model or app.walled or app.catch_all:
        return []
    found: list[Application] = []
    for base in _bases_told(app):
        other = Application(base, app.dialogue, app.knowledge, subject.port)
        yield from other.greet(subject.token)
        if other.canary is not None and other.canary.status is not None and not app.dialogue.over:
            same = app.canary is not None and other.canary.shape == app.canary.shape
            yield from _examine(other, distinct=not same)
            if _stands_alone(other):
                found.append(other)
    if not found and _hides_something(app):
        found += yield from _under_prefixes(app, subject)
    if not found and app.root is not None and app.root.status == 404 and app.stacks & {"fastapi", "starlette"}:
        found += yield from _pages_under(app, subject)
    return found


def _pages_under(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    """A page that is mounted beside an API, as Gradio is, or served under a base path, as Streamlit can be."""
    for base in PAGES:
        other = Application(base, app.dialogue, app.knowledge, subject.port)
        other.canary = app.canary
        yield from other.visit()
        if other.root is not None and other.root.ok and not app.dialogue.over:
            yield from _examine(other, distinct=False)
            return [other] if _stands_alone(other) else []
    return []


def _bases_told(app: Application) -> tuple[str, ...]:
    bases: list[str] = []
    first = app.dialogue.answers.get("GET /") or app.dialogue.answers.get("HEAD /")
    target = local_target(first) if first is not None else None
    if first is not None and target and not is_wall(first):
        bases.append("/" + target.partition("?")[0].strip("/"))
    bases += _base_in_policy(app)
    for page in app.pages:
        bases += linked_bases(page)
    return tuple(dict.fromkeys(base for base in bases if 1 < len(base) < 100))[:4]


def _base_in_policy(app: Application) -> list[str]:
    """The base path that a Jupyter server under a prefix names in its policy's report address."""
    policy = app.canary.header("content-security-policy") if app.canary is not None else ""
    report = re.search(r"report-uri\s+(/\S+?)/api/security/csp-report", policy)
    return [report.group(1)] if report else []


def _stands_alone(other: Application) -> bool:
    judged = judge(other)
    return judged.product is not None or judged.model.is_model


def _hides_something(app: Application) -> bool:
    """Whether more than the root is likely: a proxy's stock page, or a framework that serves nothing at its root."""
    stock = any(page_weight(page.title)[0] == 0 and re.search(
        r"welcome to nginx|apache2? .*default page|it works|caddy works|test page", page.text[:4096], re.IGNORECASE)
        for page in app.pages)  # fmt: skip
    empty = app.root is not None and app.root.status == 404 and bool(app.stacks) and app.description is None
    return stock or empty


def _under_prefixes(app: Application, subject: Subject) -> Generator[Request, Answer, list[Application]]:
    fits = "fastapi" in app.stacks or app.beliefs.best(Layer.FRAMEWORK) is None
    for base in PREFIXES if fits else ():
        if app.dialogue.over:
            return []
        other = Application(base, app.dialogue, app.knowledge, subject.port)
        other.canary = app.canary
        answer = yield from other.ask("GET", "/openapi.json")
        _take_description(other, answer)
        if other.description is not None:
            other.beliefs.hear(answer, ("any",), news=True)
            return [other]
    return []
