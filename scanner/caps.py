"""When a probe may go to its host and its subnet, each of which is spared more than its share. Pure.

The schedule is that of ``scanner.pacing`` for each host and subnet by itself, without any tolerance:
nothing is caught up on. A probe takes its moment when it asks for it, so nobody has to ask twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address

_PRUNE_AT = 4096


@dataclass(slots=True)
class _Schedule:
    """The moments of the next probe to each key."""

    rate: float
    due: dict[int, float] = field(default_factory=dict)
    prune_at: int = _PRUNE_AT

    def take(self, key: int, moment: float) -> None:
        self.due[key] = moment + 1 / self.rate

    def prune(self, now: float) -> None:
        """Forget whoever may be sent a probe anyway: the longer a scan, the more hosts it has seen."""
        if len(self.due) >= self.prune_at:
            self.due = {key: due for key, due in self.due.items() if due > now}
            self.prune_at = max(_PRUNE_AT, 2 * len(self.due))


class Caps:
    """Caps in probes a second to one address and to one subnet, None for no cap. Moments as in ``Pacer``."""

    def __init__(self, per_host: float | None = None, per_subnet: float | None = None) -> None:
        self._host = None if per_host is None else _Schedule(per_host)
        self._subnet = None if per_subnet is None else _Schedule(per_subnet)

    def __bool__(self) -> bool:
        return self._host is not None or self._subnet is not None

    def moments(self, addresses: Iterable[int], now: float) -> list[float]:
        """When a probe may go to each of some IPv4 addresses, as numbers: ``now`` or later. They count as taken."""
        return [self._moment(address, address >> 8, now) for address in addresses]

    def moment(self, address: str, now: float) -> float:
        """The same for one address of either version, as text."""
        if ":" in address:
            number = int(IPv6Address(address))
            # Beyond every number of IPv4.
            return self._moment(number | 1 << 128, number >> 64 | 1 << 64, now)
        first, second, third, fourth = map(int, address.split("."))
        number = first << 24 | second << 16 | third << 8 | fourth
        return self._moment(number, number >> 8, now)

    def _moment(self, host: int, subnet: int, now: float) -> float:
        moment = now
        if self._host is not None:
            moment = max(moment, self._host.due.get(host, now))
        if self._subnet is not None:
            moment = max(moment, self._subnet.due.get(subnet, now))
            self._subnet.take(subnet, moment)
            self._subnet.prune(now)
        if self._host is not None:
            self._host.take(host, moment)
            self._host.prune(now)
        return moment
