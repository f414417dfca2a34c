"""When a located cause is not enough to propose anything: it says no more than the alert, nobody
suffers from it, or it is nothing that can be acted on.
"""

from collections.abc import Callable, Iterable, Sequence

from copilot.case.guards.objection import Objection, worded
from tools.impact import impact_of
from tools.topology_walker import blast_radius
from tools.types import (
    Alert,
    Evidence,
    FaultKind,
    Owner,
    Ranking,
    SubjectKind,
    Text,
    Topology,
)

PASSING: frozenset[FaultKind] = frozenset({"cpu_saturation"})
"""Pressure that passes by itself; a disk or a leak does not, and is met before anybody suffers."""

FORESEEN: frozenset[FaultKind] = frozenset(
    {"disk_full", "memory_pressure", "certificate_expired", "process_down", "queue_backlog"}
)
"""What is mended before a caller suffers: it ends in an outage, or nobody calls who could feel it
(a replica of several is gone, work waits in a queue)."""


def weak_cause_objection(ranking: Ranking, evidence: Sequence[Evidence]) -> Objection | None:
    """Object to a cause that rests on its own alerts, on a change or on a busy processor alone.

    Judged by what the leading candidate's terms cite: nothing but alerts or changes, or, for a
    pressure that passes, a single term. More alerts bring another look, with what they have seen.
    """
    if not ranking.candidates:
        return None
    first, kinds = ranking.candidates[0], {item.id: item.kind for item in evidence}
    cited = {kinds.get(number) for term in first.terms for number in term.evidence}
    if cited == {"change"}:
        return worded(
            f"only a change speaks for {first.component}; nothing measured is wrong with it",
            f"只有变更指向 {first.component}，没有测量到异常",
            Text(
                en="See whether anybody suffers from it at all before taking a change back.",
                zh="在撤销变更之前，先确认是否真的有人受到影响。",
            ),
        )
    if cited and cited <= {"alert", "change"}:
        return worded(
            f"{first.component} is only what the alerts say again; nothing was measured",
            f"{first.component} 只是告警内容的重复，没有任何测量证据",
            Text(
                en="Look at what the alert is about before anything is done to it; "
                "connect metrics or logs, so that more than the alert can speak.",
                zh="在采取任何操作之前，先查看告警所指的对象；请接入指标或日志，使告警之外还有证据。",
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


def no_impact_objection(
    ranking: Ranking, evidence: Sequence[Evidence], topology: Topology, *, ruled: bool
) -> Objection | None:
    """Object where no caller is measured to feel it (`tools.impact`).

    Felt it has to be at the component; where a rule that somebody wrote has fired (`ruled`), at
    whoever depends on it is enough. Not asked where the kind is foreseen, where an object of a
    cluster shows the fault, or where nothing is measured.
    """
    readings = [(one, hurts.felt) for one in evidence if (hurts := impact_of(one)) is not None]
    if not ranking.candidates or not readings:
        return None
    first = ranking.candidates[0]
    cited = {number for term in first.terms for number in term.evidence}
    shown = any(item.kind == "cluster" and item.id in cited for item in evidence)
    near = _near(first.component, topology, ruled=ruled)
    suffering = any(felt and near(one) for one, felt in readings)
    if shown or suffering or first.fault_kind in FORESEEN:
        return None
    return worded(
        f"nobody is seen to suffer from {first.component}: no call of it fails or is much slower",
        f"未见有人受 {first.component} 影响：其调用未明显失败或变慢",
        Text(
            en="Watch the series that left their bands; act when somebody suffers from it.",
            zh="继续观察越界的指标；在有人受到影响时再采取行动。",
        ),
    )


def _near(component: str, topology: Topology, *, ruled: bool) -> Callable[[Evidence], bool]:
    """Whether a reading is of the component or, where `ruled`, of what depends on it."""
    subject = Owner.parse(component)
    around = set(blast_radius(topology, subject.service)) if ruled else {subject.service}

    def near(item: Evidence) -> bool:
        owner = Owner.parse(item.subject)
        if ruled and (owner.kind == "entry" or subject.kind == "node"):
            return True
        return owner.service in around or owner.caller == subject.service

    return near


ACTED_ON: frozenset[SubjectKind] = frozenset(
    {
        *("service", "workload", "container", "pod", "ingress"),
        *("node", "host", "job", "queue", "topic"),
        *("database", "claim", "volume", "certificate"),
    }
)
"""What a step of a playbook can be about; nobody restarts a namespace, a device or a scrape."""


def no_subject_objection(
    component: str, known: Iterable[str], alerts: Sequence[Alert]
) -> Objection | None:
    """Object to a component that is none of the `known` and that alerts name as no such thing."""
    service = Owner.parse(component).service
    about = {alert.subject.kind for alert in alerts if alert.service in (service, component)}
    if service in known or about & ACTED_ON:
        return None
    return worded(
        f"{component} is nothing that a step could act on: no component of that name is known",
        f"{component} 不是可以操作的对象：没有已知的同名组件",
        Text(
            en="Find which component of ours stands behind that name, and look at it first.",
            zh="先确认该名称对应的是哪个组件，并从它开始查看。",
        ),
    )
