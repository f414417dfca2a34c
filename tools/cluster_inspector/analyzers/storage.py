"""Storage: a pod waits for a claim, the claim for a volume."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.analyzers.scheduling import SchedulingDiagnosis, pending
from tools.cluster_inspector.constraints import readable
from tools.cluster_inspector.findings import HINT, INFERRED, LIKELY, NOTE, PROVEN, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, matches, serves
from tools.types import Claim, KubeEvent, Pod, Volume

_ABSENT = re.compile(r"persistentvolumeclaims? \"(?P<claim>[^\"]+)\" not found")
_NO_CLASS = re.compile(r"storageclass\S* \"(?P<name>[^\"]+)\" not found")


def waits_for_volume(said: SchedulingDiagnosis) -> bool:
    """Return whether the scheduler's message speaks of claims or volumes."""
    words = ("PersistentVolumeClaim", "persistentvolumeclaim", "persistent volumes", "volume node")
    return any(word in said.message for word in words)


def unbound(view: View) -> Iterator[ClusterFinding]:
    """Why the claim of a pending pod does not exist or is not bound."""
    for application, pod, said in pending(view):
        if not waits_for_volume(said):
            continue
        absent = _ABSENT.search(said.message)
        if absent is not None:
            yield from _absent(view, application, absent["claim"], said)
            continue
        if "volume node affinity conflict" in said.message:
            yield broken(
                "volume-elsewhere", f"app/{application}", on=f"Pod/{pod.name}",
                field="volume.spec.nodeAffinity", observed="no common node",
                expected="a node that both the volume and the pod allow", score=0.85,
                evidence=said.message,
            )  # fmt: skip
        for claim in _claims(view, pod, application):
            yield from _why(view, application, claim, said)


def bypassed(view: View) -> Iterator[ClusterFinding]:
    """Pods that were given a node and wait there for a claim that is not bound.

    A claim that waits for its first consumer is bound by the scheduler, which `spec.nodeName` goes
    past. Source: https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
    """
    claims = {claim.name: claim for claim in view.state.claims}
    for pod in view.current:
        if not pod.node or serves(pod):
            continue
        for volume in pod.spec.volumes:
            claim = claims.get(volume.source) if volume.kind == "claim" else None
            if claim is None or claim.status not in ("Pending", "Lost"):
                continue
            said = _said(view, claim)
            yield broken(
                "claim-lost" if claim.status == "Lost" else "claim-unbound",
                f"app/{view.application(pod.name)}", on=f"PersistentVolumeClaim/{claim.name}",
                field="status.phase", observed=f"{claim.status}, on node {pod.node} already",
                expected="Bound; a pod with spec.nodeName goes past the scheduler that binds it",
                score=PROVEN, evidence=said.message if said else claim.status,
            )  # fmt: skip


def _said(view: View, claim: Claim) -> KubeEvent | None:
    """The latest event about a claim, a warning before another."""
    about = view.events_of("PersistentVolumeClaim", claim.name)
    return min(about, key=lambda one: (one.type != "Warning", one.age or 0.0), default=None)


def claims(view: View) -> Iterator[ClusterFinding]:
    """Claims that are lost, or wait although nothing they wait for is to come."""
    for claim in view.state.claims:
        if claim.status not in ("Lost", "Pending"):
            continue
        user, said = view.users.get(claim.name, ""), _said(view, claim)
        rule, score = _judged(view, claim, said, bool(user))
        if not rule:
            continue
        classless = rule == "claim-class-unmet"
        yield broken(
            rule, f"app/{user or view.application(claim.name)}",
            on=f"PersistentVolumeClaim/{claim.name}",
            field="spec.storageClassName" if classless else "status.phase",
            observed=(claim.storage_class or "no class") if classless else claim.status,
            expected="an existing class" if classless else "Bound", score=score,
            evidence=said.message if said else f"claim {claim.name} is {claim.status}",
        )  # fmt: skip


def _judged(view: View, claim: Claim, said: KubeEvent | None, used: bool) -> tuple[str, float]:
    """Rule and score of a claim that is not bound; no rule where it only waits for a pod."""
    if claim.status == "Lost":
        return "claim-lost", INFERRED
    classes = view.state.listed.get("StorageClass")
    named = claim.storage_class
    unknown = classes is not None and named and named not in classes and not view.state.volumes
    if unknown or (said is not None and _NO_CLASS.search(said.message)):
        return "claim-class-unmet", INFERRED
    if said is not None and said.type == "Warning":
        return "claim-unbound", LIKELY
    if not used and said is not None and said.reason == "WaitForFirstConsumer":
        return "", 0.0
    return "claim-unbound", HINT if used else NOTE


def volumes(view: View) -> Iterator[ClusterFinding]:
    """Volumes whose reclaiming failed: a person must clean up before they serve again.

    Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#phase
    """
    for volume in view.state.volumes:
        if volume.status == "Failed":
            holder = volume.claim.partition("/")[2] or volume.name
            yield broken(
                "volume-failed", f"app/{holder}", on=f"PersistentVolume/{volume.name}",
                field="status.phase", observed="Failed", expected="Available or Bound",
                score=HINT, evidence=f"volume {volume.name} Failed",
            )  # fmt: skip


def _absent(
    view: View, application: str, claim: str, said: SchedulingDiagnosis
) -> Iterator[ClusterFinding]:
    for quota in view.state.quotas:
        for resource, hard in quota.hard.items():
            if "storage" in resource or "persistentvolumeclaims" in resource:
                asked = next((c.capacity for c in view.state.claims if c.name == claim), None)
                need = 1.0 if "persistentvolumeclaims" in resource else asked
                used = quota.used.get(resource, 0.0)
                if need is not None and used + need <= hard:
                    continue
                yield broken(
                    "quota-storage", f"namespace/{view.state.namespace}",
                    on=f"ResourceQuota/{quota.name}", field=f"spec.hard[{resource}]",
                    observed=f"{readable(resource, used)} of {readable(resource, hard)} used",
                    score=0.95,
                    expected=f"room for claim {claim}", evidence=said.message,
                )  # fmt: skip
    yield broken(
        "claim-missing", f"app/{application}", on=f"PersistentVolumeClaim/{claim}",
        field="spec.volumes[*].persistentVolumeClaim.claimName", observed=claim,
        expected="a claim of the namespace", score=0.8, evidence=said.message,
    )  # fmt: skip


def _claims(view: View, pod: Pod, application: str) -> Iterator[Claim]:
    """The pod's claims that are not bound; without a specification, every one that is not."""
    volumes = (*pod.spec.volumes, *view.spec(application).volumes)
    named = {volume.source for volume in volumes if volume.kind == "claim"}
    for claim in view.state.claims:
        if claim.status != "Bound" and (not named or claim.name in named):
            yield claim


def mismatches(claim: Claim, volume: Volume) -> list[tuple[str, str, str, str]]:
    """What keeps the claim from the volume: rule, field, what is asked, what there is."""
    found = []
    if claim.selector and not matches(claim.selector, volume.labels):
        found.append(
            ("claim-selector-unmet", "spec.selector", str(claim.selector), str(volume.labels))
        )
    if (claim.storage_class or "") != (volume.storage_class or ""):
        found.append(
            ("claim-class-unmet", "spec.storageClassName", claim.storage_class or "none",
             volume.storage_class or "none")
        )  # fmt: skip
    offered = {_short(mode) for mode in volume.access_modes}
    if {_short(mode) for mode in claim.access_modes} - offered:
        found.append(
            ("claim-access-mode-unmet", "spec.accessModes", ", ".join(claim.access_modes),
             ", ".join(volume.access_modes))
        )  # fmt: skip
    if claim.capacity and volume.capacity and claim.capacity > volume.capacity:
        found.append(
            ("claim-capacity-unmet", "spec.resources.requests.storage",
             readable("storage", claim.capacity), readable("storage", volume.capacity))
        )  # fmt: skip
    return found


_SHORT = {
    "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}  # fmt: skip


def _short(mode: str) -> str:
    return _SHORT.get(mode, mode)


def _why(
    view: View, application: str, claim: Claim, said: SchedulingDiagnosis
) -> Iterator[ClusterFinding]:
    """The volume with the fewest obstacles shows what is wrong; being taken is one of them."""
    subject, on = f"app/{application}", f"PersistentVolumeClaim/{claim.name}"
    own = f"{view.state.namespace}/{claim.name}"
    for event in view.events.get(claim.name, ()):
        missing = _NO_CLASS.search(event.message)
        if missing is not None:
            yield broken(
                "claim-class-unmet", subject, on=on, field="spec.storageClassName",
                observed=missing["name"], expected="an existing class, or that of a volume",
                score=0.95, evidence=event.message,
            )  # fmt: skip
            return
    options = []
    for volume in view.state.volumes:
        taken = volume.status in ("Bound", "Released") and volume.claim != own
        released = volume.status == "Released"
        options.append((len(mismatches(claim, volume)) + taken, released, taken, volume))
    if not options:
        yield broken(
            "claim-unbound", subject, on=on, field="spec", observed=claim.status,
            expected="a volume or a provisioner", score=0.6, evidence=said.message,
        )  # fmt: skip
        return
    _, _, taken, volume = min(options, key=lambda option: (*option[:3], option[3].name))
    obstacles = mismatches(claim, volume)
    if obstacles:
        for rule, field, asked, offered in obstacles:
            yield broken(
                rule, subject, on=on, field=field, observed=asked,
                expected=f"{offered} (volume {volume.name})", score=0.95 / len(obstacles) ** 0.25,
                evidence=said.message,
            )  # fmt: skip
    elif taken:
        yield broken(
            "volume-occupied", subject, on=f"PersistentVolume/{volume.name}", field="spec.claimRef",
            observed=volume.claim, expected=own, score=0.95, evidence=said.message,
        )  # fmt: skip
    else:
        yield broken(
            "claim-unbound", subject, on=on, field="status.phase", observed=claim.status,
            expected="Bound", score=0.6, evidence=said.message,
        )  # fmt: skip
