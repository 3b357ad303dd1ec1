"""What is kept of the objects by which serving platforms declare models and notebooks. Pure.

A model's URI is kept without user, password or query: signed URLs carry their signature there. Values of a
container's environment, where some put the URI, are never looked at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanner.cluster.objects import Json, PlainObject, read_meta, rows, table, text
from scanner.exchange import plain_uri

_FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "lightgbm", "paddle", "pmml", "huggingface",
)  # fmt: skip
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class PlatformObject(PlainObject):
    """A declaration of a platform: where it says that it answers, and the URIs of its models, the main one first.

    ``details`` are further facts in words.
    """

    urls: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


def reader_of(kind: str) -> Callable[[Json], PlatformObject]:
    """What reads the objects of a platform's kind. It raises ValueError for an object that is none."""
    models, details = _MODELS.get(kind, _nothing), _DETAILS.get(kind, _nothing)

    def read(item: Json) -> PlatformObject:
        return PlatformObject(
            read_meta(item), kind, _urls(item), _unique(models(item)), tuple(filter(None, details(item)))
        )

    return read


def _urls(item: Json) -> tuple[str, ...]:
    status = table(item.get("status"))
    addresses = (table(status.get("address")), *rows(status.get("address")))
    return _unique(text(url) for url in (status.get("url"), *(one.get("url") for one in addresses)))


def _of_kserve(item: Json) -> Iterator[str]:
    """By the model of any framework, or of one that the older form names; a storage key stands for its secret's URI."""
    predictor = table(table(item.get("spec")).get("predictor"))
    for name in ("model", *_FRAMEWORKS):
        model = table(predictor.get(name))
        storage = table(model.get("storage"))
        yield plain_uri(text(model.get("storageUri") or storage.get("storageUri")))
        if path := text(storage.get("path")):
            yield f"storage:{text(storage.get('key')) or 'default'}/{path.lstrip('/')}"


def _about_kserve(item: Json) -> Iterator[str]:
    predictor = table(table(item.get("spec")).get("predictor"))
    model = table(predictor.get("model"))
    named = next((name for name in _FRAMEWORKS if name in predictor), "")
    written = text(table(model.get("modelFormat")).get("name")) or named
    yield f"format {written}" if written else ""
    yield f"runtime {text(model.get('runtime'))}" if model.get("runtime") else ""
    share = predictor.get("canaryTrafficPercent")
    yield f"canary {share} % of the traffic" if isinstance(share, int) else ""


def _of_seldon_model(item: Json) -> Iterator[str]:
    yield plain_uri(text(table(item.get("spec")).get("storageUri")))


def _of_seldon_deployment(item: Json) -> Iterator[str]:
    """Of every predictor's graph, the predictor with most of the traffic first."""
    for predictor in _by_traffic(item):
        yield from _of_graph(table(predictor.get("graph")), _DEEPEST)


def _of_graph(unit: Json, deepest: int) -> Iterator[str]:
    yield plain_uri(text(unit.get("modelUri")))
    if deepest:
        for child in rows(unit.get("children")):
            yield from _of_graph(child, deepest - 1)


def _about_seldon_deployment(item: Json) -> Iterator[str]:
    for predictor in _by_traffic(item):
        share = predictor.get("traffic")
        said = f", {share} % of the traffic" if isinstance(share, int) else ""
        yield f"predictor {text(predictor.get('name')) or 'without a name'}{said}"


def _by_traffic(item: Json) -> list[Json]:
    def share(predictor: Json) -> int:
        told = predictor.get("traffic")
        return -told if isinstance(told, int) else 0

    return sorted(rows(table(item.get("spec")).get("predictors")), key=share)


def _nothing(item: Json) -> Iterator[str]:
    del item
    yield from ()


def _unique(found: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in found if one))


_MODELS = {
    "InferenceService": _of_kserve,
    "Model": _of_seldon_model,
    "SeldonDeployment": _of_seldon_deployment,
}
_DETAILS = {"InferenceService": _about_kserve, "SeldonDeployment": _about_seldon_deployment}
