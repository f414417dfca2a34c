"""What the evidence says that no change of ours can have done: answers of their own."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tools.log_retriever.causes import hosts
from tools.types import FaultKind, Text


@dataclass(frozen=True, slots=True)
class OutsideCause:
    """A cause outside of our changes: its name and kind, what says so, and an example."""

    name: str
    kind: FaultKind
    says: re.Pattern[str]
    title: Text
    example: str


def _row(name: str, kind: FaultKind, says: str, en: str, zh: str, example: str) -> OutsideCause:
    return OutsideCause(name, kind, re.compile(says, re.IGNORECASE), Text(en=en, zh=zh), example)


PROVIDER = "provider"
_FAILS = r"\b5\d\d\b|unavailable|internal ?error|slow ?down|throttl|timed? ?out|refused|reset"
_OURS = re.compile(r"(?:^|\.)(?:svc|local|internal|lan|localdomain|cluster)(?:\.|$)")
"""Labels of names that are not of the public network: RFC 6762, RFC 9476, Kubernetes' services."""

OUTSIDE: tuple[OutsideCause, ...] = (
    _row(
        "certificate",
        "certificate_expired",
        r"certificate (?:has |is )?expired|expired certificate|x509: .{0,40}expired"
        r"|CERT_HAS_EXPIRED|not(?:After| after).{0,60}expired|证书.{0,6}过期",
        "a certificate ran out",
        "证书已过期",
        "x509: certificate has expired or is not yet valid",
    ),
    _row(
        PROVIDER,
        "dependency_down",
        _FAILS,
        "a provider outside fails",
        "外部服务商故障",
        "GetObject failed: ServiceUnavailable (503) host=bucket.s3.eu-west-1.amazonaws.com",
    ),
    _row(
        "neighbour",
        "noisy_neighbour",
        r"co-?tenant|noisy neighbou?r|cpu contended|node ?under ?pressure"
        r"|(?:memory|disk|pid) ?pressure.{0,80}\bnode\b"
        r"|\bnode\b.{0,80}(?:memory|disk|pid) ?pressure",
        "the machine is taken by somebody else",
        "节点资源被其他负载占用",
        "Node worker-7 MemoryPressure; co-tenant working set 50 GiB",
    ),
    _row(
        "node",
        "node_fault",
        r"node (?:\S+ )?(?:is )?not ?ready|i/o error|hardware error|\bmce\b|kernel panic"
        r"|link (?:is )?down|ecc error",
        "a machine or its hardware fails",
        "节点或硬件故障",
        "Buffer I/O error on dev sdb1, logical block 0",
    ),
    _row(
        "data",
        "errors",
        r"poison(?:ed)? (?:message|record|pill)|(?:malformed|corrupt(?:ed)?|invalid) "
        r"(?:record|message|payload|input|row|event)"
        r"|(?:validation|parse|decode)[ _]error"
        r".{0,120}(?:record|offset|partition|producer|message_id)"
        r"|(?:record|message) .{0,60}(?:out of range|cannot be parsed)",
        "data that came from outside is bad",
        "外部输入数据有误",
        "record validation error: field 'lat' out of range; producer=partner offset=42",
    ),
    _row(
        "name resolution",
        "dns_failure",
        r"\bSERVFAIL\b|\bNXDOMAIN\b|no such host|temporary failure in name resolution"
        r"|could not resolve host|getaddrinfo|EAI_AGAIN",
        "names are not resolved",
        "域名解析失败",
        "dial tcp: lookup api.partner.example on 10.0.0.2:53: no such host",
    ),
    _row(
        "traffic",
        "traffic_surge",
        r"(?:request|traffic|connection|login|signup|order)s?(?: \w+)? ?(?:rate|volume|rps|qps)?"
        r".{0,30}(?:surg|spik|flood|[x×] (?:the )?(?:usual|normal|baseline))|flash (?:crowd|sale)"
        r"|load ?shed|\bddos\b|credential stuffing",
        "more requests came than usual",
        "流量突增",
        "shedding load: request rate 12x normal",
    ),
    _row(
        "quota",
        "rate_limited",
        r"quota ?(?:has been )?exceeded|exceeded (?:your|the).{0,40}quota|account suspended"
        r"|license (?:has )?expired|subscription (?:has )?expired",
        "a quota or a contract with a provider ran out",
        "服务商配额或许可已用尽",
        "quotaExceeded: daily limit of the maps API",
    ),
    _row(
        "network",
        "network_loss",
        r"packet loss|\bbgp\b|network (?:is )?unreachable|no route to host|fib(?:re|er) cut",
        "the network fails",
        "网络故障",
        "connect: no route to host",
    ),
)  # fmt: skip


def external(texts: Iterable[str]) -> OutsideCause | None:
    """Return the outside cause that most of `texts` name; None where none does."""
    counts = Counter(one.name for text in texts for one in OUTSIDE if _says(one, text))
    if not counts:
        return None
    most = max(counts.values())
    return next(one for one in OUTSIDE if counts[one.name] == most)


def _says(cause: OutsideCause, text: str) -> bool:
    """A failure is a provider's where the text names a host of the public network."""
    if not cause.says.search(text):
        return False
    return cause.name != PROVIDER or any(map(_public, hosts(text)))


def _public(host: str) -> bool:
    return host.count(".") > 1 and not _OURS.search(host)
