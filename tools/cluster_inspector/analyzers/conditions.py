"""What controllers write of their objects: conditions that say it does not work, as one table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.cluster_inspector.findings import HINT, INFERRED, LIKELY, NOTE, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import HELD_S, View
from tools.types import ApiResource, Autoscaler, Condition, KubeObject, Workload

_FALSE, _TRUE, _NOT_TRUE = re.compile("False"), re.compile("True"), re.compile("(?!True$).*")
_GATEWAYS, _ROUTES = ("Gateway", "GatewayClass"), ("HTTPRoute", "GRPCRoute")


@dataclass(frozen=True)
class ConditionRule:
    """A condition of these kinds, in a status of that pattern, breaks the rule.

    `said` must match reason and message, `unless` must not.
    """

    kinds: tuple[str, ...]
    type: str
    status: re.Pattern[str]
    rule: str
    score: float
    said: str = ""
    unless: str = "(?!)"

    def holds(self, kind: str, condition: Condition) -> bool:
        """Return whether the condition of an object of that kind breaks the rule."""
        words = f"{condition.reason} {condition.message}"
        return (
            kind in self.kinds
            and condition.type == self.type
            and self.status.fullmatch(condition.status) is not None
            and re.search(self.said, words) is not None
            and re.search(self.unless, words) is None
        )


CONDITIONS: tuple[ConditionRule, ...] = (
    # Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
    ConditionRule(("Deployment",), "Progressing", _FALSE, "rollout-stuck", HINT),
    # Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
    ConditionRule(("Job",), "Failed", _TRUE, "job-failed", LIKELY),
    # Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ and
    # /horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions
    # A target that a person scaled to zero switches the autoscaler off: that is no fault.
    ConditionRule(
        ("HorizontalPodAutoscaler",), "ScalingActive", _FALSE, "hpa-unable", LIKELY,
        unless="ScalingDisabled",
    ),
    ConditionRule(("HorizontalPodAutoscaler",), "AbleToScale", _FALSE, "hpa-unable", LIKELY),
    # Source: https://gateway-api.sigs.k8s.io/reference/spec/#gatewayconditiontype: each is to be
    # True; Unknown means that no controller has taken the object.
    ConditionRule(_GATEWAYS, "Accepted", _NOT_TRUE, "gateway-not-ready", INFERRED),
    ConditionRule(_GATEWAYS, "Programmed", _NOT_TRUE, "gateway-not-ready", INFERRED),
    ConditionRule(
        _GATEWAYS, "ResolvedRefs", _FALSE, "tls-secret-missing", INFERRED,
        said="InvalidCertificateRef",
    ),
    # Source: https://gateway-api.sigs.k8s.io/reference/spec/#routeconditionreason
    ConditionRule(_ROUTES, "Accepted", _NOT_TRUE, "route-parent", INFERRED),
    ConditionRule(_ROUTES, "ResolvedRefs", _FALSE, "route-backend", INFERRED),
    # Source: https://cert-manager.io/docs/usage/certificate/#certificate-status: Ready is False
    # also while the first one is being issued, and then the old secret is missing, too.
    ConditionRule(("Certificate",), "Ready", _FALSE, "certificate-not-ready", LIKELY),
)  # fmt: skip
"""Condition to rule; a rule of scheduling or admission reads its own conditions."""


Judged = ApiResource | Workload
"""What is judged by its conditions and references."""


CHRONIC_S = 86_400.0
"""What a controller has said for longer than a day is not what has just begun (seconds)."""


def target(resource: ApiResource) -> str:
    """The application a resource is about: what an autoscaler scales, else its own name."""
    if isinstance(resource, Autoscaler):
        return next((item.name for item in resource.references), resource.name)
    return resource.name


def conditions(view: View) -> Iterator[ClusterFinding]:
    """Every condition of a workload or another resource that breaks a rule of the table."""
    owned: list[tuple[str, Judged]] = [
        *((target(one), one) for one in view.state.resources),
        *((view.application(one.name), one) for one in view.state.workloads),
    ]
    for application, item in owned:
        if item.kind == "Job" and item.name in view.done_jobs:
            continue
        for rule in CONDITIONS:
            for condition in item.conditions:
                if rule.holds(item.kind, condition):
                    yield _broken(rule, application, item, condition)


def _broken(
    rule: ConditionRule, application: str, item: Judged, condition: Condition
) -> ClusterFinding:
    said = ", ".join(part for part in (condition.reason, condition.message) if part)
    lasting = condition.age is not None and condition.age > CHRONIC_S
    return broken(
        rule.rule, f"app/{application}", on=f"{item.kind}/{item.name}",
        field=f"status.conditions[{condition.type}]", observed=said or condition.status,
        expected=f"{condition.type} {'False' if rule.status is _TRUE else 'True'}",
        score=NOTE if lasting else rule.score,
        evidence=condition.message or f"{condition.type} is {condition.status}",
    )  # fmt: skip


def held_deletions(view: View) -> Iterator[ClusterFinding]:
    """Objects whose deletion was asked for long ago and that a finalizer keeps.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
    """
    state = view.state
    owned: list[Judged] = [*state.resources, *state.workloads]
    named: tuple[tuple[str, KubeObject], ...] = (
        *(("PersistentVolumeClaim", one) for one in state.claims),
        *(("PersistentVolume", one) for one in state.volumes),
        *(("Pod", one) for one in state.pods),
        *(("Service", one) for one in state.services),
        *((one.kind, one) for one in owned),
    )
    for kind, item in named:
        if item.finalizers and item.deleting is not None and item.deleting > HELD_S:
            yield broken(
                "deletion-held", f"app/{view.application(item.name)}", on=f"{kind}/{item.name}",
                field="metadata.finalizers", observed=", ".join(item.finalizers),
                expected="removed by its controller", score=NOTE,
                evidence=f"deletion asked for {item.deleting:.0f} s ago",
            )  # fmt: skip
