"""Makers of Kubernetes objects, as the API writes them."""

from typing import Any

from apiserver import ApiServerDouble

from inventory.model import Endpoint
from inventory.store import Store

Item = dict[str, Any]


def meta(namespace: str, name: str, **more: Any) -> Item:
    return {"namespace": namespace, "name": name, **more}


def owner(item: Item, kind: str) -> Item:
    said = item["metadata"]
    return {"apiVersion": "v1", "kind": kind, "name": said["name"], "uid": said["uid"], "controller": True}


def pod_spec(image: str = "registry.test/team/fraud-model:1", port: int | None = 8000, **container: Any) -> Item:
    ports = [{"name": "http", "containerPort": port}] if port else []
    return {"containers": [{"name": "main", "image": image, "ports": ports, **container}]}


def pod_status(address: str, *, ready: bool = True, host: str = "10.9.0.1", phase: str = "Running") -> Item:
    return {
        "podIP": address,
        "hostIP": host,
        "phase": phase,
        "startTime": "2026-01-02T03:04:06Z",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }


def deploy(
    api: ApiServerDouble,
    namespace: str,
    name: str,
    addresses: list[str],
    *,
    image: str = "registry.test/team/fraud-model:1",
    port: int | None = 8000,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    owners: list[Item] | None = None,
    ready: bool = True,
    **container: Any,
) -> Item:
    """A Deployment with its ReplicaSet and a pod at each address. Returns the Deployment."""
    if ("", namespace) not in api.objects[("v1", "namespaces")]:
        api.namespace(namespace)
    own = {"app": name} | (labels or {})
    top = api.put(
        "deployments",
        {"metadata": meta(namespace, name, labels=own, annotations=annotations or {}, ownerReferences=owners or [])},
    )
    replicas = api.put(
        "replicasets", {"metadata": meta(namespace, f"{name}-1", ownerReferences=[owner(top, "Deployment")])}
    )
    for number, address in enumerate(addresses):
        run_pod(
            api, namespace, f"{name}-1-{number}", address, image=image, port=port, labels=own,
            owners=[owner(replicas, "ReplicaSet")], ready=ready, **container,
        )  # fmt: skip
    return top


def run_pod(
    api: ApiServerDouble,
    namespace: str,
    name: str,
    address: str,
    *,
    image: str = "registry.test/team/fraud-model:1",
    port: int | None = 8000,
    labels: dict[str, str] | None = None,
    owners: list[Item] | None = None,
    ready: bool = True,
    **container: Any,
) -> Item:
    return api.put(
        "pods",
        {
            "metadata": meta(namespace, name, labels=labels or {}, ownerReferences=owners or []),
            "spec": pod_spec(image, port, **container),
            "status": pod_status(address, ready=ready),
        },
    )


def expose(
    api: ApiServerDouble, namespace: str, name: str, *, port: int = 80, target: int | str = 8000, **spec: Any
) -> Item:
    """A Service that selects the pods of the app of that name."""
    ports = [{"name": "http", "port": port, "targetPort": target, **spec.pop("more", {})}]
    spec = {"selector": {"app": name}, "ports": ports, "clusterIP": "10.96.0.10", "type": "ClusterIP"} | spec
    return api.put("services", {"metadata": meta(namespace, name), "spec": spec})


def http_route(api: ApiServerDouble, namespace: str, name: str, service: str, *, port: int = 80, **spec: Any) -> Item:
    """A Gateway in namespace infra, and an HTTPRoute of it to a Service."""
    listeners = [{"name": "web", "port": 80, "protocol": "HTTP"}]
    api.put("gateways", {"metadata": meta("infra", "public"), "spec": {"listeners": listeners}}, "gateway")
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/score"}}],
        "backendRefs": [{"name": service, "port": port}],
    }
    parents = [{"name": "public", "namespace": "infra"}]
    body = {"hostnames": [f"{name}.example.test"], "parentRefs": parents, "rules": [rule]} | spec
    return api.put("httproutes", {"metadata": meta(namespace, name), "spec": body})


def only_from(api: ApiServerDouble, namespace: str, name: str, gateway_namespace: str = "infra") -> Item:
    """A NetworkPolicy that lets in only a gateway's namespace."""
    labels = {"kubernetes.io/metadata.name": gateway_namespace}
    return api.put(
        "networkpolicies",
        {
            "metadata": meta(namespace, f"{name}-only-gateway"),
            "spec": {
                "podSelector": {"matchLabels": {"app": name}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"namespaceSelector": {"matchLabels": labels}}]}],
            },
        },
    )


def found(store: Store) -> dict[str, Endpoint]:
    """The endpoints of an inventory that are workloads of a cluster, by the workload's name."""
    return {one.cluster.workload.name: one for one in store.endpoints.list() if one.cluster}
