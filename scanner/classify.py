"""Is a hand-written service a model endpoint? An explained probability from its description and its routes. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inventory.model import MOST_INPUTS, Evidence, InferenceRoute
from scanner.belief import probability
from scanner.exchange import clean
from scanner.lexicon import GIVES, MISTAKES, TAKES, field_weight, page_doubt, page_weight, route_weight
from scanner.openapi import Description, Operation

PRIOR = -3.0
"""Log-odds that a web service met at random is a model, before anything is known of it."""
_SHOWN, _POST_ONLY, _GET_TOO, _TOLD = 1.0, 0.5, -0.6, 0.5
_TELLING = 2.0
_CONSTANT = 3.2
_BY_ITS_WORD = 1.3
_SLOPE, _SHIFT = 1.6, 0.3
INFERENCE = 0.0
"""Log-odds from which an operation is listed as an inference route, and a service is called a model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is a model endpoint, why, and which of its routes run the model.

    ``secured`` says that all these routes declare that they ask for credentials, ``keyed`` that one of them takes a
    key that its description does not require.
    """

    log_odds: float
    evidence: tuple[Evidence, ...] = ()
    routes: tuple[InferenceRoute, ...] = ()
    secured: bool = False
    keyed: bool = False

    @property
    def is_model(self) -> bool:
        """Whether it is more likely a model endpoint than not."""
        return self.log_odds > INFERENCE

    @property
    def probability(self) -> float:
        """The probability of being a model endpoint."""
        return probability(self.log_odds)

    @property
    def confidence(self) -> float:
        """How sure it is that this is a model, where it is called one.

        The sum of evidence is stretched as in Platt, "Probabilistic outputs for support vector machines" (1999),
        by two numbers fitted to the half of ``benchmarks/variants`` that rules are tuned on: the weights are
        cautious, and what passes for a model is one oftener than they say.
        """
        return probability(_SLOPE * self.log_odds + _SHIFT)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a hand-written service.

    ``description`` is its OpenAPI document and ``described_by`` the request that fetched it. ``found``
    are routes that answered OPTIONS as POST routes do, ``post_only`` the paths among them that allow no
    GET. ``pages`` are the texts of harmless pages that it served. ``constant`` says that every GET has
    the same small JSON answer, from a server that only programs written by hand use. ``by_its_word`` says that a short
    JSON page of its own calls it a model, and that routes were looked for in vain.
    """

    description: Description | None = None
    described_by: str = ""
    found: tuple[InferenceRoute, ...] = ()
    post_only: frozenset[str] = frozenset()
    unnamed: frozenset[str] = frozenset()
    told: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    constant: bool = False
    by_its_word: bool = False


def classify(seen: Seen) -> Verdict:
    """Weigh what is known of a service. The best route counts in full; others are listed beside it."""
    context, said = max((page_weight(page) for page in seen.pages), default=(0.0, ""))
    evidence = [Evidence(signal="few services met at random are models", weight=PRIOR, source="prior")]
    if context:
        evidence.append(Evidence(signal=f"it says of itself: {clean(said, 80)}", weight=context, source="page"))
    doubt, other = min((page_doubt(page) for page in seen.pages), default=(0.0, ""))
    if doubt:
        evidence.append(Evidence(signal=f"its pages are about {clean(other, 80)}", weight=doubt, source="page"))
    context += doubt
    routes = sorted(_routes(seen), key=lambda route: (-route.weight, route.route.path))
    best = max(routes[0].weight, 0.0) if routes else 0.0
    if best > 0:
        told = routes[0].route.path in seen.told
        request = "GET /" if told else seen.described_by or f"OPTIONS {routes[0].route.path}"
        evidence.append(Evidence(signal=routes[0].why, weight=round(best, 2), request=request))
    chosen = [r for r in routes if r.weight > 1.0 and r.weight + PRIOR + context > INFERENCE]
    total = PRIOR + (context + best if chosen else min(context, 2.5))
    if routes and not chosen:
        total = min(total, PRIOR / 2)
    if seen.constant and not chosen:
        why = "every GET has the same JSON answer, so its work is done by another method"
        evidence.append(Evidence(signal=why, weight=_CONSTANT, source="catch-all"))
        total += _CONSTANT
        chosen = [_Route(0.0, InferenceRoute(method="POST", path="/"), why)]
    if seen.by_its_word and not chosen and not seen.constant:
        why = "it calls itself a model in JSON, which pages for people do not; its route was not found"
        evidence.append(Evidence(signal=why, weight=_BY_ITS_WORD, source="page"))
        total = PRIOR + context + _BY_ITS_WORD
    return Verdict(
        log_odds=round(total, 3),
        evidence=tuple(evidence),
        routes=tuple(route.route for route in chosen[:32]),
        secured=bool(chosen) and all(route.secured for route in chosen),
        keyed=any(route.keyed for route in chosen),
    )


@dataclass(frozen=True, slots=True)
class _Route:
    weight: float
    route: InferenceRoute
    why: str
    secured: bool = False
    keyed: bool = False


def _routes(seen: Seen) -> Iterator[_Route]:
    described: set[tuple[str, str]] = set()
    if seen.description is not None:
        about = page_weight(seen.description.words)[0] + 2 * page_doubt(seen.description.words)[0]
        for operation in seen.description.operations:
            weight, why = operation_weight(operation)
            described.add((operation.method, operation.path))
            named = dict.fromkeys(name for name, _ in operation.takes if name != "[]")
            route = InferenceRoute(method=operation.method, path=operation.path, takes=tuple(named)[:MOST_INPUTS])
            yield _Route(weight + about / 2, route, why, operation.secured, operation.keyed)
    for route in seen.found:
        if (route.method, route.path) not in described:
            only, unnamed = route.path in seen.post_only, route.path in seen.unnamed
            takes = "exists and names no methods" if unnamed else f"takes POST{' and no GET' if only else ''}"
            why = f"OPTIONS {route.path} shows a route that {takes}"
            weight = route_weight(route.path) + _SHOWN + (_POST_ONLY if only else 0.0 if unnamed else _GET_TOO)
            yield _Route(weight, route, why)
    for path in seen.told:
        told = InferenceRoute(method="POST", path=path)
        yield _Route(route_weight(path) + _TOLD, told, f"its page says to POST to {path}")


def operation_weight(operation: Operation) -> tuple[float, str]:
    """How far one described operation looks like inference, in nats, and why.

    Inference is nearly always a POST; a GET counts only where its path is an inference word with a parameter.
    """
    name = route_weight(operation.path)
    if operation.method == "GET":
        fits = name >= _TELLING and "{" in operation.path
        return (name - 1.0 if fits else min(name, 0.0) - 1.0), "a GET with an inference word"
    if operation.method != "POST":
        return -3.0, f"{operation.method} changes things"
    said, words = page_weight(operation.words)
    parts = (
        (name, f"the name of {operation.path}"),
        (_SHOWN if name >= _TELLING else 0.0, "a POST of that name"),
        (_two_best(TAKES, operation.takes), "its request fields"),
        (_two_worst(operation.takes), "fields of something else"),
        (_two_best(GIVES, operation.gives), "its answer fields"),
        (_shape_weight(operation, name), "the shape of its request"),
        (min(said, 2.0), f"its words ({words})"),
    )
    why = [text for weight, text in parts if weight > 0.5]
    return sum(weight for weight, _ in parts), "POST by " + ", ".join(why or ["its method"])


def _two_best(known: Mapping[str, float], fields: tuple[tuple[str, str], ...]) -> float:
    weights = sorted((field_weight(known, name) for name, _ in fields), reverse=True)
    return sum(weights[:2])


def _two_worst(fields: tuple[tuple[str, str], ...]) -> float:
    return sum(sorted({name.lower(): MISTAKES.get(name.lower(), 0.0) for name, _ in fields}.values())[:2])


def _shape_weight(operation: Operation, name: float) -> float:
    """Arrays of numbers, nothing but numbers, and pictures or sounds are what models take."""
    kinds = [kind for _, kind in operation.takes]
    weight = 1.6 if any("array<number" in kind or "array<array" in kind for kind in kinds) else 0.0
    weight += 0.6 if kinds and all(kind in {"number", "array<number>"} for kind in kinds) else 0.0
    media = any(kind.startswith(("image/", "audio/", "multipart/")) for kind in operation.media)
    return weight + (0.8 if media and name > 0 else 0.0)
