"""The gateway without a controller: Envoy with the last good configuration, kept running until gnomon is back."""

import asyncio
import logging
from typing import Any

from inventory.settings import Settings
from router.errors import GatewayError
from router.gateways.envoy.binary import envoy_binary
from router.gateways.envoy.files import Files
from router.gateways.envoy.keeper import kept_form
from router.gateways.envoy.process import EnvoyProcess
from router.gateways.envoy.start import start_of

log = logging.getLogger(__name__)


class Alone:
    """One Envoy that serves what was served last. It needs no database, and changes nothing."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is started. GatewayError where there is no Envoy on this machine."""
        self._files = Files(settings.state_folder)
        self._start = start_of(settings, self._files)
        self.process = EnvoyProcess(
            envoy_binary(),
            self._files,
            address=settings.gateway_address,
            port=settings.gateway_port,
            drain=settings.gateway_drain,
            detached=False,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, or until a gnomon takes the gateway over. GatewayError where it cannot start."""
        await asyncio.to_thread(self._files.prepare)
        await self.process.start(self._form())
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self.process.taken_over.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await self.process.stop()

    def _form(self) -> dict[str, Any]:
        path = self._files.standalone
        try:
            form = kept_form(self._files, self._start)
        except FileNotFoundError as error:
            raise GatewayError(f"there is no last good configuration {path}: `gnomon serve` keeps one") from error
        except (OSError, ValueError, TypeError) as error:
            raise GatewayError(f"the last good configuration {path} cannot be read: start `gnomon serve`") from error
        return form
