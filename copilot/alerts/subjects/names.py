"""Names as systems write them: pods fold to workloads, addresses to hosts, alert names to words."""

import re
from functools import lru_cache
from typing import NamedTuple

from copilot.alerts.subjects.products import WORD, leading_product

# Kubernetes draws suffixes from this alphabet, so that they spell no words.
_SAFE = "[bcdfghjklmnpqrstvwxz0-9]"
_HASH = rf"(?:{_SAFE}{{5,10}}|(?=[a-f]*\d)[0-9a-f]{{8,10}})"
_DEPLOYED = re.compile(rf"(.+)-{_HASH}-[a-z0-9]{{5}}")
_SUFFIXED = re.compile(rf"(.+)-(?!httpd$|smtpd$|\d{{5}}$){_SAFE}{{5}}")
_REPLICATED = re.compile(rf"(.+)-{_HASH}")
_ORDINAL = re.compile(r"(.+)-(?:0|[1-9]\d{0,3})")
_TIMED = re.compile(r"(.+?)-\d{8,14}(?:-\d{1,6})?")
_STATIC = re.compile(
    r"(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kube-proxy)-(?!.*exporter).+"
)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}")
_PORT = re.compile(r"(.*):\d{1,5}")
_CLUSTER_NAME = re.compile(
    r"(?P<name>[a-z0-9-]+)(?:\.[a-z0-9-]+)?\.(?P<namespace>[a-z0-9-]+)\.svc(?:\..*)?"
)
LOOPBACKS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})
_SHORT = 256


def workload(pod: str, node: str = "") -> str:
    """What a pod belongs to, by the suffix its controller gave it; the pod if it has none.

    >>> workload("cart-7d9c5b6f8-qk2mv"), workload("orders-db-0"), workload("cilium-z5w9k")
    ('cart', 'orders-db', 'cilium')
    >>> workload("report-29401220-h5x2q"), workload("etcd-master-1", "master-1")
    ('report', 'etcd')
    """
    if len(pod) > _SHORT:
        return pod
    if node and pod.endswith(f"-{node}"):
        return pod[: -len(node) - 1]
    for pattern in (_STATIC, _DEPLOYED, _SUFFIXED, _ORDINAL):
        matched = pattern.fullmatch(pod)
        if matched:
            return task(matched[1])
    return pod


def deployed(pod: str) -> str:
    """The deployment of a pod whose name says so by both of its suffixes; else the name."""
    matched = _DEPLOYED.fullmatch(pod) if len(pod) <= _SHORT else None
    return task(matched[1]) if matched else pod


def replicated(name: str) -> str:
    """The deployment of a replica set."""
    matched = _REPLICATED.fullmatch(name) if len(name) <= _SHORT else None
    return matched[1] if matched else name


def task(name: str) -> str:
    """The task that a job with a time in its name is one run of.

    >>> task("nightly-export-29401300")
    'nightly-export'
    """
    matched = _TIMED.fullmatch(name) if len(name) <= _SHORT else None
    return matched[1] if matched else name


def host(address: str) -> str:
    """The host of an address: no scheme, credentials, path or port.

    >>> host("redis://user:word@cache-1.example.net:6379/0"), host("rabbit@mq-1"), host("[::1]:9")
    ('cache-1.example.net', 'mq-1', '::1')
    """
    text = address.rpartition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]
    if text.startswith("["):
        return text[1:].partition("]")[0]
    matched = None if _is_address(text) else _PORT.fullmatch(text)
    return matched[1] if matched else text


def _is_address(text: str) -> bool:
    return len(text) <= _SHORT and _ADDRESS.fullmatch(text) is not None


def is_address(host_name: str) -> bool:
    """Whether a host is given by an IP address, which tells less than a name."""
    return _is_address(host_name)


def cluster_name(host_name: str) -> tuple[str, str] | None:
    """Name and namespace in a service's or pod's DNS name inside of a cluster.

    >>> cluster_name("cart.shop.svc.cluster.local"), cluster_name("cart.example.net")
    (('cart', 'shop'), None)
    """
    if ".svc" not in host_name or len(host_name) > _SHORT:
        return None
    matched = _CLUSTER_NAME.fullmatch(host_name)
    return (matched["name"], matched["namespace"]) if matched else None


def public(url: str) -> str:
    """An address without what may be secret in it: credentials, query, fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}".rstrip("/")


class AlertName(NamedTuple):
    """What the name of a rule says about what it watches.

    `product` is a component that the name begins with; `squashed` the name in lower case without
    separators; `telling` that the rule watches the monitoring itself; `machine` a machine.
    """

    words: frozenset[str]
    squashed: str
    product: str
    telling: bool
    machine: bool
    heartbeat: bool


_TELLING = frozenset(
    {"exporter", "exporters", "scrape", "scrapes", "scraping", "federation", "reload"}
    | {"configuration"}
)
_TARGETS = frozenset({"target", "targets", "instance"})
_TARGET_TELLERS = frozenset({"target", "targets", "instance", "prometheus", "vmagent", "up"})
_PREFIXES = frozenset({"kube", "kubernetes", "k8s"})
_MACHINES = frozenset({"node", "host", "machine", "server", "windows", "vm", "baremetal"})
_MACHINES_ELSEWHERE = ("机器", "主机", "服务器", "节点")
_BEATS = ("watchdog", "deadmansswitch", "deadmanswitch", "deadmanssnitch", "deadmansnitch")
_BEAT_ENDS = ("heartbeat", "心跳")
_NEGATIONS = """
    no not missing missed lost stale absent failed failing failure down stopped expired
"""
_SILENT = frozenset(_NEGATIONS.split())


@lru_cache(maxsize=4096)
def alert_name(name: str) -> AlertName:
    """Read the name of a rule: CamelCase, snake_case and plain words alike."""
    parts = tuple(word.lower() for word in WORD.findall(name[:_SHORT]))
    words = frozenset(parts)
    own = parts[1:] if parts and parts[0] in _PREFIXES else parts
    first = own[0] if own else ""
    squashed = "".join(parts)
    targets = bool(words & _TARGETS) and first in _TARGET_TELLERS
    return AlertName(
        words=words,
        squashed=squashed,
        product=leading_product(parts),
        telling=bool(words & _TELLING) or targets,
        machine=first in _MACHINES or any(word in name for word in _MACHINES_ELSEWHERE),
        heartbeat=not words & _SILENT
        and (any(beat in squashed for beat in _BEATS) or squashed.endswith(_BEAT_ENDS)),
    )
