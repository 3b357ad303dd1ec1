"""Against a real grpcio server, with messages made by protobuf from the published fields."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from inventory.model import Certificate, Exposed, Identified, Kind, Listener, Posture, Postured, Scheme
from scanner.findings import Limits
from scanner.io.grpc import ask_services
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questions import question
from scanner.rpc import HEALTH, REFLECTION, services_in
from tests.support.certificates import self_signed

KNOWLEDGE = load_knowledge()
LIMITS = Limits(connect=1.0, answer=2.0, host=8.0)


def _messages() -> dict[str, Any]:
    """The messages of reflection.proto that a list of services takes, with their field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="r", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    for message, fields in {
        "Request": [("host", 1, field.TYPE_STRING, one, ""), ("list_services", 7, field.TYPE_STRING, one, "")],
        "Service": [("name", 1, field.TYPE_STRING, one, "")],
        "Listing": [("service", 1, field.TYPE_MESSAGE, many, ".r.Service")],
        "Response": [
            ("valid_host", 1, field.TYPE_STRING, one, ""),
            ("list_services_response", 6, field.TYPE_MESSAGE, one, ".r.Listing"),
        ],
    }.items():
        made = file.message_type.add(name=message)
        for name, number, kind, label, of in fields:
            made.field.add(name=name, number=number, type=kind, label=label, type_name=of or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("Request", "Service", "Listing", "Response")
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"r.{n}")) for n in names}


MESSAGES = _messages()
Guard = Callable[[Any], Any] | None


def listing(*names: str) -> bytes:
    services = [MESSAGES["Service"](name=name) for name in names]
    body: bytes = MESSAGES["Response"](
        valid_host="h", list_services_response=MESSAGES["Listing"](service=services)
    ).SerializeToString()
    return body


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    def __init__(self, names: tuple[str, ...], reflection: str | None, refuse: bool, called: list[str]) -> None:
        self._names, self._reflection, self._refuse, self._called = names, reflection, refuse, called

    def service(self, call: Any) -> Any:
        self._called.append(call.method)
        if self._refuse:
            return grpc.unary_unary_rpc_method_handler(self._no)
        if call.method == self._reflection:
            return grpc.stream_stream_rpc_method_handler(self._list)
        if call.method == HEALTH:
            return grpc.unary_unary_rpc_method_handler(self._health)
        return None

    async def _list(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            assert MESSAGES["Request"].FromString(request).list_services == ""
            yield listing(*self._names)

    async def _health(self, request: bytes, context: Any) -> bytes:
        return b"\x08\x01"

    async def _no(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return b""


@asynccontextmanager
async def server(
    *names: str, reflection: str | None = REFLECTION[0], refuse: bool = False, pair: Path | None = None
) -> AsyncIterator[tuple[Listener, list[str]]]:
    called: list[str] = []
    running = grpc.aio.server()
    running.add_generic_rpc_handlers((_Handlers(names, reflection, refuse, called),))
    if pair is None:
        port = running.add_insecure_port("127.0.0.1:0")
    else:
        chain = (pair / "key.pem").read_bytes(), (pair / "cert.pem").read_bytes()
        port = running.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([chain]))
    await running.start()
    try:
        yield Listener(site="lab", address="127.0.0.1", port=port), called
    finally:
        await running.stop(None)


async def look(listener: Listener) -> tuple[Identified, Postured, Ledger, Exposed]:
    ledger = Ledger(KNOWLEDGE)
    findings = await question(listener, KNOWLEDGE, LIMITS, ledger)
    facts = [f.fact for f in findings]
    identified = next(f for f in facts if isinstance(f, Identified))
    posture = next((f for f in facts if isinstance(f, Postured)), Postured(posture=Posture.UNKNOWN))
    return identified, posture, ledger, next(f for f in facts if isinstance(f, Exposed))


@pytest.mark.parametrize(
    ("names", "product", "route"),
    [
        (
            ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"),
            "tensorflow-serving",
            "/tensorflow.serving.PredictionService/Predict",
        ),
        (("inference.GRPCInferenceService",), None, "/inference.GRPCInferenceService/ModelInfer"),
        (("acme.credit.ScorePredictor",), None, "/acme.credit.ScorePredictor"),
    ],
)
async def test_a_model_server_is_known_by_its_services(names: tuple[str, ...], product: str | None, route: str) -> None:
    async with server("grpc.reflection.v1.ServerReflection", *names) as (listener, called):
        identified, posture, ledger, exposed = await look(listener)
    assert exposed.scheme is Scheme.GRPC
    assert (identified.product, identified.kind) == (product, Kind.MODEL_ENDPOINT)
    assert identified.is_model_endpoint
    assert route in [r.path for r in identified.inference_routes]
    assert identified.needs == ("grpc",)
    assert posture == Postured(posture=Posture.OPEN, decided_by=f"gRPC {REFLECTION[0]}")
    assert set(called) == {REFLECTION[0], HEALTH}
    assert set(ledger.calls) == {REFLECTION[0], HEALTH}


async def test_within_tls_the_same_is_asked_whatever_the_certificate(tmp_path: Path) -> None:
    pair = self_signed(tmp_path, "models.internal", ("models.internal",))
    async with server("grpc.reflection.v1.ServerReflection", "inference.GRPCInferenceService", pair=pair) as (
        at,
        called,
    ):
        findings = await question(at, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE))
    facts = {type(finding.fact): finding.fact for finding in findings}
    assert facts[Exposed].scheme is Scheme.GRPC
    assert facts[Certificate].names == ("models.internal",)
    assert facts[Identified].is_model_endpoint
    assert facts[Postured].posture is Posture.OPEN
    assert set(called) == {REFLECTION[0], HEALTH}


async def test_an_ordinary_service_is_no_model_and_the_old_reflection_is_asked_too() -> None:
    async with server("shop.Orders", reflection=REFLECTION[1]) as (listener, called):
        identified, posture, _, _ = await look(listener)
    assert (identified.kind, identified.is_model_endpoint) == (Kind.NOT_HTTP, False)
    assert posture.posture is Posture.OPEN
    assert called[:2] == list(REFLECTION)


async def test_a_server_that_asks_for_credentials_is_protected() -> None:
    async with server(refuse=True) as (listener, _):
        identified, posture, _, _ = await look(listener)
    assert posture.posture is Posture.PROTECTED
    assert not identified.is_model_endpoint


async def test_without_reflection_nothing_is_claimed() -> None:
    async with server(reflection=None) as (listener, _):
        identified, posture, _, _ = await look(listener)
    assert (identified.kind, posture.posture) == (Kind.NOT_HTTP, Posture.UNKNOWN)


async def test_an_answer_beyond_the_limit_is_not_read() -> None:
    names = tuple(f"acme.Service{n}" for n in range(5000))
    async with server(*names) as (listener, _):
        replies = await ask_services(listener.address, listener.port, LIMITS.model_copy(update={"body": 4096}))
    assert replies[0].code == "RESOURCE_EXHAUSTED"


async def test_a_closed_port_is_no_error() -> None:
    async with server() as (listener, _):
        pass
    replies = await ask_services(listener.address, listener.port, Limits(answer=0.5))
    assert [reply.code for reply in replies] in (["UNAVAILABLE"], ["DEADLINE_EXCEEDED"])


def test_what_protobuf_writes_is_read() -> None:
    assert services_in(listing("a.B", "c.D", "a.B")) == ("a.B", "c.D")
