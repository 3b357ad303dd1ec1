"""Read-only calls of a registry's HTTP interface, GETs and GraphQL queries: bounded, and patient with throttling.

No redirect is followed: a credential goes to the host that it is for.
"""

import ipaddress
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

from scanner.exchange import clean
from scanner.graphql import only_queries

MOST_BYTES = 64 * 1024 * 1024
SECONDS = 10.0
TRIES = 3
LONGEST_WAIT = 20.0
LONGEST_SAID = 200
_TRY_AGAIN = {429, 500, 502, 503, 504}


class ApiError(RuntimeError):
    """A call that failed. Its text is part of a sentence; ``status`` is the answer's, None where there was none."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """The interface below one base URL. ``calls`` counts what was sent; ``wait`` is how it waits, in seconds."""

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str] | None = None,
        *,
        wait: Callable[[float], object] | None = None,
        allow_public: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        """Raises ApiError for a base that is no http or https URL.

        ``secrets`` are in no error's text, even where the server repeats what it was sent.
        """
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ApiError(f"{base!r} is not an http or https URL")
        self.calls = 0
        self._base = base.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
        self._headers = {"Accept": "application/json", "User-Agent": "gnomon", **(headers or {})}
        self._wait = wait or time.sleep
        self._allow_public = allow_public
        self._secrets = tuple(secrets)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, **query: str | int | None) -> Any:
        """The JSON that a GET answers. Raises ApiError."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._call(f"{path}?{urlencode(given)}" if given else path, f"GET {path}")

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """What a GET answers, as it is, asked for once: for what may as well not be there. Raises ApiError."""
        return str(self._call(f"{path}?{urlencode(query)}", f"GET {path}", read=_text, tries=1))

    def query(self, path: str, document: str, **variables: Any) -> dict[str, Any]:
        """The data that a GraphQL query gives, a POST that only reads. Raises ApiError.

        An answer that holds errors beside data is an ApiError (of status 200): a part of the data is not the data.
        Raises ValueError, with nothing sent, for a document that holds anything but queries.
        """
        if not only_queries(document):
            raise ValueError("only GraphQL queries are sent, without texts and comments in them")
        what = f"POST {path}"
        answer = self._call(path, what, json.dumps({"query": document, "variables": variables}).encode())
        if said := self._errors(answer):
            raise ApiError(f"it answered errors to {what}: {said}", 200)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise ApiError(f"what it answers to {what} is not GraphQL's", 200)
        return data

    def _call(
        self,
        target: str,
        what: str,
        body: bytes | None = None,
        *,
        read: Callable[[HTTPResponse], Any] | None = None,
        tries: int = TRIES,
    ) -> Any:
        """What a GET of a target answers, or a POST where there is a body: JSON unless ``read``. Raises ApiError."""
        self._check_authorised()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        for attempt in range(1, tries + 1):
            self.calls += 1
            request = urllib.request.Request(f"{self._base}{target}", body, headers)  # noqa: S310 - the base was checked
            try:
                with self._opener.open(request, timeout=SECONDS) as response:
                    return (read or _json)(response)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in _TRY_AGAIN or attempt == tries:
                        said = self._told(error) if body is not None else ""
                        told = f"it answered {error.code} to {what}{said}{_advice(error.code)}"
                        raise ApiError(told, error.code) from error
                    pause = _pause(error.headers.get("Retry-After"), attempt)
            except (OSError, HTTPException, ValueError) as error:
                if attempt == tries or isinstance(error, ValueError):
                    raise ApiError(f"{what} failed: {_cause(error)}; look at the URL, or scan it again") from error
                pause = _pause(None, attempt)
            self._wait(pause)
        raise AssertionError("the last attempt returns or raises")

    def _told(self, error: urllib.error.HTTPError) -> str:
        """What GraphQL's errors in the body of a refusal say, as the end of a sentence; nothing where it holds none."""
        try:
            said = self._errors(_json(error))
        except (OSError, HTTPException, ValueError):
            return ""
        return f": {said}" if said else ""

    def _errors(self, answer: object) -> str:
        """What the first of GraphQL's errors in an answer says, one bounded line; nothing where there is no error."""
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if not errors:
            return ""
        first = errors[0] if isinstance(errors, list) else errors
        said = str(first.get("message") if isinstance(first, dict) else first)
        for secret in self._secrets:
            said = said.replace(secret, "***")
        return clean(said, LONGEST_SAID) or "without a word"

    def pages(
        self, path: str, items: str, *, parameter: str, following: str, foreign: str, **query: str | int
    ) -> Iterator[dict[str, Any]]:
        """Every item of a listing in pages: those under ``items``, the next page's token under ``following``.

        ``parameter`` asks for a page by such a token. A page that is none ends it with ApiError, which says that it
        is ``foreign``: half a list is not a list.
        """
        asked: str | None = None
        while True:
            page = self.get(path, **query, **{parameter: asked})
            found = page.get(items, []) if isinstance(page, dict) else None
            if not isinstance(found, list):
                raise ApiError(f"what it answers to {path} is {foreign}")
            yield from (item for item in found if isinstance(item, dict))
            named = page.get(following) or None
            if named is not None and named == asked:
                raise ApiError(f"{path} gives the same page again and again")
            asked = named
            if asked is None:
                return

    def _check_authorised(self) -> None:
        """A public address needs the scope's word, as it does for a scan."""
        if self._allow_public:
            return
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ApiError(f"the name {self._host!r} has no address that can be found") from error
        for entry in found:
            address = ipaddress.ip_address(str(entry[4][0]).partition("%")[0])
            if not (address.is_private or address.is_loopback):
                raise ApiError(
                    f"{self._host} has the public address {address}: add --allow-public where you are authorised"
                )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: a credential goes to the host that it is for."""

    def redirect_request(self, *args: object) -> None:
        """Follow none."""


def _body(response: HTTPResponse | urllib.error.HTTPError) -> bytes:
    """Raises ConnectionError for an answer that was cut off: it is worth another try."""
    body = response.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"the answer is larger than {MOST_BYTES >> 20} MiB")
    if getattr(response, "length", None):
        raise ConnectionError("the answer broke off")
    return body


def _text(response: HTTPResponse) -> str:
    return _body(response).decode("utf-8", "replace")


def _json(response: HTTPResponse | urllib.error.HTTPError) -> Any:
    try:
        return json.loads(_body(response))
    except (ValueError, RecursionError) as error:
        raise ValueError("the answer is not JSON") from error


def _advice(status: int) -> str:
    """What helps where it was tried several times in vain."""
    if status == 429:
        return f" {TRIES} times: scan it again when it is less busy"
    return f" {TRIES} times: scan it again later" if status in _TRY_AGAIN else ""


def _pause(retry_after: str | None, attempt: int) -> float:
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_WAIT)
    return min(0.5 * 2.0**attempt, LONGEST_WAIT)


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, BaseException) else error
    return str(getattr(inner, "strerror", None) or inner) or type(inner).__name__
