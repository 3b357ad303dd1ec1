"""An endpoint's place in a cluster, from everything that was seen of one port of its workload: pure."""

from collections.abc import Iterable
from datetime import datetime

from inventory.model import Declared, Ended, Membership, Observation, Placed, Pod, Standing, Workload


def membership(workload: Workload, observations: Iterable[Observation]) -> Membership:
    """The workload, with the pods that the newest scan of it saw and that have not ended, and its standing.

    ``ended`` is set only where each of those pods was seen to end: a pod that a scan did not see proves
    nothing by itself.
    """
    everything = list(observations)
    placed = [(o.at, o.scan, o.listener, o.fact) for o in everything if isinstance(o.fact, Placed)]
    with_pods = [one for one in placed if one[3].pod is not None] or placed
    newest = max(with_pods, key=lambda one: one[:2])[1]
    ended: dict[str, datetime] = {}
    for one in everything:
        if isinstance(one.fact, Ended):
            ended[one.fact.holder] = min(one.at, ended.get(one.fact.holder, one.at))
    now = {fact.holder: (fact.pod, listener) for _, scan, listener, fact in with_pods if scan == newest}
    pods = [
        Pod(name=name, uid=uid, address=listener.address)
        for uid, (name, listener) in now.items()
        if name is not None and uid not in ended
    ]
    declared = _newest(everything)
    return Membership(
        workload=workload,
        pods=tuple(sorted(pods, key=lambda pod: (pod.name, pod.uid))),
        images=tuple(sorted({fact.image for _, scan, _, fact in with_pods if scan == newest and fact.image})),
        ended=max(ended[uid] for uid in now) if now.keys() <= ended.keys() else None,
        standing=declared.standing if declared else Standing.UNKNOWN,
        why=declared.why if declared else "nothing was read of what declares it",
        by=declared.by if declared else None,
        path=declared.path if declared else (),
    )


def _newest(observations: list[Observation]) -> Declared | None:
    found = [(o.at, o.id, o.fact) for o in observations if isinstance(o.fact, Declared)]
    return max(found, key=lambda one: one[:2])[2] if found else None
