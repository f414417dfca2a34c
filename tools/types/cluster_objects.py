"""Kubernetes objects as far as a diagnosis needs them; every field is optional knowledge.

An object read from a listing knows less than the same object described. A reader sets only the
fields it saw, and `merged` lets the later, set fields win.
"""

from typing import Literal, Self

from pydantic import Field

from tools.types.base import FrozenModel


class KubeObject(FrozenModel):
    """What every object has; `deleting` is seconds since its deletion was asked for."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    deleting: float | None = None

    def merged(self, later: Self) -> Self:
        """This object with every field that `later` set."""
        return self.model_copy(update={k: getattr(later, k) for k in later.model_fields_set})


class Condition(FrozenModel):
    """A status condition of an object, as its controller wrote it; `age` is seconds since then."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    age: float | None = None


class Reference(FrozenModel):
    """Another object that an object names in `field`; its own namespace where none is written."""

    field: str
    kind: str
    name: str
    namespace: str = ""
    port: str = ""  # number or name of a port of the service


ProbeKind = Literal["liveness", "readiness", "startup"]
ProbeAction = Literal["http", "tcp", "grpc", "exec"]


class Probe(FrozenModel):
    """One probe of a container; `port` may be a number or a port name; times in seconds."""

    kind: ProbeKind
    action: ProbeAction
    port: str = ""
    path: str = ""
    initial_delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    failure_threshold: int = 3


class ContainerPort(FrozenModel):
    """A port that a container says it listens on."""

    port: int
    name: str = ""
    protocol: str = "TCP"


class EnvVar(FrozenModel):
    """An environment variable; `value` is empty when it is secret or computed."""

    name: str
    value: str = ""
    source: str = ""  # "secret/NAME", "configmap/NAME" when it comes from there


class ContainerState(FrozenModel):
    """What the kubelet says of one run of a container."""

    status: Literal["running", "waiting", "terminated", "unknown"] = "unknown"
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None


class Container(FrozenModel):
    """One container: its specification and, where a pod was read, its status.

    `requests` and `limits` map a resource to cores or bytes.
    """

    name: str
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    requests: dict[str, float] = Field(default_factory=dict)
    limits: dict[str, float] = Field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[str, ...] = ()  # "secret/NAME", "configmap/NAME"
    command: tuple[str, ...] = ()
    init: bool = False
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool | None = None
    restarts: int = 0


class Toleration(FrozenModel):
    """A taint that a pod may live with; an empty key tolerates all."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: str = ""


class Requirement(FrozenModel):
    """One term of a label match: `key operator values`."""

    key: str
    operator: str = "In"
    values: tuple[str, ...] = ()


class PodRule(FrozenModel):
    """A required rule of nearness (or apartness) to pods that match, within a topology."""

    match: tuple[Requirement, ...] = ()
    topology_key: str = ""


class VolumeSource(FrozenModel):
    """A volume of a pod: where its content comes from."""

    name: str
    kind: str = ""  # "secret", "configmap", "claim", "host", "empty", "other"
    source: str = ""
    optional: bool = False


class PodSpec(FrozenModel):
    """What a pod, or the template of a workload, asks for."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    containers: tuple[Container, ...] = ()
    node_selector: dict[str, str] = Field(default_factory=dict)
    node_affinity: tuple[tuple[Requirement, ...], ...] = ()  # any of these terms must hold
    pod_affinity: tuple[PodRule, ...] = ()
    pod_anti_affinity: tuple[PodRule, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    volumes: tuple[VolumeSource, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()  # (volume, path in the container)
    host_network: bool = False
    dns_policy: str = ""
    nameservers: tuple[str, ...] = ()
    host_aliases: tuple[tuple[str, str], ...] = ()  # (host name, address)
    run_as_user: int | None = None
    fs_group: int | None = None


class Pod(KubeObject):
    """A pod; `status` is the word kubectl prints (Running, CrashLoopBackOff, Pending ...)."""

    status: str = ""
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    ip: str = ""
    ready: tuple[int, int] | None = None  # (ready containers, containers)
    restarts: int = 0
    restarted_ago: float | None = None  # seconds since the last restart
    age: float | None = None  # seconds
    owner: str = ""  # "ReplicaSet/NAME"
    spec: PodSpec = PodSpec()
    conditions: tuple[Condition, ...] = ()


class Workload(KubeObject):
    """A deployment, stateful set, daemon set, replica set or job, with its pod template.

    Counts are pods: `desired` by the specification (a job that has ended wants none), the others
    by the status. `failed`, `succeeded` and `active` are a job's.
    """

    kind: str
    desired: int | None = None
    current: int | None = None
    ready: int | None = None
    failed: int = 0
    succeeded: int = 0
    active: int = 0
    suspended: bool = False
    references: tuple[Reference, ...] = ()
    selector: dict[str, str] = Field(default_factory=dict)
    template: PodSpec = PodSpec()
    owner: str = ""
    age: float | None = None
    conditions: tuple[Condition, ...] = ()


class ServicePort(FrozenModel):
    """`port` of the service goes to `target` (number or port name) of the pods."""

    port: int
    target: str = ""
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""
    node_port: int | None = None


class Service(KubeObject):
    """A service and how it chooses its pods."""

    type: str = "ClusterIP"
    cluster_ip: str = ""
    selector: dict[str, str] = Field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    external_name: str = ""
    age: float | None = None

    def merged(self, later: Self) -> Self:
        """As for any object; but a listing, which has no target ports, does not erase them."""
        both = super().merged(later)
        targets = {port.port: port for port in self.ports}
        ports = tuple(
            port
            if port.target or port.port not in targets
            else targets[port.port].model_copy(
                update={"node_port": port.node_port, "protocol": port.protocol}
            )
            for port in both.ports
        )
        return both.model_copy(update={"ports": ports})


class Endpoints(KubeObject):
    """The addresses (`ip:port`) behind a service; one of several where `slice` names it.

    `lock`: an old way of leader election keeps its mark here, and no address ever.
    """

    ready: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    slice: str = ""
    lock: bool = False


class Claim(KubeObject):
    """A persistent volume claim; `capacity` is what it asks for or got, in bytes."""

    status: str = ""
    volume: str = ""
    capacity: float | None = None
    access_modes: tuple[str, ...] = ()
    storage_class: str | None = None
    selector: dict[str, str] = Field(default_factory=dict)


class Volume(KubeObject):
    """A persistent volume; `claim` is `namespace/name` of the claim that holds it."""

    status: str = ""
    claim: str = ""
    capacity: float | None = None
    access_modes: tuple[str, ...] = ()
    storage_class: str | None = None
    node_affinity: tuple[tuple[Requirement, ...], ...] = ()


class Quota(KubeObject):
    """A resource quota: resource name to amount (count, cores or bytes)."""

    hard: dict[str, float] = Field(default_factory=dict)
    used: dict[str, float] = Field(default_factory=dict)


class Taint(FrozenModel):
    """A node's taint."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


class Node(KubeObject):
    """A node; `allocatable` and `requested` map a resource to cores, bytes or a count."""

    ready: bool | None = None
    unschedulable: bool = False
    roles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    taints: tuple[Taint, ...] = ()
    allocatable: dict[str, float] = Field(default_factory=dict)
    requested: dict[str, float] = Field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class PolicyPeer(FrozenModel):
    """Whom a rule of a network policy lets through; `pods` None means all pods.

    `elsewhere`: other namespaces or addresses outside are meant, which are not seen from here.
    """

    pods: tuple[Requirement, ...] | None = None
    elsewhere: bool = False


class PolicyRule(FrozenModel):
    """One opening of a network policy; without peers it is open to everybody."""

    peers: tuple[PolicyPeer, ...] = ()


class NetworkPolicy(KubeObject):
    """A network policy: whom it selects (all pods where nothing is required), what it opens."""

    selector: tuple[Requirement, ...] = ()
    directions: tuple[str, ...] = ()
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()


class ApiResource(KubeObject):
    """An object that is judged by its conditions and by the objects it names."""

    kind: str
    conditions: tuple[Condition, ...] = ()
    references: tuple[Reference, ...] = ()
    served: bool = False  # a controller has given it an address
    own_namespace_only: bool = False  # of a gateway: routes elsewhere may not attach


class Autoscaler(ApiResource):
    """A horizontal pod autoscaler; `utilization` are resources it scales on as a share of requests.

    A count is None where it was not written.
    """

    minimum: int = 1
    maximum: int | None = None
    current: int | None = None
    wanted: int | None = None
    utilization: tuple[str, ...] = ()


class DisruptionBudget(ApiResource):
    """A pod disruption budget: pods that are healthy, must be, exist; and may be evicted now."""

    healthy: int | None = None
    required: int | None = None
    expected: int | None = None
    allowed: int | None = None


class CronSchedule(ApiResource):
    """A cron job: when it starts jobs, and how late (seconds) it still may."""

    schedule: str = ""
    suspended: bool = False
    deadline: int | None = None


class ConfigValues(KubeObject):
    """A config map, or the part of a secret that is an address: never a password or a token."""

    kind: str = "configmap"
    values: dict[str, str] = Field(default_factory=dict)


class Route(FrozenModel):
    """One rule of a gateway: what comes for `path` goes to `service` (and `port`)."""

    source: str  # "Ingress/NAME", "VirtualService/NAME", "HTTPRoute/NAME"
    path: str = ""
    service: str
    port: int | None = None
