"""Which label names the subject: families of labels in order, each with the reason of its place."""

from functools import lru_cache
from typing import NamedTuple

from copilot.alerts.subjects.products import PRODUCTS
from tools.types import SubjectKind


class LabelFamily(NamedTuple):
    """Labels of one meaning; `names` are written without case, dots, dashes and underscores."""

    title: str
    kind: SubjectKind
    names: str
    reason: str


FAMILIES: tuple[LabelFamily, ...] = (
    LabelFamily(
        "claim",
        "claim",
        "persistentvolumeclaim pvc pvcname claimname",
        "a claim is what fills up; pod and node beside it only use it",
    ),
    LabelFamily(
        "scaler",
        "workload",
        "horizontalpodautoscaler hpa verticalpodautoscaler poddisruptionbudget scaledobject"
        " scaledjob",
        "objects that stand for a workload; told by kube-state-metrics, whose pod is beside them",
    ),
    LabelFamily(
        "certificate",
        "certificate",
        "certificate certificatename certname subjectcn commonname cn sans",
        "the certificate ends, not who serves or measures it",
    ),
    LabelFamily(
        "job",
        "job",
        "jobname cronjob cronjobname dagid schedule backupname workflow workflowname"
        " pipeline pipelinename pipelinerun taskname taskid kubejob kubecronjob k8sjobname"
        " k8scronjobname backup",
        "a task that ends is named by itself, its pods by it",
    ),
    LabelFamily(
        "queue",
        "queue",
        "consumergroup consumergroupname consumer consumername consumerid groupid queue queuename"
        " exchange messagingdestinationname entityname subscription subscriptionname subscriptionid"
        " streamname",
        "who lags is the group or queue; the topic is what it lags on",
    ),
    LabelFamily(
        "topic",
        "topic",
        "topic topicname kafkatopic topicid",
        "partition and broker are parts of where it lies",
    ),
    LabelFamily(
        "callee",
        "service",
        "destinationcanonicalservice destinationservicename destinationworkload destinationservice"
        " destinationapp dstdeployment dstservice dststatefulset envoyclustername sloservice"
        " slothservice upstreamname",
        "a proxy tells about the service it calls; pod and app are the caller's",
    ),
    LabelFamily(
        "workload",
        "workload",
        "deployment deploymentname deploymentconfig statefulset statefulsetname daemonset"
        " daemonsetname replicaset replicationcontroller workload workloadname rollout ownername"
        " kubedeployment kubestatefulset kubedaemonset kubereplicaset k8sdeploymentname"
        " k8sstatefulsetname k8sdaemonsetname k8sreplicasetname createdbyname",
        "the owner of pods, named outright",
    ),
    LabelFamily(
        "ingress",
        "ingress",
        "ingress ingressname virtualserver httproute loadbalancer loadbalancername targetgroup",
        "told by the controller, whose pod is beside it",
    ),
    LabelFamily(
        "volume",
        "volume",
        "persistentvolume volume volumename volumeid zpool vg vgname poolname datastore dsname",
        "a volume without a claim",
    ),
    LabelFamily(
        "quota",
        "quota",
        "resourcequota",
        "the quota of a namespace; the pod beside it is the messenger's",
    ),
    LabelFamily(
        "cloud",
        "other",
        "dbinstanceidentifier dbclusteridentifier databaseid cacheclusterid replicationgroupid"
        " functionname tablename bucketname instanceid autoscalinggroupname natgatewayid"
        " resourcename apiname distributionid dbinstanceid clusteridentifier",
        "a provider names its resource by an id; everything else is the collector's",
    ),
    LabelFamily(
        "process",
        "service",
        "cephdaemon osd groupname proxy backend backendname listener connector unit qmgr",
        "one process, backend or daemon of what the messenger tells about",
    ),
    LabelFamily(
        "member",
        "host",
        "exportedendpoint memberidx zkhost serverid brokerhost replicahost slavehost",
        "the member of a cluster that another member tells about",
    ),
    LabelFamily(
        "proxmox",
        "other",
        "id",
        "only of the form `cluster/x`, `node/x`, `qemu/1`; other ids number things",
    ),
    LabelFamily(
        "index",
        "database",
        "index indexname core collection",
        "part of a store that may fail alone",
    ),
    LabelFamily(
        "name",
        "other",
        "name customresourcename resourcekey",
        "what the rule's own words name; it stands above the pod that told it",
    ),
    LabelFamily(
        "pod",
        "pod",
        "pod podname kubernetespodname kubernetespod k8spodname kubepod kubepodname",
        "folds to its workload; a messenger's pod was put aside",
    ),
    LabelFamily(
        "service",
        "service",
        "service servicename kubeservice k8sservicename",
        "a service's label where it is not the messenger's",
    ),
    LabelFamily(
        "app",
        "service",
        "app application applicationname appname appid appkubernetesioname labelapp"
        " labelappkubernetesioname k8sapp microservice svc svcname serviceid component",
        "set by people and charts; coarser than the service",
    ),
    LabelFamily(
        "container",
        "container",
        "container containername k8scontainername kubecontainername"
        " containerlabelcomdockercomposeservice",
        "where no pod or service is named",
    ),
    LabelFamily(
        "virtual machine",
        "host",
        "vmname vm guest guestname",
        "it runs on the host that is named beside it",
    ),
    LabelFamily(
        "node",
        "node",
        "node nodename kubernetesnode kubenode k8snodename nodeid",
        "a machine of the cluster; anything that runs on it was named above",
    ),
    LabelFamily(
        "host",
        "host",
        "hostname host agenthost agenthostname ident targetident sysname machinename machine"
        " computer instancename",
        "a machine by its own name",
    ),
    LabelFamily(
        "device",
        "device",
        "ups upsname printer battery",
        "hardware that has a name of its own",
    ),
    LabelFamily(
        "probed",
        "endpoint",
        "target server remoteaddress domain fqdn",
        "what is probed or called; `instance` is then the prober",
    ),
    LabelFamily(
        "database",
        "database",
        "datname database databasename dbname schema schemaname keyspace",
        "a database where its server is known only by an address",
    ),
    LabelFamily(
        "scrape job",
        "service",
        "job",
        "the job of an application is its service; a kind of software or exporter is not",
    ),
    LabelFamily(
        "instance",
        "host",
        "instance exportedinstance",
        "the address that was scraped, unless it is the messenger's",
    ),
    LabelFamily(
        "cluster of a product",
        "cluster",
        "clustername clname rsnm strimziiocluster escluster targetcluster remotecluster scope set",
        "the product's own cluster, where no member is named",
    ),
    LabelFamily(
        "kind of software",
        "service",
        "",
        "a job named after its software, where no instance is named",
    ),
    LabelFamily(
        "part",
        "other",
        "pool bucket site sitename network networkname repository runner tunnel vpn neighbor peer"
        " table disk",
        "a part, where the server that has it is not named",
    ),
    LabelFamily(
        "sender",
        "other",
        "source url uri address ip ipaddress hostip nodeip zone slo",
        "what other senders call the place; only where it reads like a name",
    ),
)
RANK = {family.title: rank for rank, family in enumerate(FAMILIES)}
_FAMILY = {name: rank for rank, family in enumerate(FAMILIES) for name in family.names.split()}
_SQUASH = str.maketrans("", "", "_.-/ ")
_EXPORTED, _DIMENSION = "exported", ("dimension", "tag")
_SHORT = 64


class LabelMeaning(NamedTuple):
    """What a label's name says: its squashed name, its family's rank, whether it was exported."""

    field: str
    rank: int
    exported: bool


@lru_cache(maxsize=8192)
def meaning_of(label: str) -> LabelMeaning:
    """The meaning of a label's name, however it is written; -1 is no family.

    >>> meaning_of("k8s.pod.name").field, meaning_of("exported_namespace").exported
    ('pod', True)
    """
    squashed = label[:_SHORT].translate(_SQUASH).lower()
    exported = squashed.startswith(_EXPORTED) and len(squashed) > len(_EXPORTED)
    if exported:
        squashed = squashed.removeprefix(_EXPORTED)
    for prefix in _DIMENSION:
        rest = squashed.removeprefix(prefix)
        if rest in _FAMILY:
            squashed = rest
    squashed = _without_product(squashed)
    if exported and squashed == "endpoint":
        return LabelMeaning("exportedendpoint", _FAMILY["exportedendpoint"], exported=True)
    rank = _FAMILY.get(squashed, -1)
    return LabelMeaning(_SAME.get(squashed, squashed), rank, exported)


def _without_product(squashed: str) -> str:
    """`jenkins_job` is a job, `kafka_cluster` a product's cluster: never the scrape's own."""
    for end, field in _OF_PRODUCT.items():
        if squashed.endswith(end) and squashed.removesuffix(end) in PRODUCTS:
            return field
    return squashed


_OF_PRODUCT = {
    "cluster": "clustername",
    "job": "jobname",
    "topic": "topic",
    "queue": "queue",
    "index": "index",
    "database": "database",
    "host": "host",
    "node": "node",
    "instance": "hostname",
}

# Names that are one field to us, so that `exported_pod` wins over `kubernetes_pod_name`.
_SAME = {
    **dict.fromkeys(FAMILIES[RANK["pod"]].names.split(), "pod"),
    **dict.fromkeys(FAMILIES[RANK["container"]].names.split(), "container"),
    **dict.fromkeys(("kubernetesnode", "kubenode", "k8snodename"), "node"),
    **dict.fromkeys(
        ("kubernetesnamespace", "kubenamespace", "k8snamespacename", "pvcnamespace"), "namespace"
    ),
    **dict.fromkeys(("destinationworkloadnamespace", "destinationservicenamespace"), "namespace"),
    **dict.fromkeys(("k8sclustername", "kubecluster", "kubernetescluster"), "cluster"),
    **dict.fromkeys(("kubeservice", "k8sservicename"), "service"),
}

_DESCRIBING = """
    severity alertname alertgroup reason condition status phase state resource mode code
    method quantile le type version team env environment region cluster namespace endpoint
    prometheus instance job level time window rule rulegroup rulename range slo error errors
    cpu memory class device mountpoint fstype interface long short path handler user owner
    tenant receiver integration controller alert monitor replica tags query value threshold
    priority span spanname spankind operation route request requests metric metricname event
    api call client latency source destination remote remotename protocol port number count
    total max min high low
"""
DESCRIBING = frozenset(_DESCRIBING.split())
"""What describes the trouble or the sender: it names nothing, even where a rule's name says it."""
