"""Object kinds: where the API keeps them, and which part of a cluster state holds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """An object kind: API group (empty for the core), plural, scope, and the state's field."""

    name: str
    group: str
    version: str
    plural: str
    namespaced: bool = True
    field: str = ""

    @property
    def path(self) -> str:
        """The collection's path under the API server, with a hole for the namespace."""
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = "/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}/{self.version}{scope}/{self.plural}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Pod", "", "v1", "pods", field="pods"),
        Kind("Service", "", "v1", "services", field="services"),
        Kind("Endpoints", "", "v1", "endpoints", field="endpoints"),
        Kind("Event", "", "v1", "events", field="events"),
        Kind("ConfigMap", "", "v1", "configmaps", field="settings"),
        Kind("ServiceAccount", "", "v1", "serviceaccounts"),
        Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", field="claims"),
        Kind("PersistentVolume", "", "v1", "persistentvolumes", namespaced=False, field="volumes"),
        Kind("ResourceQuota", "", "v1", "resourcequotas", field="quotas"),
        Kind("Node", "", "v1", "nodes", namespaced=False, field="nodes"),
        Kind("Deployment", "apps", "v1", "deployments", field="workloads"),
        Kind("StatefulSet", "apps", "v1", "statefulsets", field="workloads"),
        Kind("DaemonSet", "apps", "v1", "daemonsets", field="workloads"),
        Kind("ReplicaSet", "apps", "v1", "replicasets", field="workloads"),
        Kind("Job", "batch", "v1", "jobs", field="workloads"),
        Kind("Ingress", "networking.k8s.io", "v1", "ingresses", field="routes"),
        Kind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", field="policies"),
        Kind("StorageClass", "storage.k8s.io", "v1", "storageclasses", namespaced=False),
    )
}
"""Every kind that is ever read. Secrets are not among them: their values are nobody's business."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that an application's name may stand for."""
