from pathlib import Path

import pytest
from making import endpoint

from inventory.model import Endpoint, Kind, Scheme
from inventory.settings import Settings
from router.advice import advice, gateway_url
from router.desired import adopt


@pytest.mark.parametrize(
    ("parts", "words", "absent"),
    [
        ({}, "by using http://iris.localhost:8780 instead of http://127.0.0.9:5000", "by DNS"),
        ({}, "answer 307 with Location http://iris.localhost:8780", "without /"),
        ({"certificate_names": ("*.x", "iris.example")}, "--host iris.example", "*.x"),
        ({"base_path": "/ml"}, "served without /ml", "TLS"),
        ({"scheme": Scheme.HTTPS}, "set gateway_certificate", "needs"),
        ({"needs": ("websocket", "streaming")}, "it needs websocket, streaming", "TLS"),
    ],
)
def test_the_ways_to_move_are_said(parts: dict[str, object], words: str, absent: str) -> None:
    known: Endpoint = endpoint(**parts)
    said = "\n".join(advice(known, adopt(known, name="iris", domain="localhost"), Settings()))
    assert words in said
    assert absent not in said


def test_the_url_of_the_gateway_follows_its_settings() -> None:
    tls = {"gateway_certificate": Path("c"), "gateway_key": Path("k")}
    assert gateway_url("a.b", Settings(gateway_port=80)) == "http://a.b"
    assert gateway_url("a.b", Settings(gateway_port=443, **tls)) == "https://a.b"
    assert gateway_url("a.b", Settings(gateway_port=8443, **tls)) == "https://a.b:8443"


def test_what_was_observed_decides_how_it_is_spoken_to() -> None:
    spec = adopt(endpoint(scheme=Scheme.GRPC, base_path="/"), name="iris", domain="localhost", hosts=("Iris.example",))
    assert (spec.backends[0].url, spec.backends[0].protocol) == ("http://127.0.0.9:5000", "http2")
    assert spec.hosts == ("iris.localhost", "iris.example")
    spec = adopt(endpoint(scheme=Scheme.HTTPS, needs=("grpc",)), name="iris", domain="localhost")
    assert (spec.backends[0].url, spec.backends[0].protocol) == ("https://127.0.0.9:5000", "http2")


@pytest.mark.parametrize(
    ("parts", "words", "absent"),
    [
        ({"base_path": "/m/iris"}, "its links work as they are", "host name"),
        ({"product": "streamlit", "kind": Kind.ML_UI}, "--server.baseUrlPath=/m/iris", "observed"),
        ({"product": None, "kind": Kind.ORDINARY_WEB}, "observed to serve pages (ordinary-web)", "start it"),
        ({"product": "fastapi", "kind": Kind.MODEL_ENDPOINT}, "X-Forwarded-Prefix: /m/iris", "begin with"),
    ],
)
def test_a_path_says_what_needs_a_host_name(parts: dict[str, object], words: str, absent: str) -> None:
    known: Endpoint = endpoint(**parts)
    spec = adopt(known, name="iris", domain="localhost", path="/m/iris/")
    said = "\n".join(advice(known, spec, Settings()))
    assert words in said
    assert absent not in said
    assert "by using http://localhost:8780/m/iris instead of" in said
