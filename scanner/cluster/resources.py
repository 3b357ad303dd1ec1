"""The resources that are read from a cluster, and what is not known where one cannot be read. Pure."""

from dataclasses import dataclass

_ROUTES = "routes of this kind: what they lead to may be managed"
_PLATFORM = "models that this platform manages: what runs them may be managed"
_OWNERS = "which workload such pods belong to, and its owner"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. ``versions`` are tried in order, the first that is served is read.

    ``group`` is empty for the core. ``built_in``: every cluster serves it, so that its absence is a hole
    too. ``hides`` says what is unknown where it cannot be read. ``leads`` says that it may lead to a
    workload, so that nothing can be called a shadow without it.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    hides: str
    built_in: bool = False
    namespaced: bool = True
    leads: bool = False

    @property
    def name(self) -> str:
        """As RBAC names it: ``pods``, ``httproutes.gateway.networking.k8s.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, version: str, namespace: str | None = None) -> str:
        """Where it is listed: in one namespace, or in all of the cluster."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"


def _core(plural: str, kind: str, hides: str, *, namespaced: bool = True) -> Resource:
    return Resource("", ("v1",), plural, kind, hides, built_in=True, namespaced=namespaced)


def _built_in(group: str, plural: str, kind: str, hides: str, *, leads: bool = False) -> Resource:
    return Resource(group, ("v1",), plural, kind, hides, built_in=True, leads=leads)


def _gateway_api(plural: str, kind: str, hides: str, *, leads: bool = True) -> Resource:
    return Resource("gateway.networking.k8s.io", ("v1", "v1beta1"), plural, kind, hides, leads=leads)


NAMESPACES = _core("namespaces", "Namespace", "which namespaces there are, and their owners", namespaced=False)
PODS = _core("pods", "Pod", "everything that runs there")
SERVICES = _core("services", "Service", "names, node ports and load balancers, and where routes lead")

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES,
    PODS,
    SERVICES,
    _built_in("discovery.k8s.io", "endpointslices", "EndpointSlice", "where Services without a selector lead"),
    _built_in("apps", "deployments", "Deployment", _OWNERS),
    _built_in("apps", "replicasets", "ReplicaSet", _OWNERS),
    _built_in("apps", "statefulsets", "StatefulSet", _OWNERS),
    _built_in("apps", "daemonsets", "DaemonSet", _OWNERS),
    _built_in("batch", "jobs", "Job", _OWNERS),
    _built_in("batch", "cronjobs", "CronJob", _OWNERS),
    _built_in("networking.k8s.io", "ingresses", "Ingress", _ROUTES, leads=True),
    _built_in("networking.k8s.io", "networkpolicies", "NetworkPolicy", "whether the gateway can be gone around"),
    _gateway_api("gateways", "Gateway", "the gateways of routes, and their hosts", leads=False),
    _gateway_api("httproutes", "HTTPRoute", _ROUTES),
    # Where v1 has no grants, the group has a v1 all the same.
    Resource(
        "gateway.networking.k8s.io",
        ("v1beta1", "v1"),
        "referencegrants",
        "ReferenceGrant",
        "whether routes of other namespaces may lead there",
    ),
    _gateway_api("grpcroutes", "GRPCRoute", _ROUTES),
    Resource(
        "networking.istio.io", ("v1", "v1beta1", "v1alpha3"), "virtualservices", "VirtualService", _ROUTES, leads=True
    ),
    Resource("serving.kserve.io", ("v1beta1",), "inferenceservices", "InferenceService", _PLATFORM, leads=True),
    Resource("serving.kserve.io", ("v1alpha1",), "servingruntimes", "ServingRuntime", "which runtimes are sanctioned"),
    Resource(
        "serving.kserve.io",
        ("v1alpha1",),
        "clusterservingruntimes",
        "ClusterServingRuntime",
        "which runtimes are sanctioned",
        namespaced=False,
    ),
    Resource("mlops.seldon.io", ("v1alpha1",), "models", "Model", _PLATFORM, leads=True),
    Resource(
        "machinelearning.seldon.io", ("v1", "v1alpha3"), "seldondeployments", "SeldonDeployment", _PLATFORM, leads=True
    ),
    Resource("kubeflow.org", ("v1", "v1beta1"), "notebooks", "Notebook", _PLATFORM, leads=True),
    Resource("inference.networking.k8s.io", ("v1",), "inferencepools", "InferencePool", _ROUTES, leads=True),
    Resource("inference.networking.x-k8s.io", ("v1alpha2",), "inferencepools", "InferencePool", _ROUTES, leads=True),
)
BY_KIND = {resource.kind: resource for resource in RESOURCES}
OWNER_KINDS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"})
"""Built-in kinds that keep pods running, read so that owner references can be followed."""


@dataclass(frozen=True, slots=True)
class Hole:
    """What was not read: a resource in a namespace, or in all of the cluster where ``namespace`` is None.

    ``why`` is ``forbidden`` or what went wrong, in words.
    """

    resource: Resource
    namespace: str | None
    why: str

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.resource.name} {where}: {self.why}"
