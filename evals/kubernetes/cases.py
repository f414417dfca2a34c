"""The recorded cases, and the score of a prediction as Cloud-OpsBench's authors compute it."""

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from copilot.ports import SourceError
from tools.cluster_inspector import ClusterFinding, Stage
from tools.types import FrozenModel


@dataclass(frozen=True)
class OpsBenchCase:
    """One recorded fault. `answer` is the sealed answer file, for the scorer only."""

    id: str
    system: str
    namespace: str
    calls: Mapping[str, object]
    metrics: str
    answer: bytes


def _case(files: Mapping[str, bytes]) -> OpsBenchCase:
    about = json.loads(files["case.json"])
    return OpsBenchCase(
        id=str(about["id"]),
        system=str(about["system"]),
        namespace=str(about["namespace"]),
        calls=json.loads(files["tool_cache.json"]),
        metrics=files.get("metrics.csv", b"").decode("utf-8"),
        answer=files.get("answer.json", b""),
    )


def _folders(path: Path) -> Iterator[dict[str, bytes]]:
    for case in sorted(path.rglob("case.json")):
        yield {item.name: item.read_bytes() for item in case.parent.iterdir() if item.is_file()}


def _archived(path: Path) -> Iterator[dict[str, bytes]]:
    """The archive is read once, from front to back; a case's files stand together in it."""
    folder, files = "", dict[str, bytes]()
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            parent, _, name = member.name.rpartition("/")
            if parent != folder and files:
                yield files
                files = {}
            folder = parent
            files[name] = content.read()
    if files:
        yield files


def cases(path: Path) -> Iterator[OpsBenchCase]:
    """Every case of the archive, or of an unpacked folder, one at a time."""
    found = False
    for files in _folders(path) if path.is_dir() else _archived(path):
        if {"case.json", "tool_cache.json"} <= files.keys():
            found = True
            yield _case(files)
    if not found:
        raise SourceError(
            "cloud-opsbench",
            f"{str(path)!r} holds no case.json with a tool_cache.json; give the archive or the "
            "folder it unpacks to",
            recoverable=False,
        )


class Label(NamedTuple):
    """Taxonomy, object and root cause of one prediction or answer."""

    taxonomy: str
    object: str
    cause: str

    def folded(self) -> "Label":
        """Without case and outer space, for comparison."""
        return Label(*(part.strip().casefold() for part in self))


class OpsBenchScore(FrozenModel):
    """Which parts of the answer one case's predictions hold."""

    a1: bool
    a3: bool
    object_cause1: bool
    object1: bool


def answer(text: bytes) -> Label:
    """The answer in a case's sealed answer file."""
    written = json.loads(text)
    return Label(
        str(written["fault_taxonomy"]), str(written["fault_object"]), str(written["root_cause"])
    )


def score(predictions: Sequence[Label], truth: Label) -> OpsBenchScore:
    """A@1 and A@3 of one case, with object and cause, and object alone, of the first prediction.

    >>> truth = Label("Runtime_Fault", "app/web", "oom_killed")
    >>> score([Label("runtime_fault", "App/web", "OOM_killed")], truth).a1
    True
    """
    wanted = truth.folded()
    said = [prediction.folded() for prediction in predictions[:3]]
    first = said[0] if said else Label("", "", "")
    return OpsBenchScore(
        a1=first == wanted,
        a3=wanted in said,
        object_cause1=(first.object, first.cause) == (wanted.object, wanted.cause),
        object1=first.object == wanted.object,
    )


def means(scores: Iterable[OpsBenchScore]) -> dict[str, float]:
    """The share of cases for each figure; nothing for no case."""
    taken = list(scores)
    if not taken:
        return {}
    return {name: fmean(getattr(one, name) for one in taken) for name in OpsBenchScore.model_fields}


# The names are those the benchmark's questions and answers use. Its authors' prompt calls two of
# them otherwise (db_readonly_mode, gateway_misrouted), which costs published agents those cases.
TAXONOMY: dict[Stage, str] = {
    "admission": "Admission_Fault",
    "scheduling": "Scheduling_Fault",
    "startup": "Startup_Fault",
    "runtime": "Runtime_Fault",
    "routing": "Service_Routing_Fault",
    "performance": "Performance_Fault",
    "infrastructure": "Infrastructure_Fault",
}

CAUSES: dict[str, str] = {
    "quota-cpu": "namespace_cpu_quota_exceeded",
    "quota-memory": "namespace_memory_quota_exceeded",
    "quota-pods": "namespace_pod_quota_exceeded",
    "quota-services": "namespace_service_quota_exceeded",
    "quota-storage": "namespace_storage_quota_exceeded",
    "service-account-missing": "missing_service_account",
    "node-cordoned": "node_cordon_mismatch",
    "node-affinity-unmet": "node_affinity_mismatch",
    "node-selector-unmet": "node_selector_mismatch",
    "pod-anti-affinity-unmet": "pod_anti_affinity_conflict",
    "taint-untolerated": "taint_toleration_mismatch",
    "cpu-insufficient": "cpu_capacity_mismatch",
    "memory-insufficient": "memory_capacity_mismatch",
    "volume-occupied": "pv_binding_occupied",
    "claim-selector-unmet": "pvc_selector_mismatch",
    "claim-class-unmet": "pvc_storage_class_mismatch",
    "claim-access-mode-unmet": "pvc_access_mode_mismatch",
    "claim-capacity-unmet": "pvc_capacity_mismatch",
    "image-not-found": "incorrect_image_reference",
    "registry-unresolvable": "image_registry_dns_failure",
    "registry-unreachable": "image_registry_dns_failure",
    "pull-secret-missing": "missing_image_pull_secret",
    "secret-missing": "missing_secret_binding",
    "volume-permission-denied": "volume_mount_permission_denied",
    "out-of-memory": "oom_killed",
    "liveness-protocol": "liveness_probe_incorrect_protocol",
    "liveness-port": "liveness_probe_incorrect_port",
    "liveness-timing": "liveness_probe_incorrect_timing",
    "liveness-failed": "liveness_probe_incorrect_timing",
    "readiness-protocol": "readiness_probe_incorrect_protocol",
    "readiness-port": "readiness_probe_incorrect_port",
    "port-in-use": "service_sidecar_port_conflict",
    "database-credentials": "mysql_invalid_credentials",
    "database-port": "mysql_invalid_port",
    "database-read-only": "db_read_only",
    "database-connections": "db_connection_exhaustion",
    "zero-replicas": "deployment_zero_replicas",
    "service-selector-unmet": "service_selector_mismatch",
    "service-target-port": "service_port_mapping_mismatch",
    "service-protocol": "service_protocol_mismatch",
    "environment-address": "service_env_var_address_mismatch",
    "name-resolution": "service_dns_resolution_failure",
    "gateway-route": "gateway_misroute",
    "cpu-saturated": "pod_cpu_overload",
    "pod-network-delay": "pod_network_delay",
    "node-network-delay": "node_network_delay",
    "node-network-loss": "node_network_packet_loss",
    "container-runtime-down": "containerd_unavailable",
    "kubelet-down": "kubelet_unavailable",
    "kube-proxy-down": "kube_proxy_unavailable",
    "scheduler-down": "kube_scheduler_unavailable",
}
"""Rule id to root cause. A rule the vocabulary has no word for keeps its own id."""


def label(found: ClusterFinding) -> tuple[str, str, str]:
    """Taxonomy, object and root cause as the benchmark writes them."""
    cause = CAUSES.get(found.rule.id, found.rule.id)
    return TAXONOMY[found.stage], found.object, cause
