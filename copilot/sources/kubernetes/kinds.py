"""Object kinds: where the API keeps them, and which part of a cluster state holds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KubeKind:
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


KINDS: dict[str, KubeKind] = {
    kind.name: kind
    for kind in (
        KubeKind("Pod", "", "v1", "pods", field="pods"),
        KubeKind("Service", "", "v1", "services", field="services"),
        KubeKind("Endpoints", "", "v1", "endpoints", field="endpoints"),
        KubeKind("Event", "", "v1", "events", field="events"),
        KubeKind("ConfigMap", "", "v1", "configmaps", field="settings"),
        KubeKind("ServiceAccount", "", "v1", "serviceaccounts"),
        KubeKind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", field="claims"),
        KubeKind(
            "PersistentVolume", "", "v1", "persistentvolumes", namespaced=False, field="volumes"
        ),
        KubeKind("ResourceQuota", "", "v1", "resourcequotas", field="quotas"),
        KubeKind("Node", "", "v1", "nodes", namespaced=False, field="nodes"),
        KubeKind("Deployment", "apps", "v1", "deployments", field="workloads"),
        KubeKind("StatefulSet", "apps", "v1", "statefulsets", field="workloads"),
        KubeKind("DaemonSet", "apps", "v1", "daemonsets", field="workloads"),
        KubeKind("ReplicaSet", "apps", "v1", "replicasets", field="workloads"),
        KubeKind("Job", "batch", "v1", "jobs", field="workloads"),
        KubeKind("Ingress", "networking.k8s.io", "v1", "ingresses", field="routes"),
        KubeKind("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", field="policies"),
        KubeKind("StorageClass", "storage.k8s.io", "v1", "storageclasses", namespaced=False),
    )
}
"""Every kind that is ever read. Secrets are not among them: their values are nobody's business."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that an application's name may stand for."""
