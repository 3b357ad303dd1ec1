"""From what is believed of an application to the facts that are recorded. Pure."""

import re
from dataclasses import dataclass

from inventory.model import Evidence, Fact, Identified, InferenceRoute, Kind
from scanner.application import Application
from scanner.belief import probability
from scanner.classify import Seen, Verdict, classify
from scanner.exchange import Answer, clean
from scanner.findings import Finding
from scanner.lexicon import page_doubt, page_weight
from scanner.posture import decide_posture
from scanner.predicates import values_at
from scanner.routes import told_posts
from scanner.signature import Layer, Model, RouteRule, Signature, VersionRule

_HIDDEN, _GREETED, _WALLED, _BEHIND = 0.78, 0.82, 0.78, 0.92
_SHORT, _SAYS_SO = 1024, 2.0
_LOADED = re.compile(r'"model_?(?:is_?)?(?:loaded|ready)"\s*:', re.IGNORECASE)
_STOCK = re.compile(r"welcome to nginx|default page|it works|caddy works|test page", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an application is taken for: its product or framework, its interface, its server, and the model verdict."""

    product: Signature | None
    framework: Signature | None
    interface: Signature | None
    server: Signature | None
    model: Verdict

    @property
    def named(self) -> Signature | None:
        """The most precise name: the product, else the framework, else the interface, else the server."""
        return self.product or self.framework or self.interface or self.server


def judge(app: Application) -> Judgement:
    """What is believed of the application now."""
    pages = tuple(_self_description(answer) for answer in app.pages)
    return Judgement(
        product=app.beliefs.best(Layer.PRODUCT),
        framework=app.beliefs.best(Layer.FRAMEWORK),
        interface=app.interface,
        server=app.beliefs.best(Layer.SERVER),
        model=classify(
            Seen(
                description=app.description,
                described_by=app.described_by,
                found=tuple(app.found),
                post_only=frozenset(app.post_only),
                unnamed=frozenset(app.unnamed),
                told=_told_routes(app),
                pages=pages,
                constant=_constant(app),
                by_its_word=_by_its_word(app),
            )
        ),
    )


def _by_its_word(app: Application) -> bool:
    """Whether a short JSON page, after a look for routes, says that this is a model.

    A program of a known framework may say so in any words. Of others only the state of a model that is loaded counts:
    devices, too, tell of their model.
    """
    if not app.looked_for_routes or app.catch_all:
        return False
    own = [page for page in app.pages if isinstance(page.document, dict) and len(page.body) <= _SHORT]
    own = [page for page in own if page_weight(page.text)[0] >= _SAYS_SO and not page_doubt(page.text)[0]]
    return bool(own) and (
        app.beliefs.best(Layer.FRAMEWORK) is not None or any(_LOADED.search(page.text) for page in own)
    )


def _told_routes(app: Application) -> tuple[str, ...]:
    """Paths that the application's pages say to POST to, and that OPTIONS neither showed nor denied."""
    shown = {route.path for route in app.found}
    answers = () if "express" in app.stacks else app.dialogue.answers.values()
    denied = {a.request.path for a in answers if a.request.method == "OPTIONS" and a.status == 404}
    return tuple(path for path in told_posts(app.pages) if path not in shown | denied)


def _constant(app: Application) -> bool:
    """Whether a program without a framework gives every GET the same small JSON object."""
    canary, root = app.canary, app.root
    if not app.catch_all or canary is None or root is None or "python-http-server" not in app.stacks:
        return False
    return canary.body == root.body and len(canary.body) < 512 and isinstance(canary.document, dict)


def _self_description(answer: Answer) -> str:
    """The text of a page that speaks for itself: JSON as it is, HTML without its tags, scripts and styles."""
    text = answer.text[:32768]
    if answer.media == "text/html":
        # What is never closed takes the rest with it, so that no part is read twice.
        text = re.sub(r"(?is)<(script|style)\b.*?</\1|<(?:script|style)\b.*", " ", text)
        text = re.sub(r"<[^<>]{0,500}>", " ", text)
    return text[:8192]


def findings(app: Application, *, conclusive: bool) -> tuple[Finding, ...]:
    """The facts about one application: what it is, and its posture."""
    judged = judge(app)
    product = judged.product
    base = app.base or "/"
    routes = product_routes(app, product) if product else ()
    is_model = _is_model(product, judged.model, routes) if product else judged.model.is_model
    routes = (routes or judged.model.routes) if is_model else ()
    if product:
        kind, confidence = product.kind, probability(app.beliefs.log_odds(product))
        evidence = app.beliefs.evidence(product)
    else:
        kind = Kind.MODEL_ENDPOINT if is_model else Kind.ORDINARY_WEB
        sure = judged.model.confidence
        confidence = sure if is_model else min(round(1 - judged.model.probability, 4), _most_sure(app))
        shown = [judged.named, judged.interface if judged.interface is not judged.named else None]
        signs = [one for signature in shown if signature for one in app.beliefs.evidence(signature)]
        evidence = (*judged.model.evidence, *signs)
    server = app.canary.header("server") if app.canary else ""
    identified = Identified(
        kind=kind,
        product=judged.named.id if judged.named else None,
        version=_version(app, judged.named),
        server=clean(server, 80) or None,
        title=(app.root.title or None) if app.root else None,
        is_model_endpoint=is_model,
        confidence=confidence,
        inference_routes=routes,
        needs=product.needs if product else (),
        schema_digest=app.described_raw,
        catch_all=app.catch_all,
        conclusive=conclusive,
    )
    posture, why = decide_posture(app, judged.product, judged.model, routes)
    base_path = base
    said: list[tuple[Fact, tuple[Evidence, ...]]] = [(identified, evidence), (posture, why)]
    return tuple(Finding(base_path=base_path, fact=fact, evidence=because) for fact, because in said)


def _most_sure(app: Application) -> float:
    """How sure it can be that an application is no model where nothing was found, by how much of it was seen.

    The shares are those of such hosts that were none, over the real servers and transcripts of
    ``benchmarks/calibration.py``. Where most services are models, as in ``benchmarks/variants``, they are too high.
    """
    if app.description is not None:
        return 1.0
    if app.walled is not None:
        return _WALLED
    if app.interface is not None:
        return 1.0
    root = app.root
    shows_nothing = root is None or not root.ok
    if app.beliefs.best(Layer.FRAMEWORK) is None and not any("json" in a.media for a in (app.canary, root) if a):
        return _BEHIND if shows_nothing or _STOCK.search(root.text[:4096] if root else "") else 1.0
    if shows_nothing:
        return _HIDDEN
    return 1.0 if any(page.media == "text/html" or page_doubt(page.text)[0] for page in app.pages) else _GREETED


def _is_model(product: Signature, verdict: Verdict, routes: tuple[InferenceRoute, ...]) -> bool:
    if product.model is Model.ROUTES:
        return bool(routes) or verdict.is_model
    return product.model is Model.ALWAYS


def product_routes(app: Application, product: Signature) -> tuple[InferenceRoute, ...]:
    """The inference routes of a product: fixed ones, and those that its own listings tell."""
    if product.model is Model.NEVER:
        return ()
    told = [route for rule in product.routes_from for route in _told(app, rule)]
    texts = list(dict.fromkeys([*product.routes, *told]))[:64]
    split = (text.split(" ", 1) for text in texts)
    return tuple(InferenceRoute(method=method, path=app.base + path) for method, path in split)


def _told(app: Application, rule: RouteRule) -> list[str]:
    answer = app.named(rule.on)
    if answer is None or not answer.ok:
        return []
    names: list[str] = []
    for value in values_at(answer.document, rule.json_):
        names += [str(key) for key in value] if isinstance(value, dict | list) else [str(value)]
    usable = (name.removeprefix(rule.strip) for name in names if re.fullmatch(r"[\w./:@+-]{1,160}", name))
    return [rule.route.replace("{}", name) for name in usable][:32]


def _version(app: Application, signature: Signature | None) -> str | None:
    for rule in signature.version if signature else ():
        answers = app.dialogue.answers.values() if rule.on == "any" else [app.named(rule.on)]
        for answer in answers:
            version = _version_in(answer, rule) if answer is not None else None
            if version:
                return version
    return None


def _version_in(answer: Answer, rule: VersionRule) -> str | None:
    if rule.json_ is not None:
        values = values_at(answer.document, rule.json_)
        text = str(values[0]) if values and isinstance(values[0], str | int | float) else ""
    else:
        text = answer.header(rule.header) if rule.header else answer.text[:65536]
    if rule.pattern is not None:
        match = re.search(rule.pattern, text, re.IGNORECASE)
        text = (match.group(1) if match.groups() else match.group(0)) if match else ""
    version = clean(text, 40)
    return version if re.fullmatch(r"[\w.+!-]{1,40}", version) else None
