"""Words and steps of ``gnomon gateway`` about gateways of other machines: invite, join, list, expel."""

import re
import sys
from datetime import timedelta

from inventory.model import Invitation, utc_now
from inventory.settings import Settings
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_rows
from tui.wiring import Workspace, fresh_invitation, join

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on
COLUMNS = (
    Column("GATEWAY", "gateway"),
    Column("STATE", "state"),
    Column("JOINED", "joined_at"),
    Column("CERTIFICATE ENDS", "ends_at"),
    Column("SERVES", "routes"),
)


def invitation(here: Workspace, name: str, minutes: int, why: str) -> str:
    """A token by which a gateway of that name may join once, on record. CommandError."""
    settings = here.settings
    if settings.join_address is None:
        raise CommandError("nobody could join: set join_address to an address of this machine that gateways can reach")
    if not _NAME.fullmatch(name):
        raise CommandError(f"a gateway's name has small letters, digits and hyphens, and {name!r} has not")
    if name == settings.gateway_id:
        raise CommandError(f"{name!r} is the gateway of this machine: choose another name")
    now = utc_now()
    text, digest = fresh_invitation(settings)
    made = Invitation(digest=digest, gateway=name, expires_at=now + timedelta(minutes=minutes))
    here.store.fleet.invite(made, who=settings.actor, why=why)
    host = "THIS-MACHINE" if settings.join_address in _EVERYWHERE else settings.join_address
    narrate(f"within {minutes} minutes, and once: gnomon gateway --join {host}:{settings.join_port} --token TOKEN")
    if any(one.gateway == name and one.expelled_at is None for one in here.store.fleet.members()):
        narrate(f"a gateway {name} joined before: it is cut off when the new one joins")
    return text


def join_by(settings: Settings, where: str, text: str) -> None:
    """Join the gnomon at ``HOST[:PORT]`` by a token. CommandError, or GatewayError where it refuses."""
    from router.identity import invitations

    host, port = _place(where, settings.join_port)
    try:
        token = invitations.read(sys.stdin.readline() if text == "-" else text)
    except ValueError as error:
        raise CommandError(str(error)) from error
    name = join(settings, host, port, token)
    narrate(f"joined {host} as {name}; from now on `gnomon gateway` is enough")


def end_membership(here: Workspace, name: str, why: str) -> None:
    """Refuse a gateway from now on. CommandError where there is none."""
    if not here.store.fleet.expel(name, who=here.settings.actor, why=why):
        raise CommandError(f"no gateway {name!r} has joined: `gnomon gateway --members` lists those that have")
    narrate(f"gateway {name} is refused, and ends once it hears of it; what it kept on its disk stays there")


def list_members(here: Workspace, form: Format) -> None:
    """Write the gateways that joined."""
    told = {one.id: one for one in here.store.gateways.list()}
    rows, now = [], utc_now()
    for one in here.store.fleet.members():
        status = told.get(one.gateway)
        fresh = status is not None and status.healthy and (now - status.heartbeat_at).total_seconds() < 10
        state = "expelled" if one.expelled_at else "connected" if fresh else "away"
        rows.append(
            {
                "gateway": one.gateway,
                "state": state,
                "joined_at": one.joined_at.isoformat(timespec="seconds"),
                "ends_at": one.ends_at.isoformat(timespec="seconds"),
                "routes": len(status.revisions) if status is not None else 0,
            }
        )
    write_rows(rows, COLUMNS, form)
    if any(row["state"] == "away" for row in rows):
        narrate("a gateway that is away serves what it has, and hears of no change")


def _place(where: str, default: int) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s/]+)(?::([0-9]{1,5}))?", where)
    port = int(match[2] or default) if match else 0
    if match is None or not 0 < port < 65_535:
        raise CommandError(f"where gnomon is reads HOST or HOST:PORT, not {where!r}", Exit.BAD_INPUT)
    return match[1].strip("[]"), port
