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
    """A pod that has or had a listener: from ``since`` until before ``until``, None while it is there."""

    workload: Workload
    pod_uid: str
    since: datetime
    until: datetime | None

    def had_it(self, moment: datetime) -> bool:
        """Whether the pod was there at the moment."""
        return self.since <= moment and (self.until is None or moment < self.until)


def tenants(observations: Iterable[Observation]) -> list[Tenant]:
    """The pods that the observations of one listener tell of, by when they came."""
    placed: dict[str, tuple[datetime, Workload]] = {}
    ended: dict[str, datetime] = {}
    for one in observations:
        fact = one.fact
        if isinstance(fact, Placed):
            known = placed.get(fact.pod_uid)
            said = (fact.since, fact.workload)
            # Two scans may have read different owners of one pod; the order they arrive in must not matter.
            placed[fact.pod_uid] = said if known is None else min(known, said, key=lambda p: (p[0], str(p[1].uid)))
        elif isinstance(fact, Ended):
            ended[fact.pod_uid] = min(one.at, ended.get(fact.pod_uid, one.at))
    found = [Tenant(workload, uid, since, ended.get(uid)) for uid, (since, workload) in placed.items()]
    return sorted(found, key=lambda tenant: (tenant.since, tenant.pod_uid))


def by_workload(observations: Iterable[Observation]) -> dict[Workload | None, list[Observation]]:
    """The observations of one listener by the workload that they are of; under None what is of no workload."""
    everything = list(observations)
    known = tenants(everything)
    of_pod = {tenant.pod_uid: tenant.workload for tenant in known}
    found: dict[Workload | None, list[Observation]] = defaultdict(list)
    for one in everything:
        fact = one.fact
        if isinstance(fact, Placed | Ended):
            workload = of_pod.get(fact.pod_uid)
            if workload is not None:
                found[workload].append(one)
        else:
            there = (tenant.workload for tenant in reversed(known) if tenant.had_it(one.at))
            found[next(there, None)].append(one)
    return dict(found)
