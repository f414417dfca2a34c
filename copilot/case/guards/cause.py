"""When a located cause is not enough to propose anything: nobody is seen to suffer from it."""

from collections.abc import Sequence

from copilot.case.guards.objection import Objection, worded
from tools.impact import impact_of
from tools.types import Evidence, FaultKind, Owner, Ranking, Text

PASSING: frozenset[FaultKind] = frozenset({"cpu_saturation"})
"""Pressure that passes by itself; a disk or a leak does not, and is met before anybody suffers."""

FORESEEN: frozenset[FaultKind] = frozenset(
    {"disk_full", "memory_pressure", "certificate_expired", "process_down"}
)
"""What is mended before anybody suffers, though no rule of a person has fired."""


def weak_cause_objection(ranking: Ranking, evidence: Sequence[Evidence]) -> Objection | None:
    """Object to a cause that rests on its own alerts, on a change or on a busy processor alone.

    Judged by what the leading candidate's terms cite: nothing but alerts or changes, or, for a
    pressure that passes, a single term. More alerts bring another look, with what they have seen.
    """
    if not ranking.candidates:
        return None
    first, kinds = ranking.candidates[0], {item.id: item.kind for item in evidence}
    cited = {kinds.get(number) for term in first.terms for number in term.evidence}
    if cited == {"alert"}:
        return worded(
            f"only its own alerts speak for {first.component}; nothing was measured",
            f"只有告警本身指向 {first.component}，没有任何测量证据",
            Text(
                en="Look at what the alert is about before anything is done to it; "
                "connect metrics or logs, so that more than the alert can speak.",
                zh="在采取任何操作之前，先查看告警所指的对象；请接入指标或日志，使告警之外还有证据。",
            ),
        )
    if cited == {"change"}:
        return worded(
            f"only a change speaks for {first.component}; nothing measured is wrong with it",
            f"只有变更指向 {first.component}，没有测量到异常",
            Text(
                en="See whether anybody suffers from it at all before taking a change back.",
                zh="在撤销变更之前，先确认是否真的有人受到影响。",
            ),
        )
    if first.fault_kind in PASSING and len(first.terms) == 1:
        return worded(
            f"{first.component} is busy, but neither errors nor delays are seen with it",
            f"{first.component} 繁忙，但未见错误或延迟",
            Text(
                en="See what it is busy with, and whether a job of that kind ends by itself.",
                zh="查看其忙于什么，以及此类任务是否会自行结束。",
            ),
        )
    return None


def no_impact_objection(ranking: Ranking, evidence: Sequence[Evidence]) -> Objection | None:
    """For a component that no rule accuses: a reading out of its band is no harm, where no call at
    it fails or is much slower. Not asked where a sign or a cluster's object names the fault, where
    its kind is foreseen, or where nothing is measured.
    """
    measured = any(item.kind in ("edge", "metric") for item in evidence)
    if not ranking.candidates or not measured:
        return None
    first = ranking.candidates[0]
    named = {"telltale sign", "cluster finding"} & {term.name for term in first.terms}
    here = (item for item in evidence if _at(item, first.component))
    if named or first.fault_kind in FORESEEN or any(map(_felt, here)):
        return None
    return worded(
        f"no rule accuses {first.component}, and no call at it fails or is much slower",
        f"没有规则指向 {first.component}，其调用也未明显失败或变慢",
        Text(
            en="Watch the series that left their bands; act when somebody suffers from it.",
            zh="继续观察越界的指标；在有人受到影响时再采取行动。",
        ),
    )


def _at(item: Evidence, component: str) -> bool:
    owner = Owner.parse(item.subject)
    return component in (owner.service, owner.caller)


def _felt(item: Evidence) -> bool:
    hurts = impact_of(item)
    return hurts is not None and hurts.felt
