"""The benchmark's score, its reader, and the whole suite on an archive of our own."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from rich.progress import Progress

from copilot.ports import SourceError
from evals.keys import differences
from evals.kubernetes import suite as cloud_opsbench
from evals.kubernetes.cache import ToolCache, alerts, dependencies, logs, series, unit
from evals.kubernetes.cases import CAUSES, TAXONOMY, Label, cases, label, means, score
from evals.report import Options
from tools.cluster_inspector import diagnose, survey
from tools.cluster_inspector.rules import RULES
from tools.types import ClusterQuery, ClusterState

TRUTH = Label("Runtime_Fault", "app/web", "oom_killed")
OTHER = Label("Runtime_Fault", "app/cart", "oom_killed")
VAGUE = Label("Startup_Fault", "app/web", "oom_killed")
WRONG = Label("Runtime_Fault", "app/web", "zero_replicas")


@pytest.mark.parametrize(
    ("said", "a1", "a3", "object_cause1", "object1"),
    [
        pytest.param([TRUTH], True, True, True, True, id="right"),
        pytest.param([OTHER, TRUTH], False, True, False, False, id="right, second"),
        pytest.param([OTHER, OTHER, OTHER, TRUTH], False, False, False, False, id="right, fourth"),
        pytest.param([VAGUE], False, False, True, True, id="another taxonomy"),
        pytest.param([WRONG], False, False, False, True, id="another cause"),
        pytest.param([], False, False, False, False, id="nothing said"),
        pytest.param([Label("RUNTIME_fault", " App/Web", "OOM_Killed ")], True, True, True, True,
                     id="case and space aside"),
    ],
)  # fmt: skip
def test_a_case_is_scored_by_equal_names(
    said: list[Label], a1: bool, a3: bool, object_cause1: bool, object1: bool
) -> None:
    got = score(said, TRUTH)

    assert (got.a1, got.a3, got.object_cause1, got.object1) == (a1, a3, object_cause1, object1)


def test_the_score_of_many_is_the_share_of_cases() -> None:
    assert means([score([TRUTH], TRUTH), score([OTHER], TRUTH)])["a1"] == 0.5
    assert means([]) == {}


def test_every_label_belongs_to_a_rule_and_every_stage_has_a_taxonomy() -> None:
    assert set(CAUSES) <= set(RULES)
    assert {rule.stage for rule in RULES.values()} == set(TAXONOMY)


VOCABULARY = """
namespace_cpu_quota_exceeded namespace_memory_quota_exceeded namespace_pod_quota_exceeded
namespace_service_quota_exceeded namespace_storage_quota_exceeded missing_service_account
node_cordon_mismatch node_affinity_mismatch node_selector_mismatch pod_anti_affinity_conflict
taint_toleration_mismatch cpu_capacity_mismatch memory_capacity_mismatch pv_binding_occupied
pvc_selector_mismatch pvc_storage_class_mismatch pvc_access_mode_mismatch pvc_capacity_mismatch
incorrect_image_reference image_registry_dns_failure missing_image_pull_secret
missing_secret_binding volume_mount_permission_denied oom_killed liveness_probe_incorrect_protocol
liveness_probe_incorrect_port liveness_probe_incorrect_timing readiness_probe_incorrect_protocol
readiness_probe_incorrect_port service_sidecar_port_conflict mysql_invalid_credentials
mysql_invalid_port db_read_only db_connection_exhaustion deployment_zero_replicas
service_selector_mismatch service_port_mapping_mismatch service_protocol_mismatch
service_env_var_address_mismatch service_dns_resolution_failure gateway_misroute pod_cpu_overload
pod_network_delay node_network_delay node_network_packet_loss containerd_unavailable
kubelet_unavailable kube_proxy_unavailable kube_scheduler_unavailable
"""


def test_every_cause_of_the_vocabulary_can_be_said() -> None:
    assert set(CAUSES.values()) == set(VOCABULARY.split())


PODS = """\
NAME                  READY   STATUS    RESTARTS   AGE   IP         NODE
web-6d9f6d9f-4bhwx    1/1     Running   0          73s   10.1.0.7   n1
cart-6d9f6d9f-4bhwx   0/1     Pending   0          73s   <none>     <none>
"""
POD = """\
Name:    cart-6d9f6d9f-4bhwx
Status:  Pending
Events:
  Type     Reason            Age   From               Message
  ----     ------            ----  ----               -------
  Warning  FailedScheduling  71s   default-scheduler  0/1 nodes are available: 1 Insufficient cpu.
"""


def call(tool: str, **arguments: object) -> str:
    return f"{tool}:{json.dumps(arguments, separators=(',', ':'))}"


def files(number: int) -> dict[str, str]:
    """The files of a case in which cart asks for more CPU than there is."""
    listed = {"resource_type": "pods", "name": "", "namespace": "shop", "output_wide": True}
    asked = {"resource_type": "pods", "name": "cart-6d9f6d9f-4bhwx", "namespace": "shop"}
    truth = {
        "fault_taxonomy": "Scheduling_Fault",
        "fault_object": "app/cart",
        "root_cause": "cpu_capacity_mismatch",
    }
    about = {"id": f"case-{number}", "system": "boutique", "namespace": "shop", "query": "?"}
    calls = {call("GetResources", **listed): PODS, call("DescribeResource", **asked): POD}
    return {
        "case.json": json.dumps(about),
        "answer.json": json.dumps(truth),
        "tool_cache.json": json.dumps(calls),
    }


def folder(path: Path, count: int) -> Path:
    for number in range(count):
        place = path / f"case-{number}"
        place.mkdir(parents=True)
        for name, text in files(number).items():
            (place / name).write_text(text, encoding="utf-8")
    return path


def archive(path: Path, count: int) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for number in range(count):
            for name, text in files(number).items():
                member = tarfile.TarInfo(f"dev/case-{number}/{name}")
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_the_suite_scores_an_archive(tmp_path: Path) -> None:
    options = Options(data=archive(tmp_path / "dev.tar.xz", 3))
    result = cloud_opsbench.run(options, Progress(disable=True))

    assert result.summary["boutique.a1"] == result.summary["all.a3"] == 1.0
    assert differences(result) == []
    assert "Insufficient cpu" in json.dumps(result.cases)


def test_the_folder_it_unpacks_to_scores_the_same_and_a_limit_is_kept(tmp_path: Path) -> None:
    options = Options(data=folder(tmp_path / "dev", 3), limit=2)
    result = cloud_opsbench.run(options, Progress(disable=True))

    assert [case["id"] for case in result.cases] == ["case-0", "case-1"]
    assert result.summary["all.a1"] == 1.0


def test_data_without_cases_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no case\.json"):
        list(cases(tmp_path))
    with pytest.raises(SystemExit, match=r"no case\.json"):
        cloud_opsbench.run(Options(data=tmp_path), Progress(disable=True))


def test_the_answer_stays_sealed_until_it_is_scored(tmp_path: Path) -> None:
    place = folder(tmp_path / "dev", 1)
    (place / "case-0" / "answer.json").write_text("not even JSON", encoding="utf-8")
    case = next(iter(cases(place)))
    state = survey(ToolCache(case).look, ClusterState(namespace="shop"))

    assert label(diagnose(state).predictions[0])[2] == "cpu_capacity_mismatch"


def test_a_call_is_counted_once_and_never_repeated(tmp_path: Path) -> None:
    cache = ToolCache(next(iter(cases(folder(tmp_path / "dev", 1)))))
    cache.look([ClusterQuery(verb="list", kind="Pod"), ClusterQuery(verb="list", kind="Secret")])

    assert len(cache.made) == 1
    with pytest.raises(ValueError, match="already made"):
        cache.look([ClusterQuery(verb="list", kind="Pod")])


def test_error_lines_in_both_of_their_forms() -> None:
    patterns = logs("web", '{"patterns": [{"count": 7, "sample": "boom"}]}').logs
    by_container = logs("web", {"app": ["one"], "previous": ["two"]}).logs

    assert [(line.message, line.count) for line in patterns] == [("boom", 7)]
    assert [(line.message, line.previous) for line in by_container] == [
        ("one", False),
        ("two", True),
    ]
    assert logs("web", "").logs == ()


def test_the_tree_of_callees() -> None:
    text = (
        "[Service]: web\n[Upstream (Called By)]: door, (User Traffic)\n[Downstream (Calls)]:\n"
        "web\n├── cart\n│   └── store  <-- (Database)\n└── price"
    )
    edges = {(edge.caller, edge.callee) for edge in dependencies(text).edges}

    assert edges == {("door", "web"), ("web", "cart"), ("cart", "store"), ("web", "price")}


def test_a_leaf_has_callers_only() -> None:
    text = "[Service]: store\n[Upstream (Called By)]: cart\n[Downstream (Calls)]:\n(None - Leaf)"

    assert [(e.caller, e.callee) for e in dependencies(text).edges] == [("cart", "store")]


def test_measured_anomalies_become_alerts() -> None:
    evidence = [
        "LATENCY_DEGRADATION [Slow] | web-p50latency: Normal=1.50ms -> Current=30.00ms (+1900%) | "
        "web-p90latency: Normal=2.00ms -> Current=60.00ms",
        "RESOURCE_SATURATION [cpu core] | Normal=0.03 cores -> Current=0.15 cores (+487.5%)",
    ]
    found = alerts({"alerts": [{"type": "Service", "name": "web", "evidence": evidence}]}).alerts

    assert [(a.labels["metric"], a.annotations["normal"], a.value) for a in found] == [
        ("web-p50latency", "1.50", 30.0),
        ("web-p90latency", "2.00", 60.0),
        ("cpu core", "0.03", 0.15),
    ]


@pytest.mark.parametrize(
    ("line", "active"),
    [
        ("   Active: active (running) since Mon", True),
        ("   Active: inactive (dead) since Mon", False),
        ("   Active: failed (Result: exit-code)", False),
        ("Unit not found", None),
    ],
)
def test_the_state_of_a_daemon(line: str, active: bool | None) -> None:
    assert unit("n1", "kubelet", line).node_services[0].active is active


def test_metrics_become_series_by_owner() -> None:
    (one,) = series("time,web-front-p50latency\n2026-01-01 00:00:00,1.5\n2026-01-01 00:00:05,\n")

    assert (one.owner, one.metric, one.times[1] - one.times[0]) == ("web-front", "p50latency", 5.0)
    assert series("") == ()
