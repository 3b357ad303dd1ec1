"""The proxy of the API server's double: one handler for Services and pods, which differ in how an address is found."""

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from apiserver import ApiServerDouble

_PROXY = re.compile(r"/api/v1/namespaces/([^/]+)/(services|pods)/((?:(https?):)?([^/:]+)(?::([^/:]*))?)/proxy(/.*)?$")
_LINKS = re.compile(r'\b(href|src|action|formaction|poster|data|cite)="([^"]*)"')


def status(code: int, reason: str, message: str, **more: Any) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    return web.json_response(body | {"reason": reason, "message": message} | more, status=code)


class ProxyDouble:
    """What it does is what was seen of a real one, and what its source says.

    ``network`` maps addresses of pods to where they are on this machine, or to the words of a failed
    connection; with ``old`` those are said in plain text, as older servers do.
    """

    def __init__(self, server: "ApiServerDouble") -> None:
        self.network: dict[str, str] = {}
        self.old = False
        self._server = server

    async def answer(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to a request by proxy; None for any other."""
        found = _PROXY.match(request.path)
        return await self._proxy(request, *found.groups()) if found else None

    async def _proxy(
        self,
        request: web.Request,
        namespace: str,
        through: str,
        known_as: str,
        scheme: str | None,
        name: str,
        port: str | None,
        path: str | None,
    ) -> web.StreamResponse:
        # OPTIONS is no verb that a role can name.
        if self._server.is_denied(f"{through}/proxy", namespace) or (
            request.method == "OPTIONS" and self._server.denied
        ):
            why = f'User "reader" cannot get resource "{through}/proxy" in API group "" in the namespace "{namespace}"'
            return status(403, "Forbidden", f'{through} "{known_as}" is forbidden: {why}')
        item = self._server.objects.get(("v1", through), {}).get((namespace, name))
        if item is None:
            return status(404, "NotFound", f'{through} "{name}" not found', details={"name": name, "kind": through})
        if through == "services":
            chosen = self._backend(item, port)
            if chosen is None:
                return status(503, "ServiceUnavailable", f'no endpoints available for service "{known_as}"')
        else:
            chosen = _location(item, port)
            if chosen is None:
                return status(400, "BadRequest", "address not allowed")
        if path is None:
            return web.Response(status=301, headers={"Location": f"{request.path}/"})
        return await self._forward(request, request.path[: len(request.path) - len(path)], scheme or "http", *chosen)

    async def _forward(
        self, request: web.Request, prefix: str, scheme: str, address: str, port: str
    ) -> web.StreamResponse:
        there = self.network.get(address, address if address.startswith("127.") else "connect: no route to host")
        if not there.startswith("127."):
            return self._unreached(f"dial tcp {address}:{port}: {there}")
        if not port.isdigit():
            return self._unreached(f"dial tcp: lookup tcp/{port}: unknown port")
        sent = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
        sent["X-Forwarded-Uri"] = request.path
        url = f"{scheme}://{there}:{port}{request.raw_path[len(prefix) :]}"
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.request(request.method, URL(url, encoded=True), headers=sent, allow_redirects=False, ssl=False)
                as reply,
            ):  # fmt: skip
                return await self._pass_on(request, reply, prefix, {f"{address}:{port}", request.host})
        except aiohttp.ClientConnectorError as error:
            return self._unreached(f"dial tcp {address}:{port}: connect: {(error.os_error.strerror or '').lower()}")
        except (aiohttp.ClientError, OSError) as error:
            return self._unreached(f"EOF ({type(error).__name__})")

    async def _pass_on(
        self, request: web.Request, reply: aiohttp.ClientResponse, prefix: str, own: set[str]
    ) -> web.StreamResponse:
        """The application's answer: pages with their links rewritten, everything else as it comes, without an end."""
        left_out = ("content-length", "transfer-encoding", "connection", "access-control-")
        headers = {k: v for k, v in reply.headers.items() if not k.lower().startswith(left_out)}
        if "Location" in headers:
            headers["Location"] = _rewritten(headers["Location"], prefix, own)
        elif headers.get("Content-Type", "").partition(";")[0].strip() == "text/html":
            page = (await reply.read()).decode("latin-1")
            page = _LINKS.sub(lambda m: f'{m[1]}="{_rewritten(m[2], prefix, own)}"', page)
            return web.Response(status=reply.status, reason=reply.reason, headers=headers, body=page.encode("latin-1"))
        answer = web.StreamResponse(status=reply.status, reason=reply.reason, headers=headers)
        await answer.prepare(request)
        async for part in reply.content.iter_any():
            await answer.write(part)
        return answer

    def _unreached(self, why: str) -> web.Response:
        if self.old:
            return web.Response(status=503, text=f"Error trying to reach service: '{why}'")
        return status(503, "ServiceUnavailable", f"error trying to reach service: {why}")

    def _backend(self, service: dict[str, Any], port: str | None) -> tuple[str, str] | None:
        """A ready pod behind a port that is named as the API wants it: by its name, or by the Service's number."""
        ports = service["spec"]["ports"]
        named = [one for one in ports if (port or "") in {one.get("name", ""), str(one["port"])}]
        if not named:
            return None
        target = named[0].get("targetPort", named[0]["port"])
        selector = service["spec"].get("selector", {})
        for pod in self._server.select("v1", "pods", service["metadata"]["namespace"]):
            labels = pod["metadata"].get("labels", {})
            conditions = {c["type"]: c["status"] for c in pod.get("status", {}).get("conditions", [])}
            if selector and selector.items() <= labels.items() and conditions.get("Ready") == "True":
                known = {
                    p.get("name"): p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", [])
                }
                number = target if isinstance(target, int) else known.get(target)
                if number is not None:
                    return pod["status"]["podIP"], str(number)
        return None


def _location(pod: dict[str, Any], port: str | None) -> tuple[str, str] | None:
    """Where a pod is reached: on its first port where none is named. None at an address that is not connected to."""
    declared = (str(p["containerPort"]) for c in pod["spec"]["containers"] for p in c.get("ports", []))
    address = pod.get("status", {}).get("podIP", "")
    try:
        numeric = ipaddress.ip_address(address)
    except ValueError:
        return None
    if numeric.is_loopback or numeric.is_link_local or numeric.is_multicast or numeric.is_unspecified:
        return None
    return address, port or next(declared, "80")


def _rewritten(target: str, prefix: str, own: set[str]) -> str:
    """A link or redirect as the proxy sends it on: its own hosts' absolute paths get the prefix."""
    parts = urlsplit(target)
    if (parts.netloc and parts.netloc not in own) or not parts.path.startswith("/") or parts.path.startswith(prefix):
        return target
    return parts._replace(scheme="", netloc="", path=prefix + parts.path).geturl()
