"""The terminal UI in a browser: textual-serve, behind a key, on loopback unless told otherwise.

Whoever reaches the port acts as the user who serves it. So every request needs the key that is printed once (it
becomes a cookie), a Host that was meant (against DNS rebinding), and no foreign Origin; the page may load nothing from
elsewhere.
"""

import secrets
import shlex
import sys
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server
from typing_extensions import override

from tui.output import narrate


class GuardedServer(Server):
    """Serves a command to browsers that know the key."""

    def __init__(self, command: Sequence[str], host: str, port: int, key: str | None = None) -> None:
        """``host`` is the address to listen on and the one that browsers use."""
        shown = f"[{host}]" if ":" in host else host
        super().__init__(shlex.join(command), host, port, title="gnomon", public_url=f"http://{shown}:{port}")
        self.key = key or secrets.token_urlsafe(16)
        self._cookie = f"gnomon-{port}"

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"{self.public_url}/?key={self.key}"

    @override
    def initialize_logging(self) -> None:
        """Its log would say what the narration says, in colours."""

    @override
    async def on_startup(self, app: web.Application) -> None:
        narrate(f"open {self.address} in a browser; Ctrl-C ends it, and every session with it")

    @override
    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard())
        app.on_response_prepare.append(self._headers)
        return app

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if refusal := self._refusal(request):
                raise web.HTTPForbidden(text=f"{refusal}\n")
            if self._same(request.cookies.get(self._cookie)):
                return await handler(request)
            if request.path == "/" and self._same(request.query.get("key")):
                answer = web.HTTPFound("/")
                answer.set_cookie(self._cookie, self.key, httponly=True, samesite="Strict")
                raise answer
            raise web.HTTPForbidden(text="open the address that gnomon tui --web printed: it holds the key\n")

        return guard

    def _refusal(self, request: web.Request) -> str:
        """Why a request is not from a page of this server, or ""."""
        expected = self.public_url.removeprefix("http://")
        if request.host != expected:
            return f"this is served as {expected} only"
        if request.headers.get("Origin", self.public_url) != self.public_url:
            return "a page of another site cannot use it"
        return ""

    def _same(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self.key.encode())

    async def _headers(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
            f"img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{self.public_url[7:]}; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"


def command_line(options: Sequence[str], *, read_only: bool) -> list[str]:
    """The command of one session: this Python's gnomon, with the options that the server was given."""
    return [sys.executable, "-m", "tui.cli", *options, "tui", *(["--read-only"] if read_only else [])]
