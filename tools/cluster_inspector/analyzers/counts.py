"""What the status counts: replicas, a job's pods, an autoscaler's bounds, a budget, a schedule."""

import re
from collections.abc import Iterator

from tools.cluster_inspector.analyzers.conditions import target
from tools.cluster_inspector.findings import HINT, LIKELY, NOTE, SYMPTOM, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View, has, serves
from tools.types import Autoscaler, CronSchedule, DisruptionBudget, PodSpec, Workload

_SERVED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController")


def replicas(view: View) -> Iterator[ClusterFinding]:
    """Workloads with fewer ready pods than wanted, where no pod of theirs tells more."""
    for item in view.state.workloads:
        revision = item.kind == "ReplicaSet" and item.owner  # its deployment counts for it
        if item.kind not in _SERVED or revision or not item.desired:
            continue
        ready = _ready(view, item)
        pods = view.pods_by_application.get(view.application(item.name), ())
        if ready is None or ready >= item.desired or any(not serves(pod) for pod in pods):
            continue
        yield broken(
            "replicas-unavailable", f"app/{view.application(item.name)}",
            on=f"{item.kind}/{item.name}", field="status.readyReplicas",
            observed=f"{ready} of {item.desired} ready", expected=f"{item.desired} ready",
            score=HINT if ready == 0 else SYMPTOM,
            evidence=f"{item.kind.lower()} {item.name}: {ready}/{item.desired} ready",
        )  # fmt: skip


def _ready(view: View, item: Workload) -> int | None:
    """Ready pods; one that the API lists without a status has none, as zero is left out there."""
    if item.ready is None and item.name in view.state.listed.get(item.kind, ()):
        return 0
    return item.ready


def jobs(view: View) -> Iterator[ClusterFinding]:
    """Jobs whose pods failed, none runs and none succeeded, before their controller gives up."""
    for item in view.state.workloads:
        if item.kind != "Job" or not item.failed or item.name in view.done_jobs:
            continue
        if item.active or item.succeeded or has(item, "Failed") or has(item, "Complete"):
            continue
        yield broken(
            "job-failed", f"app/{item.name}", on=f"Job/{item.name}", field="status.failed",
            observed=f"failed pods: {item.failed}, succeeded: none", expected="a pod that succeeds",
            score=HINT, evidence=f"job {item.name}: {item.failed} failed, 0 succeeded, 0 active",
        )  # fmt: skip


def autoscalers(view: View) -> Iterator[ClusterFinding]:
    """Autoscalers at a limit, and those whose target states no request to take a share of."""
    for item in view.state.resources:
        if isinstance(item, Autoscaler):
            yield from _limited(item)
            yield from _shareless(view, item)


def _limited(item: Autoscaler) -> Iterator[ClusterFinding]:
    """Held at the maximum, or kept above the minimum that it was told to go down to.

    An autoscaler that rests at its minimum says ScalingLimited, too: that is no fault. Source:
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/
    """
    said = next((c for c in item.conditions if c.type == "ScalingLimited"), None)
    if said is None or said.status != "True":
        return
    at_most = said.reason == "TooManyReplicas" or "maximum" in said.message
    if not at_most and (item.current is None or item.current <= item.minimum):
        return
    yield broken(
        "hpa-limited", f"app/{target(item)}", on=f"{item.kind}/{item.name}",
        field="spec.maxReplicas" if at_most else "spec.minReplicas",
        observed=f"{item.current if item.current is not None else '?'} replicas, "
        f"{item.minimum} to {item.maximum if item.maximum is not None else '?'} allowed",
        expected="a count between its bounds", score=HINT if at_most else NOTE,
        evidence=said.message or said.reason,
    )  # fmt: skip


def _shareless(view: View, item: Autoscaler) -> Iterator[ClusterFinding]:
    """A share of requests cannot be told of a container without the request (or a limit).

    A limit range may fill requests in when a pod is made, so running pods count before the
    template. Source:
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
    """
    name = target(item)
    # It counts all the same, for now: a container without the request was left out, or is new.
    scales = any((c.type, c.status) == ("ScalingActive", "True") for c in item.conditions)
    pods = view.pods_by_application.get(name, ())
    templates = [one.template for one in view.state.workloads if one.name == name]
    specs = [pod.spec for pod in pods if pod.spec.containers] or templates
    for resource in item.utilization:
        bare = sorted({name for spec in specs for name in _without(spec, resource)})
        if bare:
            yield broken(
                "hpa-no-resources", f"app/{name}", on=f"{item.kind}/{item.name}",
                field=f"spec.metrics[{resource}]",
                observed=f"no {resource} request of {', '.join(bare)}",
                expected="a request of each container", score=NOTE if scales else HINT,
                evidence=f"{item.kind} {item.name} scales on a share of requested {resource}",
            )  # fmt: skip


def _without(spec: PodSpec, resource: str) -> list[str]:
    return [
        container.name
        for container in spec.containers
        if not container.init
        and resource not in container.requests
        and resource not in container.limits
    ]


def budgets(view: View) -> Iterator[ClusterFinding]:
    """Disruption budgets that let no pod go: a drain of a node waits for ever.

    Where fewer pods are healthy than must be, the pods are the fault and the budget its echo.
    Source: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
    """
    for item in view.state.resources:
        if not isinstance(item, DisruptionBudget) or not _blocks(item):
            continue
        yield broken(
            "disruption-blocked", f"app/{item.name}", on=f"{item.kind}/{item.name}",
            field="status.disruptionsAllowed",
            observed=f"0 of {_count(item.expected)} pods may go, {_count(item.healthy)} healthy, "
            f"{_count(item.required)} must be",
            expected="at least 1", score=NOTE,
            evidence=f"budget {item.name} allows no disruption",
        )  # fmt: skip


def _blocks(item: DisruptionBudget) -> bool:
    said = next((c.status for c in item.conditions if c.type == "DisruptionAllowed"), "")
    if said:
        return said == "False" and item.expected != 0
    return item.allowed == 0 and bool(item.expected)


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


_NAMES = {
    3: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Least and greatest number of each field. Source:
https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax"""
_MACRO = re.compile(r"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)")
_ZONE = re.compile(r"(?:CRON_)?TZ=\S+\s+")
_PART = re.compile(r"(?:[*?]|(?P<low>\w{1,3})(?:-(?P<high>\w{1,3}))?)(?:/(?P<step>\d{1,3}))?")


def is_schedule(text: str) -> bool:
    """Return whether a cron job's schedule can be read.

    >>> is_schedule("*/5 8-18 * * MON-FRI"), is_schedule("@daily"), is_schedule("61 * * * *")
    (True, True, False)
    """
    written = _ZONE.sub("", text.strip(), count=1)
    if _MACRO.fullmatch(written):
        return True
    fields = written.split()
    return len(fields) == len(_BOUNDS) and all(
        _fits(part, place) for place, field in enumerate(fields) for part in field.split(",")
    )


def _fits(part: str, place: int) -> bool:
    read = _PART.fullmatch(part)
    if read is None or read["step"] == "0":
        return False
    ends = [_number(end, place) for end in (read["low"], read["high"]) if end is not None]
    least, most = _BOUNDS[place]
    numbers = [end for end in ends if end is not None and least <= end <= most]
    return len(numbers) == len(ends) and numbers == sorted(numbers)


def _number(text: str, place: int) -> int | None:
    if text.isdigit():
        return int(text)
    names = _NAMES.get(place, [])
    return names.index(text.upper()) + _BOUNDS[place][0] if text.upper() in names else None


_MISSED = ("FailedNeedsStart", "TooManyMissedTimes", "MissSchedule")
"""Reasons that the cron job controller gives. Source:
https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/cronjob_controllerv2.go"""


def schedules(view: View) -> Iterator[ClusterFinding]:
    """Cron jobs that cannot start, missed their start, or were told to rest."""
    for item in view.state.resources:
        if isinstance(item, CronSchedule):
            yield from _schedule(view, item)
    for job in view.state.workloads:
        if job.kind == "Job" and job.suspended:
            yield _resting(f"app/{view.application(job.name)}", f"Job/{job.name}")


def _schedule(view: View, item: CronSchedule) -> Iterator[ClusterFinding]:
    subject, on = f"app/{item.name}", f"CronJob/{item.name}"
    if item.schedule and not is_schedule(item.schedule):
        yield broken(
            "schedule-invalid", subject, on=on, field="spec.schedule", observed=item.schedule,
            expected="minute, hour, day, month, day of the week", score=LIKELY,
            evidence=f"schedule {item.schedule!r}",
        )  # fmt: skip
    if item.deadline is not None and item.deadline < 0:
        yield broken(
            "schedule-invalid", subject, on=on, field="spec.startingDeadlineSeconds",
            observed=str(item.deadline), expected="0 or more seconds", score=LIKELY,
            evidence=f"startingDeadlineSeconds {item.deadline}",
        )  # fmt: skip
    for event in view.events_of("CronJob", item.name):
        if event.reason in _MISSED:
            yield broken(
                "schedule-missed", subject, on=on, field="status.lastScheduleTime",
                observed=event.reason, expected="a start at its time", score=HINT,
                evidence=event.message,
            )  # fmt: skip
    if item.suspended:
        yield _resting(subject, on)


def _resting(subject: str, on: str) -> ClusterFinding:
    return broken(
        "schedule-suspended", subject, on=on, field="spec.suspend", observed="true",
        expected="false, unless somebody paused it", score=NOTE, evidence=f"{on} is suspended",
    )  # fmt: skip
