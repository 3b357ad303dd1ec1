"""Trials from this machine against real listeners: what the command says, and what the daemon tries again."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from making import identified, observation, route

from inventory.model import Backend, GatewayStatus, Listener, Routing, Verdict, utc_now
from inventory.settings import Settings
from inventory.store import Store, open_store
from router.io.addresses import own_addresses
from tui.sealing import SealKeeper

MODEL = "127.0.0.1"
ELSEWHERE = ("10.9.9.9",)


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        own = b"no such page" if self.headers["Host"].startswith("iris.localhost") else b""
        self.send_response(404)
        self.send_header("Content-Length", str(len(own)))
        self.end_headers()
        self.wfile.write(own)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    with ThreadingHTTPServer((MODEL, port), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def gateway() -> Iterator[int]:
    with listening() as port:
        yield port


@pytest.fixture
def shut() -> int:
    with listening() as port:
        return port


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database=database_url, state_folder=tmp_path, scan_timeout=1, answer_timeout=1, actor="ana")


@pytest.fixture
def store(settings: Settings, gateway: int, shut: int) -> Iterator[Store]:
    """A model that was found on a port which is shut now, and a route to it on a gateway that answers."""
    listener = Listener(site="default", address=MODEL, port=shut)
    with open_store(settings.database, settings) as opened:
        opened.observations.append([observation(identified(), listener=listener, at=utc_now())])
        (found,) = opened.endpoints.refold([listener], utc_now())
        origin = Backend(name="origin", url=f"http://{MODEL}:{shut}", weight=100, endpoint=found.id)
        opened.routes.put(route(backends=(origin,), endpoint=found.id), who="ana", why="adopt")
        opened.endpoints.set_routing(found.id, Routing.FRONTED)
        report(opened, gateway, ELSEWHERE)
        yield opened


def report(store: Store, port: int, machine: tuple[str, ...]) -> None:
    status = GatewayStatus(id="local", address=f"{MODEL}:{port}", healthy=True, heartbeat_at=utc_now(),
                           revisions={"iris": 1}, machine=machine)  # fmt: skip
    store.gateways.report(status)


def routing(store: Store) -> Routing:
    (one,) = store.endpoints.list()
    return one.routing


def test_the_command_says_what_it_tried_and_what_that_proves(gnomon, store: Store, shut: int, gateway: int):
    planned = gnomon("seal", "iris", "--dry-run", "--format", "json")
    assert [row["path"] for row in json.loads(planned.out)] == [f"{MODEL}:{shut}"]
    assert store.seals.of_route("iris") == []
    done = gnomon("seal", "iris", "--format", "json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert (row["did"], row["verdict"], row["source"]) == ("refused", "sealed", MODEL)
    assert row["control"] == {
        "address": f"{MODEL}:{gateway}", "host": "iris.localhost", "status": 404, "words": ""
    }  # fmt: skip
    assert routing(store) is Routing.SEALED
    shown = gnomon("route", "iris")
    assert "sealed, from" in shown.out
    with listening(shut):
        again = gnomon("seal", "--all", "--gateway", f"{MODEL}:{gateway}")
    assert again.code == 1
    assert f"{MODEL}:{shut} answered 404 from {MODEL} without the gateway" in again.err
    assert routing(store) is Routing.FRONTED


@pytest.mark.parametrize(("words", "code", "said"), [
    (("seal",), 2, "name the routes"),
    (("seal", "iris", "--all"), 2, "name the routes"),
    (("seal", "none"), 2, "no route 'none'"),
    (("seal", "iris", "--gateway", "iris"), 2, "no HOST:PORT"),
    (("seal", "iris", "--gateway", "h:99999"), 2, "no HOST:PORT"),
    (("seal", "iris", "--gateway", "127.0.0.1:1"), 3, "what is shut and what is dead look alike"),
    (("seal", "iris", "--rules", "networkpolicy", "--selector", "app=iris"), 2, "runs in no cluster"),
    (("seal", "iris", "--rules", "nftables", "--from", "x"), 2, "no network"),
])  # fmt: skip
def test_what_cannot_be_done_says_why(gnomon, store: Store, words: tuple[str, ...], code: int, said: str):
    done = gnomon(*words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert routing(store) is Routing.FRONTED


def test_rules_go_to_a_pipe(gnomon, store: Store, shut: int):
    done = gnomon("seal", "iris", "--rules", "nftables", "--from", "10.1.0.0/24")
    assert done.code == 0
    assert f"tcp dport {{ {shut} }} fib daddr type local ip saddr != {{ 10.1.0.0/24, 10.9.9.9/32 }} drop" in done.out
    assert store.seals.of_route("iris") == []


def look(store: Store, settings: Settings, **later: float) -> list[Verdict]:
    keeper = SealKeeper(store, settings)
    return [one.verdict for one in asyncio.run(keeper.look(utc_now() + timedelta(**later)))]


def test_the_daemon_tries_old_seals_again_and_ends_one_that_is_broken(
    gnomon: Callable[..., object], store: Store, settings: Settings, gateway: int, shut: int
):
    assert look(store, settings, days=1) == []
    gnomon("seal", "iris")
    assert look(store, settings) == []
    assert look(store, settings, seconds=settings.seal_interval) == [Verdict.SEALED]
    report(store, gateway, own_addresses())
    assert look(store, settings, days=1) == []
    report(store, gateway, ELSEWHERE)
    with listening(shut):
        assert look(store, settings, days=1) == [Verdict.BYPASS]
    assert routing(store) is Routing.FRONTED
    assert look(store, settings, days=2) == []


def test_what_proves_nothing_leaves_a_seal_alone(gnomon, store: Store, settings: Settings, shut: int):
    gnomon("seal", "iris")
    report(store, shut, ELSEWHERE)
    assert look(store, settings, days=1) == []
    assert routing(store) is Routing.SEALED
