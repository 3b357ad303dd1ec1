"""The questions to one application, sans-I/O: steps 2 to 5 of the machine in ``scanner.identify``."""

from collections.abc import Generator, Iterator

from inventory.model import InferenceRoute
from scanner.application import Application, Asks, local_target
from scanner.belief import SURE
from scanner.descriptions import (
    base_in_policy,
    is_plain_site,
    likely_documents,
    may_mount,
    other_documents,
    read_description,
    says_little,
    speaks_json,
)
from scanner.dialogue import CANARY
from scanner.exchange import Answer, Request
from scanner.lexicon import page_doubt, page_weight
from scanner.routes import SELF, candidates, linked_bases, mentioned, named_route, siblings, signposts
from scanner.signature import Layer, Signature
from scanner.verdict import judge

_WORTH_ASKING = 0.12
"""Expected nats from which a request of a suspected product is worth sending."""
_WORTH_A_DOUBT = 3.0
"""Expected nats from which another product is looked into although one is sure already."""
_WORTH_A_SURVEY = 0.5
_MOST_SURVEY = 2
_FIRST_LOOK, _MOUNTED_LOOK, _SECOND_LOOK, _ALL = 4, 6, 12, 40
"""How many paths are tried before products are looked for, before other places of a description, and in all."""
_FEW, _FEWER, _FEWEST, _DOUBTED = 6, 3, 2, 8
_ALIKE = 2
"""After so many answers to OPTIONS like the baseline's, which is no 404, the host does not route OPTIONS."""
_LONGEST_OF_ITSELF = 16 * 1024


def examine(app: Application, *, distinct: bool = True) -> Asks:
    """Steps 2 to 5 for one application; other products are looked for only where it is ``distinct`` from the root."""
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
    """Steps 4 and 5, for a host that no product's clue explained: what is likeliest to tell comes first."""
    yield from read_description(app, likely_documents(app))
    yield from _pursue(app)
    alone = distinct and not (base_in_policy(app) and not app.base)
    most = _how_many(app) if alone else 0
    second = _MOUNTED_LOOK if may_mount(app) else _SECOND_LOOK
    yield from _try_more(app, min(most, _FIRST_LOOK))
    if distinct and not _settled(app) and not (app.base and not most):
        yield from _survey(app)
    yield from _try_more(app, min(most, second))
    if distinct and not app.catch_all:
        yield from _ask_interfaces(app)
    told = app.interface is not None
    if most > second and not (app.catch_all or told):
        yield from _look_at_itself(app, SELF[:1] if "OPTIONS /predict" in app.asked else SELF)
    if not _settled(app) and not app.catch_all:
        yield from read_description(app, other_documents(app))
    if distinct and not (_settled(app) or is_plain_site(app) or may_mount(app) or most == _ALL):
        yield from _survey(app)
    if not (may_mount(app) or told):
        yield from _try_more(app, most)
    app.looked_for_routes = True


def _settled(app: Application) -> bool:
    """Whether it is known what the application is: a product, or a service with a route that runs a model."""
    return known(app) is not None or judge(app).model.is_model


def _try_more(app: Application, most: int) -> Asks:
    if most and app.description is None and not _settled(app):
        yield from try_routes(app, most=most)
        yield from _pursue(app)


def _ask_interfaces(app: Application) -> Asks:
    """Ask for interfaces that have no page at the root, of a program that is unexplained so far.

    Where one is there it explains the empty root, so that rare paths are not worth trying. In frameworks that describe
    themselves, or that it is seldom written in, the rare path that the question takes the place of is worth more.
    """
    if app.base or app.description is not None or _settled(app) or not says_little(app):
        return
    framework = app.beliefs.best(Layer.FRAMEWORK)
    for signature in app.knowledge.interfaces:
        if app.interface is None and (framework is None or framework.id in signature.stacks):
            for name in signature.requests:
                yield from app.ask_named(name)


def _look_at_itself(app: Application, paths: tuple[str, ...]) -> Asks:
    """Pages on which services tell of themselves, until one is there."""
    if app.description is not None or _settled(app):
        return
    for path in paths:
        answer = yield from app.ask("GET", path)
        if answer.ok and app.is_news(answer) and len(answer.body) <= _LONGEST_OF_ITSELF:
            app.pages.append(answer)
            return


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
    """Ask what divides the products that nothing contradicts; stop when the next would tell too little.

    Where the service describes itself, only what its description lists is worth asking.
    """
    worth = _WORTH_A_SURVEY * (4 if is_plain_site(app) else 1)
    left_out = frozenset(_undescribed(app))
    for _ in range(_MOST_SURVEY):
        name, gain = app.beliefs.next_request(app.stacks, frozenset(app.asked) | left_out, clued_only=False)
        if app.dialogue.over or not name or gain < worth:
            return
        yield from app.ask_named(name)
        yield from _pursue(app)
        if known(app) is not None:
            return


def _undescribed(app: Application) -> Iterator[str]:
    """The requests of signatures for paths that the service's own description does not have."""
    if app.description is None:
        return
    described = {operation.path.removeprefix(app.base).rstrip("/") for operation in app.description.operations}
    for name in app.knowledge.signals_on:
        path = name.partition(" ")[2].partition("?")[0].rstrip("/")
        if path and path not in described:
            yield name


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
        yield from read_description(app, (*likely_documents(app), *other_documents(app)))


def try_routes(app: Application, *, most: int = _FEW) -> Asks:
    """OPTIONS on inference paths, which runs no handler in any framework that knows its routes' methods.

    Of the pages beside a route, ``/health`` is left out where two model servers that run a model there are written in
    the same framework: below a prefix the ledger would not know them.
    """
    if app.canary is None or app.canary.status not in {404, 400, 401, 405}:
        return
    most = min(most, _how_many(app))
    ranked = candidates([app.canary, *app.pages], most=most, below=bool(app.base))
    tried = [path for path in ranked if f"OPTIONS {path}" not in app.asked]
    if most <= _FEWER and not (yield from _glance(app, tried)):
        return
    yield from _try(app, app.canary, tried)
    if app.found:
        for path in signposts(app.pages)[:2]:
            if not (path.rstrip("/").endswith("/health") and "fastapi" in app.stacks):
                yield from app.ask("GET", path)


def _try(app: Application, unknown: Answer, tried: list[str]) -> Asks:
    """Ask OPTIONS of one path after the other, and keep those that are routes.

    It tells something only where OPTIONS of a path that does not exist does not seem to allow POST; that is asked once
    a path is answered otherwise than a GET of one that does not exist.
    """
    told = frozenset(mentioned([unknown, *app.pages]))
    alike, baseline = 0, app.named(f"OPTIONS {CANARY}") or unknown
    if baseline is not unknown and _tells_nothing(baseline):
        return
    while tried and not app.dialogue.over and alike < _ALIKE:
        path, answer = yield from _options(app, tried.pop(0))
        if baseline is unknown and answer.shape != unknown.shape:
            baseline = yield from app.ask("OPTIONS", CANARY)
            if _tells_nothing(baseline):
                return
        alike += answer.shape == baseline.shape and baseline.status != 404
        if _takes_posts(answer, baseline):
            first = not app.found
            app.found.append(InferenceRoute(method="POST", path=app.base + named_route(path)))
            allowed = _allowed(answer)
            kind = app.unnamed if not allowed else app.post_only if "GET" not in allowed else set()
            kind.add(app.found[-1].path)
            if first and judge(app).model.is_model:
                tried = [p for p in tried if p in told] if path in told else list(siblings(path))


def _tells_nothing(baseline: Answer) -> bool:
    """Whether OPTIONS of a path that does not exist is answered as that of a route may be."""
    return baseline.ok or baseline.status in {None, 501} or "POST" in _allowed(baseline)


def _glance(app: Application, paths: list[str]) -> Generator[Request, Answer, bool]:
    """Whether OPTIONS of a few paths, asked together, is worth a closer look: one of them may be a route.

    Where all answer alike a server does so for every path.
    """
    ahead = [Request("OPTIONS", app.base + path, path) for path in paths]
    answers: list[Answer] = []
    for number, path in enumerate(paths, 1):
        answers.append((yield from app.ask("OPTIONS", path, ahead=tuple(ahead[number:]))))
    if len(answers) > 1 and len({answer.shape for answer in answers}) == 1:
        return False
    return any(answer.ok or answer.status == 405 or local_target(answer) is not None for answer in answers)


def _options(app: Application, path: str) -> Generator[Request, Answer, tuple[str, Answer]]:
    """OPTIONS of a path, or of the same with the slash that it is redirected to."""
    answer = yield from app.ask("OPTIONS", path)
    if local_target(answer) == app.base + path + "/":
        path += "/"
        answer = yield from app.ask("OPTIONS", path)
    return path, answer


def _how_many(app: Application) -> int:
    """How many paths are worth trying: few where pages show something else, or a server answers for itself."""
    if app.walled is not None:
        return _FEW
    if any("tried these URL patterns" in answer.text for answer in (app.canary, app.root) if answer is not None):
        return 8
    if is_plain_site(app):
        return 0 if app.base else _FEWEST
    if not app.beliefs.best(Layer.FRAMEWORK) and not speaks_json(app):
        return _FEWER
    about_models = any(page_weight(page.text)[0] for page in app.pages)
    doubtful = any(page.media == "text/html" or page_doubt(page.text)[0] or linked_bases(page) for page in app.pages)
    if doubtful and not about_models:
        return 0 if app.base else _DOUBTED
    return _ALL


def _allowed(answer: Answer) -> frozenset[str]:
    return frozenset(method.strip().upper() for method in answer.header("allow").split(",")) - {""}


def _takes_posts(answer: Answer, baseline: Answer) -> bool:
    """Whether the answer to OPTIONS shows a route, and POST among its methods where it names any.

    Tornado and plumber name no methods, but say 405 where a route exists and 404 where none does.
    """
    if answer.status is None or answer.shape == baseline.shape:
        return False
    if "POST" in _allowed(answer) and (answer.ok or answer.status == 405):
        return True
    return answer.status == 405 and baseline.status == 404 and not _allowed(answer)
