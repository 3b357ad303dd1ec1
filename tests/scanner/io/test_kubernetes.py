"""Kubeconfigs, credentials and connections: the real client, real files, real credential plugins."""

import asyncio
import gc
import json
import logging
import sys
from pathlib import Path

import pytest
from apiserver import ApiServerDouble, serving

from scanner.apiserver import IN_CLUSTER, ClusterError, Unanswered
from scanner.io import kubernetes as adapter
from scanner.io.kubeconfig import contexts
from scanner.io.kubernetes import ApiServer, redacted

SECRET = "c2VjcmV0LXRva2VuLW9mLXRoZS1wbHVnaW4tMTIz"


def plugin(tmp_path: Path, body: str) -> dict:
    script = tmp_path / "credentials.py"
    script.write_text(body)
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(script)]}
    return {"exec": run}


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def credential(token: str) -> str:
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    return f"print({json.dumps(json.dumps(said))})"


async def test_a_credential_plugin_logs_in_and_again_when_its_token_has_run_out(api, kube, tmp_path):
    kube({"prod": api}, user=plugin(tmp_path, credential(api.token)))
    opened = await ApiServer.connect("prod", 100)
    assert (await opened.get("/apis")).status == 200
    api.token = "renewed"
    plugin(tmp_path, credential("renewed"))
    assert (await opened.get("/apis")).status == 200
    await opened.close()


async def test_a_pod_that_says_401_gets_no_new_credentials(api, kube, tmp_path):
    kube({"prod": api}, user=plugin(tmp_path, credential(api.token)))
    opened = await ApiServer.connect("prod", 100)
    api.token = "renewed"
    plugin(tmp_path, credential("renewed"))
    assert (await opened.get("/api/v1/namespaces/a/services/b:80/proxy/")).status == 401
    await opened.close()


@pytest.mark.parametrize(
    "body",
    [
        f"import sys; print('{SECRET}', file=sys.stderr); sys.exit(1)",
        f"print('not json {SECRET}')",
        credential("x").replace("ExecCredential", "Other").replace("status", "nothing"),
    ],
    ids=["fails", "says nothing", "says something else"],
)
async def test_a_plugin_that_fails_is_one_sentence_without_what_it_said(api, kube, tmp_path, body, caplog):
    caplog.set_level(logging.DEBUG)
    kube({"prod": api}, user=plugin(tmp_path, body))
    with pytest.raises(ClusterError, match=r"\Acontext 'prod': its credential plugin 'python[0-9.]*' gave no [^\n]*\Z"):
        await ApiServer.connect("prod", 100)
    assert SECRET not in caplog.text


# Python complains of the plugin that it is left to itself; that nobody waits for it is what is tested.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_plugin_that_hangs_is_given_up(api, kube, tmp_path, monkeypatch):
    monkeypatch.setattr(adapter, "LOGIN_SECONDS", 0.3)
    pid, go = tmp_path / "pid", tmp_path / "go"
    told = f"open({str(pid)!r}, 'w').write(f'{{os.getpid()}}.')"
    waits = f"import os, time\n{told}\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    kube({"prod": api}, user=plugin(tmp_path, waits))
    with pytest.raises(ClusterError, match="logging in took longer"):
        await ApiServer.connect("prod", 100)
    go.touch()
    async with asyncio.timeout(20):
        while not pid.exists() or "." not in (said := pid.read_text()) or is_alive(int(said[:-1])):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gc.collect()


BROKEN = {
    "no such cluster": {"context": {"cluster": "nowhere", "user": "user-prod"}},
    "no cluster": {"context": {"user": "user-prod"}},
    "nothing": {},
    "no server": {"context": {"cluster": "empty", "user": "user-prod"}},
    "no URL": {"context": {"cluster": "odd", "user": "user-prod"}},
    "no certificate": {"context": {"cluster": "bad-ca", "user": "user-prod"}},
    "no base64": {"context": {"cluster": "no-base64", "user": "user-prod"}},
}
CLUSTERS = [
    {"name": "empty", "cluster": {}},
    {"name": "odd", "cluster": {"server": "ftp://x"}},
    {"name": "bad-ca", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "bm8gY2VydA=="}},
    {"name": "no-base64", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "%"}},
]


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_context_fails_alone_in_one_sentence(api, kube, how):
    kube({"prod": api}, contexts=[{"name": "broken", **BROKEN[how]}], clusters=CLUSTERS)
    assert contexts() == ("prod", "broken")
    with pytest.raises(ClusterError, match=r"\Acontext 'broken'[^\n]*\Z"):
        await ApiServer.connect("broken", 100)
    opened = await ApiServer.connect("prod", 100)
    assert (await opened.get("/apis")).status == 200
    await opened.close()


def test_contexts_of_several_files_are_read_together(tmp_path, monkeypatch):
    for number, text in enumerate(["contexts: [{name: a}, {name: b}, 7]", "contexts: [{name: b}, {name: c}]", "[]"]):
        (tmp_path / str(number)).write_text(text)
    monkeypatch.setenv("KUBECONFIG", ":".join(str(tmp_path / name) for name in ("0", "1", "2", "missing")))
    assert contexts() == ("a", "b", "c")


@pytest.mark.parametrize("text", [None, f"token: [{SECRET}", "\xff"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, text):
    path = tmp_path / "config"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ClusterError, match=r"\Ano kubeconfig can be read [^\n]*\Z") as error:
        contexts()
    assert SECRET not in str(error.value)


async def test_outside_of_a_cluster_there_is_no_in_cluster(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="in-cluster"):
        await ApiServer.connect(IN_CLUSTER, 100)


async def test_no_redirect_is_followed_and_no_cookie_kept(api, client):
    with serving(ApiServerDouble()) as elsewhere:
        api.moved = {"/moved": f"{elsewhere.url}/apis"}
        assert (await client.get("/moved")).status == 302
        assert (await client.get("/apis")).status == 200
        assert elsewhere.requests == []
    assert all("cookie" not in seen.headers for seen in api.requests)


async def test_an_answer_without_an_end_is_cut_off(api, client, monkeypatch):
    for number in range(50):
        api.namespace(f"n{number}")
    reply = await client.get("/api/v1/namespaces", most=1000)
    assert (len(reply.body), reply.whole, reply.document) == (1000, False, {})


async def test_an_event_without_an_end_is_given_up(api, client, monkeypatch):
    monkeypatch.setattr(adapter, "_LONGEST_LINE", 500)
    api.put("pods", {"metadata": {"namespace": "default", "name": "a", "labels": {"x": "y" * 5000}}})
    query = [("watch", "true"), ("resourceVersion", "1")]
    real = api._stream

    async def without_end(request, answer, *rest):
        await answer.write(b"x" * 5000)
        await real(request, answer, *rest)

    monkeypatch.setattr(api, "_stream", without_end)
    with pytest.raises(Unanswered, match="without an end"):
        async for _ in client.lines("/api/v1/pods", query, silence=5.0):
            pass


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"exec failed: {SECRET} was refused", "exec failed: … was refused"),
        ("File does not exists: /etc/kubernetes/pki/a-rather-long-name/ca.crt", None),
        ("a\x1b[2Jb\nc", "a [2Jb c"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(words, said):
    assert redacted(words) == (said or words)
