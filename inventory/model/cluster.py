"""What a cluster says of a listener: which workload it belongs to, how else it is reached, what stands over it.

These are facts of the observations of a port of a pod. ``Membership`` is what they fold into.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from inventory.model.base import Moment, Value


class Exposure(Value):
    """One way to reach an endpoint."""

    via: Literal["address", "pod", "service", "node-port", "load-balancer", "ingress", "gateway"]
    url: str


class Standing(StrEnum):
    """What running and declared come to, for one port of one workload."""

    MANAGED = "managed"
    BYPASSABLE = "bypassable"
    SHADOW = "shadow"
    ZOMBIE = "zombie"
    GHOST = "ghost"
    UNKNOWN = "unknown"


class Workload(Value):
    """What keeps pods running: the last owner that is still there, or the pod itself.

    ``cluster`` is the UID of the namespace ``kube-system``, which is how clusters are told apart;
    ``uid`` is the workload's own. Both outlive names: a workload that is made anew is another one.
    """

    cluster: str
    namespace: str
    kind: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Hop(Value):
    """One object on the path that proves a standing, and how it leads to the next one."""

    kind: str
    name: str
    namespace: str = ""
    leads: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Placed(Value):
    """The listener is a way to ``port`` of the workload, since its ``holder`` got the address.

    What else is seen on the listener from then on, until another holder has the address or this one ends,
    is seen of the workload. ``holder`` is the UID of the pod named ``pod``, or that of a Service that leads
    to no other workload. A ghost has no pod anywhere: its holder is what declares it. ``image`` is of the container
    that is behind the port.
    """

    fact: Literal["placed"] = "placed"
    workload: Workload
    port: int = Field(ge=1, le=65535)
    pod: str | None = None
    holder: str
    since: Moment
    image: str | None = None


class Ended(Value):
    """The holder of the listener is gone, by the word of the API server."""

    fact: Literal["ended"] = "ended"
    holder: str


class Reached(Value):
    """Other ways to the same port: Services, node ports, load balancers, ingress and gateway hosts."""

    fact: Literal["reached"] = "reached"
    exposures: tuple[Exposure, ...] = ()


class Declared(Value):
    """What the cluster's own objects say of the workload: who manages it, and whether that can be gone around.

    ``path`` leads from what manages it to the pod, or as far as it goes. ``why`` is a sentence.
    """

    fact: Literal["declared"] = "declared"
    standing: Standing
    why: str
    by: str | None = None
    path: tuple[Hop, ...] = ()


ClusterFact = Annotated[Placed | Ended | Reached | Declared, Field(discriminator="fact")]


class Pod(Value):
    """A pod of a workload and where it is."""

    name: str
    uid: str
    address: str


class Membership(Value):
    """An endpoint's place in a cluster: its workload, its pods now, and its standing with the path that proves it.

    ``images`` are those of its pods' containers that are behind the port. ``ended`` is when the last of its pods
    was seen to end; None while one is there.
    """

    workload: Workload
    pods: tuple[Pod, ...] = ()
    images: tuple[str, ...] = ()
    ended: Moment | None = None
    standing: Standing = Standing.UNKNOWN
    why: str = ""
    by: str | None = None
    path: tuple[Hop, ...] = ()
