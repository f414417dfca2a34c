"""From scored candidates to an answer: how likely, how sure in words, and what would decide it.

Why these rules and limits: docs/decisions/certainty.md.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.topology_walker.calibration import (
    LASTING,
    MEASURED,
    MODALITY,
    PROVING,
    RIVAL,
    CalibrationModel,
    Modality,
    RankedEvidence,
    shipped,
)
from tools.topology_walker.graph import downstream
from tools.types import (
    Candidate,
    Certainty,
    Evidence,
    FaultKind,
    Owner,
    Ranking,
    Text,
)

LIKELY = 0.5
"""From here on the first candidate is more likely the cause than not."""

LOGS_ALONE, REPORTS_ALONE, LITTLE_HISTORY = 0.7, 0.5, 0.7
"""The most that is said of a cause of which nothing but log lines tell, of one that a single alert
or only alerts and changes speak of, and of one found with too little history to know what is normal
(docs/decisions/certainty.md tells what was measured)."""

FAINT = 0.3
"""Score below which nothing has left its normal level by more than days without a fault show: at
most 0.30 in 14 simulated ones, 0.26 in the lab, and in 4 of 391 recorded incidents, of which one is
right (docs/decisions/certainty.md)."""

SEVERAL = 2
"""Kinds of evidence, or alerts that each carry a measured value, that bear each other out."""

LITTLE_S = 300.0
"""With less history the onset itself is not known: it is the moment that differs from the five
minutes before it (`BEFORE_S` in `tools/detector/onset.py`)."""

_FORECAST = re.compile(
    r"(?:^|_)(?:will|soon|predict(?:ed|ion)?|forecast|projected|expected)(?:_|$)"
    r"|(?:^|_)in_?\d+_?(?:m|min|h|hours?|d|days?|weeks?)(?:_|$)"
)
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def is_forecast(alert: str) -> bool:
    """Whether an alert's name says what will be, and not what is.

    >>> is_forecast("DiskWillFillIn4Hours"), is_forecast("DiskFull")
    (True, False)
    """
    return bool(_FORECAST.search(_WORD_ENDS.sub("_", alert).lower()))


def is_little(history_s: float | None) -> bool:
    """Whether the metrics reach back too little to know what is normal; None: there are none."""
    return history_s is not None and history_s < LITTLE_S


@dataclass(frozen=True, slots=True)
class EvidenceScope:
    """What is known beside the evidence.

    `history_s`: seconds of metrics before the onset, None where there are none; `missing`: what no
    source told, a line each, as `changes: not configured`.
    """

    history_s: float | None = None
    missing: tuple[str, ...] = ()


NOTHING_KNOWN = EvidenceScope()


@dataclass(frozen=True, slots=True)
class EvidenceBound:
    """The most that thin evidence allows to say, and why it is thin."""

    most: float
    why: Text


def decide(
    ranked: RankedEvidence,
    around: EvidenceScope = NOTHING_KNOWN,
    arm: Literal["rules", "ml"] = "rules",
    model: CalibrationModel | None = None,
) -> Ranking:
    """Return the ranking with its chances and its certainty; the candidates come by their scores.

    `model` is the calibration; without one, the shipped one of the arm.
    """
    if not ranked.candidates or ranked.first.score <= 0:
        why = Text(en="no evidence points at any component", zh="没有证据指向任何组件")
        return Ranking(
            candidates=tuple(ranked.candidates),
            why=why,
            look=missing_evidence(ranked.evidence, around),
            reason=why.en,
            arm=arm,
        )
    bound = bound_of(ranked, around)
    chance = (model or shipped()[arm]).chance(ranked)
    said = min(chance, bound.most) if bound else chance
    candidates, rest = _shared(ranked.candidates, said, chance, model or shipped()[arm])
    certainty, why, look = _certainty(ranked, said, bound, around)
    return Ranking(
        candidates=candidates,
        certainty=certainty,
        none_of_these=rest,
        calibrated=bound is None,
        why=why,
        look=look,
        reason=_sum(ranked.first) if certainty in ("proven", "likely") else why.en,
        arm=arm,
    )


def bound_of(ranked: RankedEvidence, around: EvidenceScope = NOTHING_KNOWN) -> EvidenceBound | None:
    """What thin evidence allows at most; None where it is not thin."""
    name, cited = ranked.first.component, ranked.cited
    kinds = {one.kind for one in cited}
    alerts = [one for one in cited if one.kind == "alert"]
    if kinds <= {"alert", "change"}:
        if alerts and all(is_forecast(one.name) for one in alerts):
            return EvidenceBound(
                REPORTS_ALONE,
                Text(
                    en=f"a forecast about {name}, not yet a fault",
                    zh=f"仅为对 {name} 的预测,尚未发生故障",
                ),
            )
        if sum(one.unit == "sigma" for one in alerts) < SEVERAL:
            return EvidenceBound(REPORTS_ALONE, _reports_alone(name, kinds))
        return EvidenceBound(LOGS_ALONE, _reports_alone(name, kinds))
    if ranked.first.score < FAINT:
        return EvidenceBound(
            REPORTS_ALONE,
            Text(
                en=f"{name} is hardly off its normal level: days without a fault show as much",
                zh=f"{name} 几乎没有偏离正常水平:没有故障的日子也会如此",
            ),
        )
    if not any(MODALITY.get(kind) in MEASURED for kind in kinds):
        return EvidenceBound(
            LOGS_ALONE,
            Text(en=f"only log lines speak of {name}", zh=f"只有日志提到 {name}"),
        )
    if is_little(around.history_s):
        return EvidenceBound(
            LITTLE_HISTORY,
            Text(
                en="too few minutes of metrics before the onset to know what is normal",
                zh="起始前的指标时间太短,无法得知何为正常",
            ),
        )
    return None


def _reports_alone(name: str, kinds: Collection[str]) -> Text:
    if "alert" not in kinds:
        return Text(en=f"only a change speaks of {name}", zh=f"只有变更涉及 {name}")
    return Text(
        en=f"only alerts speak of {name}; nothing was measured there",
        zh=f"只有告警指向 {name},没有相应的测量",
    )


def _shared(
    candidates: Sequence[Candidate], said: float, chance: float, model: CalibrationModel
) -> tuple[tuple[Candidate, ...], float]:
    """The candidates with their chances, and the chance of none of these.

    What is left by the first goes to the others by their scores; none is above the first.
    """
    scores = [max(one.score, 0.0) for one in candidates[1:]]
    whole = sum(scores) or 1.0
    left = model.others * (1.0 - chance)
    chances = [said, *(min(left * score / whole, said) for score in scores)]
    named = tuple(
        one.model_copy(update={"probability": p})
        for one, p in zip(candidates, chances, strict=True)
    )
    return named, max(0.0, 1.0 - sum(chances))


def _certainty(
    ranked: RankedEvidence, said: float, bound: EvidenceBound | None, around: EvidenceScope
) -> tuple[Certainty, Text, Text | None]:
    """The certainty, its reason, and the look that would decide or what is missing."""
    if bound is not None and bound.most <= REPORTS_ALONE:
        return "insufficient", bound.why, missing_evidence(ranked.evidence, around)
    if said >= LIKELY:
        proven = bound is None and is_proven(ranked)
        return ("proven" if proven else "likely"), bound.why if bound else _heard(ranked), None
    first, *others = ranked.candidates
    if ranked.lasting < LASTING:
        return "insufficient", _passed(ranked), _LOOK_AGAIN
    if others and others[0].score >= RIVAL * first.score:
        return "ambiguous", _alike(first, others[0]), telling_look(ranked, first, others[0])
    why = _text(f"too little speaks for {first.component}", f"支持 {first.component} 的证据太少")
    return "insufficient", why, missing_evidence(ranked.evidence, around)


def is_proven(ranked: RankedEvidence) -> bool:
    """Whether two kinds of evidence agree, one measured at the component, and none contradicts.

    A change and an alert are no such kinds: most changes are harmless, and a rule may be wrong.
    """
    name = ranked.first.component
    here = any(
        MODALITY.get(one.kind) in MEASURED
        and name in (Owner.parse(one.subject).service, Owner.parse(one.subject).caller)
        for one in ranked.cited
    )
    return here and len(PROVING.intersection(ranked.agreeing)) >= SEVERAL and not ranked.against


def _heard(ranked: RankedEvidence) -> Text:
    """Which kinds of evidence speak for the first, and which speak more for whom else."""
    agreeing = ranked.agreeing
    verb = "agree on it" if len(agreeing) > 1 else "alone speak for it"
    en = f"{_and(agreeing, 'en')} {verb}"
    zh = f"{_and(agreeing, 'zh')}{'一致' if len(agreeing) > 1 else '单独'}指向它"
    for modality, other in list(ranked.against.items())[:1]:
        en += f"; {modality} speak more for {other}"
        zh += f";{_NAMES[modality]}更指向 {other}"
    return _text(en, zh)


def _passed(ranked: RankedEvidence) -> Text:
    """That most of what speaks for the first candidate held for a part of the time only."""
    name, share = ranked.first.component, f"{ranked.lasting:.0%}"
    return _text(
        f"what left its normal level at {name} held for {share} of the time since the onset: "
        "days without a fault show as much",
        f"{name} 的异常仅占起始以来时间的 {share}:没有故障的日子也会如此",
    )


_LOOK_AGAIN = Text(en="look again in five minutes: a fault lasts", zh="五分钟后再看:故障会持续")


def _alike(first: Candidate, second: Candidate) -> Text:
    return _text(
        f"{first.component} and {second.component} are alike in what speaks for them",
        f"{first.component} 与 {second.component} 的证据相近",
    )


def missing_evidence(evidence: Sequence[Evidence], around: EvidenceScope) -> Text | None:
    """What no source told, and which kinds of evidence are silent; None where nothing is."""
    absent = {line.partition(":")[0] for line in around.missing}
    heard = {MODALITY.get(one.kind) for one in evidence}
    silent = [one for one in _ASKED if one not in heard and one not in absent]
    lacking = [one for one in _NAMES if one in absent]
    if not lacking and not silent:
        return None
    en, zh = [], []
    if lacking:
        en.append(f"no source of {_and(lacking, 'en', 'or')}")
        zh.append(f"没有数据源:{_and(lacking, 'zh')}")
    if silent:
        en.append(f"nothing in {_and(silent, 'en', 'or')}")
        zh.append(f"未见异常:{_and(silent, 'zh')}")
    return _text("; ".join(en), ";".join(zh))


def telling_look(ranked: RankedEvidence, first: Candidate, second: Candidate) -> Text:
    """The look that tells two hypotheses apart: at the call between them, else at each."""
    for caller, callee in ((first, second), (second, first)):
        a, b = caller.component, callee.component
        if b in downstream(ranked.topology, a):
            return _text(
                f"compare the calls {a} → {b} as {a} and as {b} measures them: where {b} itself "
                f"is slow or failing it is {b}, else {a} or what lies between them",
                f"对比 {a} 与 {b} 各自测得的 {a} → {b} 调用:若 {b} 自身变慢或失败,则为 {b},"
                f"否则为 {a} 或二者之间",
            )
    en, zh = (
        f"{look_at(first, language)}; {look_at(second, language)}" for language in ("en", "zh")
    )
    return _text(en, zh)


def look_at(one: Candidate, language: Literal["en", "zh"]) -> str:
    """The look that shows whether this kind of fault is there."""
    kind = one.fault_kind or "unknown"
    en, zh = next((told for kinds, *told in _LOOKS if kind in kinds), _ANY_LOOK)
    return f"{one.component}: {en}" if language == "en" else f"{one.component}:{zh}"


def first_look(one: Candidate) -> Text:
    """The look that comes first where nobody is accused for sure."""
    return _text(f"look at {look_at(one, 'en')}", f"先查看 {look_at(one, 'zh')}")


_NAMES: Mapping[str, str] = {
    "metrics": "指标",
    "traces": "链路",
    "logs": "日志",
    "alerts": "告警",
    "changes": "变更",
    "cluster": "集群对象",
}
_ASKED: tuple[Modality, ...] = ("metrics", "traces", "logs", "changes")
"""Kinds whose silence is worth a word; a system without Kubernetes lacks nothing."""

_LOOKS: tuple[tuple[frozenset[FaultKind], str, str], ...] = (
    (
        frozenset({"cpu_saturation", "noisy_neighbour"}),
        "CPU used against its limit, throttled seconds, and the neighbours on its node",
        "CPU 用量与上限、被限流的时间,以及同节点的邻居",
    ),
    (
        frozenset({"memory_pressure"}),
        "working set against its limit, and OOM kills",
        "内存用量与上限,以及 OOM 终止记录",
    ),
    (
        frozenset({"disk_full", "disk_io", "read_only", "replication_lag"}),
        "free space and inodes, read and write times of its volume",
        "卷的剩余空间与 inode、读写耗时",
    ),
    (
        frozenset({"network_delay", "network_loss", "dns_failure", "routing"}),
        "retransmissions, round trips and name resolution at both ends of its calls",
        "其调用两端的重传、往返时间与域名解析",
    ),
    (
        frozenset({"slow_dependency", "dependency_down", "rate_limited", "credentials"}),
        "duration and result of its calls to what lies outside",
        "其对外部调用的耗时与结果",
    ),
    (
        frozenset({"errors", "bad_deploy", "bad_config", "schema_mismatch"}),
        "its first error line beside the time of its last release or configuration",
        "其首条错误日志与最近一次发布或配置变更的先后",
    ),
    (
        frozenset({"pool_exhaustion", "lock_contention", "queue_backlog"}),
        "used against most of its pools, waiting sessions, length of its queues",
        "连接池用量与上限、等待的会话、队列长度",
    ),
    (
        frozenset({"process_down", "startup", "scheduling", "admission", "node_fault"}),
        "instances up, restarts, last exit reason and events of its pods",
        "存活实例数、重启次数、Pod 的退出原因与事件",
    ),
    (
        frozenset({"traffic_surge", "retry_storm", "cache_stampede"}),
        "requests per second by caller against the usual, and cache misses",
        "各调用方的每秒请求数与平时对比,以及缓存未命中",
    ),
    (
        frozenset({"certificate_expired", "clock_skew"}),
        "time left of its certificate and offset of its clock",
        "证书剩余时间与时钟偏移",
    ),
)
_ANY_LOOK = (
    "its own latency, errors and resources since the onset",
    "起始以来其自身的延迟、错误与资源",
)


def _and(names: Sequence[str], language: Literal["en", "zh"], word: str = "and") -> str:
    if language == "zh":
        return "、".join(_NAMES[one] for one in names)
    shown = ["objects of the cluster" if one == "cluster" else one for one in names]
    return f" {word} ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _text(en: str, zh: str) -> Text:
    """Both languages, cut to what a `Text` holds: names of components come from outside."""
    return Text(en=en[:300], zh=zh[:300])


def _sum(first: Candidate) -> str:
    """The score of the first as the sum of its strongest terms."""
    parts = " + ".join(
        f"{term.name} {term.weight:.2f} [{', '.join(term.evidence[:2])}]"
        for term in first.terms[:3]
    )
    return f"{first.component}: {first.score:.2f} = {parts}"
