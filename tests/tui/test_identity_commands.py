"""``gnomon issuers``, ``keys`` and ``tokens`` as typed."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc.jwk import KeySet, RSAKey

from inventory.model import utc_now
from inventory.store import open_store
from router.identity.exchange import digest_of


@pytest.fixture
def provider() -> Iterator[str]:
    keys = KeySet([RSAKey.generate_key(2048, auto_kid=True)]).as_dict(private=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said: Any = keys if self.path == "/keys" else {"issuer": url, "jwks_uri": f"{url}/keys"}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_issuer_is_believed_and_no_longer(gnomon, database_url: str, provider: str) -> None:
    told = ("--audience", "models", "--attribute", "team=groups", "--require", "tid=a", "--require", "tid=b")
    added = gnomon("issuers", "add", "lab", provider, *told)
    assert (added.code, added.err) == (0, "lab: 1 keys\n")
    (one,) = json.loads(gnomon("issuers", "list", "-f", "json").out)
    assert (one["keys"], one["error"], one["requires"]) == (1, None, {"tid": ["a", "b"]})
    assert gnomon("issuers", "refresh").err == "lab: 1 keys\n"
    again = gnomon("issuers", "add", "other", provider, "--audience", "x")
    assert again.code == 2
    assert "is the URL of the issuer 'lab' already" in again.err
    assert gnomon("issuers", "remove", "lab", "--why", "moved").code == 0
    with open_store(database_url) as store:
        assert store.issuers.list() == []


def test_keys_that_cannot_be_fetched_are_told_and_the_issuer_is_kept(gnomon, database_url: str) -> None:
    added = gnomon("issuers", "add", "lab", "http://127.0.0.1:1", "--audience", "models")
    assert added.code == 3
    assert "cannot be fetched" in added.err
    assert "cannot be fetched" in gnomon("issuers", "list").out


def test_a_key_is_shown_once_and_kept_as_a_digest(gnomon, database_url: str) -> None:
    made = gnomon(
        "keys", "create", "--owner", "risk", "--days", "30", "--attribute", "team=risk", "--attribute", "groups=a,b"
    )
    secret = made.out.strip()
    key_id = secret.split("_")[1]
    with open_store(database_url) as store:
        (key,) = store.keys.list()
        store.keys.used(key.id, utc_now())
        assert secret not in "".join(one.model_dump_json() for one in store.changes.list())
    assert (key.id, key.digest, key.attributes) == (key_id, digest_of(secret), {"team": "risk", "groups": ("a", "b")})
    assert key.expires_at - key.created_at == timedelta(days=30)
    listed = gnomon("keys", "list")
    assert listed.err == f"1 of 1 are in use: risk ({key_id})\n"
    assert secret not in listed.out
    assert "digest" not in json.loads(gnomon("keys", "list", "-f", "json").out)[0]
    assert gnomon("keys", "revoke", key_id, "--why", "found").code == 0
    assert gnomon("keys", "revoke", key_id).code == 2
    assert json.loads(gnomon("keys", "list", "-f", "json").out)[0]["state"] == "revoked"
    with open_store(database_url) as store:
        assert [(one.kind, one.value) for one in store.revocations.list(utc_now())] == [("principal", f"key:{key_id}")]


def test_callers_and_tokens_are_revoked(gnomon, database_url: str) -> None:
    assert gnomon("tokens", "revoke", "https://idp|ana", "--why", "left").code == 0
    assert gnomon("tokens", "revoke", "--token", "t1").code == 0
    with open_store(database_url) as store:
        found = {(one.kind, one.value, one.why) for one in store.revocations.list(utc_now())}
    assert found == {("principal", "https://idp|ana", "left"), ("token", "t1", "by command line")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("issuers", "add", "Lab", "https://x.test", "--audience", "a"), "name: "),
        (("issuers", "add", "lab", "ftp://x.test", "--audience", "a"), "url: "),
        (("issuers", "add", "lab", "https://x.test", "--audience", "a", "--algorithm", "HS256"), "algorithms.0: "),
        (("issuers", "add", "lab", "https://x.test", "--audience", "a", "--attribute", "team"), "is not NAME=CLAIM"),
        (("issuers", "add", "gnomon", "https://x.test", "--audience", "a"), "gnomon's own tokens"),
        (("issuers", "add", "lab", "http://127.0.0.1:8781/", "--audience", "a"), "gnomon's own tokens"),
        (("issuers", "remove", "none"), "there is no issuer 'none'"),
        (("issuers", "refresh", "none"), "there is no issuer 'none'"),
        (("keys", "create", "--owner", "a", "--attribute", "x"), "is not NAME=VALUE"),
        (("keys", "revoke", "none"), "there is no key 'none'"),
        (("tokens", "revoke"), "name a caller, or one token"),
        (("tokens", "revoke", "a", "--token", "b"), "name a caller, or one token"),
    ],
)
def test_bad_input_is_one_sentence(gnomon, database_url: str, words: tuple[str, ...], said: str) -> None:
    done = gnomon(*words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
