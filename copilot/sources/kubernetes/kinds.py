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
    selector: str = ""  # the field selector of its list

    def path(self, namespace: str = "") -> str:
        """The collection's path under the API server; without a namespace that of all of them."""
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.version}{scope}/{self.plural}"


_CORE = (
    KubeKind("Pod", "", "v1", "pods", field="pods"),
    KubeKind("Service", "", "v1", "services", field="services"),
    KubeKind("Endpoints", "", "v1", "endpoints", field="endpoints"),
    # Rules judge by warnings; what is normal is read of the objects that are described.
    KubeKind("Event", "", "v1", "events", field="events", selector="type!=Normal"),
    KubeKind("ConfigMap", "", "v1", "configmaps", field="settings"),
    KubeKind("ServiceAccount", "", "v1", "serviceaccounts"),
    KubeKind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", field="claims"),
    KubeKind("PersistentVolume", "", "v1", "persistentvolumes", namespaced=False, field="volumes"),
    KubeKind("ResourceQuota", "", "v1", "resourcequotas", field="quotas"),
    KubeKind("LimitRange", "", "v1", "limitranges"),
    KubeKind("Node", "", "v1", "nodes", namespaced=False, field="nodes"),
    KubeKind("Namespace", "", "v1", "namespaces", namespaced=False),
)
_WORK = (
    KubeKind("Deployment", "apps", "v1", "deployments", field="workloads"),
    KubeKind("StatefulSet", "apps", "v1", "statefulsets", field="workloads"),
    KubeKind("DaemonSet", "apps", "v1", "daemonsets", field="workloads"),
    KubeKind("ReplicaSet", "apps", "v1", "replicasets", field="workloads"),
    KubeKind("ReplicationController", "", "v1", "replicationcontrollers", field="workloads"),
    KubeKind("Job", "batch", "v1", "jobs", field="workloads"),
    KubeKind("CronJob", "batch", "v1", "cronjobs"),
    KubeKind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    KubeKind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
)
_NET = "networking.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_WAYS = (
    KubeKind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    KubeKind("Ingress", _NET, "v1", "ingresses", field="routes"),
    KubeKind("IngressClass", _NET, "v1", "ingressclasses", namespaced=False),
    KubeKind("NetworkPolicy", _NET, "v1", "networkpolicies", field="policies"),
    KubeKind("GatewayClass", _GATEWAY, "v1", "gatewayclasses", namespaced=False),
    KubeKind("Gateway", _GATEWAY, "v1", "gateways"),
    KubeKind("HTTPRoute", _GATEWAY, "v1", "httproutes", field="routes"),
    KubeKind("GRPCRoute", _GATEWAY, "v1", "grpcroutes"),
    KubeKind("VirtualService", "networking.istio.io", "v1", "virtualservices", field="routes"),
    KubeKind("StorageClass", "storage.k8s.io", "v1", "storageclasses", namespaced=False),
    KubeKind("Certificate", "cert-manager.io", "v1", "certificates"),
    KubeKind(
        "ValidatingWebhookConfiguration", _ADMISSION, "v1", "validatingwebhookconfigurations",
        namespaced=False,
    ),
    KubeKind(
        "MutatingWebhookConfiguration", _ADMISSION, "v1", "mutatingwebhookconfigurations",
        namespaced=False,
    ),
)  # fmt: skip

KINDS: dict[str, KubeKind] = {kind.name: kind for kind in (*_CORE, *_WORK, *_WAYS)}
"""Every kind that is ever read. Secrets are not among them: their values are nobody's business."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that an application's name may stand for."""
