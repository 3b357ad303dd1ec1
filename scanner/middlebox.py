"""Hosts that accept connections on every port: firewalls, tarpits, proxies. Pure.

Such a host is one finding. Its ports say nothing, so after a few of them no more are asked until
ports that nobody would use have been tried.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

SUSPICIOUS = 8
"""Open ports of one address that are asked without further thought."""

CONFIRMING = 3
"""Random high ports that must all accept before a host counts as a middlebox."""

_HIGH = range(49152, 65536)


class Advice(Enum):
    """What to do with an open port."""

    ASK = "ask"
    CONFIRM = "hold it, and try the confirming ports now"
    HOLD = "hold it until the confirming ports were tried"
    DROP = "the host is a middlebox"


@dataclass(slots=True)
class Middleboxes:
    """What is known of each address's open ports during one scan."""

    confirmed: dict[str, int] = field(default_factory=dict)
    _open: dict[str, list[int]] = field(default_factory=dict)
    _cleared: set[str] = field(default_factory=set)

    @property
    def held(self) -> int:
        """How many open ports wait for the confirming ports of their host."""
        return sum(max(0, len(ports) - SUSPICIOUS) for ports in self._open.values())

    @property
    def held_ports(self) -> list[tuple[str, int]]:
        """Those ports, with their addresses."""
        return [(address, port) for address, ports in self._open.items() for port in ports[SUSPICIOUS:]]

    def opened(self, address: str, port: int) -> Advice:
        """Note an open port. Exactly one port of an address gets CONFIRM."""
        if address in self.confirmed:
            self.confirmed[address] = min(port, self.confirmed[address])
            return Advice.DROP
        if address in self._cleared:
            return Advice.ASK
        ports = self._open.setdefault(address, [])
        ports.append(port)
        if len(ports) <= SUSPICIOUS:
            return Advice.ASK
        return Advice.CONFIRM if len(ports) == SUSPICIOUS + 1 else Advice.HOLD

    def judged(self, address: str, accepted_all: bool) -> list[int]:
        """Note what the confirming ports said. The held ports that are to be asked now."""
        ports = self._open.pop(address)
        if accepted_all:
            self.confirmed[address] = min(ports)
            return []
        self._cleared.add(address)
        return ports[SUSPICIOUS:]


def confirming_ports(used: Collection[int], chance: random.Random) -> list[int]:
    """High ports that are in no list of a scan. Fewer than ``CONFIRMING`` where it takes them all."""
    free = [port for port in _HIGH if port not in used] or list(_HIGH)
    return chance.sample(free, CONFIRMING)
