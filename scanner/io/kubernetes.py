"""The one place that speaks to Kubernetes API servers, by the official client: its configuration, credentials and TLS.

Objects are read as JSON rather than as the client's models, which would double the time and memory of a
long list. No redirect is followed and no cookie kept: an API server, or a pod behind its proxy, must not
send gnomon anywhere. Nothing that is said here in words holds a token.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from scanner.apiserver import IN_CLUSTER, ClusterError, Reply, Silent, Unanswered
from scanner.exchange import clean
from scanner.io.http import USER_AGENT
from scanner.io.kubeconfig import kubeconfig, plugin_of
from scanner.pacing import Pacer

# The client logs what credential plugins print, which may be a credential.
logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
logging.getLogger("kubernetes.aio").setLevel(logging.CRITICAL)

LOGIN_SECONDS: Final = 30.0
"""How long a credential plugin may take."""

_CHUNK: Final = 64 * 1024
_CONNECT: Final = 10.0
_LONGEST_LINE: Final = 16 * 1024 * 1024
_SECRET = re.compile(r"[A-Za-z0-9+/=_.-]{24,}")
_BROKEN = (
    ConfigException, aiohttp.ClientError, yaml.YAMLError, OSError, ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip


async def _configure(context: str) -> Configuration:
    """The configuration of a context, logged in. Raises ClusterError."""
    configuration = Configuration()
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            if context == IN_CLUSTER:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=kubeconfig(), context=context, client_configuration=configuration, persist_config=False
                )
    except TimeoutError:
        raise ClusterError(f"context {context!r}: logging in took longer than {LOGIN_SECONDS:.0f} s") from None
    except _BROKEN as error:
        # Half a context shows as anything from a KeyError to a binascii.Error.
        what = redacted(str(error)) if isinstance(error, ConfigException | OSError) else type(error).__name__
        raise ClusterError(f"context {context!r} of the kubeconfig cannot be used: {what}") from None
    plugin = None if context == IN_CLUSTER else plugin_of(context)
    if plugin and not configuration.api_key and not configuration.cert_file:
        raise ClusterError(f"context {context!r}: its credential plugin {plugin!r} gave no credentials: run it by hand")
    parts = urlsplit(configuration.host)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClusterError(f"context {context!r} names no server that can be spoken to")
    if configuration.proxy is None and not proxy_bypass(parts.hostname):
        configuration.proxy = getproxies().get(parts.scheme)
    return configuration


def redacted(words: str) -> str:
    """Words fit for a person: short, without control characters, and without anything that looks like a secret."""
    return clean(_SECRET.sub(lambda found: "…" if not found[0].startswith("/") else found[0], words), 200)


class _Rest(RESTClientObject):  # type: ignore[misc, unused-ignore]
    """The client's connections, opened to be used without its own handling of answers."""

    def session(self) -> aiohttp.ClientSession:
        """The session, made when it is first used."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        return self.pool_manager


class ApiServer:
    """One API server, as one user. At most ``rate`` requests a second go out; ``requests`` counts them.

    See ``scanner.apiserver.Api`` for what its methods promise. Close it.
    """

    def __init__(self, context: str, configuration: Configuration, rate: int) -> None:
        self.context = context
        self.requests = 0
        self._pacer = Pacer(rate)
        self._renewing = asyncio.Lock()
        self._use(configuration)

    @classmethod
    async def connect(cls, context: str, rate: int) -> "ApiServer":
        """Log in by a context of the kubeconfig, or as the pod that this runs in. Raises ClusterError."""
        return cls(context, await _configure(context), rate)

    @property
    def host(self) -> str:
        """The server's URL."""
        return str(self._configuration.host)

    def _use(self, configuration: Configuration) -> None:
        configuration.client_session_kwargs = {"cookie_jar": aiohttp.DummyCookieJar(), "trust_env": False}
        configuration.connection_pool_maxsize = 64
        self._configuration = configuration
        try:
            self._rest = _Rest(configuration)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"context {self.context!r}: its certificates cannot be used: {redacted(str(error))}"
            ) from None

    async def get(
        self,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        most: int = 64 * 1024 * 1024,
        seconds: float = 60.0,
        body: Any = None,
    ) -> Reply:
        """See ``scanner.apiserver.Api.get``."""
        try:
            async with asyncio.timeout(seconds), self._open(method, path, query, headers or {}, body) as answer:
                found, whole = await _bounded(answer, most)
                names = tuple((name.lower(), value) for name, value in answer.headers.items())
                return Reply(answer.status, names, found, whole=whole, reason=answer.reason or "")
        except TimeoutError:
            raise Unanswered("it did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered(_in_words(error)) from None

    async def lines(self, path: str, query: Sequence[tuple[str, str]], *, silence: float) -> AsyncIterator[bytes]:
        """See ``scanner.apiserver.Api.lines``."""
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(silence):
                    answer = await stack.enter_async_context(self._open("GET", path, query, {}, None))
                    if answer.status != 200:
                        found, _ = await _bounded(answer, _CHUNK)
                        raise Unanswered(f"it answered {answer.status}", status=answer.status, body=found)
                rest = b""
                while True:
                    async with asyncio.timeout(silence):
                        chunk = await answer.content.readany()
                    if not chunk:
                        return
                    *whole, rest = (rest + chunk).split(b"\n")
                    if any(len(line) > _LONGEST_LINE for line in (*whole, rest)):
                        raise Unanswered("it sent an event without an end")
                    for line in whole:
                        if line.strip():
                            yield line
        except TimeoutError:
            raise Silent("it fell silent") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unanswered(_in_words(error)) from None

    async def close(self) -> None:
        """Drop every connection."""
        await self._rest.close()

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        answer = await self._send(method, path, query, headers, body)
        if answer.status == 401 and _is_of_the_server(answer):
            answer.release()
            await self._renew()
            answer = await self._send(method, path, query, headers, body)
        try:
            yield answer
        finally:
            answer.close()

    async def _send(
        self, method: str, path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], body: Any
    ) -> aiohttp.ClientResponse:
        await self._turn()
        configuration = self._configuration
        options: dict[str, Any] = {}
        token = await configuration.get_api_key_with_prefix("BearerToken")
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **headers}
        if token:
            sent["Authorization"] = token
        if configuration.tls_server_name:
            options["server_hostname"] = configuration.tls_server_name
        if configuration.proxy:
            options["proxy"] = configuration.proxy
        if body is not None:
            options["json"] = body
        url = f"{configuration.host}{path}{f'?{urlencode(query)}' if query else ''}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        return await self._rest.session().request(
            method, _as_it_is(url), headers=sent, allow_redirects=False, timeout=timeout, **options
        )

    async def _turn(self) -> None:
        """Wait until the next request is due, and count it."""
        while not self._pacer.permits(now := time.monotonic(), 1):  # noqa: ASYNC110 - it waits for a moment
            await asyncio.sleep(self._pacer.delay(now))
        self._pacer.went(1, now)
        self.requests += 1

    async def _renew(self) -> None:
        """Log in again, once for all requests that were refused at the same time."""
        before = self._configuration
        async with self._renewing:
            if self._configuration is not before:
                return
            try:
                renewed = await _configure(self.context)
            except ClusterError as error:
                raise Unanswered(str(error)) from None
            old = self._rest
            self._use(renewed)
            await old.close()


def _as_it_is(url: str) -> Any:
    """The URL without any further quoting: what is asked must be what the ledger allowed."""
    from yarl import URL

    return URL(url, encoded=True)


def _is_of_the_server(answer: aiohttp.ClientResponse) -> bool:
    """Whether a 401 is the API server's: a pod behind its proxy may say so too, and gets no new credentials."""
    return "/proxy/" not in answer.url.path


async def _bounded(answer: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    """At most so many bytes of a body, and whether that is all of it."""
    found = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        room = most - len(found)
        found += chunk[:room]
        if len(chunk) > room:
            return bytes(found), False
    return bytes(found), True


def _in_words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate cannot be verified"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it cannot be connected to ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionResetError):
        return "it broke off its answer"
    return f"it gave no answer that can be read ({type(error).__name__})"
