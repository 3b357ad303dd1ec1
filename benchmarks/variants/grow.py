"""What the held-out services are: drawn by a seed, so that rules can be tuned on one half and tried on the other. Pure.

Names and layouts of the two halves are disjoint where they are names at all: each half draws its prefixes,
tasks and titles from its own part of the word lists. Verbs such as predict are drawn by how usual they are,
since both halves, like the world, are full of them.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

ASGI = ("uvicorn", "hypercorn", "granian")
WSGI = ("waitress", "gunicorn", "gevent", "werkzeug")
STACKS: dict[str, tuple[str, ...]] = {
    "flask": WSGI, "fastapi": ASGI, "starlette": ASGI, "litestar": ASGI, "quart": ASGI, "sanic": ("sanic",),
    "aiohttp": ("aiohttp",), "tornado": ("tornado",), "bottle": ("waitress", "gevent"), "falcon": ("waitress", "gunicorn"),
    "django": ("gunicorn", "waitress"), "express": ("node",), "cherrypy": ("cherrypy",), "http.server": ("http.server",),
}  # fmt: skip
"""Frameworks and what serves them."""
_OFTEN = {"fastapi": 8, "flask": 8, "django": 2, "express": 2, "starlette": 2, "aiohttp": 2, "tornado": 2}

_USUAL = ("predict",) * 10 + ("score",) * 2 + ("invocations",) * 2 + ("classify",) * 2 + ("infer", "inference")
_TASKS = (
    ("transcribe", "rerank", "detect", "embed", "summarize", "translate", "generate", "recommend", "segment", "sentiment",
     "embeddings", "anomaly", "similarity", "caption"),
    ("asr", "rank", "detections", "embedding", "summary", "completion", "answer", "recommendations", "ocr", "analyze",
     "encode", "forecast", "toxicity", "entities"),
)  # fmt: skip
"""What models do, by half."""
_THINGS = (
    ("churn", "spam", "credit-risk", "leaf-disease", "demand", "eta", "pricing", "defects"),
    ("fraud", "intent", "loan-default", "xray", "sales", "ticket-routing", "salary", "tumor"),
)
_PREFIXES = (
    ("", "", "", "", "/api", "/api/v1", "/v1", "/api/v2", "/ml", "/model", "/models/{thing}", "/api/{thing}", "/{thing}"),
    ("", "", "", "", "/api", "/api/v1", "/v2", "/api/v3", "/ai", "/serving", "/ml/{thing}", "/v1/{thing}", "/services/{thing}"),
)  # fmt: skip
_MODEL_NAMES = (("bert-tiny", "xgb-2024-11", "resnet18"), ("lgbm_v7", "minilm", "rf-prod"))


@dataclass
class Route:
    """One route of a service. ``gives`` is its constant answer: JSON, or text where ``media`` says so."""

    path: str
    methods: list[str]
    gives: Any = None
    media: str = "application/json"
    takes: dict[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass
class Variant:
    """A service and the truth about it."""

    name: str
    framework: str
    server: str
    routes: list[Route]
    title: str = "service"
    openapi: str | None = None
    docs: str | None = None
    json404: bool = False
    keyed: bool = False
    walled: bool = False
    mount: str = ""
    proxy: str = ""
    kind: str = "ordinary-web"
    is_model: bool = False
    posture: str = "open"
    inference: list[str] = field(default_factory=list)
    address: str = ""
    port: int = 8000

    def to_json(self) -> dict[str, Any]:
        """The variant as its host reads it."""
        return asdict(self)


def grow(half: int, count: int, seed: int = 1) -> list[Variant]:
    """``count`` variants of a half (0 to develop on, 1 held out), two in three of them models."""
    draw = random.Random(f"{seed}:{half}")
    ordinary = list(_ordinary(half, draw))
    draw.shuffle(ordinary)
    wanted = min(len(ordinary), count // 3)
    grown = [_model(half, number, draw) for number in range(count - wanted)] + ordinary[:wanted]
    for number, variant in enumerate(grown):
        variant.address = f"127.{78 + half}.{number // 200}.{1 + number % 200}"
        variant.port = draw.choice((8000, 8080, 5000, 3000, 9000, 80))
        if variant.proxy:
            variant.port = 80
    return grown


_KEPT_AT = (
    "/api/schema", "/ml/schema", "/model/schema", "/serving/schema", "/v2/openapi.json", "/ai/openapi.json",
    "/serving/v2/openapi.json", "/internal/spec.json", "/inference/docs.json", "/churn/openapi.json",
)  # fmt: skip
_PROXIED_AT = (
    "/ml", "/api/ml", "/inference", "/ml/fraud", "/ml/spam", "/ml/v1", "/models/churn", "/ai/vision", "/ml/housing", "/score",
)  # fmt: skip


def apart(seed: int = 1) -> list[Variant]:
    """Models that show nothing at their root: FastAPI with its description kept elsewhere, and behind a stock proxy.

    Some of the places are on the lists that are asked for, and some are on none.
    """
    draw = random.Random(seed)
    grown: list[Variant] = []
    for number, place in enumerate((*_KEPT_AT, *_PROXIED_AT)):
        proxied = place in _PROXIED_AT
        base = "" if proxied else place.rpartition("/")[0]
        routes = [Route(f"{base}/{draw.choice(_USUAL)}", ["POST"], {"prediction": 1}, takes={"features": "floats"})]
        grown.append(Variant(
            f"apart{place}", "fastapi", draw.choice(ASGI[:2]), routes, openapi="/openapi.json" if proxied else place,
            proxy=place if proxied else "", kind="model-endpoint", is_model=True,
            inference=[f"POST {place if proxied else ''}{routes[0].path}"],
            address=f"127.79.9.{1 + number}", port=80 if proxied else 8000,
        ))  # fmt: skip
    return grown


def _stack(draw: random.Random) -> tuple[str, str]:
    names = [name for name in STACKS for _ in range(_OFTEN.get(name, 1))]
    framework = draw.choice(names)
    return framework, draw.choice(STACKS[framework])


def _model(half: int, number: int, draw: random.Random) -> Variant:
    framework, server = _stack(draw)
    thing = draw.choice(_THINGS[half])
    verb = draw.choice(_USUAL) if draw.random() < 0.6 else draw.choice(_TASKS[half])
    prefix = draw.choice(_PREFIXES[half]).format(thing=thing)
    path = f"{prefix}/{verb}"
    if framework in {"cherrypy", "http.server"}:
        prefix, path = "", f"/{verb}"
    if framework == "django":
        path += "/"
    slash = "/" if framework in {"fastapi", "flask"} and draw.random() < 0.1 else ""
    takes = draw.choice(
        ({"features": "floats"}, {"text": "str"}, {"inputs": "rows"}, {"amount": "float", "age": "float"})
    )
    gives = draw.choice(({"prediction": 1}, {"label": "a", "score": 0.5}, {"scores": [0.5]}, {"result": 0.5}))
    routes = [Route(path + slash, ["POST"], gives, takes=takes)]
    routes += _company(half, thing, prefix, path, draw)
    variant = Variant(
        f"{framework}-{number}", framework, server, routes, title=draw.choice((thing, "API", "service", "backend")),
        json404=draw.random() < 0.25, kind="model-endpoint", is_model=True, inference=[f"POST {path}{slash}"],
    )  # fmt: skip
    _dress(variant, prefix, draw)
    return variant


def _company(half: int, thing: str, prefix: str, path: str, draw: random.Random) -> Iterator[Route]:
    """What stands beside the route: a root page, health, metadata. Often nothing."""
    name = draw.choice(_MODEL_NAMES[half])
    root = draw.random()
    if root < 0.3:
        page: Any = draw.choice((
            {"service": thing, "model": name}, {"status": "ok"}, {"message": f"{thing} model is running"},
            {"endpoints": [path]}, {"message": "welcome"}, {"name": f"{thing}-service", "docs": "/docs"},
        ))  # fmt: skip
        yield Route("/", ["GET"], page)
    elif root < 0.45:
        yield Route("/", ["GET"], draw.choice((
            f"<html><title>{thing} predictor</title><h1>{thing} predictor</h1><form method=post action={path}></form>",
            f"<!doctype html><title>{thing}</title><p>POST your data to <code>{path}</code>.",
            "<!doctype html><title>Hello</title><p>It is alive.",
        )), media="text/html")  # fmt: skip
    if draw.random() < 0.4:
        where = draw.choice(("/healthz", "/ping", "/health", "/status", "/ready", f"{prefix}/health", f"{prefix}/info"))
        yield Route(where, ["GET"], draw.choice((
            {"status": "ok"}, {"status": "UP", "model_loaded": True}, {"model": name, "version": "1.2"}, {"ok": True},
        )))  # fmt: skip


def _dress(variant: Variant, prefix: str, draw: random.Random) -> None:
    """Descriptions, guards and proxies."""
    _describe(variant, prefix, draw)
    guard = draw.random()
    if guard < 0.12:
        variant.keyed, variant.posture = True, "protected"
    elif guard < 0.2 and variant.framework in {"fastapi", "flask", "starlette"}:
        variant.walled, variant.posture = True, "protected"
    if variant.framework in {"fastapi", "starlette", "flask"} and not variant.walled:
        place = draw.random()
        if place < 0.1 and prefix and variant.framework == "fastapi":
            variant.mount, variant.openapi, variant.docs = prefix, "/openapi.json", "/docs"
            _strip(variant, prefix)
        elif place < 0.22:
            variant.proxy = prefix or draw.choice(("/api", "/ml", "/model"))
            _strip(variant, prefix)
            if not prefix:
                variant.inference = [f"POST {variant.proxy}{text.split(' ')[1]}" for text in variant.inference]


def _describe(variant: Variant, prefix: str, draw: random.Random) -> None:
    chance = draw.random()
    if variant.framework == "litestar" and chance < 0.6:
        variant.openapi = "/schema"
    elif variant.framework == "fastapi" and chance < 0.45:
        variant.openapi, variant.docs = "/openapi.json", "/docs"
    elif variant.framework == "fastapi" and chance < 0.7:
        where = draw.choice((f"{prefix or '/api'}/openapi.json", "/api/openapi.json", "/internal/schema.json"))
        variant.openapi, variant.docs = where, draw.choice(("/docs", "/docs", "/api/docs", None))


def _strip(variant: Variant, prefix: str) -> None:
    for route in variant.routes:
        route.path = route.path.removeprefix(prefix) or "/"


def _crud(title: str, *things: str, root: Any = None) -> list[Route]:
    routes = (
        []
        if root is None
        else [Route("/", ["GET"], root, media="text/html" if isinstance(root, str) else "application/json")]
    )
    for thing in things:
        routes.append(Route(f"/{thing}", ["GET"], [{"id": 1, "name": title}], takes={}))
        routes.append(Route(f"/{thing}", ["POST"], {"id": 2}, takes={"name": "str", "note": "str"}))
    return routes


_LOOK_ALIKES: tuple[tuple[tuple[str, list[Route]], ...], ...] = (
    (
        ("prediction-markets", [*_crud("Will it rain?", "prediction-markets", "trades"),
                                Route("/predict", ["POST"], {"bet": 1}, takes={"market_id": "str", "stake": "float"}),
                                Route("/", ["GET"], "<title>Foresee</title><h1>Prediction markets</h1>", media="text/html")]),
        ("3d-models", _crud("Teapot", "3d-models", "prints", root="<title>3D models</title><h1>Free 3D models</h1>")),
        ("car-dealer", _crud("Estate", "v1/models", "v1/dealers", root={"dealer": "Motor House"})),
        ("weather", [Route("/forecast", ["GET"], {"temp": [1, 2]}), Route("/cities", ["GET"], ["Bern"]),
                     Route("/", ["GET"], {"service": "weather"})]),
        ("match-scores", [*_crud("A:B", "scores", "matches"), Route("/score", ["POST"], {}, takes={"match_id": "str", "home": "float"})]),
        ("classifieds", _crud("Bike", "classifieds", "ads", root="<title>Classifieds</title><h1>Buy and sell</h1>")),
        ("search", [Route("/search", ["POST"], {"hits": []}, takes={"query": "str", "page": "float"}), Route("/query", ["GET"], [])]),
        ("items", _crud("Pen", "items", "users", root={"hello": "world"})),
        ("blog", _crud("Post", "posts", "tags", root="<title>My blog</title><h1>Notes</h1>")),
        ("uploads", [Route("/upload", ["POST"], {"id": 1}, takes={"name": "str"}), Route("/files", ["GET"], [])]),
        ("hook", [Route("/webhook", ["POST"], {}, takes={"event": "str"}), Route("/healthz", ["GET"], {"status": "ok"})]),
        ("payments", _crud("x", "payments", "refunds")),
        ("bare", [Route("/jobs", ["POST"], {}, takes={"command": "str"}), Route("/jobs/run", ["POST"], {}, takes={"id": "str"})]),
    ),
    (
        ("betting", [*_crud("Final", "odds", "bets"), Route("/predictions", ["POST"], {}, takes={"game_id": "str", "side": "str"}),
                     Route("/", ["GET"], "<title>Tipsters</title><h1>Place your prediction and win</h1><p>odds", media="text/html")]),
        ("scale-models", _crud("Tiger", "models", "kits", root="<title>Scale models</title><h1>Plastic kits shop</h1>")),
        ("phone-shop", _crud("X10", "v1/models", "v1/brands", root={"shop": "Phones"})),
        ("tides", [Route("/forecast", ["GET"], {"high": "03:00"}), Route("/stations", ["GET"], ["Brest"])]),
        ("league", [*_crud("A:B", "scoreboard", "fixtures"), Route("/scores", ["POST"], {}, takes={"game_id": "str", "away": "float"})]),
        ("tagger", _crud("red", "tags", "labels", root={"app": "bookmarks"})),
        ("jobs-board", _crud("Cook", "recommend-a-friend", "jobs", root="<title>Jobs</title><h1>Jobs</h1>")),
        ("todo", _crud("Milk", "todos", "lists", root={"message": "welcome"})),
        ("wiki", _crud("Page", "pages", "revisions", root="<title>Wiki</title><h1>Wiki</h1>")),
        ("converter", [Route("/convert", ["POST"], {}, takes={"amount": "float", "currency": "str"}), Route("/rates", ["GET"], {})]),
        ("mailer", [Route("/send", ["POST"], {}, takes={"email": "str", "subject": "str"}), Route("/healthz", ["GET"], {"ok": True})]),
        ("inventory", _crud("x", "stock", "orders")),
        ("bare", [Route("/tasks", ["POST"], {}, takes={"kind": "str"}), Route("/events", ["POST"], {}, takes={"name": "str"})]),
    ),
)  # fmt: skip


def _ordinary(half: int, draw: random.Random) -> Iterator[Variant]:
    for name, routes in _LOOK_ALIKES[half]:
        framework, server = _stack(draw)
        while framework in {"cherrypy", "http.server"}:
            framework, server = _stack(draw)
        variant = Variant(f"{name}-{framework}", framework, server, [*routes], title=name, json404=draw.random() < 0.25)
        if framework == "fastapi" and draw.random() < 0.6:
            variant.openapi, variant.docs = "/openapi.json", "/docs"
        if framework == "django":
            variant.routes = [Route(r.path.rstrip("/") + "/", r.methods, r.gives, r.media, r.takes) for r in routes]
        yield variant
