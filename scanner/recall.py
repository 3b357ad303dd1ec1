"""What the machine does next, remembered by what it has heard: hosts that answer alike cost no second thought. Pure.

The machine is a function of its subject and of the answers so far, and fleets answer alike: the ten-thousandth
stock page is asked what the first was asked. A conversation that leaves the known ground is thought through
from its beginning, so that what is remembered never changes what is asked or found.
"""

from collections import OrderedDict
from collections.abc import Iterable

from scanner.alike import Alike
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.identify import Machine, Subject, identify
from scanner.knowledge import Knowledge

MOST = 8192

Step = Request | tuple[Finding, ...]
"""What the machine says after an answer: its next request, or at the end its findings."""


class Recall:
    """The memory of one scan. ``most`` steps are kept; those that were not needed for longest go first.

    ``token`` is the random word of every ``Subject``: the same for all, or no two conversations were alike. ``alike``
    are the answers that came again and again.
    """

    def __init__(self, knowledge: Knowledge, limits: Limits, token: str, most: int = MOST) -> None:
        self._knowledge = knowledge
        self._limits = limits
        self._token = token
        self._most = most
        self._steps: OrderedDict[tuple[int | str, int | bytes], tuple[int, Step]] = OrderedDict()
        self._places = 0
        self.thoughts = 0
        self.alike = Alike()

    def machine(self, port: int, requests: int) -> Machine:
        """Asks and finds what ``scanner.identify.identify`` does, at a port and with at most so many requests."""
        thinking: Machine | None = None
        heard: list[Answer] = []
        key: tuple[int | str, int | bytes] = (f"{port}/{requests}", 0)
        while True:
            known = self._steps.get(key)
            if known is not None:
                self._steps.move_to_end(key)
                # Another conversation was here first; where this one leaves its path, it is thought through anew.
                thinking = None
            elif thinking is None:
                limits = self._limits.model_copy(update={"requests": requests})
                thinking = identify(self._knowledge, limits, Subject(port, self._token))
                known = self._remember(key, _last_step(thinking, [None, *heard]))
            else:
                known = self._remember(key, _last_step(thinking, heard[-1:]))
            place, step = known
            if isinstance(step, tuple):
                return step
            answer = yield step
            heard.append(answer)
            key = (place, self._knowledge.mark(answer))

    def _remember(self, key: tuple[int | str, int | bytes], step: Step) -> tuple[int, Step]:
        self.thoughts += 1
        self._places += 1
        self._steps[key] = known = (self._places, step)
        if len(self._steps) > self._most:
            self._steps.popitem(last=False)
        return known


def _last_step(machine: Machine, answers: Iterable[Answer | None]) -> Step:
    """The machine's step after these further answers; None stands for its start."""
    step: Step = ()
    try:
        for answer in answers:
            step = next(machine) if answer is None else machine.send(answer)
    except StopIteration as stop:
        step = stop.value
    return step
