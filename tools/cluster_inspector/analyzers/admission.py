"""Admission: the API server refuses to create what was declared."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.findings import LIKELY, PROVEN, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import KubeEvent, Quota, Workload

_QUOTA = re.compile(r"(?:exceeded|failed) quota: (?P<quota>[\w.-]+)[,:]? ?(?P<rest>.*)")
_ASKED = re.compile(r"requested: (?P<asked>\S+?),? used: (?P<used>\S+?),? limited: (?P<hard>\S+)")
_ACCOUNT = re.compile(r"serviceaccounts? \"(?P<account>[^\"]+)\" not found", re.IGNORECASE)

_RESOURCES = (
    ("cpu", "quota-cpu"),
    ("memory", "quota-memory"),
    ("storage", "quota-storage"),
    ("persistentvolumeclaims", "quota-storage"),
    ("services", "quota-services"),
    ("pods", "quota-pods"),
)


def quota_rule(resource: str) -> str:
    """The rule for a quota's resource name, as `requests.cpu` or `count/pods`."""
    return next((rule for part, rule in _RESOURCES if part in resource), "quota-other")


_WEBHOOK = re.compile(r"failed calling webhook \"(?P<hook>[^\"]+)\"")
_ANSWERER = re.compile(r"https?://(?P<service>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc")
_UNSPECIFIED = re.compile(r"must specify (?P<what>[\w./, -]+)")
_RANGE = re.compile(
    r"(?:(?:maximum|minimum) \S+ usage per (?:Pod|Container)|max limit to request ratio).*"
)


def _refusals(view: View) -> Iterator[tuple[str, KubeEvent]]:
    """Applications that still lack pods, with the latest refusal of each of their controllers.

    A controller writes what the API server answered into an event, and, for an hour and longer,
    into its condition. Source:
    https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
    """
    for holder in view.state.workloads:
        name = view.application(holder.name)
        workload = view.workloads.get(name, holder)
        pods = view.pods_by_application.get(name, ())
        wanted = workload.desired
        if holder.desired == 0 or (wanted is not None and len(pods) >= wanted):
            continue
        refusals = [*_written(view, holder)]
        if refusals:
            yield name, min(refusals, key=lambda event: event.age or 0.0)


def _written(view: View, holder: Workload) -> Iterator[KubeEvent]:
    """The refusals among a controller's events; without one, that in its condition."""
    events = [
        event
        for event in view.events.get(holder.name, ())
        if event.type == "Warning" and event.reason.startswith("FailedCreate")
    ]
    yield from events
    for said in holder.conditions if not events else ():
        if said.type == "ReplicaFailure" and said.status not in ("False", "Unknown"):
            yield KubeEvent(
                kind=holder.kind.lower(), object=holder.name, type="Warning",
                reason=said.reason, message=said.message, age=said.age,
            )  # fmt: skip


def refused(view: View) -> Iterator[ClusterFinding]:
    """Pods that were not created: quota, service account, webhook, or another control."""
    for application, event in _refusals(view):
        yield (
            _quota(view, event)
            or _account(application, event)
            or _unanswered(application, event)
            or broken(
                "limit-range" if _RANGE.search(event.message) else "admission-refused",
                f"app/{application}",
                on=_holder(event),
                field="spec.template",
                observed=event.message,
                expected="a pod that admission accepts",
                score=PROVEN if _RANGE.search(event.message) else LIKELY,
                evidence=event.message,
            )
        )


_KINDS = {kind.lower(): kind for kind in ("ReplicaSet", "StatefulSet", "DaemonSet")}


def _holder(event: KubeEvent) -> str:
    return f"{_KINDS.get(event.kind, event.kind.title())}/{event.object}"


def _quota(view: View, event: KubeEvent) -> ClusterFinding | None:
    """A quota that is used up; or that asks for what the pod does not state, which is another."""
    quota = _QUOTA.search(event.message)
    if quota is None:
        return None
    asked, unsaid = _ASKED.search(quota["rest"]), _UNSPECIFIED.search(quota["rest"])
    if unsaid is not None:
        return broken(
            "quota-unspecified", f"app/{view.application(event.object)}", on=_holder(event),
            field="spec.template.spec.containers[*].resources",
            observed=f"no {unsaid['what']} (quota {quota['quota']})",
            expected=f"{unsaid['what']} of every container, or defaults by a LimitRange",
            score=PROVEN, evidence=event.message,
        )  # fmt: skip
    resource = asked["asked"].split("=")[0] if asked else quota["rest"]
    return broken(
        quota_rule(resource),
        f"namespace/{view.state.namespace}",
        on=f"ResourceQuota/{quota['quota']}",
        field=f"spec.hard[{resource}]" if asked else "spec.hard",
        observed=f"used {asked['used']}" if asked else quota["rest"],
        expected=f"room for {asked['asked']} under {asked['hard']}" if asked else "room",
        score=0.97,
        evidence=event.message,
    )


def _account(application: str, event: KubeEvent) -> ClusterFinding | None:
    account = _ACCOUNT.search(event.message)
    if account is None:
        return None
    return broken(
        "service-account-missing",
        f"app/{application}",
        on=_holder(event),
        field="spec.template.spec.serviceAccountName",
        observed=account["account"],
        expected="a service account of the namespace",
        score=0.96,
        evidence=event.message,
    )


def _unanswered(application: str, event: KubeEvent) -> ClusterFinding | None:
    """A webhook that should have judged the pod and could not be called."""
    hook, service = _WEBHOOK.search(event.message), _ANSWERER.search(event.message)
    if hook is None:
        return None
    who = f"service {service['service']} in {service['namespace']}" if service else hook["hook"]
    return broken(
        "admission-refused",
        f"app/{application}",
        on=_holder(event),
        field=f"webhook {hook['hook']}",
        observed=f"{who} does not answer: {event.message.rpartition(': ')[2]}",
        expected=f"an answer of {who}",
        score=PROVEN,
        evidence=event.message,
    )


def _full(quotas: tuple[Quota, ...], part: str) -> Iterator[tuple[Quota, str]]:
    for quota in quotas:
        for resource, hard in quota.hard.items():
            if part in resource and quota.used.get(resource, 0.0) >= hard:
                yield quota, resource


def _no_service_fits(
    view: View, quota: Quota, resource: str, wanted: str, score: float, evidence: str
) -> ClusterFinding:
    """The quota leaves no room for the service that is wanted."""
    return broken(
        "quota-services",
        f"namespace/{view.state.namespace}",
        on=f"ResourceQuota/{quota.name}",
        field=f"spec.hard[{resource}]",
        observed=f"{quota.used.get(resource, 0):g} of {quota.hard[resource]:g} used",
        expected=f"room for {wanted}",
        score=score,
        evidence=evidence,
    )


def missing_services(view: View) -> Iterator[ClusterFinding]:
    """Services that are declared and do not exist: the quota when it is full, else just missing."""
    if "Service" not in view.state.listed:
        return
    there = set(view.state.listed["Service"])
    declared = [
        name
        for kind, _, name in (d.partition("/") for d in view.state.declared)
        if kind == "Service"
    ]
    for name in declared:
        if name in there:
            continue
        for quota, resource in _full(view.state.quotas, "services"):
            yield _no_service_fits(
                view, quota, resource, f"the declared service {name}", 0.95,
                f"service {name} is declared and not there",
            )  # fmt: skip
        yield broken(
            "service-missing",
            f"app/{name}",
            on=f"Service/{name}",
            field="metadata.name",
            observed="declared, not there",
            expected="the declared service",
            score=0.7,
            evidence=f"service {name} is declared and not there",
        )


def full_quotas(view: View) -> Iterator[ClusterFinding]:
    """Quotas without room: a suspicion when a workload of the namespace has no service or pod."""
    named = set(view.services)
    orphans = [name for name, item in view.workloads.items() if item.desired and name not in named]
    for quota, resource in _full(view.state.quotas, "services"):
        if not orphans or len(orphans) == len(view.workloads):
            continue
        yield _no_service_fits(
            view, quota, resource, f"a service of {', '.join(orphans[:3])}", 0.8,
            f"{orphans[0]} has no service",
        )  # fmt: skip
