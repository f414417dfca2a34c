"""Who told (exporters, kubelets, gateways, scrape jobs), which alerts are seldom about, and the
labels by meaning: the subject's own, and those of the scrape that they hide.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from copilot.alerts.subjects.families import meaning_of
from copilot.alerts.subjects.names import AlertName, host, workload


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
        for one in TELLING_FIELDS:
            found = messenger_of(one, labels[one]) if one in labels else None
            if found is None:
                continue
            if found.kind is MessengerKind.METRICS or found.name == "federation":
                passed_on = passed_on or found
                continue
            return found
    return passed_on


_NO_VALUES = frozenset(
    {"", "-", "none", "null", "nil", "n/a", "na", "unknown", "undefined", "<none>", "<no value>"}
)
_PLACES = frozenset({"job", "instance", "endpoint"})
_SCRAPERS = ("job", "service")


@dataclass(slots=True)
class LabelSet:
    """Values by field: `own` are the subject's, `scraped` what `exported_…` labels hide.

    `spelled` is each field's label as it was written, `ranks` its family's place (-1: no family).
    """

    rule: AlertName
    own: dict[str, str] = field(default_factory=dict)
    scraped: dict[str, str] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    told: Messenger | None = None

    @classmethod
    def of(cls, rule: AlertName, labels: Mapping[str, str]) -> "LabelSet":
        """Sort the labels by meaning; of two spellings of one field the shorter counts."""
        given = cls(rule)
        exported: set[str] = set()
        for label, text in labels.items():
            if text.lower() in _NO_VALUES:
                continue
            name, rank, was_exported = meaning_of(label)
            if was_exported and name not in exported:
                exported.add(name)
                if name in given.own:
                    given.scraped[name] = given.own[name]
            elif name in exported:
                given.scraped[name] = text
                continue
            elif name in given.own and len(given.spelled[name]) <= len(label):
                continue
            given.own[name], given.spelled[name], given.ranks[name] = text, label, rank
        given.told = teller(given.scraped, given.own)
        return given

    @property
    def told_kind(self) -> MessengerKind | None:
        """How who told labels; None where nobody told but the subject."""
        return None if self.told is None else self.told.kind

    @property
    def namespace(self) -> str:
        """The subject's namespace as far as labels say."""
        return self.own.get("namespace", "")

    @property
    def scraped_place(self) -> bool:
        """Whether labels of a scrape are left: who told may have set any other."""
        return not _PLACES.isdisjoint(self.own)

    @property
    def passed_on(self) -> bool:
        """Whether the labels of another scrape were kept under `exported_` names."""
        return not _PLACES.isdisjoint(self.scraped)

    def is_messenger(self, name: str) -> bool:
        """Whether the field names who told, and the alert is not about the telling."""
        if self.rule.telling:
            return False
        text = self.own[name]
        if messenger_of(name, text) is not None:
            return True
        # Beside `exported_…` labels stand those of who passed them on: its pod bears its name.
        return name not in self.scraped and any(
            text.startswith(self.scraped[of]) for of in _SCRAPERS if of in self.scraped
        )
