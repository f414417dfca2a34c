"""Probes: a container runs and is called unhealthy, by a probe that asks the wrong thing or not."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.cluster_inspector.findings import ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import Container, KubeEvent, Pod, PodSpec, Probe

_FAILED = re.compile(r"(?P<kind>Liveness|Readiness|Startup) probe (?:failed|errored)")
_ASKED = re.compile(r"(?:https?://)?[\w.\-\[\]]*:(?P<port>\d+)(?=[\s/\",:]|$)")
_WRONG_PROTOCOL = re.compile(
    r"malformed HTTP|server gave HTTP response|first record does not look like|statuscode: 4\d\d|"
    r"server preface|http2|unimplemented|not implement the grpc health|unexpected EOF|"
    r"broken pipe|connection reset|unknown service",
    re.IGNORECASE,
)

_REWRITTEN = "/app-health/"
_PROBERS = "ISTIO_KUBE_APP_PROBERS"
"""Istio's sidecar serves the application's probes under such a path and holds them in this."""

ProbeFault = Literal["protocol", "port", "timing", "failed"]


@dataclass(frozen=True)
class ProbeFailure:
    """A probe that fails now, with the container it belongs to as far as that is known."""

    pod: Pod
    application: str
    event: KubeEvent
    kind: str
    container: Container | None
    probe: Probe | None


def failures(view: View) -> Iterator[ProbeFailure]:
    """Failing probes of pods that do not serve or keep restarting, the freshest event of each."""
    for pod in view.unready:
        application = view.application(pod.name)
        latest: dict[str, KubeEvent] = {}
        for event in view.events.get(pod.name, ()):
            failed = _FAILED.search(event.message)
            if failed and event.reason in ("Unhealthy", "ProbeWarning"):
                kind = failed["kind"].lower()
                if kind not in latest or (event.age or 0.0) <= (latest[kind].age or 0.0):
                    latest[kind] = event
        for kind, event in latest.items():
            container, probe = _probe(view.spec(application), kind, event.message)
            if probe is not None and probe.path.startswith(_REWRITTEN):
                container, probe = container, _original(pod, probe)
            yield ProbeFailure(pod, application, event, kind, container, probe)


def _probe(spec: PodSpec, kind: str, message: str) -> tuple[Container | None, Probe | None]:
    own = [
        (container, probe)
        for container in spec.containers
        for probe in container.probes
        if probe.kind == kind
    ]
    asked = _ASKED.search(message)
    if asked and len(own) > 1:
        own = [pair for pair in own if pair[1].port == asked["port"]] or own
    return own[0] if own else (None, None)


def _original(pod: Pod, probe: Probe) -> Probe | None:
    """The probe that a mesh's sidecar asks in the kubelet's place, as the sidecar was told."""
    told = next(
        (v.value for c in pod.spec.containers for v in c.env if v.name == _PROBERS), "{}"
    )  # fmt: skip
    try:
        written = json.loads(told).get(probe.path, {})
    except ValueError:
        return None
    for field, action in (("httpGet", "http"), ("tcpSocket", "tcp"), ("grpc", "grpc")):
        if field in written:
            port = str(written[field].get("port", ""))
            path = str(written[field].get("path", ""))
            return probe.model_copy(update={"action": action, "port": port, "path": path})
    return None


def _listens(container: Container, port: str) -> bool:
    """The port is one that the container declares, by number or by name."""
    return any(port in (str(item.port), item.name) for item in container.ports)


def judge(failure: ProbeFailure, spec: PodSpec) -> ProbeFault:
    """Port first, then protocol, then timing: each is only possible if the one before is right."""
    container, probe, message = failure.container, failure.probe, failure.event.message
    if container is None or probe is None or probe.action == "exec":
        return "protocol" if _WRONG_PROTOCOL.search(message) else "failed"
    if container.ports and not _listens(container, probe.port):
        return "port"
    spoken = {
        item.action for item in container.probes
        if item.port == probe.port and item.kind != probe.kind
    }  # fmt: skip
    if _WRONG_PROTOCOL.search(message) or (spoken and probe.action not in spoken):
        return "protocol"
    if _hasty(probe):
        return "timing"
    return "failed"


def _hasty(probe: Probe) -> bool:
    """Gives up before an ordinary process has started, or answers in an ordinary time."""
    patience = probe.initial_delay + probe.period * probe.failure_threshold
    return patience < 15.0 or probe.failure_threshold == 1


def probes(view: View) -> Iterator[ClusterFinding]:
    """What is wrong with each failing probe."""
    for failure in failures(view):
        spec = view.spec(failure.application)
        fault = judge(failure, spec)
        if _dies_by_itself(view, failure.pod):
            continue
        if failure.kind == "liveness" and fault == "failed" and failure.pod.restarts:
            fault = "timing" if "deadline" in failure.event.message else "failed"
        rule = "startup-failed" if failure.kind == "startup" else f"{failure.kind}-{fault}"
        yield broken(
            rule,
            f"app/{failure.application}",
            on=f"Pod/{failure.pod.name}",
            field=f"spec.containers[*].{failure.kind}Probe",
            observed=_probe_summary(failure.probe) or failure.event.message,
            expected=_wanted(fault, failure.container),
            score={"protocol": 0.94, "port": 0.94, "timing": 0.9, "failed": 0.46}[fault]
            + (0.02 if failure.kind == "liveness" and failure.pod.restarts else 0.0),
            evidence=failure.event.message,
        )


def _dies_by_itself(view: View, pod: Pod) -> bool:
    """Its own container ends with an error: the probe is a witness, not the culprit."""
    if any("failed liveness probe" in event.message for event in view.events.get(pod.name, ())):
        return False
    return any(
        state.status == "terminated"
        and state.exit_code not in (None, 0, 2, 137, 143)
        and container.restarts
        for container in pod.spec.containers
        for state in (container.state, container.last_state)
    )


def _probe_summary(probe: Probe | None) -> str:
    if probe is None:
        return ""
    return (
        f"{probe.action} port {probe.port}{probe.path}, after {probe.initial_delay:g} s every "
        f"{probe.period:g} s, timeout {probe.timeout:g} s, {probe.failure_threshold} failures"
    )


def _wanted(fault: ProbeFault, container: Container | None) -> str:
    if fault == "port" and container is not None:
        return f"port {', '.join(str(item.port) for item in container.ports)}"
    wanted = {
        "protocol": "the protocol the port speaks",
        "timing": "time for a start and an answer",
    }
    return wanted.get(fault, "a probe that succeeds")
