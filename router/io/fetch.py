"""Fetches the keys of issuers: bounded in bytes and time, over TLS or from this machine, without redirects."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp

from inventory.model import Issuer
from router.identity.issuers import IssuerError, check_url, discovery_url, read_discovery, read_jwks

MOST_BYTES: Final = 256 * 1024
PATIENCE: Final = 10.0
"""Seconds that one document may take, from the look-up of the name to the last byte."""

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "gnomon"}
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)


class FetchError(Exception):
    """Keys could not be fetched. Its text is one sentence, fit to be kept and shown."""


class Document(NamedTuple):
    """One answer: its bytes, and for how many seconds it may be kept, None where it does not say."""

    body: bytes
    max_age: int | None


class FetchedKeys(NamedTuple):
    """The JWK Set of an issuer, validated, and for how many seconds it may be kept (RFC 9111, 5.2.2.1)."""

    jwks: dict[str, Any]
    max_age: int | None


async def fetch_keys(issuer: Issuer, *, patience: float = PATIENCE, most: int = MOST_BYTES) -> FetchedKeys:
    """Fetch an issuer's keys, found by discovery where their URL is not given. Raises FetchError."""
    try:
        url = issuer.jwks_url
        if url is None:
            found = await fetch(discovery_url(issuer), patience=patience, most=most)
            url = read_discovery(found.body, issuer)
        document = await fetch(url, patience=patience, most=most)
        return FetchedKeys(read_jwks(document.body), document.max_age)
    except IssuerError as error:
        raise FetchError(str(error)) from error


async def fetch(url: str, *, patience: float = PATIENCE, most: int = MOST_BYTES) -> Document:
    """GET one document. Raises FetchError, also for anything but a plain 200.

    ``patience`` is in seconds and ``most`` in bytes. No cookie, proxy or credential of this machine is used.
    """
    try:
        check_url(url)
    except IssuerError as error:
        raise FetchError(str(error)) from error
    try:
        async with (
            asyncio.timeout(patience),
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                headers=_HEADERS,
            ) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return await _read(url, answer, most)
    except TimeoutError as error:
        raise FetchError(f"{url} took longer than {patience:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(f"{url} cannot be fetched: {_reason(error)}") from error


async def _read(url: str, answer: aiohttp.ClientResponse, most: int) -> Document:
    if answer.status != 200:
        raise FetchError(f"{url} answered {answer.status}" + (", and redirects are not followed" * _moved(answer)))
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError(f"{url} answered compressed, which nobody asked for")
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16384):
        body += chunk
        if len(body) > most:
            raise FetchError(f"{url} answered with more than {most} bytes")
    return Document(bytes(body), max_age_of(answer.headers))


def _moved(answer: aiohttp.ClientResponse) -> bool:
    return 300 <= answer.status < 400


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def max_age_of(headers: Mapping[str, str]) -> int | None:
    """For how many seconds an answer may be kept; 0 where it may not be, None where it does not say."""
    control = headers.get("cache-control", "")
    if re.search(r"\bno-(store|cache)\b", control, re.IGNORECASE):
        return 0
    found = _MAX_AGE.search(control)
    return int(found.group(1)) if found else None
