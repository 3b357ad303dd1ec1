"""What running and declared come to: managed, bypassable, shadow, zombie, ghost or unknown, and the proof. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from inventory.model import Declared, Hop, Standing
from scanner.cluster.links import Dangling, Key, Lead, Links, missing_platform
from scanner.cluster.policies import entry
from scanner.cluster.resources import BY_KIND
from scanner.cluster.routing import Policy
from scanner.cluster.workloads import Running

DYING = timedelta(minutes=10)
"""How long after it was marked for deletion a workload may go on before it counts as a zombie."""

_MOST_NAMED = 3


class Judge:
    """Judges the ports of one cluster's workloads at one moment.

    ``answered`` are the ports that answered here by their pods' own addresses.
    """

    def __init__(self, links: Links, now: datetime, answered: Iterable[Key] = ()) -> None:
        self._links = links
        self._now = now
        self._answered = frozenset(answered)
        self._policies: dict[str, list[Policy]] = defaultdict(list)
        for policy in links.world.all(Policy):
            self._policies[policy.meta.namespace].append(policy)

    def judge(self, one: Running, port: int) -> Declared:
        """The standing of one port of a workload, with the path that proves it."""
        end = self._end(one, port)
        leads = self._links.leads.get((one.workload.uid, port), [])
        dead = self._dead(one)
        if dead is not None:
            return Declared(standing=Standing.ZOMBIE, why=dead, path=end)
        if leads:
            return self._led_to(one, port, leads[0], end)
        named_by = self._links.ungranted.get((one.workload.uid, port), [])
        if named_by and self._links.world.is_hole(BY_KIND["ReferenceGrant"], one.workload.namespace):
            return _maybe_let_in(one, named_by[0], end)
        unread = self._links.world.holes_that_lead(one.workload.namespace)
        if unread:
            named = "; ".join(str(hole) for hole in unread[:_MOST_NAMED])
            more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
            why = f"nothing that was read leads to it, and not everything that may was read: {named}{more}"
            return Declared(standing=Standing.UNKNOWN, why=why, path=end)
        if named_by:
            return _not_let_in(one, named_by[0], end)
        why = "it runs, and no route, Ingress, VirtualService or serving platform leads to it"
        return Declared(standing=Standing.SHADOW, why=why, path=(*self._services(one, port), *end))

    def _led_to(self, one: Running, port: int, lead: Lead, end: tuple[Hop, ...]) -> Declared:
        path = (*lead.path, *end)

        def said(standing: Standing, why: str) -> Declared:
            return Declared(standing=standing, why=why, by=lead.by, path=path)

        if (one.workload.uid, port) in self._answered:
            return said(Standing.BYPASSABLE, f"{lead.by} leads to it, and its own port answers from here")
        around = self._around(one, port, lead)
        if around is not None:
            return said(Standing.BYPASSABLE, f"{lead.by} leads to it, and {around} goes around that")
        namespace = one.workload.namespace
        if self._links.world.is_hole(BY_KIND["NetworkPolicy"], namespace):
            return said(Standing.UNKNOWN, f"{lead.by} leads to it; NetworkPolicies of {namespace} were not read")
        let_in = entry(one.first, port, self._policies[namespace])
        if let_in.open:
            return said(Standing.BYPASSABLE, f"{lead.by} leads to it, and {let_in.why}: any pod reaches it directly")
        return said(Standing.MANAGED, f"{lead.by} leads to it, and {let_in.why}")

    def _around(self, one: Running, port: int, lead: Lead) -> str | None:
        """A Service that opens the port to the outside beside the gateway."""
        del lead
        for service, service_port in self._links.services.get((one.workload.uid, port), []):
            name = f"Service {service.meta.namespace}/{service.meta.name}"
            if service.type_ == "LoadBalancer":
                return f"the load balancer of {name}"
            if service_port.node_port is not None:
                return f"node port {service_port.node_port} of {name}"
        return None

    def _dead(self, one: Running) -> str | None:
        """Why the workload should not run any more, if so."""
        if one.gone is not None:
            return f"it runs, and its owner {one.gone.kind} {one.gone.name} is no more"
        marked = one.meta.deleted_at
        if marked is not None and self._now - marked > DYING:
            return f"it runs, and was marked for deletion at {marked:%Y-%m-%d %H:%M} UTC"
        missing = missing_platform(one, self._links)
        return f"it runs, and {missing}, which its labels name, is no more" if missing else None

    def _services(self, one: Running, port: int) -> tuple[Hop, ...]:
        found = self._links.services.get((one.workload.uid, port), [])
        return tuple(
            Hop(kind="Service", namespace=service.meta.namespace, name=service.meta.name, leads="selects")
            for service, _ in found[:1]
        )

    def _end(self, one: Running, port: int) -> tuple[Hop, ...]:
        workload, pod = one.workload, one.first
        known = self._links.ports[workload.uid].get(port, "")
        last = Hop(kind="Pod", namespace=workload.namespace, name=pod.meta.name, leads=f"port {port}: {known}")
        if workload.kind == "Pod":
            return (last,)
        return (Hop(kind=workload.kind, namespace=workload.namespace, name=workload.name, leads="runs"), last)


def _maybe_let_in(one: Running, lead: Lead, end: tuple[Hop, ...]) -> Declared:
    """A route of another namespace names it, and whether its own namespace allows that was not read."""
    why = f"{lead.by} names it from another namespace; ReferenceGrants of {one.workload.namespace} were not read"
    return Declared(standing=Standing.UNKNOWN, why=why, by=lead.by, path=(*lead.path, *end))


def _not_let_in(one: Running, lead: Lead, end: tuple[Hop, ...]) -> Declared:
    """A route of another namespace names it, which its own namespace would have to allow by a ReferenceGrant."""
    grants = f"no ReferenceGrant of {one.workload.namespace} lets it in"
    why = f"it runs; {lead.by} names it from another namespace, and {grants}"
    return Declared(standing=Standing.SHADOW, why=why, path=(*lead.path, *end))


def ghost(dangling: Dangling) -> Declared:
    """The standing of something that is declared and leads to nothing."""
    by = dangling.path[-2 if len(dangling.path) > 1 else -1]
    return Declared(standing=Standing.GHOST, why=dangling.why, by=str(by), path=dangling.path)
