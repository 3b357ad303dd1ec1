"""Who may call an application: from its deciding answers to open, protected or unknown. Pure."""

from inventory.model import Evidence, InferenceRoute, Posture, Postured
from scanner.application import Application, is_wall
from scanner.classify import Verdict
from scanner.exchange import Answer
from scanner.lexicon import page_weight
from scanner.routes import asks_for_key
from scanner.signature import Signature

_GUARDED_WHOLE = frozenset({"aiohttp", "express", "falcon"})
"""Frameworks whose guards are middleware for the whole application, and so run before OPTIONS is answered."""

Decision = tuple[Postured, tuple[Evidence, ...]]


def decide_posture(
    app: Application, product: Signature | None, model: Verdict, routes: tuple[InferenceRoute, ...]
) -> Decision:
    """The posture, with the request that decided it: by the product's rules, a login in front, or its routes."""
    wall = app.walled
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
        return _of_routes(app, model)
    note = product.posture_note if product else ""
    why = note or "no answer decides it without sending credentials or an inference"
    return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why, source="signature"),)


def _of_routes(app: Application, model: Verdict) -> Decision:
    """The posture of hand-written routes: what is declared, and whether anything asked for a login."""
    if model.secured:
        why = "the description declares a security scheme for every inference route"
        return Postured(posture=Posture.PROTECTED, decided_by=app.described_by), (
            Evidence(signal=why, request=app.described_by),
        )
    if model.keyed:
        why = "its description takes a key and does not say that it must be there: only a call would show"
        return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why, request=app.described_by),)
    if app.described_by:
        why = "the description declares no security for an inference route, and nothing asked for a login"
        return Postured(posture=Posture.OPEN, decided_by=app.described_by), (
            Evidence(signal=why, request=app.described_by),
        )
    return _of_shown(app)


def _of_shown(app: Application) -> Decision:
    """The posture of routes that only OPTIONS or a page showed, by what stands beside them.

    A check inside the handler cannot be seen without calling it. So a login beside it decides, then a word about
    keys leaves it open to question, then a page that tells strangers of the model or how to call it decides. A
    page that only greets says nothing of the routes.
    """
    answers = [answer for answer in app.dialogue.answers.values() if answer.request.path.startswith(app.base)]
    wall = next((answer for answer in answers if is_wall(answer) or answer.status == 403), None)
    if wall is not None:
        return _decided(Posture.PROTECTED, wall, f"{wall.status} to {wall.request}, which stands beside the routes")
    keyed = asks_for_key(app.pages) or next((answer for answer in answers if _takes_credentials(answer)), None)
    if keyed is not None:
        why = "it tells of keys or credentials, and whether its routes ask for them only a call would show"
        return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why, request=str(keyed.request)),)
    page = next((page for page in app.pages if _invites(page, app)), None)
    if page is not None:
        why = "it tells strangers of its model and asks for no key; a check inside a handler would not show"
        return _decided(Posture.OPEN, page, why)
    shown = next((answer for answer in answers if answer.request.method == "OPTIONS" and answer.ok), None)
    if shown is not None and (app.stacks & _GUARDED_WHOLE or _is_rest_framework(shown)):
        why = f"{shown.status} to {shown.request} without credentials, where this framework's guards run first"
        return _decided(Posture.OPEN, shown, why)
    why = "nothing but its routes is there to ask, and a check inside a handler shows only to a call"
    return Postured(posture=Posture.UNKNOWN), (Evidence(signal=why),)


def _invites(page: Answer, app: Application) -> bool:
    """Whether a page speaks of the model, or names one of its routes."""
    text = page.text[:65536]
    named = any(route.path.rstrip("/") in text for route in app.found if len(route.path) > 1)
    return named or page_weight(text)[0] > 0


def _is_rest_framework(answer: Answer) -> bool:
    """Whether Django REST framework answered, which checks permissions before it answers OPTIONS."""
    return isinstance(answer.document, dict) and {"name", "renders", "parses"} <= set(answer.document)


def _takes_credentials(answer: Answer) -> bool:
    """Whether its headers say that it looks at credentials: by what it varies, or what it lets browsers send."""
    said = f"{answer.header('vary')},{answer.header('access-control-allow-headers')}".lower()
    return any(name.strip() in {"authorization", "x-api-key", "api-key"} for name in said.split(","))


def _decided(posture: Posture, answer: Answer, why: str) -> Decision:
    request = str(answer.request)
    return Postured(posture=posture, decided_by=request), (Evidence(signal=why, request=request),)
