"""The words of inference: what routes, fields and pages of model services are called, and what misleads.

Weights are nats of log-odds that an operation or a page with the word belongs to a model. They are
judged from the interfaces of published model servers and from ordinary APIs that use the same words for
other things, not fitted to any set of hosts.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

ROUTE_WORDS: dict[str, float] = {
    **dict.fromkeys(("predict", "predictions", "prediction", "predictor", "invocations", "infer", "inference"), 3.6),
    **dict.fromkeys(("classify", "classifier", "classification", "embeddings", "embed", "embedding", "rerank"), 3.2),
    **dict.fromkeys(("ner", "knn", "summarize", "summarise", "sentiment", "toxicity", "transcribe", "caption"), 3.0),
    **dict.fromkeys(("segment", "recognize", "recognise", "ocr", "similarity", "anomaly", "anomalies"), 2.4),
    **dict.fromkeys(("completions", "completion", "tokenize", "translate", "forecast", "score"), 2.2),
    **dict.fromkeys(("recommend", "recommendations", "scoring", "fraud", "churn", "regress", "detect"), 2.2),
    **dict.fromkeys(("detection", "tag", "rank", "propensity", "encode", "vectorize", "predictive"), 1.6),
    "generate": 1.4,
    **dict.fromkeys(
        (
            "label",
            "estimate",
            "cluster",
            "explain",
            "entities",
            "evaluate",
            "analyze",
            "analyse",
            "chat",
            "answer",
            "ask",
            "run",
            "spam",
            "intent",
        ),
        0.9,
    ),
    **dict.fromkeys(("model", "models", "ml", "serving", "batch", "v1", "v2"), 0.3),
}
"""Segments of a path that receives inference requests."""

MISLEADING: dict[str, float] = {
    **dict.fromkeys(("markets", "market", "odds", "bets", "polls", "leaderboard", "scoreboard", "games"), -4.0),
    **dict.fromkeys(("users", "user", "orders", "order", "cart", "login", "logout", "auth", "token", "items"), -2.0),
    **dict.fromkeys(("weather", "cities", "city", "locations", "dealers", "cars", "vehicles", "3d", "stl"), -3.0),
    **dict.fromkeys(("pdf", "report", "reports", "qr", "invoice", "cloud", "release", "git", "image-tags"), -2.0),
    **dict.fromkeys(("posts", "comments", "pets", "products", "invoices", "tags", "labels", "books"), -1.5),
    **dict.fromkeys(
        ("subscribe", "unsubscribe", "subscription", "subscriptions", "review", "feedback", "history"), -2.5
    ),
}
"""Segments that say the neighbouring word means something else."""

TAKES: dict[str, float] = {
    **dict.fromkeys(("features", "instances", "inputs", "dataframe_split", "tensor", "feature_vector"), 2.2),
    **dict.fromkeys(("prompt", "messages", "max_tokens", "temperature", "top_k", "top_p", "embedding"), 1.2),
    **dict.fromkeys(("text", "texts", "image", "image_base64", "audio", "sentence", "sentences", "document"), 0.7),
    **dict.fromkeys(("input", "data", "x", "vector", "rows", "samples", "history", "horizon", "k"), 0.5),
}
"""Fields that inference requests have."""

MISTAKES: dict[str, float] = {
    **dict.fromkeys(("market_id", "match_id", "game_id", "player", "player_id", "team", "side", "stake", "odds"), -1.5),
    **dict.fromkeys(("email", "phone", "password", "callback_url", "template", "locale", "home", "away"), -1.2),
    **dict.fromkeys(("subject", "cart_id", "order_id", "sku", "title", "url"), -0.8),
}
"""Fields of requests that do something else than inference."""

GIVES: dict[str, float] = {
    **dict.fromkeys(("predictions", "prediction", "probability", "probabilities", "logits", "embedding"), 2.4),
    **dict.fromkeys(("scores", "score", "label", "labels", "class", "classes", "confidence"), 1.4),
    **dict.fromkeys(("entities", "summary", "forecast", "outputs", "output", "cluster", "anomaly"), 1.0),
}
"""Fields that inference answers have."""

PAGE_WORDS: dict[str, float] = {
    r"machine learning|deep learning|neural net|scikit|sklearn|pytorch|tensorflow|xgboost|lightgbm": 2.6,
    r"\bpredict(ion|ions|or|ive)?\b|\binference\b|\bclassif(y|ier|ication)\b|\bembeddings?\b": 2.0,
    r"\b(ml|ai|language|regression|classification|forecasting|ranking|scoring|recommendation|fraud|churn|risk"
    r"|demand|price|credit|vision|speech|toxicity|sentiment)[ _-]?(model|models|predictor|scoring)\b": 2.0,
    r'"(service|name|app|title|message|description)"\s*:\s*"[^"]{0,40}\bmodel\b': 2.0,
    r"\bmodels?[ _-](is |are )?(running|ready|loaded|online|up|server|serving|service|api)\b": 2.0,
    r"\brecommender|recommendation engine|matrix factori[sz]ation|anomaly detection|random forest\b": 1.8,
    r"named entity|entity recognition|\btagger\b|object detection|\bllm\b": 2.0,
    r'"model(_?(name|version|(is_?)?loaded|(is_?)?ready|id))?"\s*:': 2.2,
}
"""Patterns over what a page or a description says of itself."""

DOUBTS: dict[str, float] = {
    r"prediction markets?|\b(place|make) (a|your) (bet|prediction|trade)s?\b|\bbetting\b|\bodds\b|\bwagers?\b": -5.0,
    r"\bleader ?boards?\b|\bscore ?boards?\b|\barcade\b|\bleague\b|\btournaments?\b|\bhigh ?scores?\b": -2.0,
    r"\bshop(ping)?\b|\bcart\b|\bcheckout\b|\bdealer(ship)?s?\b|\bshowroom\b|\bmotors\b|\bbookings?\b": -2.0,
    r'"(firmware|serial(_?number)?|mac(_?address)?|vendor|manufacturer|mileage|sku)"\s*:': -2.5,
    r"\balbums?\b|\bblog\b|\brecipes?\b|\bnewsletters?\b|\bwebhooks?\b|\bweather\b|\b3d[ -]models?\b": -1.5,
}
"""Patterns that say that the same words mean something else here."""

_UNMISTAKABLE = 3.0
_SPLIT = re.compile(r"[^a-z0-9]+")


def words_of(path: str) -> Iterator[str]:
    """The words of a path in lower case: split at everything but letters and digits, and at camel humps."""
    humped = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", path)
    yield from (word for word in _SPLIT.split(humped.lower()) if word)


def route_weight(path: str) -> float:
    """How far the name of a path alone speaks for inference, in nats: the best word and every misleading one.

    A word with other meanings counts for less where a word that says nothing of inference follows it in a
    segment of its own: ``/score/player`` is about players.
    """
    segments = [list(words_of(segment)) for segment in re.sub(r"\{[^}]*\}", "", path).split("/")]
    weights = [max((ROUTE_WORDS.get(word, 0.0) for word in words), default=0.0) for words in segments if words]
    misleading = sum(MISLEADING.get(word, 0.0) for words in segments for word in words)
    best = max(weights, default=0.0)
    followed = best < _UNMISTAKABLE and bool(weights) and weights[-1] == 0
    return best + misleading - (1.0 if followed and best > 1.0 else 0.0)


def field_weight(known: Mapping[str, float], field: str) -> float:
    """What a field of that name weighs. ``predicted_price`` is a prediction of a price."""
    first = re.split(r"[^a-z]", field.lower(), maxsplit=1)[0]
    stem = known.get("prediction", 0.0) if first in {"predicted", "prediction"} else 0.0
    return max(known.get(field.lower(), 0.0), stem)


def page_weight(text: str) -> tuple[float, str]:
    """How far a page speaks for a model, in nats, and the words that do so. At most two patterns count."""
    return _page_weight(text[:8192])


@lru_cache(maxsize=256)
def _page_weight(text: str) -> tuple[float, str]:
    hits = [(weight, match.group(0)) for pattern, weight in PAGE_WORDS.items()
            if (match := re.search(pattern, text, re.IGNORECASE))]  # fmt: skip
    hits.sort(reverse=True)
    return sum(weight for weight, _ in hits[:2]), ", ".join(word for _, word in hits[:2])


def page_doubt(text: str) -> tuple[float, str]:
    """How far a page says that it is about something else than a model (zero or less, in nats), and its words.

    Only the strongest pattern counts: they overlap.
    """
    return _page_doubt(text[:8192])


@lru_cache(maxsize=256)
def _page_doubt(text: str) -> tuple[float, str]:
    hits = ((weight, match.group(0)) for pattern, weight in DOUBTS.items()
            if (match := re.search(pattern, text, re.IGNORECASE)))  # fmt: skip
    return min(hits, default=(0.0, ""))
