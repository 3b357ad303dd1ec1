"""What runs beside a controller that serves gateways of other machines: who joins, who is expelled, what each has.

The gateway itself reads no store; this tells it who belongs to the fleet, and tells the store how each stands.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from inventory.model import GatewayStatus, Member, utc_now
from inventory.settings import Settings
from inventory.store import Store, StoreError
from router.audit.recorder import Recorder
from router.controller import Beside
from router.errors import GatewayError
from router.gateways import Joined, Joint
from router.io.enrol import Enrolment

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
BEAT_SECONDS = 1.0


class FleetKeeper:
    """The fleet of one gateway. ``run`` it once."""

    def __init__(self, store: Store, settings: Settings, recorder: Callable[[str], Recorder]) -> None:
        """Nothing is started. ``recorder`` makes what records the calls of a gateway, by its name."""
        self._store, self._settings, self._recorder = store, settings, recorder
        self._recording: dict[str, asyncio.Task[None]] = {}
        self._version: int | None = None
        self._unheard: dict[str, Joint] = {}

    async def run(self, here: Beside, stop: asyncio.Event) -> None:
        """Keep the fleet until ``stop`` is set. GatewayError where there cannot be one."""
        gateway = here.gateway
        assert self._settings.join_address is not None
        if not isinstance(gateway, Joined):
            raise GatewayError("this kind of gateway is served on its own machine only")
        settings, life = self._settings, timedelta(seconds=self._settings.join_seconds)
        where = str(settings.join_address), settings.join_port

        async def admitted() -> None:
            await self._admit(gateway, stop)

        enrolment = Enrolment(self._store, settings.state_folder, where, life, admitted)
        # Members are served whether or not another can join.
        serving = asyncio.create_task(self._serve(gateway, stop))
        try:
            await enrolment.run(stop)
        except GatewayError as error:
            log.error("no further gateway can join: %s", error)  # noqa: TRY400 - one sentence
        finally:
            await serving

    async def _serve(self, gateway: Joined, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._look(gateway, stop)
            except StoreError as error:
                log.warning("who belongs to the fleet is not known anew: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        await asyncio.gather(*self._recording.values(), return_exceptions=True)

    async def _look(self, gateway: Joined, stop: asyncio.Event) -> None:
        joints, renewed = gateway.joints(), gateway.renewed()
        for joint in joints:
            before = self._unheard.get(joint.id)
            # What could not be told is told with what came since.
            self._unheard[joint.id] = joint if before is None else joint._replace(news={**before.news, **joint.news})
        await asyncio.to_thread(self._tell, list(self._unheard.values()), renewed)
        self._unheard.clear()
        version = await asyncio.to_thread(self._store.version)
        if version != self._version:
            await self._admit(gateway, stop)
            self._version = version

    async def _admit(self, gateway: Joined, stop: asyncio.Event) -> None:
        members = await asyncio.to_thread(self._store.fleet.members)
        gateway.admit(members)
        for one in members:
            if one.expelled_at is not None:
                # It may have been heard of after it was expelled, and is not any more.
                self._unheard.pop(one.gateway, None)
                await asyncio.to_thread(self._store.gateways.forget, one.gateway)
        for member in members:
            if member.gateway not in self._recording:
                recorder = self._recorder(member.gateway)
                self._recording[member.gateway] = asyncio.create_task(recorder.run(stop))

    def _tell(self, joints: Iterable[Joint], renewed: Iterable[Member]) -> None:
        for one in joints:
            status = GatewayStatus(
                id=one.id,
                address=one.address or "unknown",
                healthy=one.healthy,
                heartbeat_at=utc_now(),
                restarts=one.restarts,
                unknown_hosts=one.unknown_hosts,
                machine=one.machine,
            )
            self._store.gateways.beat(status)
            if one.news:
                revisions = {route: number for route, (number, _) in one.news.items()}
                refused = {route: refusal for route, (_, refusal) in one.news.items() if refusal is not None}
                self._store.gateways.tell(one.id, revisions, refused)
        for member in renewed:
            self._store.fleet.renewed(member.gateway, member.enrolment, member.ends_at)
