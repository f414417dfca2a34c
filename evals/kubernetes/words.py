"""Our rules in the neutral words of the objects suite, and its twins' wants read as patterns."""

import re
from collections.abc import Iterable, Iterator, Mapping

from tools.cluster_inspector import ClusterFinding
from tools.cluster_inspector.rules import RULES

WORDS: Mapping[str, tuple[str, ...]] = {
    "claim-class-unmet": ("claim-pending", "storage-class-missing"),
    "claim-unbound": ("claim-pending",),
    "container-exits": ("crash-loop", "container-error"),
    "container-not-created": ("sandbox", "container-error"),
    "container-runtime-down": ("node-condition",),
    "gateway-route": ("ingress-backend-missing", "route-backend"),
    "hpa-no-resources": ("hpa-no-resources", "hpa-unable"),
    "kubelet-down": ("node-condition",),
    "node-not-ready": ("node-condition",),
    "node-pressure": ("node-condition",),
    "node-problem": ("node-condition",),
    "out-of-memory": ("crash-loop", "container-error"),
    "pod-evicted": ("evicted",),
    "readiness-failed": ("readiness",),
    "readiness-port": ("readiness",),
    "readiness-protocol": ("readiness",),
    "readiness-timing": ("readiness",),
    "admission-refused": ("replica-failure",),
    "quota-cpu": ("replica-failure",),
    "quota-memory": ("replica-failure",),
    "quota-pods": ("replica-failure",),
    "quota-unspecified": ("replica-failure",),
    "limit-range": ("replica-failure",),
    "service-account-missing": ("replica-failure",),
    "service-selector-unmet": ("no-endpoints",),
    "scheduling-gated": ("unschedulable",),
    "pull-secret-missing": ("pull-secret-missing", "container-error"),
    **dict.fromkeys(
        (
            *("image-not-found", "image-unpulled", "pull-rate-limited", "registry-unresolvable"),
            *("registry-unreachable", "secret-missing", "config-map-missing"),
        ),
        ("container-error",),
    ),
    **dict.fromkeys(
        (
            *("node-cordoned", "node-selector-unmet", "node-affinity-unmet", "pod-affinity-unmet"),
            *("pod-anti-affinity-unmet", "taint-untolerated", "cpu-insufficient", "pod-limit"),
            *("memory-insufficient", "resource-insufficient", "volume-elsewhere"),
        ),
        ("unschedulable",),
    ),
}
"""Rule id to the words of the suite it answers; a rule without an entry answers its own id."""


def words(rule: str) -> frozenset[str]:
    """The suite's words for a rule: its entry, else its own id."""
    return frozenset(WORDS.get(rule, (rule,)))


_TWINS: tuple[tuple[str, str], ...] = (
    (r"memory-insufficient", r"memory-insufficient"),
    (r"unschedulable", r"unschedulable|.*-insufficient|scheduling-gated"),
    (r"quota-\w+", r"quota-\w+"),
    (r"\bfailed\b", r"job-failed"),
    (r"\bexits\b", r"job-failed|container-exits"),
    (r"container-exits", r"container-exits|init-container-failed"),
    (r"service-selector-unmet", r"service-selector-unmet|service-without-endpoints"),
    (r"gateway-route", r"gateway-route|ingress-backend-missing|route-backend-missing"),
    (r"policy-isolates", r"policy-isolates"),
    (r"claim-[a-z-]+", r"claim-class-unmet|storage-class-missing|claim-unbound|claim-pending"),
    (r"admission-refused", r"admission-refused|webhook-dead"),
    (r"\bHPA\b", r"hpa-.*"),
    (r"image|pull", r"image-.*|pull-.*|registry-.*"),
    (r"evict", r"pod-evicted"),
    (r"node", r"node-.*|kubelet-down"),
    (r"gate", r"scheduling-gated"),
    (r"forbidden|RBAC", r"rbac-forbidden"),
    (r"must specify|request", r"quota-unspecified|limit-range"),
    (r"too many pods|pod limit", r"pod-limit"),
    (r"[Ll]ost", r"claim-lost"),
    (r"[Dd]aemon|ready|replicas", r"replicas-unavailable|readiness-.*"),
    (r"restart", r"container-exits|out-of-memory|liveness-.*"),
)
"""What a twin's want says, and the rules that say it too; written before any result was seen."""

_NOTHING = re.compile(r"(?i)^(?:nothing|none|quiet|healthy|no (?:finding|fault|cause))\b")
_NEGATED = re.compile(r",?\s*\bnot (?:the )?(?P<what>[\w-]+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def wanted(want: str) -> str:
    """The pattern of rule ids that a want asks for; empty where none of the words is known.

    >>> wanted("web memory-insufficient, not the scheduler")
    'memory-insufficient'
    """
    asked = _NEGATED.sub("", want)
    named = [rule for rule in RULES if re.search(rf"(?<![\w-]){rule}(?![\w-])", asked)]
    also = [rules for said, rules in _TWINS if re.search(said, asked)]
    return "|".join(dict.fromkeys((*named, *also)))


def names(want: str, known: Iterable[str]) -> frozenset[str]:
    """The names of objects and containers that a want speaks of.

    >>> sorted(names("claim-class-unmet on data", ["data", "db"]))
    ['data']
    """
    asked = {word for text in want.split("/") for word in _NAME.findall(text)}
    return frozenset(known) & asked


def fulfilled(want: str, known: Iterable[str], said: Iterable[ClusterFinding]) -> bool:
    """Return whether a finding is of the wanted rules at the wanted names, and none negated.

    Where nothing is wanted, nothing above a note may be said.
    """
    if _NOTHING.search(want):
        return all(one.is_note for one in said)
    pattern, spoken, told = wanted(want), names(_NEGATED.sub("", want), known), tuple(said)
    refused = [found["what"] for found in _NEGATED.finditer(want)]
    if any(word in one.rule.id for word in refused for one in told):
        return False
    return any(
        bool(pattern) and re.fullmatch(pattern, one.rule.id) is not None and spoken <= _texts(one)
        for one in told
    )


def _texts(found: ClusterFinding) -> frozenset[str]:
    return frozenset(_mentions(found))


def _mentions(found: ClusterFinding) -> Iterator[str]:
    for text in (found.object, found.name, found.field, found.observed, found.evidence):
        yield text
        yield from (word for part in text.split("/") for word in _NAME.findall(part))
        yield from re.split(r"[^\w]+", text)
