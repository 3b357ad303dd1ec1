"""The authorisation service: answers a gateway about one request at a time, on a Unix socket.

Only routes that ask for it pay for it. 200 lets a request pass; 403 refuses it, with the policies that decided in a
header; 429 refuses it where a shared limit is reached: all gateways that ask here are counted together. Interface:
Envoy's external authorisation over HTTP.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from aiohttp import web

from inventory.model import ANONYMOUS, Access, Attribute, Decision, RateLimit, utc_now
from inventory.store import Store, StoreError
from router.audit.decide import InForce
from router.audit.limits import TEAM, Buckets, whose
from router.audit.lines import network_of
from router.identity.issuers import attributes_of
from router.policy import Question
from router.policy.asking import AskedError, Told, told
from router.policy.effective import binding, decide_one

POLICY_HEADER = "x-gnomon-policy"
NOT_RECORDED = "not-recorded"
KNOWN_SECONDS = 1.0
"""How long what the store knows of a caller is believed."""

MOST_KNOWN = 100_000
MOST_HEADER = 65_536

log = logging.getLogger(__name__)


class Authorizer:
    """Answers for one gateway. ``recording`` says whether calls can be recorded now."""

    def __init__(
        self, store: Store, socket: Path, in_force: Callable[[], InForce], recording: Callable[[], bool]
    ) -> None:
        self._store, self._socket = store, socket
        self._in_force, self._recording = in_force, recording
        self._known: dict[str, tuple[float, Mapping[str, Attribute]]] = {}
        self._buckets = Buckets()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until ``stop`` is set. The socket is private to this user."""
        # Access logs of this service would be a second record of calls.
        runner = web.ServerRunner(web.Server(self._answer, access_log=None, max_field_size=MOST_HEADER))
        await runner.setup()
        try:
            with contextlib.suppress(FileNotFoundError):
                self._socket.unlink()
            await web.UnixSite(runner, str(self._socket)).start()
            self._socket.chmod(0o600)
            await stop.wait()
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            asked = told(request.method, request.raw_path, headers, utc_now())
            # Policies are asked in this thread: engines are not for several, and an answer takes well below 1 ms.
            return self._decide(asked)
        except AskedError as error:
            return _response(allowed=False, by=f"malformed: {error}")
        except (StoreError, LookupError) as error:
            log.warning("a request could not be decided: %s", error)
            raise web.HTTPServiceUnavailable from error

    def _decide(self, asked: Told) -> web.Response:
        force = self._in_force()
        access = force.routes.get(asked.route)
        if access is None:
            raise LookupError(f"nothing is known of the route {asked.route}")
        if access.recorded and not self._recording():
            return _response(allowed=False, by=NOT_RECORDED)
        by = ""
        if access.enforce and access.decided_by_asking:
            decision = self._decision(asked, force, access)
            by = ",".join(decision.policies or decision.errors)
            if not decision.allowed:
                return _response(allowed=False, by=by)
        if limits := access.shared_limits:
            # The store is asked for a caller's team only where one is counted by.
            known = self._attributes(asked, force) if any(limit.by == TEAM for limit in limits) else {}
            return self._counted(asked, limits, known) or _response(allowed=True, by=by)
        return _response(allowed=True, by=by)

    def _counted(
        self, asked: Told, limits: Sequence[RateLimit], attributes: Mapping[str, Attribute]
    ) -> web.Response | None:
        """The refusal of a request that is over a limit. One that is over none takes from the bucket of each."""
        now, network = monotonic(), network_of(str(asked.context.get("network", "")))
        buckets = [
            ((asked.route, limit, whose(limit.by, asked.principal, network, attributes)), limit) for limit in limits
        ]
        wait, over = max(((self._buckets.wait(name, limit, now), limit) for name, limit in buckets), key=_longest)
        if wait > 0:
            headers = {POLICY_HEADER: f"limit by {over.by}", "retry-after": str(math.ceil(wait))}
            return web.Response(status=429, headers=headers)
        for name, limit in buckets:
            self._buckets.take(name, limit, now)
        return None

    def _decision(self, asked: Told, force: InForce, access: Access) -> Decision:
        known = self._attributes(asked, force)
        question = Question(asked.principal, known, asked.route, access.attributes, asked.context)
        return decide_one(binding(asked.principal, force.enforced, force.candidate, force.percent), question)

    def _attributes(self, asked: Told, force: InForce) -> Mapping[str, Attribute]:
        """What the token itself says of the caller, else what is known of them."""
        if asked.claims is not None and (issuer := force.issuers.get(str(asked.claims.get("iss")))) is not None:
            return attributes_of(issuer, asked.claims)
        if asked.principal == ANONYMOUS:
            return {}
        at, known = self._known.get(asked.principal, (0.0, {}))
        if monotonic() - at >= KNOWN_SECONDS or not at:
            try:
                known = self._store.principals.get(asked.principal).attributes
            except LookupError:
                known = {}
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[asked.principal] = (monotonic(), known)
        return known


def _longest(found: tuple[float, RateLimit]) -> float:
    return found[0]


def _response(*, allowed: bool, by: str) -> web.Response:
    told_by = "".join(one if one.isascii() and one.isprintable() else "?" for one in by[:500])
    return web.Response(status=200 if allowed else 403, headers={POLICY_HEADER: told_by} if told_by else {})
