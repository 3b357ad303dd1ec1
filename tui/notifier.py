"""Tells what is new: a JSON line on stdout for each event, and one POST to the webhook for a few at a time.

What was told is kept in the store, so that a restart repeats nothing and forgets nothing. The webhook is told
at least once: after a failure the same events are sent again, later and later. The body holds what
``gnomon changes --format json`` shows and nothing else; it goes to the configured URL only, redirects are
not followed.
"""

import asyncio
import contextlib
import json
import logging
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from inventory.changes import Event
from inventory.model import utc_now
from inventory.settings import Settings, SettingsError
from inventory.store import Store, StoreError

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
FURTHEST_BEHIND: Final = 10_000
"""Events that a webhook may be behind; older ones are skipped, and how many is logged."""
LOOK_EVERY: Final = 1.0
RENEW_EVERY: Final = 60.0
POST_SECONDS: Final = 10.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0


class Notifier:
    """Follows the events of a store until it is stopped, and keeps fresh what time alone changes."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Raises SettingsError for a webhook that is no http or https URL."""
        if settings.webhook is not None:
            check_webhook(settings.webhook)
        self._store = store
        self._url = settings.webhook
        self._told = frozenset(settings.webhook_events)

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until ``stop`` is set. What fails is logged and tried again."""
        parts = [self._follow("lines", self._write, stop), self._renew(stop)]
        if self._url is not None:
            parts.append(self._follow("webhook", self._post, stop))
        await asyncio.gather(*parts)

    async def _follow(self, reader: str, tell: Any, stop: asyncio.Event) -> None:
        version, wait = -1, FIRST_WAIT
        while not stop.is_set():
            pause = LOOK_EVERY
            try:
                current = await asyncio.to_thread(self._store.version)
                if current != version:
                    await asyncio.to_thread(self._tell_new, reader, tell)
                    version, wait = current, FIRST_WAIT
            except (StoreError, OSError, urllib.error.URLError) as error:
                log.warning("%s could not be told what is new, and will be in %.0f s: %s", reader, wait, error)
                pause, wait = wait, min(2 * wait, LONGEST_WAIT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    def _tell_new(self, reader: str, tell: Any) -> None:
        events = self._store.events
        latest = events.latest()
        number = events.bookmark(reader)
        if number is None:
            # A reader who never read is told what happens from now on, not the year before.
            events.set_bookmark(reader, latest)
            return
        if latest - number > FURTHEST_BEHIND:
            log.warning("%s skips %d events: it was too far behind", reader, latest - number - FURTHEST_BEHIND)
            number = latest - FURTHEST_BEHIND
        while batch := events.after(number, AT_ONCE):
            wanted = [event for event in batch if event.what.value in self._told]
            if wanted:
                tell(wanted)
            number = batch[-1].number
            events.set_bookmark(reader, number)

    async def _renew(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._store.endpoints.renew, utc_now())
            except StoreError as error:
                log.warning("what time has changed could not be worked out: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RENEW_EVERY)

    def _write(self, events: Sequence[Event]) -> None:
        for event in events:
            sys.stdout.write(line(event) + "\n")
        sys.stdout.flush()

    def _post(self, events: Sequence[Event]) -> None:
        assert self._url is not None
        body = json.dumps({"events": [event.model_dump(mode="json") for event in events]}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "gnomon"}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - checked above
        with _OPENER.open(request, timeout=POST_SECONDS) as answer:
            answer.read(1024)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """What is new is for the configured URL alone: a redirect is a failure."""


# No proxy either: the body goes where the setting says.
_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def line(event: Event) -> str:
    """An event as one line of JSON; control characters in it are escaped."""
    return json.dumps(event.model_dump(mode="json", exclude_none=True))


def check_webhook(url: str) -> None:
    """Raises SettingsError for what is no http or https URL with a host."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"setting webhook: an http or https URL is wanted, not {url!r}")
