"""What other gateways front, from their configurations; Envoy's from a real Envoy."""

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from interfaces import kong

from inventory.model import DeclarationKind, ScanStatus
from router.gateways.envoy.binary import envoy_binary

NGINX = r"""
events {}
http {
  upstream model { server 127.0.0.9:8000; server unix:/run/m.sock; server 127.0.0.8; }
  server {
    listen 8443 ssl; server_name ml.example.com other.example.com;
    location /m/ { proxy_pass http://model/v1; }
    location ~ ^/n/(.*)\.json$ { if ($x) { proxy_pass https://127.0.0.7; } }
    location = /static { root /srv; }
  }
  server { listen 127.0.0.5:81; location / { grpc_pass grpc://127.0.0.6:9000; } }
  include more/*.conf;
}
"""
HAPROXY = """
global
    log stdout local0
frontend web
    bind *:443 ssl crt /etc/site.pem
    bind 127.0.0.5:80
    acl ml hdr(host) -i ml.example.com
    acl deep path_beg /deep
    use_backend deep if ml deep
    use_backend lost if ml
    default_backend shallow
backend deep
    server one 127.0.0.9:8000 check
    server two 127.0.0.8:8000 ssl verify none
backend shallow
    server sock /run/a.sock
    server three 127.0.0.7:80 # the "old" one
listen both
    bind :8080
    server four 127.0.0.6:80
"""
KONG = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "iris", "url": "http://127.0.0.9:8000/v1", "tags": ["owner:ana"],
            "routes": [{"name": "iris", "hosts": ["ml.example.com"], "paths": ["/iris"], "protocols": ["https"]}],
        },
        {"name": "churn", "host": "churn-upstream", "protocol": "http"},
    ],
    "routes": [{"name": "churn", "service": "churn", "hosts": ["churn.example.com"]}, {"name": "lost"}],
    "upstreams": [{"name": "churn-upstream", "targets": [{"target": "127.0.0.8:80"}, {"target": "127.0.0.7:81"}]}],
}  # fmt: skip


def test_nginx(read, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("server { server_name a.example; location / { proxy_pass http://$h; } }")
    (tmp_path / "nginx.conf").write_text(NGINX)
    scan, found = read(f"nginx:{tmp_path / 'nginx.conf'}")
    assert scan.status is ScanStatus.INCOMPLETE
    assert "where 'http://$h' leads is decided at run time" in (scan.reason or "")
    by_name = {one.name: (one.urls, one.backends) for one in found.values()}
    assert by_name == {
        "ml.example.com/m/": (
            ("https://ml.example.com:8443/m/", "https://other.example.com:8443/m/"),
            ("http://127.0.0.9:8000/v1", "http://127.0.0.8:80/v1"),
        ),
        "ml.example.com/n/": (
            ("https://ml.example.com:8443/n/", "https://other.example.com:8443/n/"),
            ("https://127.0.0.7",),
        ),
        "any host": (("http://127.0.0.5:81/",), ("http://127.0.0.6:9000",)),
    }
    assert {one.kind for one in found.values()} == {DeclarationKind.ROUTE}


@pytest.mark.parametrize(
    ("text", "said"), [("server {", "unexpected end of file"), ("} http {", 'unexpected "}"'), (None, "no such file")]
)
def test_nginx_that_cannot_be_parsed(read, tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "nginx.conf").write_text(text)
    scan, found = read(f"nginx:{tmp_path / 'nginx.conf'}")
    assert (scan.status, found) == (ScanStatus.INCOMPLETE, {})
    assert said in (scan.reason or "")


def test_haproxy(read, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text(HAPROXY)
    scan, found = read(f"haproxy:{tmp_path / 'haproxy.cfg'}")
    assert "frontend web uses 'lost', which has no server" in (scan.reason or "")
    assert {one.name: (one.urls, one.backends) for one in found.values()} == {
        "web to deep": (
            ("https://ml.example.com:443/deep", "http://ml.example.com:80/deep"),
            ("http://127.0.0.9:8000", "https://127.0.0.8:8000"),
        ),
        "web to shallow": (("http://127.0.0.5:80/",), ("http://127.0.0.7:80",)),
        "both to both": ((), ("http://127.0.0.6:80",)),
    }


def kong_facts(found):
    return {one.name: (one.urls, one.backends, one.owner) for one in found.values()}


KONGS = {
    "iris": (("https://ml.example.com/iris",), ("http://127.0.0.9:8000/v1",), "ana"),
    "churn": (("http://churn.example.com/",), ("http://127.0.0.8:80", "http://127.0.0.7:81"), None),
}


def test_kong_by_its_file(read, tmp_path: Path) -> None:
    (tmp_path / "kong.yaml").write_text(json.dumps(KONG))
    scan, found = read(f"kong:{tmp_path / 'kong.yaml'}")
    assert "the route lost names no known service" in (scan.reason or "")
    assert kong_facts(found) == KONGS


def test_kong_by_its_admin_api(read, registry, monkeypatch) -> None:
    monkeypatch.setenv("KONG_ADMIN_TOKEN", "t0ken")
    registry.answer = kong
    scan, found = read(f"kong:{registry.url}")
    assert (scan.status, kong_facts(found)) == (ScanStatus.COMPLETE, KONGS)
    assert {headers["kong-admin-token"] for _, headers in registry.asked} == {"t0ken"}
    registry.answer = lambda path, headers: (401, {}, {})
    scan, found = read(f"kong:{registry.url}")
    assert "set KONG_ADMIN_TOKEN to a reader's" in (scan.reason or "")
    assert len(found) == 2


def cluster(name: str, *ports: int) -> dict[str, object]:
    sockets = [{"socket_address": {"address": "127.0.0.9", "port_value": port}} for port in ports]
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": socket}} for socket in sockets]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def configuration() -> str:
    """Routes with and without weights, and a redirect, over clusters with addresses."""
    split = {"clusters": [{"name": "one", "weight": 90}, {"name": "two", "weight": 10}]}
    routes = [
        {"match": {"prefix": "/iris"}, "route": {"weighted_clusters": split}},
        {"match": {"prefix": "/old"}, "redirect": {"path_redirect": "/iris"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
    ]
    host = {"name": "ml", "domains": ["ml.example.com"], "routes": routes}
    filters = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "ways", "virtual_hosts": [host]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}}],
    }
    socket = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "in", "address": socket, "filter_chains": [chain]}
    clusters = [cluster("one", 8000, 8001), cluster("two", 9000)]
    return json.dumps(
        {"admin": {"address": socket}, "static_resources": {"listeners": [listener], "clusters": clusters}}
    )


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[str]:
    """The admin interface of a real Envoy with routes of its own."""
    at = tmp_path / "admin"
    (tmp_path / "envoy.json").write_text(configuration())
    options = ["--admin-address-path", str(at), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    process = subprocess.Popen([str(envoy_binary()), "-c", str(tmp_path / "envoy.json"), *options])
    try:
        deadline = time.monotonic() + 60
        while not (at.exists() and at.read_text()):
            assert time.monotonic() < deadline
            assert process.poll() is None
            threading.Event().wait(0.05)
        yield f"http://{at.read_text().strip()}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.e2e
def test_a_real_envoy_and_the_file_of_its_dump(read, envoy: str, tmp_path: Path) -> None:
    scan, found = read(f"envoy:{envoy}")
    assert (scan.status, scan.reason) == (ScanStatus.COMPLETE, None)
    facts = {one.key: (one.urls, one.backends) for one in found.values()}
    with urllib.request.urlopen(f"{envoy}/config_dump?include_eds") as answer:
        (tmp_path / "dump.json").write_bytes(answer.read())
    assert facts == {
        "ways/ml/0": (
            ("http://ml.example.com:0/iris",),
            ("http://127.0.0.9:8000", "http://127.0.0.9:8001", "http://127.0.0.9:9000"),
        ),
        "ways/ml/2": (("http://ml.example.com:0/",), ("http://127.0.0.9:9000",)),
    }
    scan, from_file = read(f"envoy:{tmp_path / 'dump.json'}")
    assert scan.status is ScanStatus.COMPLETE
    assert {(one.key, one.backends) for one in from_file.values()} == {(key, f[1]) for key, f in facts.items()}


@pytest.mark.parametrize("prefix", ["envoy", "kong"])
def test_a_document_that_is_another_is_said(read, tmp_path: Path, prefix: str) -> None:
    (tmp_path / "x.json").write_text("{}")
    scan, found = read(f"{prefix}:{tmp_path / 'x.json'}")
    assert (scan.status, found) == (ScanStatus.INCOMPLETE, {})
    assert f"{prefix}:{tmp_path / 'x.json'} is no " in (scan.reason or "")
