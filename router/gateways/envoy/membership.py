"""What a gateway that joined the gnomon of another machine keeps of it on disk. Private to this user."""

import json
from pathlib import Path
from typing import NamedTuple

from router.errors import GatewayError
from router.gateways.envoy import lastgood
from router.identity.certificates import Pair
from router.io.enrol import Joined, fleet_folder, pair_of

MEMBER, OWN, AUTHORITY = "member.json", "own.pem", "control.pem"


class Membership(NamedTuple):
    """The gateway's name, ``host:port`` of gnomon, its authority's certificate, and the own one with its key."""

    gateway: str
    control: str
    authority: bytes
    own: Pair


def keep(state_folder: Path, joined: Joined) -> None:
    """Keep what joining gave, in place of what an earlier one did. GatewayError where it cannot be kept."""
    folder = fleet_folder(state_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lastgood.write(folder / AUTHORITY, joined.authority.decode("ascii"))
        lastgood.write(folder / OWN, (joined.own.certificate + joined.own.key).decode("ascii"))
        lastgood.write(folder / MEMBER, json.dumps({"gateway": joined.gateway, "control": joined.control}))
    except OSError as error:
        raise GatewayError(f"what joining gave cannot be kept under {folder}: {error.strerror}") from error


def control_of(state_folder: Path) -> str:
    """Where the gnomon is that the gateway of this state folder joined; "" where it joined none."""
    try:
        return read(state_folder).control if (fleet_folder(state_folder) / MEMBER).exists() else ""
    except OSError as error:
        raise GatewayError(f"{fleet_folder(state_folder)} cannot be read: {error.strerror}") from error


def read(state_folder: Path) -> Membership:
    """What was kept. GatewayError where it cannot be read."""
    folder = fleet_folder(state_folder)
    try:
        told = json.loads((folder / MEMBER).read_bytes())
        authority, own = (folder / AUTHORITY).read_bytes(), pair_of(folder / OWN)
        return Membership(str(told["gateway"]), str(told["control"]), authority, own)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GatewayError(f"what joining gave cannot be read under {folder}: join anew, by a new token") from error
