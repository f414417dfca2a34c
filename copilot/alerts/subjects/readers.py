"""How the labels of each family are read: what name they hold, and when they hold none."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from copilot.alerts.subjects.families import FAMILIES, RANK
from copilot.alerts.subjects.messengers import LabelSet, MessengerKind, messenger_of
from copilot.alerts.subjects.names import (
    LOOPBACKS,
    cluster_name,
    deployed,
    host,
    is_address,
    public,
    replicated,
    workload,
)
from copilot.alerts.subjects.products import is_product
from tools.types import SubjectKind


class NamedThing(NamedTuple):
    """What one label names."""

    kind: SubjectKind
    name: str
    namespace: str = ""


FieldReader = Callable[[LabelSet, str], NamedThing | None]

_NO_MACHINES = frozenset({"instance", "node", "host", "hostname", "pod"})
_ELSEWHERE = frozenset({MessengerKind.MACHINE, MessengerKind.PROBE, MessengerKind.CLOUD})
_UNSCRAPED = frozenset({MessengerKind.OBJECTS, MessengerKind.CLOUD, MessengerKind.GATEWAY})
_SYSTEM_NAMES = (
    "postgres template0 template1 admin local config mysql information_schema sys master"
)
_SYSTEM_DATABASES = frozenset(_SYSTEM_NAMES.split())
_PLAIN_CONTAINERS = frozenset({"metrics", "exporter", "main", "app", "pod", "manager", "mgr"})
_TASKS = frozenset({"batch", "backup", "cron", "cronjob", "job", "etl", "task", "run"})
_PARTS = frozenset({"volume", "vg", "ups"})
_PROBING = frozenset({"blackbox", "probe", "probes", "ping", "icmp"})
_CODE = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)+")
_PROXMOX = re.compile(r"(?P<kind>cluster|node|qemu|lxc|storage)/.+")
_KIND_OF_PROXMOX: dict[str, SubjectKind] = {
    "cluster": "cluster",
    "node": "node",
    "qemu": "host",
    "lxc": "host",
    "storage": "volume",
}
_KIND_OF_WORD: dict[str, SubjectKind] = {
    "cert": "certificate",
    "certificate": "certificate",
    "container": "container",
    "volume": "volume",
    "pgs": "volume",
    "disk": "device",
    "task": "job",
    "job": "job",
    "backup": "job",
    "dag": "job",
    "queue": "queue",
    "systemd": "service",
    "service": "service",
    "application": "workload",
    "app": "workload",
    "helmrelease": "workload",
    "kustomization": "workload",
}
_KIND_OF_FIELD: dict[str, SubjectKind] = {
    "dbinstanceidentifier": "database",
    "dbclusteridentifier": "database",
    "dbinstanceid": "database",
    "databaseid": "database",
    "cacheclusterid": "database",
    "tablename": "database",
    "instanceid": "host",
    "functionname": "service",
    "bucketname": "volume",
    "database": "database",
    "cluster": "cluster",
}


def _object(given: LabelSet, name: str) -> NamedThing | None:
    """A label that names its object outright; a bare number is an index, not a name."""
    text = given.own[name]
    rank = given.ranks[name]
    if text.isdigit() or (given.told_kind is MessengerKind.MACHINE and name in _PARTS):
        return None
    family = FAMILIES[rank].kind if rank >= 0 else "other"
    kind = _KIND_OF_FIELD.get(name, family)
    if rank == RANK["quota"]:
        return NamedThing("quota", text, given.namespace)
    return NamedThing(kind, text, given.namespace)


def _workload(given: LabelSet, name: str) -> NamedThing:
    text = given.own[name]
    owned = "replicaset" in name or given.own.get("ownerkind", "") == "ReplicaSet"
    return NamedThing("workload", replicated(text) if owned else text, given.namespace)


def _callee(given: LabelSet, name: str) -> NamedThing:
    """The service behind a mesh's or proxy's name for it: `outbound|80||cart.shop.svc…`."""
    text = given.own[name].rpartition("|")[2]
    inside = cluster_name(host(text))
    if inside is not None:
        return NamedThing("service", *inside)
    return NamedThing("service", text, given.namespace)


def _member(given: LabelSet, name: str) -> NamedThing | None:
    text = given.own[name]
    if name == "exportedendpoint" and "." not in text and ":" not in text:
        return None  # the name of a port, as of any scrape
    return _address("host", given, host(given.own[name]))


def _name(given: LabelSet, name: str) -> NamedThing | None:
    """The object that the rule's words speak of; no code (`MDS_DOWN`), no container runtime's id.

    Beside a pod that the kubelet tells about, it is only the container's other name.
    """
    text = given.own[name]
    pods_own = given.told_kind is MessengerKind.KUBELET and "pod" in given.own
    if pods_own or text.isdigit() or text.startswith("k8s_") or _CODE.fullmatch(text):
        return None
    said = kind_of_words(given)
    if (not said and " " in text) or (text.count(":") > 1 and not text.startswith("arn:")):
        return None  # a sensor, a pool of memory, or the name of a metric
    kind = said or ("container" if given.told_kind is MessengerKind.KUBELET else "other")
    return NamedThing(kind, text, given.namespace)


def kind_of_words(given: LabelSet) -> SubjectKind | None:
    """The kind of object that the rule's words speak of; None where they speak of none."""
    return next((kind for word, kind in _KIND_OF_WORD.items() if word in given.rule.words), None)


def _pod(given: LabelSet, name: str) -> NamedThing | None:
    if given.is_messenger(name) or _is_elsewhere(given):
        return None
    text = given.own[name]
    owner = workload(text, given.own.get("node", ""))
    service = given.own.get("service", "")
    if service != owner and _is_named_after(owner, service) and not given.is_messenger("service"):
        return NamedThing("service", service, given.namespace)
    return NamedThing("pod" if owner == text else "workload", owner, given.namespace)


def _is_elsewhere(given: LabelSet) -> bool:
    """Whether pod, service and container are those of who told about something else."""
    return given.told_kind in _ELSEWHERE and not given.rule.telling


def _is_named_after(owner: str, service: str) -> bool:
    """Whether a workload's name is its service's with a role or an operator's prefix added."""
    return bool(service) and (owner.startswith(f"{service}-") or owner.endswith(f"-{service}"))


def _container(given: LabelSet, name: str) -> NamedThing | None:
    text = given.own[name]
    told_from_elsewhere = _is_elsewhere(given) or _told_from_a_pod(given)
    if given.is_messenger(name) or told_from_elsewhere or text in _PLAIN_CONTAINERS:
        return None
    return NamedThing("container", text, given.namespace)


def _service(given: LabelSet, name: str) -> NamedThing | None:
    if given.is_messenger(name) or _is_elsewhere(given):
        return None
    text = given.own[name]
    return NamedThing("service", *(cluster_name(text) or (text, given.namespace)))


def _node(given: LabelSet, name: str) -> NamedThing | None:
    """A node; kube-state-metrics' own where a scrape of endpoints labelled it so."""
    text = given.own[name]
    own_node = given.told_kind is MessengerKind.OBJECTS and "appkubernetesioname" in given.own
    if text in _NO_MACHINES or (own_node and "node" not in given.rule.words):
        return None
    return _address("host" if "@" in text else "node", given, host(text) or text)


def _host(given: LabelSet, name: str) -> NamedThing | None:
    text = host(given.own[name])
    if text in _NO_MACHINES or given.is_messenger(name):
        return None
    owner = deployed(text)
    if owner != text:
        return NamedThing("workload", owner, given.namespace)
    return NamedThing("host", text)


def _probed(given: LabelSet, name: str) -> NamedThing | None:
    """What is probed or called, as an address; a path or a loopback names nothing."""
    text = given.own[name]
    if name == "server":
        return _address("host", given, host(text))
    if name == "domain" and "." not in text:
        return None
    bare = host(text)
    if not bare or bare.isdigit() or bare in LOOPBACKS:
        return None
    return NamedThing("endpoint", public(text))


def _database(given: LabelSet, name: str) -> NamedThing | None:
    text = given.own[name]
    if name == "cluster":
        return NamedThing("cluster", text)
    if text.isdigit() or text.lower() in _SYSTEM_DATABASES:
        return None
    return NamedThing("database", text, given.namespace)


def _job(given: LabelSet, name: str) -> NamedThing | None:
    """The service that a scrape job of an application is named after; `ns/name` names both."""
    if given.is_messenger(name):
        return None
    text = given.own[name]
    namespace, slash, last = text.rpartition("/")
    bare = last if slash and last else text
    kind: SubjectKind = "service" if _TASKS.isdisjoint(given.rule.words) else "job"
    return NamedThing(kind, bare, given.namespace or namespace)


def _instance(given: LabelSet, name: str) -> NamedThing | None:
    """The address that was scraped, where it is the subject's and not the messenger's."""
    text = given.own[name]
    if not given.rule.telling and _is_messengers_address(given, name):
        return None
    if text.startswith(("http://", "https://")):
        return NamedThing("endpoint", public(text))
    inside = cluster_name(host(text))
    if inside is not None:
        return NamedThing("service", *inside)
    kind: SubjectKind = "node" if "node" in given.own else "host"
    return NamedThing("target" if given.rule.telling else kind, host(text))


def _is_messengers_address(given: LabelSet, name: str) -> bool:
    if messenger_of(name, given.own[name]) is not None or _told_from_a_pod(given):
        return name not in given.scraped
    return given.told_kind in _UNSCRAPED and name not in given.scraped


def _told_from_a_pod(given: LabelSet) -> bool:
    """Whether an exporter told from a pod of its own, so that the address is that pod's."""
    return given.told_kind in (MessengerKind.EXPORTER, MessengerKind.PROBE) and any(
        name in given.own and messenger_of(name, given.own[name]) is not None
        for name in ("pod", "service")
    )


def _software(given: LabelSet, name: str) -> NamedThing | None:
    return _job(given, name)


def _sender(given: LabelSet, name: str) -> NamedThing | None:
    text = given.own[name]
    if name == "zone":
        dotted = "." in text.strip(".") and "cluster.local" not in text and not is_address(text)
        return NamedThing("endpoint", text.strip(".")) if dotted else None
    if name in ("url", "uri"):
        return NamedThing("endpoint", public(text)) if "://" in text else None
    return NamedThing("other", host(text))


def _proxmox(given: LabelSet, name: str) -> NamedThing | None:
    matched = _PROXMOX.fullmatch(given.own[name])
    return NamedThing(_KIND_OF_PROXMOX[matched["kind"]], given.own[name]) if matched else None


def _address(kind: SubjectKind, given: LabelSet, bare: str) -> NamedThing | None:
    if not bare or bare in LOOPBACKS:
        return None
    inside = cluster_name(bare)
    if inside is not None:
        return NamedThing("workload", workload(inside[0]), inside[1])
    return NamedThing(kind, bare)


READERS: Mapping[str, FieldReader] = {
    "workload": _workload,
    "callee": _callee,
    "member": _member,
    "name": _name,
    "pod": _pod,
    "container": _container,
    "service": _service,
    "app": _service,
    "node": _node,
    "virtual machine": _host,
    "host": _host,
    "probed": _probed,
    "database": _database,
    "scrape job": _job,
    "instance": _instance,
    "kind of software": _software,
    "sender": _sender,
    "proxmox": _proxmox,
}
"""By title of the family; the others name their object outright."""


def named_by(given: LabelSet, name: str, title: str) -> NamedThing | None:
    """What a field of this family names; None where it names nobody, or who told."""
    return READERS.get(title, _object)(given, name)


def is_kind_of_software(given: LabelSet) -> bool:
    """Whether the job is named after its software, while another label tells which one it is."""
    job, instance = given.own["job"], given.own.get("instance", "")
    if not instance or given.rule.telling:
        return bool(instance)
    if _is_messengers_address(given, "instance"):
        return False
    bare = job.rpartition("/")[2]
    probed = "://" in instance or not _PROBING.isdisjoint(given.rule.words)
    if probed or given.rule.machine or is_product(bare):
        return True
    squashed = bare.replace("-", "").replace("_", "").lower()
    return not is_address(host(instance)) and squashed in given.rule.squashed
