"""`kubectl describe` of a pod, a node or anything else: status, specification and events."""

import re
from dataclasses import dataclass, field

from copilot.sources.kubernetes.pod_spec import integer
from copilot.sources.kubernetes.quantities import age, amount
from copilot.sources.kubernetes.redaction import harmless
from evals.kubernetes.listings import rows
from tools.types import (
    ClusterState,
    Condition,
    Container,
    ContainerPort,
    ContainerState,
    EnvVar,
    KubeEvent,
    Node,
    Pod,
    PodSpec,
    Probe,
    Taint,
    VolumeSource,
    Workload,
)
from tools.types.cluster_objects import ProbeAction, ProbeKind

_ENTRY = re.compile(r"(?P<indent> *)(?P<key>\S[^:]*(?::(?!\s|$)[^:]*)*):(?:\s+(?P<value>.*))?$")
_EVENT = re.compile(r"  (Normal|Warning)\s")
_ACTION: dict[str, ProbeAction] = {
    "http-get": "http",
    "tcp-socket": "tcp",
    "grpc": "grpc",
    "exec": "exec",
}
_PROBES: dict[str, ProbeKind] = {
    "Liveness": "liveness",
    "Readiness": "readiness",
    "Startup": "startup",
}


@dataclass
class Section:
    """One `Key: value` of the text, with what is indented under it."""

    key: str = ""
    value: str = ""
    inside: list["Section"] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def get(self, key: str) -> "Section":
        """The section of that key; an empty one when there is none."""
        return next((section for section in self.inside if section.key == key), Section())

    def pairs(self) -> dict[str, str]:
        """`a=b` items of the value and the lines under it."""
        written = (item.partition("=") for item in (self.value, *self.lines) if "=" in item)
        return {key.strip(): value for key, _, value in written}

    def items(self) -> list[str]:
        """The value and the lines under it, without placeholders."""
        return [item for item in (self.value, *self.lines) if item and item != "<none>"]


def sections(text: str) -> Section:
    """The text as a tree by its indentation."""
    root = Section()
    stack: list[tuple[int, Section]] = [(-1, root)]
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while indent <= stack[-1][0]:
            stack.pop()
        entry = _ENTRY.match(line)
        if entry is None:
            stack[-1][1].lines.append(line.strip())
            continue
        section = Section(entry["key"], (entry["value"] or "").strip())
        stack[-1][1].inside.append(section)
        stack.append((indent, section))
    return root


def events(kind: str, name: str, text: str) -> tuple[KubeEvent, ...]:
    """The table at the end; a message of several lines is one message."""
    _, mark, table = text.partition("\nEvents:")
    joined: list[str] = []
    for line in table.splitlines()[1:] if mark else ():
        if _EVENT.match(line) or line.startswith(("  Type", "  ----")) or not joined:
            joined.append(line)
        else:
            joined[-1] += " " + line.strip()
    found = []
    for row in rows("\n".join(joined)):
        seen, _, repeats = row.get("Age", "").partition(" (x")
        if set(row.get("Type", "-")) == {"-"}:
            continue
        found.append(
            KubeEvent(
                kind=kind.lower(),
                object=name,
                type=row.get("Type", ""),
                reason=row.get("Reason", ""),
                message=row.get("Message", ""),
                source=row.get("From", ""),
                count=integer(repeats.partition(" ")[0].rstrip(")")) or 1,
                age=age(seen),
            )
        )
    return tuple(found)


def _state(section: Section) -> ContainerState:
    word = section.value.lower()
    code = section.get("Exit Code").value
    return ContainerState.model_validate(
        {
            "status": word if word in ("running", "waiting", "terminated") else "unknown",
            "reason": section.get("Reason").value,
            "message": section.get("Message").value,
            "exit_code": integer(code),
        }
    )


def _probe(kind: ProbeKind, written: str) -> Probe | None:
    """`http-get http://:8080/health delay=5s timeout=1s period=5s #success=1 #failure=3`."""
    action, _, rest = written.partition(" ")
    if action not in _ACTION:
        return None
    where = re.search(r":(\w[\w-]*)(/\S*)?", rest.removeprefix("http://").removeprefix("https://"))
    timing = dict(re.findall(r"#?(\w+)=(\d+)", rest))
    return Probe(
        kind=kind,
        action=_ACTION[action],
        port=where[1] if where and action != "exec" else "",
        path=(where[2] or "") if where and action == "http-get" else "",
        initial_delay=float(timing.get("delay", 0)),
        timeout=float(timing.get("timeout", 1)),
        period=float(timing.get("period", 10)),
        failure_threshold=int(timing.get("failure", 3)),
    )


def _resources(section: Section) -> dict[str, float]:
    found = {item.key: amount(item.value) for item in section.inside}
    return {name: value for name, value in found.items() if value is not None}


def _ports(section: Section) -> tuple[ContainerPort, ...]:
    written = (cell.strip().partition("/") for cell in section.value.split(","))
    return tuple(
        ContainerPort(port=int(number), protocol=protocol or "TCP")
        for number, _, protocol in written
        if number.isdecimal()
    )


def _container(section: Section, *, init: bool) -> Container:
    probes = (_probe(kind, section.get(key).value) for key, kind in _PROBES.items())
    # "NAME  Secret  Optional: false": the colon makes the whole of it a key
    sources = (part.key.split() for part in section.get("Environment Variables from").inside)
    restarts = section.get("Restart Count").value
    ports = section.get("Port") if section.get("Port").key else section.get("Ports")
    return Container(
        name=section.key,
        image=section.get("Image").value,
        ports=_ports(ports),
        requests=_resources(section.get("Requests")),
        limits=_resources(section.get("Limits")),
        probes=tuple(probe for probe in probes if probe),
        env=tuple(
            EnvVar(name=item.key, value=harmless(item.key, item.value))
            for item in section.get("Environment").inside
        ),
        env_from=tuple(f"{word[1].lower()}/{word[0]}" for word in sources if len(word) > 1),
        init=init,
        state=_state(section.get("State")),
        last_state=_state(section.get("Last State")),
        ready={"True": True, "False": False}.get(section.get("Ready").value),
        restarts=int(restarts) if restarts.isdecimal() else 0,
    )


_VOLUME_KINDS = {
    "Secret": "secret",
    "ConfigMap": "configmap",
    "PersistentVolumeClaim": "claim",
    "HostPath": "host",
    "EmptyDir": "empty",
}


def _volume(section: Section) -> VolumeSource:
    word = section.get("Type").value.split(" ")[0]
    named = ("SecretName", "Name", "ClaimName", "Path")
    source = next((section.get(key).value for key in named if section.get(key).key), "")
    return VolumeSource(
        name=section.key,
        kind=_VOLUME_KINDS.get(word, "other"),
        source=source,
        optional=section.get("Optional").value == "true",
    )


def conditions(section: Section) -> tuple[Condition, ...]:
    """The conditions table, whichever of its columns are there."""
    found = []
    for row in rows("\n".join(section.lines)):
        if set(row.get("Type", "-")) != {"-"}:
            found.append(
                Condition(
                    type=row["Type"],
                    status=row.get("Status", ""),
                    reason=row.get("Reason", ""),
                    message=row.get("Message", ""),
                )
            )
    return tuple(found)


def pod(name: str, text: str) -> ClusterState:
    """A pod with its containers and events."""
    tree = sections(text.partition("\nEvents:")[0])
    containers = [_container(part, init=True) for part in tree.get("Init Containers").inside]
    containers += [_container(part, init=False) for part in tree.get("Containers").inside]
    mounts = (
        line.split(" from ")
        for part in tree.get("Containers").inside
        for line in part.get("Mounts").lines
        if " from " in line
    )
    labels = tree.get("Labels").pairs()
    spec = PodSpec(
        labels=labels,
        service_account=tree.get("Service Account").value,
        containers=tuple(containers),
        node_selector=tree.get("Node-Selectors").pairs(),
        volumes=tuple(_volume(part) for part in tree.get("Volumes").inside),
        mounts=tuple((source.split(" ")[0], path) for path, source in mounts),
    )
    known: dict[str, object] = {
        "name": name,
        "labels": labels,
        "phase": tree.get("Status").value,
        "reason": tree.get("Reason").value,
        "message": tree.get("Message").value,
        "node": tree.get("Node").value.partition("/")[0].replace("<none>", ""),
        "owner": tree.get("Controlled By").value,
        "spec": spec,
        "conditions": conditions(tree.get("Conditions")),
    }
    return ClusterState(pods=(Pod.model_validate(known),), events=events("pod", name, text))


def node(name: str, text: str) -> ClusterState:
    """A node with its capacity, what is requested of it, and its events."""
    tree = sections(text.partition("\nEvents:")[0])
    taken: dict[str, float] = {}
    for row in rows("\n".join(tree.get("Allocated resources").lines[1:])):
        requested = amount(row.get("Requests", "").split(" ")[0])
        if requested is not None:
            taken[row.get("Resource", "")] = requested
    taints = (item.rpartition(":") for item in tree.get("Taints").items())
    found = Node.model_validate(
        {
            "name": name,
            "labels": tree.get("Labels").pairs(),
            "unschedulable": tree.get("Unschedulable").value == "true",
            "taints": tuple(
                Taint(key=key.partition("=")[0], value=key.partition("=")[2], effect=effect)
                for key, _, effect in taints
            ),
            "allocatable": _resources(tree.get("Allocatable")),
            "requested": taken,
            "conditions": conditions(tree.get("Conditions")),
        }
    )
    return ClusterState(nodes=(found,), events=events("node", name, text))


def described(kind: str, name: str, text: str) -> ClusterState:
    """What `kubectl describe` of one object says.

    >>> described("Pod", "web-1", "Name: web-1\\nStatus: Pending").pods[0].phase
    'Pending'
    """
    if kind == "Pod":
        return pod(name, text)
    if kind == "Node":
        return node(name, text)
    found = ClusterState(events=events(kind, name, text))
    if kind in ("Deployment", "ReplicaSet", "StatefulSet"):
        tree = sections(text.partition("\nEvents:")[0])
        workload = Workload.model_validate(
            {
                "name": name,
                "kind": kind,
                "labels": tree.get("Labels").pairs(),
                "owner": tree.get("Controlled By").value,
                "conditions": conditions(tree.get("Conditions")),
            }
        )
        found = found.model_copy(update={"workloads": (workload,)})
    return found
