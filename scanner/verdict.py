"""From what is believed of an application to the facts that are recorded. Pure."""

import re
from dataclasses import dataclass

from inventory.model import Evidence, Fact, Identified, InferenceRoute, Kind, Posture, Postured
from scanner.application import Application, is_wall
from scanner.belief import probability
from scanner.classify import Seen, Verdict, classify
from scanner.exchange import Answer, clean
from scanner.findings import Finding
from scanner.predicates import values_at
from scanner.routes import asks_for_key
from scanner.signature import Layer, Model, RouteRule, Signature, VersionRule


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an application is taken for: its product or framework, its server, and the model verdict."""

    product: Signature | None
    framework: Signature | None
    server: Signature | None
    model: Verdict

    @property
    def named(self) -> Signature | None:
        """The most precise name: the product, else the framework, else the server."""
        return self.product or self.framework or self.server


def judge(app: Application) -> Judgement:
    """What is believed of the application now."""
    pages = tuple(_self_description(answer) for answer in app.pages)
    return Judgement(
        product=app.beliefs.best(Layer.PRODUCT),
        framework=app.beliefs.best(Layer.FRAMEWORK),
        server=app.beliefs.best(Layer.SERVER),
        model=classify(
            Seen(
                description=app.description,
                described_by=app.described_by,
                found=tuple(app.found),
                post_only=frozenset(app.post_only),
                pages=pages,
                constant=_constant(app),
            )
        ),
    )


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
        text = re.sub(r"(?is)<(script|style)\b.{0,20000}?</\1>", " ", text)
        text = re.sub(r"<[^>]{0,500}>", " ", text)
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
        confidence = judged.model.probability if is_model else round(1 - judged.model.probability, 4)
        named = app.beliefs.evidence(judged.named) if judged.named else ()
        evidence = (*judged.model.evidence, *named)
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
    posture, why = _posture(app, judged, routes)
    base_path = base
    said: list[tuple[Fact, tuple[Evidence, ...]]] = [(identified, evidence), (posture, why)]
    return tuple(Finding(base_path=base_path, fact=fact, evidence=because) for fact, because in said)


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


def _posture(
    app: Application, judged: Judgement, routes: tuple[InferenceRoute, ...]
) -> tuple[Postured, tuple[Evidence, ...]]:
    wall = app.walled
    product = judged.product
    for rule in product.posture if product else ():
        heard = app.dialogue.answers.values() if rule.on == "any" else [app.named(rule.on)]
        deciding = (a for a in heard if a is not None and rule.when.holds(a))
        answer = next((a for a in deciding if not (rule.verdict is Posture.OPEN and is_wall(a))), None)
        if answer is not None:
            return _decided(rule.verdict, answer, f"{answer.status} to {answer.request} decides it")
    if wall is not None:
        return _decided(Posture.PROTECTED, wall, "a path that does not exist asks for a login first")
    if app.root is not None and is_wall(app.root):
        return _decided(Posture.PROTECTED, app.root, "the root page asks for a login")
    if product is None and routes:
        return _of_routes(app, judged.model)
    note = product.posture_note if product else ""
    why = note or "no answer decides it without sending credentials or an inference"
    return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why, source="signature"),)


def _of_routes(app: Application, model: Verdict) -> tuple[Postured, tuple[Evidence, ...]]:
    """The posture of hand-written routes: what is declared, and whether anything asked for a login."""
    if model.secured:
        why = "the description declares a security scheme for every inference route"
        return Postured(posture=Posture.PROTECTED, decided_by=app.described_by), (
            Evidence(signal=why, request=app.described_by),
        )
    if app.described_by:
        why = "the description declares no security for an inference route, and nothing asked for a login"
        return Postured(posture=Posture.OPEN, decided_by=app.described_by), (
            Evidence(signal=why, request=app.described_by),
        )
    return _of_shown(app)


def _of_shown(app: Application) -> tuple[Postured, tuple[Evidence, ...]]:
    """The posture of routes that only OPTIONS showed, by what stands beside them.

    A check inside the handler cannot be seen without calling it, so a login beside it decides, then a word
    about keys leaves it open to question, then a page that speaks to strangers speaks for the whole.
    """
    answers = [answer for answer in app.dialogue.answers.values() if answer.request.path.startswith(app.base)]
    wall = next((answer for answer in answers if is_wall(answer) or answer.status == 403), None)
    if wall is not None:
        return _decided(Posture.PROTECTED, wall, f"{wall.status} to {wall.request}, which stands beside the routes")
    keyed = asks_for_key(app.pages) or next((answer for answer in answers if _takes_credentials(answer)), None)
    if keyed is not None:
        why = "it tells of keys or credentials, and whether its routes ask for them only a call would show"
        return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why, request=str(keyed.request)),)
    page = next((page for page in reversed(app.pages) if page.body), None)
    if page is not None:
        why = "its pages serve strangers and nothing asked for a login; a check inside a handler would not show"
        return _decided(Posture.OPEN, page, why)
    why = "nothing but its routes is there to ask, and a check inside a handler shows only to a call"
    return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why),)


def _takes_credentials(answer: Answer) -> bool:
    """Whether its headers say that it looks at credentials: by what it varies, or what it lets browsers send."""
    said = f"{answer.header('vary')},{answer.header('access-control-allow-headers')}".lower()
    return any(name.strip() in {"authorization", "x-api-key", "api-key"} for name in said.split(","))


def _decided(posture: Posture, answer: Answer, why: str) -> tuple[Postured, tuple[Evidence, ...]]:
    request = str(answer.request)
    return Postured(posture=posture, decided_by=request), (Evidence(signal=why, request=request),)
