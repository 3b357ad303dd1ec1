"""How a scan behaves toward the network: its rate, what one host gets of it, and when it slows down. Pure."""

from dataclasses import dataclass
from typing import Self

from inventory.loss import Loss
from scanner.caps import Caps
from scanner.loss import BackOff, LossMeter
from scanner.pacing import Pacer


@dataclass(slots=True)
class Manners:
    """What every way of probing keeps to. One belongs to one scan, and outlives the ways.

    Its parts are replaced by those of another process, where that one probes for a while.
    """

    pacer: Pacer
    caps: Caps
    meter: LossMeter
    back_off: BackOff

    @classmethod
    def at(
        cls,
        rate: float,
        *,
        per_host: float | None = None,
        per_subnet: float | None = None,
        settling: float = 1.0,
        before: Loss | None = None,
    ) -> Self:
        """Manners with rates in probes a second. ``before`` is the loss of a scan that goes on."""
        return cls(Pacer(rate), Caps(per_host, per_subnet), LossMeter(before), BackOff(rate, settling))

    def watch(self, asked: int, unanswered: int, now: float, sending: float) -> None:
        """Take in the fate of probes whose answer was certain: measure, and slow down where that helps.

        ``sending`` is the rate at which probes went lately.
        """
        self.meter.record(asked, unanswered)
        self.pacer.rate = self.back_off.heed(asked, unanswered, now, sending)
