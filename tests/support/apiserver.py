"""A Kubernetes API server for tests: real HTTP, objects in memory, and what was seen of a real one in 1.36.

Pages are one snapshot, and a limit is ignored with resourceVersion=0. An expired continue token is a 410
that offers an inconsistent one. A watch from too old a version is HTTP 200 with an ERROR event. A group
without a CRD is 404 in plain text for an admin and 403 for a restricted user. The proxy of Services and pods
names its own errors, rewrites Location and links, and takes away Authorization only. It also misbehaves on
demand.
"""

import asyncio
import base64
import contextlib
import json
import re
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from apiproxy import ProxyDouble, status

CORE = {"namespaces": "Namespace", "pods": "Pod", "services": "Service"}
BUILT_IN = {
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "apps/v1": {
        "deployments": "Deployment", "replicasets": "ReplicaSet", "statefulsets": "StatefulSet",
        "daemonsets": "DaemonSet",
    },
    "batch/v1": {"jobs": "Job", "cronjobs": "CronJob"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
}  # fmt: skip
CRDS = {
    "gateway.networking.k8s.io/v1": {"gateways": "Gateway", "httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute"},
    "gateway.networking.k8s.io/v1beta1": {"referencegrants": "ReferenceGrant"},
    "networking.istio.io/v1": {"virtualservices": "VirtualService"},
    "serving.kserve.io/v1beta1": {"inferenceservices": "InferenceService"},
    "serving.kserve.io/v1alpha1": {
        "servingruntimes": "ServingRuntime", "clusterservingruntimes": "ClusterServingRuntime",
    },
    "mlops.seldon.io/v1alpha1": {"models": "Model"},
    "machinelearning.seldon.io/v1": {"seldondeployments": "SeldonDeployment"},
    "kubeflow.org/v1": {"notebooks": "Notebook"},
    "inference.networking.k8s.io/v1": {"inferencepools": "InferencePool"},
}  # fmt: skip
CLUSTER_SCOPED = {"namespaces", "clusterservingruntimes"}
_PATH = re.compile(r"(?:/api/v1|/apis/([^/]+)/([^/]+))(?:/namespaces/([^/]+))?/([a-z]+)$")


@dataclass
class Seen:
    """One request that came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class ApiServerDouble:
    """The server. Change it from any thread; ``requests`` is what was asked.

    ``denied`` holds (resource, namespace) pairs that are forbidden, with ``*`` for any; ``faults`` maps a
    pattern of paths to hang, reset, html, half, busy, deep or lying, ``moved`` a path to where it redirects.
    """

    def __init__(self, *, crds: dict[str, dict[str, str]] | None = None, token: str | None = "secret-token-of-the-api"):
        self.kinds = {"v1": dict(CORE)} | {k: dict(v) for k, v in BUILT_IN.items()}
        self.kinds |= {k: dict(v) for k, v in (CRDS if crds is None else crds).items()}
        self.token = token
        self.objects: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
        self.version = 1000
        self.oldest = 0
        self.denied: set[tuple[str, str]] = set()
        self.faults: dict[str, str] = {}
        self.requests: list[Seen] = []
        self.asked = threading.Condition()
        self.expired_tokens = 0
        self.watch_status = 200
        self.bookmark_every = 60.0
        self.moved: dict[str, str] = {}
        self.proxy = ProxyDouble(self)
        self.bookmarks = 0
        self.watching: dict[str, int] = {}
        self._hooks: dict[int, Callable[[], None]] = {}
        self._events: list[tuple[int, str, str, str, dict[str, Any]]] = []
        self._snapshots: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: set[asyncio.Event] = set()
        self._streams: set[asyncio.Task[Any]] = set()
        self.url = ""
        self.namespace("kube-system")
        self.namespace("default")

    # What tests do to it.

    def after(self, requests: int, call: Callable[[], None]) -> None:
        """Have something happen before so many more requests are answered."""
        self._hooks[len(self.requests) + requests] = call

    def namespace(self, name: str, **meta: Any) -> dict[str, Any]:
        return self.put("namespaces", {"metadata": {"name": name, **meta}})

    def put(self, plural: str, item: dict[str, Any], group: str | None = None) -> dict[str, Any]:
        """Make or replace an object. It gets a UID and a version."""
        key = self._key(plural, group)
        with self._lock:
            self.version += 1
            known = self.objects.setdefault(key, {})
            meta = item.setdefault("metadata", {})
            name = (meta.get("namespace", ""), meta["name"])
            meta.setdefault("uid", known[name]["metadata"]["uid"] if name in known else str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", "2026-01-02T03:04:05Z")
            kind = "MODIFIED" if name in known else "ADDED"
            item = json.loads(json.dumps(item))
            item["metadata"]["resourceVersion"] = str(self.version)
            known[name] = item
            self._event(kind, key, item)
        return item

    def delete(self, plural: str, namespace: str, name: str) -> None:
        key = self._key(plural, None)
        with self._lock:
            self.version += 1
            item = self.objects[key].pop((namespace, name))
            item["metadata"]["resourceVersion"] = str(self.version)
            self._event("DELETED", key, item)

    def compact(self) -> None:
        """Forget the history: what is older than now can be watched no more."""
        with self._lock:
            self.oldest = self.version
            self._snapshots.clear()

    def break_watches(self) -> None:
        """Cut every stream that is open."""
        assert self._loop is not None
        for task in list(self._streams):
            self._loop.call_soon_threadsafe(task.cancel)

    def wait_for(self, path: str, times: int = 1) -> None:
        """Wait until a path was asked for so many times."""

        def came() -> bool:
            return sum(seen.path == path for seen in self.requests) >= times

        with self.asked:
            assert self.asked.wait_for(came, 30)

    def counted(self, *, watches: bool = False) -> int:
        """How many requests came, with or without watches."""
        return sum(watches or seen.query.get("watch") != "true" for seen in self.requests)

    def _key(self, plural: str, group: str | None) -> tuple[str, str]:
        return next(
            (gv, plural) for gv, kinds in self.kinds.items() if plural in kinds and (group is None or group in gv)
        )

    def _event(self, kind: str, key: tuple[str, str], item: dict[str, Any]) -> None:
        self._events.append((self.version, kind, key[0], key[1], item))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._changed:
            event.set()

    # What it serves.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {k.lower(): v for k, v in request.headers.items()}
        with self.asked:
            self.requests.append(Seen(request.method, request.path, dict(request.query), headers))
            self.asked.notify_all()
            hook = self._hooks.pop(len(self.requests), None)
        if hook is not None:
            hook()
        fault = next((what for pattern, what in self.faults.items() if re.search(pattern, request.path)), None)
        if fault is not None and (broken := await self._broken(fault, request)) is not None:
            return broken
        if request.path in self.moved:
            away = {"Location": self.moved[request.path], "Set-Cookie": "session=theirs"}
            return web.Response(status=302, headers=away)
        # The scheme's case does not matter, and the client says it in small letters where it runs in a pod.
        scheme, _, told = headers.get("authorization", "").partition(" ")
        if self.token and (scheme.lower(), told) != ("bearer", self.token):
            return status(401, "Unauthorized", "Unauthorized")
        if (by_proxy := await self.proxy.answer(request)) is not None:
            return by_proxy
        if request.path.endswith("/selfsubjectaccessreviews") and request.method == "POST":
            return await self._review(request)
        if request.path == "/apis":
            return self._groups()
        if found := re.fullmatch(r"/apis/([^/]+)/([^/]+)", request.path):
            return self._group(f"{found[1]}/{found[2]}")
        if found := re.fullmatch(r"/api/v1/namespaces/([^/]+)", request.path):
            return self._one_namespace(found[1])
        return await self._collection(request)

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        found = _PATH.match(request.path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        group, version, namespace, plural = found.groups()
        gv = f"{group}/{version}" if group else "v1"
        if self.is_denied(plural, namespace):
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            return status(403, "Forbidden", f'{plural} is forbidden: User "reader" cannot list resource {where}')
        if plural not in self.kinds.get(gv, {}):
            return web.Response(status=404, text="404 page not found\n")
        if request.query.get("watch") == "true":
            return await self._watch(request, gv, plural, namespace)
        return self._list(request, gv, plural, namespace)

    def is_denied(self, resource: str, namespace: str | None) -> bool:
        if ("*", namespace or "") in self.denied or (resource, "*") in self.denied:
            return True
        return (resource, namespace or "") in self.denied

    async def _broken(self, fault: str, request: web.Request) -> web.StreamResponse | None:
        transport = request.transport
        assert transport is not None
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            transport.abort()
            # Until the connection that is lost cancels it.
            await asyncio.sleep(3600)
        if fault == "deep":
            return web.Response(text="[" * 200_000, content_type="application/json")
        if fault == "html":
            return web.Response(text="<html><body>Sign in to continue</body></html>", content_type="text/html")
        if fault == "busy":
            return status(429, "TooManyRequests", "slow down")
        if fault == "lying":
            items = [
                {"metadata": 7},
                "pod",
                None,
                {"metadata": {"name": "x" * 9, "uid": "u", "labels": [1]}, "spec": 3},
            ]
            return web.json_response({"kind": "List", "metadata": {"resourceVersion": "5"}, "items": items})
        if fault == "half":
            answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "5000"})
            await answer.prepare(request)
            await answer.write(b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":')
            transport.close()
            await asyncio.sleep(3600)
        return None

    def _groups(self) -> web.Response:
        if ("apis", "") in self.denied:
            return status(403, "Forbidden", "forbidden")
        groups: dict[str, list[str]] = {}
        for gv in self.kinds:
            if "/" in gv:
                groups.setdefault(gv.split("/")[0], []).append(gv.split("/")[1])
        said = [
            {"name": name, "versions": [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]}
            for name, versions in groups.items()
        ]
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": said})

    def _group(self, gv: str) -> web.Response:
        if gv not in self.kinds:
            return web.Response(status=404, text="404 page not found\n")
        found = [{"name": plural, "kind": kind} for plural, kind in self.kinds[gv].items()]
        return web.json_response({"kind": "APIResourceList", "groupVersion": gv, "resources": found})

    def _one_namespace(self, name: str) -> web.Response:
        if ("namespaces", name) in self.denied or ("namespaces", "*") in self.denied:
            return status(403, "Forbidden", "forbidden")
        item = self.objects[("v1", "namespaces")].get(("", name))
        return web.json_response(item) if item else status(404, "NotFound", f'namespaces "{name}" not found')

    async def _review(self, request: web.Request) -> web.Response:
        asked = (await request.json())["spec"]["resourceAttributes"]
        name = asked["resource"] + (f"/{asked['subresource']}" if asked.get("subresource") else "")
        allowed = not self.is_denied(name, asked.get("namespace") or None)
        return web.json_response({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}, status=201)

    def select(self, gv: str, plural: str, namespace: str | None) -> list[dict[str, Any]]:
        with self._lock:
            found = self.objects.get((gv, plural), {}).values()
            chosen = [one for one in found if namespace is None or one["metadata"].get("namespace") == namespace]
            return sorted(chosen, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))

    def _list(self, request: web.Request, gv: str, plural: str, namespace: str | None) -> web.Response:
        limit = int(request.query.get("limit", "0"))
        token = request.query.get("continue")
        start, version = 0, self.version
        if token:
            version, start = map(int, base64.b64decode(token).decode().split(":")[:2])
            if self.expired_tokens or (version, request.path) not in self._snapshots:
                self.expired_tokens = max(0, self.expired_tokens - 1)
                fresh = base64.b64encode(f"{self.version}:{start}:inconsistent".encode()).decode()
                self._snapshots[self.version, request.path] = self.select(gv, plural, namespace)
                return status(
                    410, "Expired", "the provided continue parameter is too old", metadata={"continue": fresh}
                )
            items = self._snapshots[version, request.path]
        else:
            items = self.select(gv, plural, namespace)
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        end = len(items)
        if limit and request.query.get("resourceVersion") != "0" and start + limit < len(items):
            end = start + limit
            self._snapshots[version, request.path] = items
            meta["continue"] = base64.b64encode(f"{version}:{end}".encode()).decode()
            if not {"labelSelector", "fieldSelector"} & request.query.keys():
                meta["remainingItemCount"] = len(items) - end
        body = {"kind": f"{self.kinds[gv][plural]}List", "apiVersion": gv, "metadata": meta, "items": items[start:end]}
        return web.json_response(body)

    async def _watch(self, request: web.Request, gv: str, plural: str, namespace: str | None) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or self.version)
        if self.watch_status != 200:
            return status(self.watch_status, "Expired", "too old resource version")
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        self.watching[plural] = self.watching.get(plural, 0) + 1
        try:
            await self._stream(request, answer, since, gv, plural, namespace)
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(task)
            self.watching[plural] -= 1
        return answer

    async def _stream(
        self, request: web.Request, answer: web.StreamResponse, since: int, gv: str, plural: str, namespace: str | None
    ) -> None:
        async def send(kind: str, item: dict[str, Any]) -> None:
            await answer.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")

        if since < self.oldest:
            message = f"too old resource version: {since} ({self.oldest})"
            await send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": message})
            return
        deadline = time.monotonic() + float(request.query.get("timeoutSeconds", "1800"))
        if since > self.version:
            # What is yet to come is waited for in silence.
            await asyncio.sleep(deadline - time.monotonic())
            return
        bookmark = time.monotonic() + self.bookmark_every
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            while True:
                changed.clear()
                with self._lock:
                    due = [one for one in self._events if one[0] > since and one[2:4] == (gv, plural)]
                    since = self.version
                for _, kind, _, _, item in due:
                    if namespace is None or item["metadata"].get("namespace") == namespace:
                        await send(kind, item)
                ends = time.monotonic() >= deadline
                # Now and then, and once more before a watch ends because its time is up.
                if (ends or time.monotonic() >= bookmark) and request.query.get("allowWatchBookmarks") == "true":
                    bookmark = time.monotonic() + self.bookmark_every
                    self.bookmarks += plural == "pods"
                    await send("BOOKMARK", {"metadata": {"resourceVersion": str(since)}})
                if ends:
                    return
                until = min(deadline, bookmark) - time.monotonic()
                # Not wait_for, which in Python 3.11 loses a cancellation that comes with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.001, until)):
                        await changed.wait()
        finally:
            self._changed.discard(changed)


@contextlib.contextmanager
def serving(
    double: ApiServerDouble, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[ApiServerDouble]:
    """Serve the double on a free port, from a thread of its own, until the end of the block."""
    started = threading.Event()
    stop: asyncio.Event | None = None

    async def main() -> None:
        nonlocal stop
        stop = asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", double.handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        listener = socket.create_server((host, 0))
        await web.SockSite(runner, listener, ssl_context=tls).start()
        double.url = f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
        double._loop = asyncio.get_running_loop()
        started.set()
        await stop.wait()
        # Python 3.11 forgets a connection that was accepted just before its server is closed, so those come first.
        asyncio.get_running_loop().remove_reader(listener)
        for _ in range(5):
            await asyncio.sleep(0)
        for task in list(double._streams):
            task.cancel()
        await runner.cleanup()
        # What was cancelled and closed is let go of before the loop ends.
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=10)
        for _ in range(5):
            await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield double
    finally:
        loop = double._loop
        assert loop is not None
        assert stop is not None
        double._loop = None
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()


def kubeconfig(contexts: dict[str, ApiServerDouble | str], *, user: dict[str, Any] | None = None) -> str:
    """A kubeconfig, as JSON (which is YAML), with a context for each server."""
    said: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, server in contexts.items():
        url = server if isinstance(server, str) else server.url
        token = "none" if isinstance(server, str) else (server.token or "none")
        said["clusters"].append({"name": f"cluster-{name}", "cluster": {"server": url}})
        said["users"].append({"name": f"user-{name}", "user": user or {"token": token}})
        said["contexts"].append({"name": name, "context": {"cluster": f"cluster-{name}", "user": f"user-{name}"}})
    said["current-context"] = next(iter(contexts))
    return json.dumps(said)
