"""Which workload of a cluster had a listener when: pure.

Pods come and go, and their addresses are given to others. The observations of one listener are
therefore told apart by time: each belongs to the pod that had the address at that moment, and so to
the pod's workload, or to no workload where no pod is known to have had it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from inventory.model import Ended, Observation, Placed, Workload


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pod or Service that has or had a listener: from ``since`` until before ``until``, None while it is there."""

    workload: Workload
    port: int
    holder: str
    since: datetime
    until: datetime | None

    def had_it(self, moment: datetime) -> bool:
        """Whether it had the listener at the moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


def tenants(observations: Iterable[Observation]) -> list[Tenant]:
    """The holders that the observations of one listener tell of, by when they came."""
    said: dict[str, tuple[datetime, str, Placed]] = {}
    since: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for one in observations:
        fact = one.fact
        if isinstance(fact, Placed):
            # A pod may be met before its owner is; the newest word about what it belongs to holds.
            word = (one.at, one.id, fact)
            said[fact.holder] = max(word, said.get(fact.holder, word), key=lambda each: each[:2])
            since[fact.holder] = min(fact.since, since.get(fact.holder, fact.since))
        elif isinstance(fact, Ended):
            ended[fact.holder] = min(one.at, ended.get(fact.holder, one.at))
    found = [
        Tenant(fact.workload, fact.port, holder, since[holder], ended.get(holder))
        for holder, (_, _, fact) in said.items()
    ]
    return sorted(found, key=lambda tenant: (tenant.since, tenant.holder))


def by_workload(observations: Iterable[Observation]) -> dict[tuple[Workload, int] | None, list[Observation]]:
    """The observations of one listener by the workload and its port that they are of.

    Under None is what is of no workload.
    """
    everything = list(observations)
    known = tenants(everything)
    of_holder = {tenant.holder: (tenant.workload, tenant.port) for tenant in known}
    found: dict[tuple[Workload, int] | None, list[Observation]] = defaultdict(list)
    for one in everything:
        fact = one.fact
        if not isinstance(fact, Placed | Ended):
            there = ((tenant.workload, tenant.port) for tenant in reversed(known) if tenant.had_it(one.at))
            found[next(there, None)].append(one)
        elif fact.holder in of_holder:
            found[of_holder[fact.holder]].append(one)
    return dict(found)
