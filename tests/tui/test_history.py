"""What changed, who is who, and what is told of it: by the real command line, and to a real web server."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from making import identified, observation

from inventory.changes import Event
from inventory.model import Certificate, Exposed, Listener, Postured, Scheme, utc_now
from inventory.settings import Settings, SettingsError
from inventory.store import Store, open_store
from tui import notifier
from tui.notifier import Notifier


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def see(store: Store, *facts, port: int = 5000, run: str = "s1") -> list:
    listener = Listener(site="default", address="127.0.0.9", port=port)
    seen = [observation(fact, at=utc_now(), listener=listener, scan=run) for fact in facts]
    store.observations.append(seen)
    return store.endpoints.refold([listener], utc_now())


def test_changes_show_what_happened_and_what_was_decided(gnomon, store: Store):
    (one,) = see(store, Exposed(scheme=Scheme.HTTP), identified(), Postured(posture="open"))
    see(store, Postured(posture="protected", decided_by="GET /"), run="s2")
    gnomon("triage", one.id, "--owner", "team-iris", "--why", "theirs")
    rows = json.loads(gnomon("changes", "-f", "json").out)
    assert [(row["what"], row["detail"]) for row in rows] == [
        ("assign", "theirs"), ("changed", "posture: open -> protected"), ("new", "model-endpoint flask"),
    ]  # fmt: skip
    assert [row["what"] for row in json.loads(gnomon("changes", "--what", "new", "-f", "json").out)] == ["new"]
    table = gnomon("changes", "--since", "1h", "--limit", "2")
    assert table.err == "2 changes in 1h\n"
    history = gnomon("endpoint", one.id, "--history").out
    assert [line.split()[2] for line in history.splitlines()[1:]] == ["new", "changed", "assign"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["changes", "--since", "yesterday"], "is not an age"),
        (["changes", "--what", "old"], "--what takes new, changed"),
        (["endpoints", "--sort", "colour"], "cannot be sorted by 'colour'"),
        (["endpoints", "--after", "x"], "is not where a page"),
        (["triage", "p", "--confirm", "--split", "--why", "x"], "decisions of their own"),
        (["triage", "p", "--split", "--why", "x"], "there is no endpoint 'p'"),
    ],
)
def test_bad_input_is_one_sentence(gnomon, arguments, words):
    ran = gnomon(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_an_identity_is_confirmed_and_split_by_hand(gnomon, store: Store):
    facts = (Exposed(scheme=Scheme.HTTPS), Certificate(key_digest="k1"), identified())
    (one,), (two,) = see(store, *facts), see(store, *facts, port=5001)
    assert "no proposal" in gnomon("triage", two.id, "--confirm", "--why", "x").err
    said = gnomon("triage", two.id[:7], "--same-as", one.id, "--why", "one process")
    assert (said.code, f"gnomon triage {two.id[:8]} --split takes it back" in said.err) == (0, True)
    (row,) = json.loads(gnomon("endpoints", "-f", "json").out)
    assert (row["id"], [place["id"] for place in row["places"]]) == (
        one.id,
        [two.id] if row["port"] == 5000 else [one.id],
    )
    (link,) = json.loads(gnomon("identities", "--all", "-f", "json").out)
    assert (link["state"], link["who"]) == ("confirmed", "ana")
    assert "is" in gnomon("endpoint", one.id).out
    assert gnomon("triage", two.id, "--split", "--why", "two after all").code == 0
    assert len(json.loads(gnomon("endpoints", "-f", "json").out)) == 2
    assert gnomon("identities").err == "0 proposals\n"


def test_views_are_saved_used_and_forgotten(gnomon, store: Store):
    see(store, identified(), Postured(posture="open"))
    see(store, identified(kind="notebook"), port=5001)
    saved = gnomon("view", "save", "open-models", "kind:model-endpoint", "posture:open")
    assert (saved.code, saved.err) == (0, "@open-models is kind:model-endpoint posture:open: 1 endpoints\n")
    assert [row["port"] for row in json.loads(gnomon("endpoints", "@open-models", "-f", "json").out)] == [5000]
    assert [row["port"] for row in json.loads(gnomon("endpoints", "-f", "json", "--", "-@open-models").out)] == [5001]
    assert json.loads(gnomon("view", "list", "-f", "json").out)[0]["who"] == "ana"
    assert gnomon("view", "save", "open-models", "@open-models").code == 2
    assert gnomon("view", "remove", "open-models").code == 0
    lost = gnomon("endpoints", "risk>1", "@open-models")
    assert lost.err.splitlines() == [
        "gnomon: there is no view @open-models: no view is saved (column 8 of the filter)",
        "  risk>1 @open-models",
        "         ^",
    ]
    assert gnomon("view", "save", "empty").code == 2


def test_pages_go_on_where_they_ended(gnomon, store: Store):
    for port in range(5000, 5005):
        see(store, identified(), port=port)
    seen, after = [], []
    while True:
        ran = gnomon("endpoints", "--limit", "2", "--sort", "endpoint", "-f", "json", *after)
        seen += [row["port"] for row in json.loads(ran.out)]
        if "--after" not in ran.err:
            break
        after = ["--after", ran.err.split()[-1]]
    assert seen == [5000, 5001, 5002, 5003, 5004]


class Hook:
    """A real web server that a webhook leads to. It answers as it is told, and says when it was asked."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[dict] = []
        self.asked = threading.Condition()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with hook.asked:
                    status = hook.answers.pop(0) if hook.answers else 204
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    hook.bodies.append({"status": status, "path": self.path, **body})
                    hook.asked.notify_all()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def told(self) -> list[dict]:
        return [event for body in self.bodies if body["status"] == 204 for event in body["events"]]

    def wait_for(self, what: Callable[[], bool]) -> None:
        with self.asked:
            assert self.asked.wait_for(what, timeout=20)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def test_what_is_new_is_told_once_after_failures_and_a_restart(
    store: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(notifier, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(notifier, "FIRST_WAIT", 0.01)
    see(store, identified(), port=1)
    settings = Settings(webhook=hook.url, webhook_events=("new",))

    async def run(until: Callable[[], bool]) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(Notifier(store, settings).run(stop))
        await asyncio.to_thread(hook.wait_for, until)
        stop.set()
        await running

    for reader in ("webhook", "lines"):
        store.events.set_bookmark(reader, store.events.latest())
    hook.answers = [500, 302]
    see(store, identified(), port=2)
    await run(lambda: len(hook.told()) == 1)
    assert [body["status"] for body in hook.bodies] == [500, 302, 204]
    assert {body["path"] for body in hook.bodies} == {"/hook"}
    see(store, identified(version="2"), port=2, run="s2")
    see(store, identified(), port=3)
    await run(lambda: len(hook.told()) == 2)
    assert [event["url"].rsplit(":", 1)[1] for event in hook.told()] == ["2", "3"]
    telling = Notifier(store, settings)
    telling._tell_new("lines", telling._write)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["what"] for line in lines] == ["new", "new"]


@pytest.mark.parametrize("url", ["ftp://a/b", "nonsense", "http://", "file:///etc/passwd"])
def test_a_webhook_is_an_http_url(store: Store, url: str):
    with pytest.raises(SettingsError, match="http or https URL"):
        Notifier(store, Settings(webhook=url))


def test_a_line_cannot_be_broken_by_what_a_host_said():
    event = Event(at=utc_now(), endpoint="e", what="new", url="http://a", product="x\n\x1b[2J")
    assert "\n" not in notifier.line(event)
    assert "\x1b" not in notifier.line(event)
