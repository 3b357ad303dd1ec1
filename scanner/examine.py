"""The questions to one application, sans-I/O: steps 2 to 6 of the machine in ``scanner.identify``."""

import re
from collections.abc import Generator

from inventory.model import InferenceRoute
from scanner.application import Application, local_target
from scanner.belief import SURE
from scanner.dialogue import CANARY
from scanner.exchange import Answer, Request
from scanner.lexicon import page_weight
from scanner.openapi import describe
from scanner.routes import MOVED, candidates, mentioned, siblings, signposts
from scanner.signature import Layer, Signature
from scanner.verdict import judge

Asks = Generator[Request, Answer, None]

_WORTH_ASKING = 0.12
"""Expected nats from which a request of a suspected product is worth sending."""
_WORTH_A_DOUBT = 3.0
"""Expected nats from which another product is looked into although one is sure already."""
_WORTH_A_SURVEY = 0.5
_MOST_SURVEY = 4


def examine(app: Application, *, distinct: bool = True) -> Asks:
    """Steps 2 to 6 for one application; other products are looked for only where it is ``distinct`` from the root."""
    yield from app.visit()
    yield from _pursue(app)
    if known(app) is None and app.root is not None and app.root.request.method == "HEAD":
        yield from app.visit()
        yield from _pursue(app)
    if known(app) is None and not app.walled:
        yield from _explore(app, distinct=distinct)
    elif app.walled is not None and app.walled.status == 401 and not app.base:
        yield from try_routes(app)
    product = app.beliefs.best(Layer.PRODUCT)
    if product is not None:
        yield from _settle(app, product)


def _explore(app: Application, *, distinct: bool) -> Asks:
    """Steps 4 to 6, for a host that no product's clue explained."""
    yield from read_description(app)
    yield from _pursue(app)
    if known(app) is None and distinct and not judge(app).model.is_model:
        yield from _survey(app)
    if known(app) is None and app.description is None and distinct and not (base_in_policy(app) and not app.base):
        yield from try_routes(app)


def known(app: Application) -> Signature | None:
    """The product, where it is sure enough that nothing more need be asked to tell it."""
    product = app.beliefs.best(Layer.PRODUCT)
    return product if product and app.beliefs.log_odds(product) >= SURE else None


def _pursue(app: Application) -> Asks:
    """Ask what tells most about the products that something spoke for, until one is sure or none is worth it."""
    for _ in range(12):
        product = known(app)
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
        if known(app) is not None:
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
        yield from read_description(app)


def _documents(app: Application) -> tuple[str, ...]:
    """Where a description may be: as pages say, as the framework puts it, as it is usually moved."""
    said = [match for page in app.pages for match in re.findall(
        r"[\"'(](/?[\w./-]{0,80}(?:openapi|swagger|apispec)[\w-]{0,10}\.json)[\"')]", page.text[:32768])]  # fmt: skip
    stacks = app.stacks
    own = [path for name in sorted(stacks) for path in app.knowledge.signatures[name].documents]
    own = own[:1] if app.base else own[:2] if _is_plain_site(app) else own
    if not own and _speaks_json(app):
        own = list(app.knowledge.documents[:3])
    named = [path if path.startswith("/") else "/" + path for path in said if not path.startswith("//")]
    return tuple(dict.fromkeys([*named, *own]))


def _speaks_json(app: Application) -> bool:
    answers = (app.canary, app.root)
    return any(answer is not None and "json" in answer.media for answer in answers)


def read_description(app: Application) -> Asks:
    """Step 4: ask for the description of the interface where the framework puts it, and where it is moved to."""
    moved = MOVED if app.stacks & {"fastapi", "litestar"} and not app.base else ()
    documents = _documents(app)
    for path in (*documents, *moved):
        if app.dialogue.over or app.description is not None:
            return
        if path in moved and path not in documents and app.pages and not _speaks_json(app):
            return
        answer = yield from app.ask("GET", path)
        take_description(app, answer)


def take_description(app: Application, answer: Answer) -> None:
    """Keep the description in an answer, where there is one."""
    if not answer.ok:
        return
    description = describe(answer.document, app.base)
    if description is not None:
        app.description, app.described_by, app.described_raw = description, str(answer.request), answer.digest


def try_routes(app: Application) -> Asks:
    """OPTIONS on inference paths, which runs no handler in any framework that knows its routes' methods.

    It tells something only where OPTIONS of a path that does not exist is answered 404.
    """
    if app.canary is None or app.canary.status not in {404, 400, 401, 405}:
        return
    baseline = yield from app.ask("OPTIONS", CANARY)
    if baseline.status != 404:
        return
    told = frozenset(mentioned([app.canary, *app.pages]))
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
            if first and judge(app).model.is_model:
                tried = [p for p in tried if p in told] if path in told else list(siblings(path))
    if app.found:
        for path in signposts(app.pages)[:2]:
            yield from app.ask("GET", path)


def _how_many(app: Application) -> int:
    """How many paths are worth trying: few where a page shows a site about something else."""
    if app.walled is not None or app.base:
        return 5
    if any("tried these URL patterns" in answer.text for answer in (app.canary, app.root) if answer is not None):
        return 8
    if _is_plain_site(app):
        return 4
    if "fastapi" in app.stacks:
        return 12
    return 26 if not app.pages else 16


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


def base_in_policy(app: Application) -> list[str]:
    """The base path that a Jupyter server under a prefix names in its policy's report address."""
    policy = app.canary.header("content-security-policy") if app.canary is not None else ""
    report = re.search(r"report-uri\s+(/\S+?)/api/security/csp-report", policy)
    return [report.group(1)] if report else []
