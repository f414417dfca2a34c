"""Object kinds: where the API keeps them, and which part of a cluster state holds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KubeKind:
    """An object kind: API group (empty for the core), plural, the state's field, and scope."""

    name: str
    group: str
    version: str
    plural: str
    field: str = ""
    namespaced: bool = True
    selector: str = ""  # the field selector of its list

    def path(self, namespace: str = "") -> str:
        """The collection's path under the API server; without a namespace that of all of them."""
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.version}{scope}/{self.plural}"


_NET = "networking.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
_OF_NAMESPACES = (
    KubeKind("Pod", "", "v1", "pods", "pods"),
    KubeKind("Service", "", "v1", "services", "services"),
    KubeKind("Endpoints", "", "v1", "endpoints", "endpoints"),
    KubeKind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", "endpoints"),
    # Rules judge by warnings; what is normal is read of the objects that are described.
    KubeKind("Event", "", "v1", "events", "events", selector="type!=Normal"),
    KubeKind("ConfigMap", "", "v1", "configmaps", "settings"),
    KubeKind("ServiceAccount", "", "v1", "serviceaccounts"),
    KubeKind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", "claims"),
    KubeKind("ResourceQuota", "", "v1", "resourcequotas", "quotas"),
    KubeKind("LimitRange", "", "v1", "limitranges", "resources"),
    KubeKind("Deployment", "apps", "v1", "deployments", "workloads"),
    KubeKind("StatefulSet", "apps", "v1", "statefulsets", "workloads"),
    KubeKind("DaemonSet", "apps", "v1", "daemonsets", "workloads"),
    KubeKind("ReplicaSet", "apps", "v1", "replicasets", "workloads"),
    KubeKind("ReplicationController", "", "v1", "replicationcontrollers", "workloads"),
    KubeKind("Job", "batch", "v1", "jobs", "workloads"),
    KubeKind("CronJob", "batch", "v1", "cronjobs", "resources"),
    KubeKind(
        "HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", "resources"
    ),
    KubeKind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", "resources"),
    KubeKind("Ingress", _NET, "v1", "ingresses", "resources"),
    KubeKind("NetworkPolicy", _NET, "v1", "networkpolicies", "policies"),
    KubeKind("Gateway", _GATEWAY, "v1", "gateways", "resources"),
    KubeKind("HTTPRoute", _GATEWAY, "v1", "httproutes", "resources"),
    KubeKind("GRPCRoute", _GATEWAY, "v1", "grpcroutes", "resources"),
    KubeKind("VirtualService", "networking.istio.io", "v1", "virtualservices", "routes"),
    KubeKind("Certificate", "cert-manager.io", "v1", "certificates", "resources"),
)
_OF_CLUSTERS = (
    KubeKind("Node", "", "v1", "nodes", "nodes", False),
    KubeKind("Namespace", "", "v1", "namespaces", "resources", False),
    KubeKind("PersistentVolume", "", "v1", "persistentvolumes", "volumes", False),
    KubeKind("StorageClass", "storage.k8s.io", "v1", "storageclasses", "resources", False),
    KubeKind("IngressClass", _NET, "v1", "ingressclasses", "resources", False),
    KubeKind("GatewayClass", _GATEWAY, "v1", "gatewayclasses", "resources", False),
    *(
        KubeKind(
            f"{way}WebhookConfiguration",
            "admissionregistration.k8s.io",
            "v1",
            f"{way.lower()}webhookconfigurations",
            "resources",
            False,
        )
        for way in ("Validating", "Mutating")
    ),
)

KINDS: dict[str, KubeKind] = {kind.name: kind for kind in (*_OF_NAMESPACES, *_OF_CLUSTERS)}
"""Every kind that is ever read. Secrets are not among them: their values are nobody's business."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
"""Kinds that an application's name may stand for."""
