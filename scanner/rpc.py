"""What gRPC services tell of a server: the two calls that may be made, their bytes, and what the names mean. Pure.

Only server reflection (its list of services) and the health check are called: neither runs a method of the
application. Sources: grpc/grpc reflection.proto and health.proto; Protocol Buffers encoding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from inventory.model import Evidence, Identified, InferenceRoute, Kind, Posture, Postured
from scanner.exchange import clean
from scanner.findings import Finding
from scanner.knowledge import Knowledge
from scanner.lexicon import route_weight

REFLECTION = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
HEALTH = "/grpc.health.v1.Health/Check"
CALLS = frozenset({*REFLECTION, HEALTH})
"""Every call that is ever made."""

LIST_SERVICES = b"\x3a\x00"
"""ServerReflectionRequest with an empty ``list_services`` (field 7)."""
WHOLE_SERVER = b""
"""HealthCheckRequest for the server as a whole."""

_MOST_SERVICES = 200
_SERVING = 1
_SURE, _LIKELY, _SPEAKS = 0.97, 0.8, 0.95
_INFERENCE = 2.2
_OWN = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")

_SERVICES: dict[str, tuple[str | None, str | None]] = {
    "tensorflow.serving.PredictionService": ("tensorflow-serving", "Predict"),
    "org.pytorch.serve.grpc.inference.InferenceAPIsService": ("torchserve", "Predictions"),
    "inference.model_repository.ModelRepositoryService": ("mlserver", None),
    "inference.GRPCInferenceService": (None, "ModelInfer"),
    "seldon.protos.Seldon": ("seldon-wrapper", "Predict"),
    "seldon.protos.Model": ("seldon-wrapper", "Predict"),
    "bentoml.grpc.v1.BentoService": ("bentoml", "Call"),
    "ray.serve.RayServeAPIService": ("ray-serve", None),
    "tei.v1.Embed": ("tei", "Embed"),
    "generate.v2.TextGenerationService": ("tgi", "Generate"),
    "milvus.proto.milvus.MilvusService": ("milvus", None),
    "qdrant.Collections": ("qdrant", None),
    "weaviate.v1.Weaviate": ("weaviate", None),
}
"""Service names, the products that serve them, and the method that runs the model."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one call. ``code`` is the name of its status, as ``OK`` or ``UNIMPLEMENTED``."""

    call: str
    code: str
    body: bytes = b""


def services_in(body: bytes) -> tuple[str, ...]:
    """The names in a ServerReflectionResponse, at most 200; none where it is an error or cannot be read."""
    listings = (value for number, value in _fields(body) if number == 6)
    entries = (value for listing in listings for number, value in _fields(listing) if number == 1)
    names = (value.decode("utf-8", "replace") for entry in entries for number, value in _fields(entry) if number == 1)
    return tuple(dict.fromkeys(clean(name, 200) for _, name in zip(range(_MOST_SERVICES), names, strict=False)))


def is_serving(body: bytes) -> bool:
    """Whether a HealthCheckResponse says SERVING."""
    return body[:2] == bytes([0x08, _SERVING])


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbers and contents of the length-delimited fields of a message, up to the first that cannot be read."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(body, at)
        elif wire == 2:
            length, at = _varint(body, at)
            if at + length > len(body):
                return
            yield tag >> 3, body[at : at + length]
            at += length
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
        else:
            return


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            break
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    return 0, len(body)


def judge_services(replies: tuple[Reply, ...], knowledge: Knowledge) -> tuple[Finding, ...]:
    """What the replies come to: what it is, and its posture. Empty where nothing answered as gRPC does."""
    answered = [reply for reply in replies if reply.code not in {"UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED"}]
    if not answered:
        return ()
    names = next((names for reply in replies if reply.call in REFLECTION and (names := services_in(reply.body))), ())
    own = tuple(name for name in names if not name.startswith(_OWN))
    evidence = tuple(_evidence(replies, own))
    identified = _identified(own, knowledge)
    posture, why = _posture(replies, bool(names))
    return Finding(fact=identified, evidence=evidence), Finding(fact=posture, evidence=(why,))


def _evidence(replies: tuple[Reply, ...], own: tuple[str, ...]) -> Iterator[Evidence]:
    for reply in replies:
        words = f"{reply.code} to {reply.call}"
        if reply.call == HEALTH and reply.code == "OK":
            words = "its health check says that it serves" if is_serving(reply.body) else "its health check answers"
        yield Evidence(signal=words, request=f"gRPC {reply.call}", source="grpc")
    for name in own[:16]:
        yield Evidence(signal=f"it serves {name}", weight=3.0 if name in _SERVICES else 0.0, source="grpc")


def _identified(own: tuple[str, ...], knowledge: Knowledge) -> Identified:
    known = [_SERVICES[name] for name in own if name in _SERVICES]
    products = [product for product, _ in known if product in knowledge.signatures]
    product = next(iter(products), None)
    if {"inference.GRPCInferenceService", "tensorflow.serving.PredictionService"} <= set(own):
        product = "openvino" if "openvino" in knowledge.signatures else product
    routes = tuple(_routes(own))
    kind = knowledge.signatures[product].kind if product else Kind.MODEL_ENDPOINT if routes else Kind.NOT_HTTP
    sure = _SURE if known else _LIKELY if routes else _SPEAKS
    return Identified(
        kind=kind,
        product=product,
        is_model_endpoint=bool(routes),
        confidence=sure,
        inference_routes=routes,
        needs=("grpc",),
    )


def _routes(own: tuple[str, ...]) -> Iterator[InferenceRoute]:
    for name in own[:32]:
        _, method = _SERVICES.get(name, (None, None))
        if method is not None:
            yield InferenceRoute(method="POST", path=f"/{name}/{method}")
        elif name not in _SERVICES and route_weight("/" + name.rpartition(".")[2]) >= _INFERENCE:
            yield InferenceRoute(method="POST", path=f"/{name}")


def _posture(replies: tuple[Reply, ...], listed: bool) -> tuple[Postured, Evidence]:
    refused = next((reply for reply in replies if reply.code in {"UNAUTHENTICATED", "PERMISSION_DENIED"}), None)
    if refused is not None:
        why = f"{refused.code} to {refused.call}"
        request = f"gRPC {refused.call}"
        return Postured(posture=Posture.PROTECTED, decided_by=request), Evidence(signal=why, request=request)
    if listed:
        call = next(reply.call for reply in replies if reply.call in REFLECTION and services_in(reply.body))
        why = "it lists its services to a stranger, where an interceptor would have asked for credentials"
        request = f"gRPC {call}"
        return Postured(posture=Posture.OPEN, decided_by=request), Evidence(signal=why, request=request)
    return Postured(posture=Posture.UNKNOWN), Evidence(signal="it lists no services, and no call asked for a login")
