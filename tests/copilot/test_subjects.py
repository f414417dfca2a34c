"""Whom an alert is about: each kind of subject, each messenger, and what names nobody."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copilot.alerts import subjects
from copilot.alerts.formats import parse
from copilot.alerts.subjects.families import FAMILIES
from copilot.alerts.subjects.messengers import messenger
from copilot.alerts.subjects.names import alert_name, host, workload
from evals.alerts.subjects import RULES, answers, share_right
from tools.types import Subject

KSM = {
    "container": "kube-state-metrics",
    "endpoint": "http",
    "instance": "10.9.0.7:8080",
    "job": "kube-state-metrics",
    "namespace": "prod",
    "pod": "mon-kube-state-metrics-6b7c8d9f5-x7k2p",
    "service": "mon-kube-state-metrics",
}
NODE_EXPORTER = {
    "container": "node-exporter",
    "instance": "10.9.0.20:9100",
    "job": "node-exporter",
    "namespace": "monitoring",
    "pod": "mon-node-exporter-x7k2p",
    "service": "mon-node-exporter",
}
KUBELET = {"job": "kubelet", "service": "mon-kubelet", "instance": "10.9.0.20:10250"}
PUSHED = {"instance": "pushgateway:9091", "job": "pushgateway"}
AWS = {"instance": "cw:9106", "job": "cloudwatch-exporter", "exported_job": "aws_x"}

# Rule, labels, kind and name of the subject, who told it.
ROWS: dict[str, tuple[str, dict[str, str], str, str, str]] = {
    "pod told by kube-state-metrics": (
        "KubePodCrashLooping",
        KSM | {"pod": "till-6b7c8d9f5-x7k2p", "container": "till"},
        "workload",
        "till",
        "kube-state-metrics",
    ),
    "deployment beside the messenger's pod": (
        "KubeDeploymentReplicasMismatch",
        KSM | {"deployment": "till"},
        "workload",
        "till",
        "kube-state-metrics",
    ),
    "node told by kube-state-metrics": (
        "KubeNodeNotReady",
        KSM | {"node": "w-4", "condition": "Ready"},
        "node",
        "w-4",
        "kube-state-metrics",
    ),
    "job run of a cron job": (
        "KubeJobFailed",
        KSM | {"job_name": "mail-29400000"},
        "job",
        "mail-29400000",
        "kube-state-metrics",
    ),
    "scaler": (
        "KubeHpaMaxedOut",
        KSM | {"horizontalpodautoscaler": "till"},
        "workload",
        "till",
        "kube-state-metrics",
    ),
    "claim told by the kubelet": (
        "KubePersistentVolumeFillingUp",
        KUBELET | {"namespace": "prod", "node": "w-4", "persistentvolumeclaim": "data-db-0"},
        "claim",
        "data-db-0",
        "kubelet",
    ),
    "pod told by cAdvisor": (
        "CPUThrottlingHigh",
        KUBELET | {"namespace": "prod", "pod": "till-x7k2p", "container": "till", "node": "w-4"},
        "workload",
        "till",
        "kubelet",
    ),
    "machine of a cluster": (
        "NodeFilesystemSpaceFillingUp",
        NODE_EXPORTER | {"device": "/dev/sda1", "mountpoint": "/"},
        "host",
        "10.9.0.20",
        "node-exporter",
    ),
    "machine that has a name": (
        "NodeMemoryMajorPagesFaults",
        NODE_EXPORTER | {"nodename": "w-4"},
        "node",
        "w-4",
        "node-exporter",
    ),
    "machine outside of a cluster": (
        "HostOutOfDiskSpace",
        {"instance": "mail-1.example.net:9100", "job": "node"},
        "host",
        "mail-1.example.net",
        "node-exporter",
    ),
    "probed address": (
        "BlackboxProbeFailed",
        {"instance": "https://me:word@till.example.net/pay?key=1", "job": "blackbox"},
        "endpoint",
        "https://till.example.net/pay",
        "blackbox-exporter",
    ),
    "target of a probe": (
        "SnmpDeviceDown",
        {"instance": "snmp-exporter:9116", "job": "snmp", "target": "switch-7"},
        "endpoint",
        "switch-7",
        "snmp-exporter",
    ),
    "consumer group before its topic": (
        "ConsumerLag",
        {"consumergroup": "mailer", "topic": "orders", "job": "kafka-exporter"},
        "queue",
        "mailer",
        "kafka-exporter",
    ),
    "topic": ("TopicUnderReplicated", {"topic": "orders"}, "topic", "orders", ""),
    "database by its server's pod": (
        "PostgresqlDeadLocks",
        {"datname": "shop", "pod": "shop-db-0", "service": "shop-db-metrics", "namespace": "prod"},
        "workload",
        "shop-db",
        "shop-db-metrics",
    ),
    "database behind an exporter": (
        "MysqlSlow",
        {"job": "till-mysql-exporter", "pod": "till-mysql-exporter-6b7c8d9f5-x7k2p"},
        "service",
        "till-mysql",
        "till-mysql-exporter",
    ),
    "database of a cloud": (
        "RdsStorageLow",
        AWS | {"dimension_DBInstanceIdentifier": "orders-1"},
        "database",
        "orders-1",
        "cloudwatch-exporter",
    ),
    "certificate of another namespace": (
        "CertManagerCertNotReady",
        {"exported_namespace": "web", "name": "web-tls", "namespace": "cert-manager"},
        "certificate",
        "web-tls",
        "",
    ),
    "pushed job": (
        "BackupTooOld",
        PUSHED | {"exported_job": "nightly-dump"},
        "job",
        "nightly-dump",
        "pushgateway",
    ),
    "through a federation": (
        "KubePodCrashLooping",
        {
            "instance": "leaf-1:9090",
            "job": "federate",
            "exported_job": "kube-state-metrics",
            "exported_instance": "10.9.0.7:8080",
            "exported_pod": "till-6b7c8d9f5-x7k2p",
            "exported_namespace": "prod",
        },
        "workload",
        "till",
        "kube-state-metrics",
    ),
    "callee of a mesh": (
        "IstioErrors",
        {"destination_canonical_service": "till", "source_canonical_service": "web"},
        "service",
        "till",
        "",
    ),
    "upstream of a proxy": (
        "EnvoyNoHealthyUpstream",
        {"pod": "web-6b7c8d9f5-x7k2p", "envoy_cluster_name": "outbound|80||till.prod.svc"},
        "service",
        "till",
        "",
    ),
    "label that the rule's name says": (
        "TunnelDown",
        {"tunnel": "oslo-bergen", "instance": "fw-1:9100", "job": "ipsec"},
        "other",
        "oslo-bergen",
        "",
    ),
    "service that people wrote": ("SlowAnswers", {"service": "till"}, "service", "till", ""),
    "OpenTelemetry's names": (
        "SlowSpans",
        {"service.name": "till", "k8s.namespace.name": "prod"},
        "service",
        "till",
        "",
    ),
    "Datadog's names": (
        "Slow",
        {"kube_deployment": "till", "host": "w-4", "kube_namespace": "prod"},
        "workload",
        "till",
        "",
    ),
    "n9e's machine": ("机器CPU使用率过高", {"ident": "w-4"}, "host", "w-4", ""),
    "scrape job of an application": (
        "TooSlow",
        {"job": "shop/till", "instance": "10.9.0.3:8080"},
        "service",
        "till",
        "",
    ),
    "instance of a kind of software": (
        "RedisDown",
        {"job": "redis", "instance": "redis://cache-1.example.net:6379"},
        "host",
        "cache-1.example.net",
        "",
    ),
    "an exporter that is gone": (
        "TargetDown",
        {"job": "node-exporter", "namespace": "monitoring", "service": "mon-node-exporter"},
        "target",
        "mon-node-exporter",
        "node-exporter",
    ),
    "only the rule's name": ("KubeSchedulerDown", {}, "service", "kube-scheduler", ""),
    "only a namespace": ("ErrorsInNamespace", {"namespace": "prod"}, "namespace", "prod", ""),
    "nobody": ("TooManyErrors", {"severity": "warning"}, "nobody", "", ""),
    "nobody, by a placeholder": ("TooManyErrors", {"service": "<no value>"}, "nobody", "", ""),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_each_kind_of_subject(row: tuple[str, dict[str, str], str, str, str]) -> None:
    rule, labels, kind, name, told_by = row
    reading = subjects.read(rule, labels, {})
    assert (reading.subject.kind, reading.subject.name) == (kind, name)
    assert reading.told_by == told_by
    assert reading.why


def test_three_alerts_of_one_messenger_have_three_subjects() -> None:
    pods = [KSM | {"pod": f"{name}-6b7c8d9f5-x7k2p", "namespace": name} for name in ("a1", "b1")]
    found = [subjects.read("KubePodCrashLooping", labels, {}).subject for labels in pods]
    found.append(subjects.read("KubeNodeNotReady", KSM | {"node": "w-4"}, {}).subject)
    assert [one.shown for one in found] == ["a1", "b1", "node w-4"]
    assert [subjects.component(one) for one in found] == ["a1", "b1", ""]
    assert len(set(found)) == 3


def test_identity_holds_namespace_and_cluster() -> None:
    labels = {"deployment": "till", "namespace": "a", "cluster": "eu"}
    subject = subjects.read("Slow", labels, {}).subject
    assert (subject.namespace, subject.cluster) == ("a", "eu")
    assert subject != subjects.read("Slow", labels | {"namespace": "b"}, {}).subject


@pytest.mark.parametrize(
    ("rule", "severity", "beats"),
    [
        ("Watchdog", "none", True),
        ("DeadMansSwitch", "critical", True),
        ("PipelineHeartbeat", "info", True),
        ("HeartbeatMissing", "critical", False),
        ("InfoInhibitor", "none", False),
        ("AlwaysFiring", "none", True),
    ],
)
def test_heartbeats_have_no_subject(rule: str, severity: str, beats: bool) -> None:
    reading = subjects.read(rule, {"severity": severity, "cluster": "eu"}, {})
    assert reading.heartbeat == beats
    assert not beats or reading.subject == Subject()


def test_a_text_names_the_subject_only_where_no_label_does() -> None:
    texts = {"description": "Pod prod/till-0 does not answer"}
    subject = subjects.read("Slow", {}, texts).subject
    assert (subject.namespace, subject.name) == ("prod", "till-0")
    assert subjects.read("Slow", {"service": "web"}, texts).subject.name == "web"
    assert subjects.read("Slow", {}, {"summary": "the service is slow"}).subject == Subject()


def test_the_topology_chooses_between_names_of_the_service() -> None:
    labels = {"pod": "till-api-6b7c8d9f5-x7k2p", "app": "till", "namespace": "prod"}
    assert subjects.read("Slow", labels, {}).subject.name == "till-api"
    assert subjects.read("Slow", labels, {}, frozenset({"till"})).subject.name == "till"


def test_a_node_is_a_component_only_where_the_topology_has_it() -> None:
    node = Subject(kind="node", name="w-4")
    assert subjects.component(node) == ""
    assert subjects.component(node, frozenset({"w-4"})) == "w-4"


def test_a_posted_alert_carries_its_subject() -> None:
    labels = KSM | {"alertname": "KubePodNotReady", "pod": "till-x7k2p", "severity": "warning"}
    (alert,) = parse({"alerts": [{"labels": labels}], "version": "4"}, "alertmanager", now=9.0)
    assert (alert.subject.shown, alert.service, alert.told_by) == (
        "till",
        "till",
        "kube-state-metrics",
    )
    assert alert.why == "label pod; told by kube-state-metrics"


def test_a_field_for_the_service_names_whom_no_label_names() -> None:
    (alert,) = parse({"name": "Slow", "service": "till"}, "generic", now=9.0)
    assert (alert.service, alert.subject.name) == ("till", "till")


# --- names -------------------------------------------------------------------------------------

words = (
    st.text(string.ascii_lowercase, min_size=1, max_size=8)
    .map(lambda text: f"{text}aa")
    .filter(lambda text: messenger(text) is None)  # a black box prober is no workload's name
)
suffixes = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5).filter(
    lambda text: not text.isdigit()
)


@given(words, st.text("bcdfghjklmnpqrstvwxz2456789", min_size=9, max_size=9), suffixes)
def test_pods_of_every_controller_fold_to_it(owner: str, replica_set: str, suffix: str) -> None:
    assert workload(f"{owner}-{replica_set}-{suffix}") == owner
    assert workload(f"{owner}-0") == owner
    assert workload(owner) == owner
    assert workload(workload(f"{owner}-{replica_set}-{suffix}")) == owner


@given(words, words, suffixes)
def test_a_folded_pod_is_the_subject_that_its_workload_is(
    owner: str, namespace: str, suffix: str
) -> None:
    pod = {"pod": f"{owner}-6b7c8d9f5-{suffix}", "namespace": namespace}
    deployment = {"deployment": owner, "namespace": namespace}
    both = [subjects.read("Slow", labels, {}).subject for labels in (pod, deployment)]
    assert both[0] == both[1]


@given(st.text())
def test_a_host_of_a_host_is_itself(text: str) -> None:
    assert "@" not in host(text)
    assert alert_name(text) == alert_name(text)


# --- properties --------------------------------------------------------------------------------

known_labels = st.sampled_from(
    [name for family in FAMILIES for name in family.names.split()]
    + ["exported_pod", "exported_job", "namespace", "cluster", "severity"]
)
values = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "10.0.0.1:9100", "kube-state-metrics", "http://x", "a" * 5000, "::"]),
)
label_sets = st.dictionaries(st.one_of(known_labels, st.text(max_size=12)), values, max_size=12)


@given(st.text(max_size=60), label_sets, st.dictionaries(st.text(max_size=12), values, max_size=3))
def test_any_labels_are_read(
    rule: str, labels: dict[str, str], annotations: dict[str, str]
) -> None:
    reading = subjects.read(rule, labels, annotations)
    assert (reading.subject.kind == "nobody") == (reading.subject.name == "")
    assert not reading.heartbeat or reading.subject == Subject()
    assert reading.why
    assert reading.why.isprintable()
    assert reading.subject.name.isprintable()


messengers = st.sampled_from(
    ["kube-state-metrics", "mon-kube-state-metrics", "node-exporter", "blackbox-exporter"]
    + ["till-mysql-exporter", "pushgateway", "cloudwatch-exporter", "mon-kubelet", "cadvisor"]
)
told_fields = st.sets(st.sampled_from(["job", "service", "app", "container"]), min_size=1)


@given(messengers, told_fields, st.sampled_from(["Slow", "KubePodNotReady", "TooManyErrors"]))
def test_a_messenger_is_no_subject(name: str, fields: set[str], rule: str) -> None:
    labels = dict.fromkeys(fields, name)
    assert messenger(name) is not None
    reading = subjects.read(rule, labels | {"pod": f"{name}-x7k2p"}, {})
    cloud = name == "cloudwatch-exporter"  # with no resource: what it asks for is itself
    assert (reading.subject.name == name) == cloud
    assert subjects.read("ExporterDown", labels, {}).subject.name == name


def test_the_decision_page_holds_every_family() -> None:
    page = (Path(__file__).parents[2] / "docs/decisions/subjects.md").read_text(encoding="utf-8")
    rows = {one.title: (f"| {one.title} | {one.kind} |", f"| {one.reason} |") for one in FAMILIES}
    assert [title for title, parts in rows.items() if not all(part in page for part in parts)] == []


def test_our_table_of_rules_is_read_as_well_as_it_was() -> None:
    assert share_right(answers(RULES)) >= 0.98
