"""Kept requests: opt-in, bounded, redacted, private, deleted in time; and replayed against a real server."""

import asyncio
import base64
import gzip
import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inventory.model import Comparison, RouteSpec, Samples
from inventory.store import Store
from router.errors import RouteError
from router.shadow.evidence import EvidenceFold
from router.shadow.monitor import Monitor
from router.shadow.records import parse
from router.shadow.replay import is_public, send_all
from router.shadow.samples import MOST_BYTES, Keeper, Sample, expire, fitting, load, write

NOW = datetime(2026, 5, 4, tzinfo=UTC)
ADDRESS = "127.44.8.1"
Line = Callable[..., bytes]


@pytest.fixture
def keeping(spec: RouteSpec) -> RouteSpec:
    return spec.model_copy(update={"samples": Samples(count=5, redact=("$.name", "$..secret"))})


def asked(body: object, **more: object) -> dict[str, object]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"rb": base64.b64encode(raw).decode(), "rx": len(raw), "rct": "application/json", **more}


def lines(line: Line, rid: str, request: object, answer: object = None, **more: object) -> list[bytes]:
    said = {"y": 1} if answer is None else answer
    return [line(rid, "p", said, **asked(request, **more)), line(rid, "s", said)]


def offered(folder: Path, spec: RouteSpec, said: list[bytes]) -> list[Sample]:
    keeper = Keeper(folder)
    fold = EvidenceFold(lambda route, revision: spec, offer=keeper.offer)
    for one in said:
        fold.add(parse(one, keep_request=True), 0, NOW)
    keeper.save(NOW)
    return load(folder, "churn")


def test_nothing_is_kept_unless_the_route_says_so(tmp_path: Path, line: Line, spec: RouteSpec) -> None:
    assert offered(tmp_path / "samples", spec, lines(line, "a", {"x": 1})) == []
    assert list(tmp_path.iterdir()) == []


def test_a_sample_is_private_and_without_what_is_redacted(tmp_path: Path, line: Line, keeping: RouteSpec) -> None:
    folder = tmp_path / "samples"
    request = {"name": "Ana", "x": [{"secret": 7, "y": 1}]}
    answer = {"greeting": "hello", "deep": {"secret": {"a": 1}}}
    (kept,) = offered(folder, keeping, lines(line, "a", request, answer))
    assert json.loads(base64.b64decode(kept.request)) == {"name": None, "x": [{"secret": None, "y": 1}]}
    assert json.loads(base64.b64decode(kept.answer)) == {"greeting": "hello", "deep": {"secret": None}}
    assert (kept.method, kept.path, kept.request_type) == ("POST", "/predict", "application/json")
    (file,) = folder.iterdir()
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    assert "Ana" not in file.read_text()


@pytest.mark.parametrize(
    ("request_", "more"),
    [
        (b"not json", {}),
        ({"x": 1}, {"rx": 70_000}),
        ({"x": 1}, {"tx": 70_000}),
        ({"x": 1}, {"code": 503}),
        ({"x": 1}, {"ce": "br"}),
    ],
)
def test_what_cannot_be_redacted_or_was_not_whole_is_not_kept(
    tmp_path: Path, line: Line, keeping: RouteSpec, request_: object, more: dict[str, object]
) -> None:
    assert offered(tmp_path, keeping, lines(line, "a", request_, **more)) == []


def test_a_compressed_answer_is_kept_open(tmp_path: Path, line: Line, keeping: RouteSpec) -> None:
    packed = gzip.compress(b'{"y": 2}')
    (kept,) = offered(tmp_path, keeping, lines(line, "a", {"x": 1}, packed, ce="gzip"))
    assert json.loads(base64.b64decode(kept.answer)) == {"y": 2}


def test_samples_are_a_fair_and_bounded_choice(tmp_path: Path, line: Line, keeping: RouteSpec) -> None:
    said = [one for at in range(300) for one in lines(line, str(at), {"x": at})]
    kept = [json.loads(base64.b64decode(one.request))["x"] for one in offered(tmp_path, keeping, said)]
    assert len(set(kept)) == 5
    assert max(kept) > 20


def sample(**parts: Any) -> Sample:
    fields = {"at": NOW, "method": "POST", "path": "/predict", "code": 200, "content_type": "application/json"}
    return Sample.model_validate(fields | parts)


def test_old_and_large_samples_go() -> None:
    old, young = sample(at=NOW - timedelta(days=8)), sample()
    assert fitting([old, young], Samples(count=9), NOW) == [young]
    large = sample(answer="x" * (MOST_BYTES // 2))
    assert fitting([large, large, large], Samples(count=9), NOW) == [large]


def test_what_a_route_no_longer_keeps_is_deleted(tmp_path: Path, spec: RouteSpec, keeping: RouteSpec) -> None:
    for route in ("churn", "gone"):
        write(tmp_path, route, [sample(), sample(at=NOW - timedelta(days=8))])
    expire(tmp_path, {"churn": keeping}, NOW)
    assert [len(load(tmp_path, route)) for route in ("churn", "gone")] == [1, 0]
    expire(tmp_path, {"churn": spec}, NOW)
    assert list(tmp_path.iterdir()) == []


def test_other_rules_begin_anew(tmp_path: Path, line: Line, keeping: RouteSpec) -> None:
    offered(tmp_path, keeping, lines(line, "a", {"x": 1}))
    stricter = keeping.model_copy(update={"samples": Samples(count=5, redact=("$.x",))})
    (kept,) = offered(tmp_path, stricter, lines(line, "b", {"x": 2}))
    assert json.loads(base64.b64decode(kept.request)) == {"x": None}


class Candidate(BaseHTTPRequestHandler):
    """Doubles a number; odd ones it gets wrong."""

    server: Any

    def do_POST(self) -> None:
        self.server.seen.append(self.headers)
        x = json.loads(self.rfile.read(int(self.headers["content-length"])))["x"]
        body = json.dumps({"twice": 2 * x + x % 2, "label": "odd" if x % 2 else "even"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def candidate() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer((ADDRESS, 0), Candidate)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def numbered(count: int) -> list[Sample]:
    return [
        sample(
            request=base64.b64encode(json.dumps({"x": x}).encode()).decode(),
            answer=base64.b64encode(json.dumps({"twice": 2 * x, "label": "even"}).encode()).decode(),
            request_type="application/json",
        )
        for x in range(count)
    ]


def test_a_replay_compares_a_candidates_answers_with_those_that_were_kept(spec: RouteSpec) -> None:
    spec = spec.model_copy(update={"comparison": Comparison()})
    with candidate() as server:
        seen = send_all(numbered(20), spec, f"http://{ADDRESS}:{server.server_address[1]}")
    assert seen is not None
    assert (seen.pairs, seen.agreed, seen.lost) == (20, 10, 0)
    assert seen.paths == {"$.twice": 10, "$.label": 10}
    assert seen.swaps["$.label"] == {'"even" -> "odd"': 10}
    assert {headers["x-gnomon-shadow"] for headers in server.seen} == {"1"}
    assert {headers["content-type"] for headers in server.seen} == {"application/json"}


def test_a_candidate_that_is_not_there_fails_each_request(spec: RouteSpec) -> None:
    with candidate() as server:
        port = server.server_address[1]
    seen = send_all(numbered(3), spec, f"http://{ADDRESS}:{port}")
    assert seen is not None
    assert (seen.agreed, seen.new_errors) == (0, 3)
    assert send_all([], spec, f"http://{ADDRESS}:{port}") is None


@pytest.mark.parametrize("url", ["10.0.0.9:8000", "ftp://10.0.0.9", "http://", "http://a?b=c"])
def test_a_url_that_is_none_is_refused(url: str, spec: RouteSpec) -> None:
    with pytest.raises(RouteError, match="no URL of a candidate"):
        send_all(numbered(1), spec, url)


@pytest.mark.parametrize(
    ("url", "public"), [("http://10.0.0.9", False), ("http://[::1]", False), ("http://8.8.8.8", True)]
)
def test_public_addresses_are_known(url: str, public: bool) -> None:
    assert is_public(url) is public


async def test_the_monitor_keeps_samples_of_what_it_reads(
    store: Store, tmp_path: Path, line: Line, keeping: RouteSpec
) -> None:
    store.routes.put(keeping, who="test", why="keep some")
    capture, stop = tmp_path / "capture" / "pairs.jsonl", asyncio.Event()
    capture.parent.mkdir()
    # The first record of a route tells that it keeps samples; what is read with it is read again no more.
    capture.write_bytes(b"".join(lines(line, "first", {"x": 0})))
    running = asyncio.create_task(Monitor(store, capture).run(stop))
    async with asyncio.timeout(10):
        while not store.shadow.of("churn"):  # noqa: ASYNC110 - a database does not tell
            await asyncio.sleep(0.02)
        with capture.open("ab") as file:
            file.write(b"".join(one for at in range(4) for one in lines(line, str(at), {"x": at})))
        while store.shadow.of("churn")[0].pairs < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    stop.set()
    await running
    assert len(load(tmp_path / "samples", "churn")) >= 4
