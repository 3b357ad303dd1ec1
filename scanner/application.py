"""One application under a base path of a listener: what it answered, what is believed of it, what it mentioned."""

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from inventory.model import InferenceRoute
from scanner.belief import Beliefs
from scanner.dialogue import CANARY, Asking, Dialogue
from scanner.exchange import Answer, Method, Request
from scanner.knowledge import Knowledge, parse_request
from scanner.openapi import Description
from scanner.signature import Layer, Signature

Asks = Generator[Request, Answer, None]
"""Questions that are asked for what the application keeps of them."""

_LOGIN = re.compile(r"(log[-_]?in|sign[-_]?in|auth|sso|oauth2?)([/?.]|$)", re.IGNORECASE)


@dataclass
class Application:
    """The state of identifying one application. ``base`` is empty for the root, else ``/prefix``."""

    base: str
    dialogue: Dialogue
    knowledge: Knowledge
    port: int
    beliefs: Beliefs = field(init=False)
    canary: Answer | None = None
    root: Answer | None = None
    catch_all: bool = False
    description: Description | None = None
    described_by: str = ""
    described_raw: str | None = None
    found: list[InferenceRoute] = field(default_factory=list)
    post_only: set[str] = field(default_factory=set)
    unnamed: set[str] = field(default_factory=set)
    pages: list[Answer] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    looked_for_routes: bool = False

    def __post_init__(self) -> None:
        self.beliefs = Beliefs(self.knowledge, self.port)

    def ask(self, method: Method, path: str, *names: str, ahead: tuple[Request, ...] = ()) -> Asking:
        """Ask under the base path, and let every belief hear the answer. ``ahead``: see ``Dialogue.ask``."""
        answer = yield from self.dialogue.ask(method, path, self.base, ahead)
        key = f"{method} {path}"
        if key not in self.asked and answer.status is not None:
            self.beliefs.hear(answer, (*names, key, "any"), news=self.is_news(answer))
        self.asked.add(key)
        return answer

    def ask_named(self, name: str) -> Asking:
        """Ask what a signature names as ``GET /path``."""
        request = parse_request(name)
        return (yield from self.ask(request.method, request.path))

    def named(self, on: str) -> Answer | None:
        """The one answer that a rule looks at; None where it was not asked or not answered, and for ``any``."""
        if on == "canary":
            return self.canary
        if on == "root":
            return self.root
        if on == "any":
            return None
        request = parse_request(on)
        answer = self.dialogue.answers.get(f"{request.method} {self.base}{request.path}")
        return answer if answer is not None and answer.status is not None else None

    def is_news(self, answer: Answer) -> bool:
        """Whether an answer says more than this host says to a path that does not exist."""
        return self.canary is None or answer.request.method != "GET" or answer.shape != self.canary.shape

    @property
    def stacks(self) -> frozenset[str]:
        """The frameworks and servers that are believed."""
        names = {s.id for layer in (Layer.FRAMEWORK, Layer.SERVER) if (s := self.beliefs.best(layer))}
        return frozenset(names)

    @property
    def interface(self) -> Signature | None:
        """The interface that it was seen to have; see ``Layer``."""
        return self.beliefs.best(Layer.INTERFACE)

    @property
    def walled(self) -> Answer | None:
        """The answer that shows a login in front of everything; None where there is none."""
        if self.canary is not None and is_wall(self.canary):
            return self.canary
        return None

    def greet(self, token: str) -> Asks:
        """The canary, and where it is answered as if it were there, a second one that is surely not."""
        self.canary = yield from self.ask("GET", CANARY, "canary")
        if self.canary.ok:
            second = yield from self.dialogue.ask("GET", f"/{token}/{token[::-1]}", self.base)
            self.catch_all = second.ok
            if not second.ok and second.status is not None:
                self.canary = second
                self.beliefs.hear(second, ("canary", "any"), news=True)

    def visit(self) -> Asks:
        """The root page, through redirects on the same listener; its head where the page may do harm."""
        answer = yield from self.ask("GET", "/", "root")
        if answer.outcome == "forbidden":
            answer = yield from self.ask("HEAD", "/")
        self.root = answer if answer.status is not None else None
        for _ in range(3):
            target = local_target(answer)
            if target is None or is_wall(answer):
                break
            inside = self.base and target.startswith(self.base + "/")
            if self.base and not inside:
                break
            answer = yield from self.ask("GET", target[len(self.base) :] or "/", "root")
            if answer.status is None:
                break
            if answer.ok:
                self.root = answer
        if self.root is not None and self.root.ok:
            self.pages.append(self.root)


def local_target(answer: Answer) -> str | None:
    """Where a redirect leads on the same listener, as a request target; None where it leads elsewhere."""
    location = answer.header("location")
    if answer.status not in {301, 302, 303, 307, 308} or not location or len(location) > 1024:
        return None
    try:
        target = urlsplit(urljoin("http://here" + answer.request.path, location))
    except ValueError:
        return None
    own = answer.host_names
    if target.netloc and target.netloc != "here" and target.netloc.lower() not in own:
        return None
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    return path if path.isascii() and path.isprintable() and " " not in path else None


def is_wall(answer: Answer) -> bool:
    """Whether an answer asks for a login instead of serving: 401, 403 with a challenge, or a redirect to a login."""
    if answer.status == 401 or (answer.status in {403, 407} and answer.header("www-authenticate")):
        return True
    if answer.status not in {301, 302, 303, 307, 308}:
        return False
    location = answer.header("location")[:512]
    return _LOGIN.search(location.partition("?")[0]) is not None
