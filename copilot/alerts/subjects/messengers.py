"""Who told: exporters, kubelets, gateways and scrape jobs, which alerts are seldom about."""

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from copilot.alerts.subjects.names import host, workload


class MessengerKind(Enum):
    """How a messenger leaves its own labels beside those of what it tells about."""

    OBJECTS = "objects"
    """Tells about objects of a cluster by labels; its own pod, instance and service say nothing."""
    MACHINE = "machine"
    """Runs on the machine it tells about: `instance` and `node` are the machine's."""
    KUBELET = "kubelet"
    """Runs on the node, and tells about its pods, containers and claims."""
    PROBE = "probe"
    """Tells about an address: `target`, or `instance` where that was rewritten."""
    GATEWAY = "gateway"
    """Passes on what others pushed, collected or scraped."""
    CLOUD = "cloud"
    """Asks a provider about resources, which labels of the resource name."""
    EXPORTER = "exporter"
    """Tells about one server, beside it or from another place."""
    METRICS = "metrics"
    """The name of a service's metrics port: what is left of it is the service's."""


class Messenger(NamedTuple):
    """One who tells: its name as shown, and how it labels."""

    name: str
    kind: MessengerKind


_MARKS: tuple[tuple[str, Messenger], ...] = (
    (r".*kube-?state-?metrics.*|ksm", Messenger("kube-state-metrics", MessengerKind.OBJECTS)),
    (
        r"node|nodes|linux|unix|integrations/(unix|linux_node|linux|macos-node)"
        r"|.*node[-_]?export(er)?s?\b.*",
        Messenger("node-exporter", MessengerKind.MACHINE),
    ),
    (
        r"windows|wmi|.*(windows|wmi)[-_]exporter.*|integrations/windows.*",
        Messenger("windows-exporter", MessengerKind.MACHINE),
    ),
    (r".*cadvisor.*|integrations/docker", Messenger("cAdvisor", MessengerKind.KUBELET)),
    (r"(.*-)?kubelet(-.*)?|kubernetes-nodes", Messenger("kubelet", MessengerKind.KUBELET)),
    (
        r".*black-?box.*|probe/.*|synthetic.*|(.*[-_])?(icmp|ping|probes?)([-_].*)?",
        Messenger("blackbox-exporter", MessengerKind.PROBE),
    ),
    (r"(.*[-_/])?snmp([-_].*)?", Messenger("snmp-exporter", MessengerKind.PROBE)),
    (r".*push-?gateway.*", Messenger("pushgateway", MessengerKind.GATEWAY)),
    (
        r"(.*[-_/])?(federate|federation|federated)([-_].*)?",
        Messenger("federation", MessengerKind.GATEWAY),
    ),
    (
        r".*(cloudwatch|stackdriver|azure[-_](metrics|monitor|resource)|aliyun|tencent|huaweicloud)"
        r".*|(.*-)?yace(-.*)?|gcp[-_]?exporter",
        Messenger("", MessengerKind.CLOUD),
    ),
    (r".*(?<![a-z])exporters?(?![a-z]).*", Messenger("", MessengerKind.EXPORTER)),
    (r"ceph|(.*-)?ceph-(mgr|exporter)(-.*)?", Messenger("ceph-mgr", MessengerKind.OBJECTS)),
    (
        r"kubernetes-(service-endpoints|pods|services|endpoints)(-.*)?|integrations/.*"
        r"|kube-rbac-proxy.*|serviceMonitor/.*|podMonitor/.*",
        Messenger("", MessengerKind.METRICS),
    ),
    (r".+[-_]metrics|metrics|.*-metrics-.*", Messenger("", MessengerKind.METRICS)),
)
_MARK = tuple((re.compile(pattern, re.IGNORECASE), told) for pattern, told in _MARKS)
# Most names hold none of these, and need not be tried against each mark.
_HINT = re.compile(
    r"state|export|kubelet|cadvisor|docker|black|probe|synthetic|icmp|ping|snmp|gateway|federat"
    r"|cloud|stackdriver|azure|aliyun|tencent|yace|ceph|kubernetes-|integrations/|rbac|monitor"
    r"|metrics|node|^linux$|^unix$|windows|wmi|^ksm$",
    re.IGNORECASE,
)
_JOB_ONLY = frozenset({"node", "nodes", "linux", "unix", "windows", "metrics", "ceph"})
_SHORT = 256


@lru_cache(maxsize=8192)
def messenger(name: str) -> Messenger | None:
    """The messenger of this name, by the general marks of such names; None for all others.

    >>> messenger("kps-kube-state-metrics").name, messenger("billing-mysql-exporter").kind.value
    ('kube-state-metrics', 'exporter')
    >>> messenger("checkout") is None
    True
    """
    if len(name) > _SHORT or _HINT.search(name) is None:
        return None
    for pattern, told in _MARK:
        if pattern.fullmatch(name):
            return told if told.name else told._replace(name=workload(name))
    return None


def messenger_of(field: str, text: str) -> Messenger | None:
    """The messenger that a label of a scrape names; bare words like `node` only name jobs."""
    if field == "instance":
        text = host(text).partition(":")[0].partition(".")[0]
    if text in _JOB_ONLY and field != "job":
        return None
    return messenger(text)


_STRIPPED = re.compile(
    r"(?:integrations/|prometheus[-_])?(.+?)(?:[-_](?:prometheus[-_])?(?:exporters?|metrics))?",
    re.IGNORECASE,
)


def told_about(name: str) -> str:
    """What an exporter's own name says it tells about.

    >>> told_about("prometheus-billing-mysql-exporter"), told_about("integrations/gitlab")
    ('billing-mysql', 'gitlab')
    """
    matched = _STRIPPED.fullmatch(name) if len(name) <= _SHORT else None
    return matched[1] if matched else name


TELLING_FIELDS = ("job", "service", "container", "pod", "app", "instance")


def teller(scrape: Mapping[str, str], own: Mapping[str, str]) -> Messenger | None:
    """Who told, by the labels of the scrape and, below them, those that were exported.

    What was told through a gateway was told to it by the messenger that the exported labels name.
    """
    passed_on: Messenger | None = None
    for labels in (own, scrape):
        for field in TELLING_FIELDS:
            found = messenger_of(field, labels[field]) if field in labels else None
            if found is None:
                continue
            if found.kind is MessengerKind.METRICS or found.name == "federation":
                passed_on = passed_on or found
                continue
            return found
    return passed_on
