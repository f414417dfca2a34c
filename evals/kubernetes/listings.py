"""`kubectl get KIND -o wide` as typed objects, from columns below their headings."""

import re
from collections.abc import Callable

from copilot.sources.kubernetes.quantities import age, amount
from tools.types import (
    Claim,
    ClusterState,
    Endpoints,
    KubeEvent,
    NetworkPolicy,
    Node,
    Pod,
    Quota,
    Requirement,
    Service,
    ServicePort,
    Volume,
    Workload,
)

_COLUMN_HEADING = re.compile(r"\S+(?: \S+)*")


def rows(text: str) -> list[dict[str, str]]:
    """One dict per line, by heading; an empty cell is an empty string.

    >>> rows("NAME   READY   AGE\\nweb    1/1     5m")
    [{'NAME': 'web', 'READY': '1/1', 'AGE': '5m'}]
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return []
    headings = [(found.start(), found.group()) for found in _COLUMN_HEADING.finditer(lines[0])]
    ends = [*(start for start, _ in headings[1:]), None]
    return [
        {name: line[start:end].strip() for (start, name), end in zip(headings, ends, strict=True)}
        for line in lines[1:]
    ]


ListingRow = dict[str, str]
_HEADING = re.compile(r"(?:NAMESPACE +)?(?:NAME|LAST SEEN)(?:\s|$)")


def _blank(cell: str) -> str:
    return "" if cell in ("<none>", "<unset>", "<unknown>", "None") else cell


def labels(cell: str) -> dict[str, str]:
    """`a=b,c=d` as a mapping."""
    pairs = (part.partition("=") for part in _blank(cell).split(",") if "=" in part)
    return {key: value for key, _, value in pairs}


def _fraction(cell: str) -> tuple[int, int] | None:
    first, slash, second = cell.partition("/")
    return (int(first), int(second)) if slash and first.isdecimal() and second.isdecimal() else None


def _pods(table: list[ListingRow]) -> ClusterState:
    pods = []
    for row in table:
        restarts, _, last = row.get("RESTARTS", "0").partition(" ")
        known: dict[str, object] = {
            "name": row["NAME"],
            "status": row.get("STATUS", ""),
            "ready": _fraction(row.get("READY", "")),
            "restarts": int(restarts) if restarts.isdecimal() else 0,
            "restarted_ago": age(last),
            "age": age(row.get("AGE", "")),
        }
        if "NODE" in row:
            known |= {"node": _blank(row["NODE"]), "ip": _blank(row.get("IP", ""))}
        if "LABELS" in row:
            known["labels"] = labels(row["LABELS"])
        pods.append(Pod.model_validate(known))
    return ClusterState(pods=tuple(pods))


def _workloads(kind: str) -> Callable[[list[ListingRow]], ClusterState]:
    def read(table: list[ListingRow]) -> ClusterState:
        found = []
        for row in table:
            known: dict[str, object] = {"name": row["NAME"], "kind": kind}
            share = _fraction(row.get("READY", ""))
            if share:
                known |= {"ready": share[0], "desired": share[1]}
            for cell, field in (("DESIRED", "desired"), ("READY", "ready"), ("CURRENT", "current")):
                if row.get(cell, "").isdecimal():
                    known[field] = int(row[cell])
            if row.get("UP-TO-DATE", "").isdecimal():
                known["current"] = int(row["UP-TO-DATE"])
            if "SELECTOR" in row:
                known["selector"] = labels(row["SELECTOR"])
            found.append(Workload.model_validate(known | {"age": age(row.get("AGE", ""))}))
        return ClusterState(workloads=tuple(found))

    return read


def _port(cell: str) -> ServicePort | None:
    """`80:30080/TCP`, `80/TCP`."""
    numbers, _, protocol = cell.partition("/")
    port, _, node_port = numbers.partition(":")
    if not port.isdecimal():
        return None
    return ServicePort(
        port=int(port),
        protocol=protocol or "TCP",
        node_port=int(node_port) if node_port.isdecimal() else None,
    )


def _services(table: list[ListingRow]) -> ClusterState:
    services = []
    for row in table:
        ports = (_port(cell) for cell in _blank(row.get("PORT(S)", "")).split(","))
        known: dict[str, object] = {
            "name": row["NAME"],
            "type": row.get("TYPE", ""),
            "cluster_ip": row.get("CLUSTER-IP", ""),
            "ports": tuple(port for port in ports if port),
            "age": age(row.get("AGE", "")),
        }
        if "SELECTOR" in row:
            known["selector"] = labels(row["SELECTOR"])
        services.append(Service.model_validate(known))
    return ClusterState(services=tuple(services))


def _endpoints(table: list[ListingRow]) -> ClusterState:
    found = []
    for row in table:
        cell = row.get("ENDPOINTS", "")
        ready = tuple(part for part in _blank(cell).split(" + ")[0].split(",") if part)
        # kubectl prints <none> without any address, and nothing when no address is ready
        not_ready = () if cell else ("unknown",)
        found.append(Endpoints(name=row["NAME"], ready=ready, not_ready=not_ready))
    return ClusterState(endpoints=tuple(found))


def _modes(cell: str) -> tuple[str, ...]:
    return tuple(part for part in _blank(cell).split(",") if part)


def _claims(table: list[ListingRow]) -> ClusterState:
    found = []
    for row in table:
        known: dict[str, object] = {
            "name": row["NAME"],
            "status": row.get("STATUS", ""),
            "volume": row.get("VOLUME", ""),
            "storage_class": row.get("STORAGECLASS", ""),
        }
        if row.get("ACCESS MODES"):  # empty until it is bound, whatever was asked for
            known["access_modes"] = _modes(row["ACCESS MODES"])
        found.append(Claim.model_validate(known))
    return ClusterState(claims=tuple(found))


def _volumes(table: list[ListingRow]) -> ClusterState:
    found = (
        Volume(
            name=row["NAME"],
            status=row.get("STATUS", ""),
            claim=row.get("CLAIM", ""),
            capacity=amount(row.get("CAPACITY", "")),
            access_modes=_modes(row.get("ACCESS MODES", "")),
            storage_class=row.get("STORAGECLASS", ""),
        )
        for row in table
    )
    return ClusterState(volumes=tuple(found))


def _quotas(table: list[ListingRow]) -> ClusterState:
    """`REQUEST` and `LIMIT` cells read `requests.cpu: 1/2, pods: 3/10`."""
    found = []
    for row in table:
        hard: dict[str, float] = {}
        used: dict[str, float] = {}
        for cell in f"{row.get('REQUEST', '')}, {row.get('LIMIT', '')}".split(","):
            resource, _, share = cell.strip().partition(": ")
            before, slash, after = share.partition("/")
            taken, limit = amount(before), amount(after)
            if slash and taken is not None and limit is not None:
                used[resource], hard[resource] = taken, limit
        found.append(Quota(name=row["NAME"], hard=hard, used=used))
    return ClusterState(quotas=tuple(found))


def _nodes(table: list[ListingRow]) -> ClusterState:
    found = []
    for row in table:
        states = row.get("STATUS", "").split(",")
        known: dict[str, object] = {
            "name": row["NAME"],
            "ready": "Ready" in states,
            "unschedulable": "SchedulingDisabled" in states,
            "roles": tuple(role for role in _blank(row.get("ROLES", "")).split(",") if role),
        }
        if "INTERNAL-IP" in row:
            known["addresses"] = (row["INTERNAL-IP"],)
        if "LABELS" in row:
            known["labels"] = labels(row["LABELS"])
        found.append(Node.model_validate(known))
    return ClusterState(nodes=tuple(found))


def _policies(table: list[ListingRow]) -> ClusterState:
    found = (
        NetworkPolicy(
            name=row["NAME"],
            selector=tuple(
                Requirement(key=key, values=(value,))
                for key, value in labels(row.get("POD-SELECTOR", "")).items()
            ),
        )
        for row in table
    )
    return ClusterState(policies=tuple(found))


def _events(table: list[ListingRow]) -> ClusterState:
    found = []
    for row in table:
        kind, _, name = row.get("OBJECT", "").partition("/")
        found.append(
            KubeEvent(
                kind=kind,
                object=name,
                type=row.get("TYPE", ""),
                reason=row.get("REASON", ""),
                message=row.get("MESSAGE", ""),
                age=age(row.get("LAST SEEN", "")),
            )
        )
    return ClusterState(events=tuple(found))


READERS: dict[str, Callable[[list[ListingRow]], ClusterState]] = {
    "Pod": _pods,
    "Service": _services,
    "Endpoints": _endpoints,
    "PersistentVolumeClaim": _claims,
    "PersistentVolume": _volumes,
    "ResourceQuota": _quotas,
    "Node": _nodes,
    "NetworkPolicy": _policies,
    "Event": _events,
    **{
        kind: _workloads(kind)
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
    },
}


def _from_heading(text: str) -> str:
    """Without what kubectl may say before its table, such as that a version is deprecated."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _HEADING.match(line)), len(lines))
    return "\n".join(lines[start:])


def listing(kind: str, text: str) -> ClusterState:
    """What `kubectl get` of one kind says; the names alone for a kind without a reader.

    >>> listing("Node", "NAME   STATUS\\nn1     NotReady").nodes[0].ready
    False
    """
    table = [row for row in rows(_from_heading(text)) if kind == "Event" or row.get("NAME")]
    found = READERS[kind](table) if kind in READERS else ClusterState()
    names = tuple(row["NAME"] for row in table if row.get("NAME"))
    return found.model_copy(update={"listed": {kind: names}})
