"""What a scan would ask of a listener and why, without sending anything. Pure.

The rows come from the same values that the machine reads (signatures, candidate paths, limits), so they say what
it does. What it asks after the first answers depends on those: the rows of products tell what each would lead to.
"""

from collections.abc import Iterator

from scanner.belief import Beliefs
from scanner.dialogue import CANARY
from scanner.findings import TLS_PORTS, Limits
from scanner.knowledge import Knowledge
from scanner.routes import HIDDEN, MOVED, PAGES, PROXIED, SELF, USUAL
from scanner.signature import Layer, Never, Signature

Row = dict[str, str]
"""``part`` (``first``, ``product``, ``never``, ``limit``), ``about``, ``request``, ``why``: texts, never empty but
``about`` and ``request``."""

_SURVEYED = 4
_LISTED = 12


def explain(target: str, port: int, knowledge: Knowledge, limits: Limits) -> tuple[Row, ...]:
    """What would be asked of ``port`` of ``target`` (as the user wrote it), in order, and what never would be."""
    return (
        *_opening(target, port),
        *_questions(port, knowledge),
        *(row for product in _by_port(knowledge, port) for row in _of_product(product)),
        *_nevers(knowledge),
        *_costs(limits),
    )


def _row(part: str, about: str, request: str, why: str) -> Row:
    return {"part": part, "about": about, "request": request, "why": why}


def _opening(target: str, port: int) -> Iterator[Row]:
    tls = port in TLS_PORTS
    first, second = ("a TLS handshake", "plain HTTP/1.1") if tls else ("plain HTTP/1.1", "a TLS handshake")
    told = "this port is usually TLS" if tls else "this port is usually plain"
    yield _row("first", f"{target}:{port}", first, f"{told}; {second} is tried where it is not answered by HTTP")


def _questions(port: int, knowledge: Knowledge) -> Iterator[Row]:
    yield _row("first", "canary", f"GET {CANARY}", "no such page exists, so its error shape names the framework, "
               "unmasks servers that say 200 to everything, and does no harm anywhere")  # fmt: skip
    yield _row("first", "root", "GET /", "the page speaks for itself; its redirects are followed on this listener only")
    yield _row("first", "root", "HEAD /", "instead of GET, on hosts whose first answer shows that a visit runs code")
    yield _row("first", "product", "", "the most telling requests of products that something spoke for, below")
    own = {s.id: s.documents for s in knowledge.signatures.values() if s.layer is Layer.FRAMEWORK and s.documents}
    for framework, documents in sorted(own.items()):
        paths = ", ".join(f"GET {path}" for path in documents)
        yield _row("first", framework, paths, "the description of the interface, where this framework is recognised")
    moved = ", ".join(f"GET {path}" for path in MOVED)
    yield _row("first", "description", moved, "where a description is moved to, if its own place has none")
    yield from _survey(port, knowledge)
    tried = ", ".join(f"OPTIONS {path}" for path in USUAL[:_LISTED]) + f" and {len(USUAL) - _LISTED} more"
    yield _row("first", "routes", f"OPTIONS {CANARY}", "whether OPTIONS tells paths that exist from others; else none "
               "is tried")  # fmt: skip
    yield _row(
        "first",
        "routes",
        tried,
        "a route for POST shows in the answer, and no handler runs; paths that pages mention come first, then "
        "PATH_batch and PATH/batch beside one that was found; not where a product or a description explained the host",
    )
    interfaces = ", ".join(request for interface in knowledge.interfaces for request in interface.requests)
    yield _row("first", "interface", interfaces, "interfaces without a page, where a program shows none and none of "
               "these routes is there")  # fmt: skip
    itself = ", ".join(f"GET {path}" for path in SELF)
    yield _row("first", "routes", itself, "what the service tells of itself, where OPTIONS tells nothing of its routes")
    beside = (
        "pages that it names beside the routes found: health, status, models; they show whether it asks for a login"
    )
    yield _row("first", "posture", "", beside)
    pages = ", ".join(f"GET {path}/" for path in PAGES)
    yield _row("first", "base paths", pages, "pages mounted beside an API, where its root has none")
    hidden = ", ".join(f"GET {base}{document}" for base, document in HIDDEN)
    yield _row("first", "base paths", hidden, "other applications on this listener, or descriptions kept apart, where "
               "FastAPI shows nothing at its root; paths that it links, redirects to or lists come first")  # fmt: skip
    below = ", ".join(f"GET {path}/openapi.json" for path in PROXIED)
    yield _row("first", "base paths", below, "applications behind a proxy that shows a stock page of its own")


def _survey(port: int, knowledge: Knowledge) -> Iterator[Row]:
    """The requests that divide the products best while nothing is known, as the machine would choose them."""
    beliefs = Beliefs(knowledge, port)
    asked: set[str] = set()
    for _ in range(_SURVEYED):
        name, gain = beliefs.next_request(frozenset(), frozenset(asked), clued_only=False)
        if not name:
            return
        asked.add(name)
        products = sorted({product for product, _, signal in knowledge.signals_on.get(name, ()) if signal.weight > 0})
        why = f"tells apart {', '.join(products)}; expected to tell {gain:.2f} nats if no framework is recognised"
        yield _row("first", "survey", name, why)


def _by_port(knowledge: Knowledge, port: int) -> list[Signature]:
    return sorted(knowledge.products, key=lambda product: (port not in product.ports, product.id))


def _of_product(product: Signature) -> Iterator[Row]:
    proofs = {on: [s.proves for s in product.signals if s.on == on and s.weight > 0] for on in product.requests}
    for request in product.requests:
        decides = [rule.verdict.value for rule in product.posture if rule.on == request]
        reads = [what for what, rules in (("its version", product.version), ("its routes", product.routes_from))
                 if any(rule.on == request for rule in rules)]  # fmt: skip
        why = [*(f"proves {proof}" for proof in proofs[request])]
        why += [f"decides whether it is {' or '.join(dict.fromkeys(decides))}"] if decides else []
        why += [f"tells {what}" for what in reads]
        yield _row("product", product.id, request, "; ".join(why) or "speaks against it where it is answered otherwise")
    if not product.requests:
        yield _row("product", product.id, "", "recognised by the first answers; nothing more is asked")
    if product.posture_note:
        yield _row("product", product.id, "", f"posture: {product.posture_note}")


def _nevers(knowledge: Knowledge) -> Iterator[Row]:
    yield _row("never", "every host", "POST, PUT, PATCH, DELETE, any body, any credential", "only GET, HEAD and "
               "OPTIONS are sent, so that nothing is run, changed or tried")  # fmt: skip
    for signature in knowledge.signatures.values():
        for rule in signature.never:
            yield _row("never", signature.id, f"{'|'.join(rule.methods)} {rule.path}", _because(rule))


def _because(rule: Never) -> str:
    if rule.once is None:
        return rule.because
    settled = f", until {rule.until} proves it needless" if rule.until else ""
    return f"{rule.because} (from the first answer on that shows such a host{settled})"


def _costs(limits: Limits) -> Iterator[Row]:
    yield _row("limit", "requests", str(limits.requests), "the most requests to one listener, over one kept connection")
    yield _row("limit", "seconds", f"{limits.host:g}", f"the most time for one listener; {limits.connect:g} to "
               f"connect, {limits.answer:g} for an answer; one that stalls is left alone")  # fmt: skip
    yield _row("limit", "bytes", str(limits.body), f"the most of a body that is read, and {limits.header} of a head")
