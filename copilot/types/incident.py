"""The incident as every surface sees it: status, clocks, and what the nodes published of it."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, JsonValue

from copilot.types.time_format import duration
from knowledge_base import Kind, Trust
from tools.topology_walker import WalkNode
from tools.types import (
    Candidate,
    Certainty,
    Evidence,
    FaultKind,
    FrozenModel,
    Plan,
    Ranking,
    Severity,
    StepAction,
    StepResult,
    Text,
    Timestamp,
    VerificationOutcome,
)

IncidentStatus = Literal[
    "investigating",  # the graph is at work
    "awaiting_approval",  # a plan waits for a person
    "acting",  # an approved plan is being run
    "recovered",  # verified: back to normal
    "resolved",  # closed by its source or a person, or by a run that ended with nothing to do
    "handed_over",  # the copilot has no safe plan; a person works on it
    "failed",  # the run broke; the journal says where
]

OURS = "copilot"
"""The source of alerts that the copilot itself has raised."""

PROVISIONAL = "provisional"
"""The annotation of such an alert that says on how little past it rests; absent on all others."""

CLOSED: frozenset[IncidentStatus] = frozenset({"recovered", "resolved"})
"""No alert is attached to an incident in one of these; it opens a new one."""


MeasuredFrom = Literal[
    "metrics",  # the onset seen in the metrics
    "logs",  # no metric shows the onset, but since when error lines come more often
    "alert",  # no metric shows the onset: the alert's own start, so nothing is measured
    "file",  # the alerts came in a file: when it was typed measures nobody
    "history",  # the metrics reach back too little for what is normal: the onset is a guess
]
"""What the clocks count from; only from the metrics is it a measurement."""


class Clocks(FrozenModel):
    """The onset and the three clocks of 1-5-10, Unix seconds; None = not yet."""

    measured_from: MeasuredFrom = "metrics"
    onset: Timestamp | None = None
    detected: Timestamp | None = None
    located: Timestamp | None = None
    recovered: Timestamp | None = None

    @property
    def measurable(self) -> bool:
        """Whether they may be held against their limits."""
        return self.measured_from == "metrics"


LIMITS_S = {"detected": 60.0, "located": 300.0, "recovered": 600.0}
"""1-5-10: the most seconds that may pass between the onset and each clock."""


class Hypothesis(FrozenModel):
    """A cause somebody holds for likely, with the evidence for and against it.

    `falsified_by` is what would show that it is wrong, `missing` what nobody has looked at yet;
    `explanation` what a model says of a cause that is ours.
    """

    component: str
    fault_kind: FaultKind | None = None
    statement: str
    explanation: str = ""
    evidence: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    falsified_by: str = ""
    missing: str = ""
    certainty: Certainty = "insufficient"
    by: Literal["rules", "ml", "llm"] = "rules"


class Opinion(FrozenModel):
    """What a model holds for likely, most likely first: kept apart from what was located.

    `failed` says why there is none although a model was asked, for `limit_s` seconds at most.
    `measured`: the first rests on something that was measured, not on text alone, which anybody
    may have written.
    """

    model: str
    hypotheses: tuple[Hypothesis, ...] = ()
    agrees: bool = False
    measured: bool = False
    failed: str = ""
    limit_s: float = 0.0


Agreement = Literal["symptoms and cause", "cause", "symptoms"]


class RecalledDocument(FrozenModel):
    """A document recalled for this incident: why, from where, of when, and how far to trust it.

    `playbooks` is empty unless the located cause is one the document is about; `elsewhere` marks
    what happened to others.
    """

    document: str
    kind: Kind
    title: Text
    trust: Trust
    agreement: Agreement
    source: str = ""
    date: str = ""
    playbooks: tuple[str, ...] = ()
    elsewhere: bool = False


FollowUpKind = Literal[
    "metrics_of",  # every metric of a component, quiet ones too
    "logs_of",  # what a component logs, before and after the onset
    "edges_of",  # whom a component calls and who calls it, and how those calls do
    "changes_of",  # every change of a component in the day before
    "cluster_objects_of",  # what is wrong with its Kubernetes objects
    "wider_window",  # what everything shows further back and did not show nearer
]


class FollowUp(FrozenModel):
    """One more look that was asked for; `component` is empty for `wider_window`."""

    kind: FollowUpKind
    component: str = ""


class CommitLooked(FrozenModel):
    """A commit that was looked at and not convicted, and why."""

    sha: str
    message: str
    why: Text


class PointedCommit(FrozenModel):
    """A commit that a model points at, and with which time, place and form agree."""

    sha: str
    message: str
    file: str
    line: int = 0
    form: Text
    by: str

    @property
    def place(self) -> str:
        """The file, and the line where it is known."""
        return f"{self.file}:{self.line}" if self.line else self.file


class CommitAnswer(FrozenModel):
    """Which commit the evidence convicts; `sha` is empty where it convicts none of `looked_at`.

    `line` is its number in `file`, 0 where unknown. `outside` names a cause that no change of ours
    has and its kind, where the evidence says one; `innocent` are the newest of the others; `gap`
    says what of the commits is not known, and why. `pointed`: where none is convicted.
    """

    sha: str = ""
    author: str = ""
    message: str = ""
    file: str = ""
    line: int = 0
    url: str = ""
    reason: Text | None = None
    looked_at: int = Field(ge=0)
    outside: Text | None = None
    outside_kind: FaultKind | None = None
    innocent: tuple[CommitLooked, ...] = ()
    gap: str = ""
    pointed: PointedCommit | None = None


class ConfirmedCause(FrozenModel):
    """What a person says was the cause, who and when; the journal keeps what was said before."""

    component: str
    fault_kind: FaultKind
    by: str
    at: Timestamp
    note: str = ""


class ShippedAnswer(FrozenModel):
    """What the shipped rules said, before anything learned here was added; for judging them.

    `chance` is how likely they held the first, None where thin evidence bounded it.
    """

    candidates: tuple[Candidate, ...] = ()
    chance: float | None = None


class ApprovalCount(FrozenModel):
    """How many people have approved a plan, and how many have to."""

    given: int = Field(ge=0)
    needed: int = Field(ge=1)


class PlanTerms(FrozenModel):
    """What a yes to a plan means.

    `dry_run`: nothing is really touched; `only_shown` are the steps of which that is true, by
    index, of a plan that may touch something with others.
    """

    dry_run: bool
    approvals: ApprovalCount
    only_shown: tuple[int, ...] = ()


class UnsettledStep(FrozenModel):
    """A step that began and whose end nobody saw: a person says whether it ran."""

    key: str
    title: str
    title_zh: str
    action: StepAction
    target: str
    began_at: Timestamp
    look_at: Text


FILE = "file:"
"""How the origin of an incident begins whose alerts came in a file, and not from a recording."""


class Incident(FrozenModel):
    """What is known of one incident; nodes publish it piece by piece through the store."""

    id: str
    title: str
    status: IncidentStatus = "investigating"
    severity: Severity = "warning"
    services: tuple[str, ...] = ()
    opened_at: Timestamp
    updated_at: Timestamp
    history_s: float | None = None  # of metrics before the onset; None: there are none
    origin: str = ""  # folder of a recording, or file:<digest>, of its alerts; empty: live
    clocks: Clocks = Clocks()
    brief: dict[str, str] = Field(default_factory=dict)  # language -> text
    evidence: tuple[Evidence, ...] = ()
    ranking: Ranking = Ranking()
    shipped: ShippedAnswer | None = None  # None: nothing learned is in the ranking
    walk: WalkNode | None = None  # from the symptom to the leading candidates
    commit: CommitAnswer | None = None  # None: no repository told of any
    hypotheses: tuple[Hypothesis, ...] = ()
    opinion: Opinion | None = None
    recalled: tuple[RecalledDocument, ...] = ()
    plan: Plan | None = None
    results: tuple[StepResult, ...] = ()
    unsettled: UnsettledStep | None = None  # waits for a person's word
    outcome: VerificationOutcome | None = None
    cause: ConfirmedCause | None = None  # None: nobody has said what it was
    report: dict[str, str] = Field(default_factory=dict)  # language -> Markdown
    taken_by: str = ""  # who works on it; empty: nobody said so
    merged_into: str = ""  # the incident that its alerts are of; empty: it stands for itself
    split_from: str = ""  # the incident whose alerts a person found to be another's

    @property
    def recording(self) -> str:
        """The folder it is looked at in again; empty where its alerts came in a file or live."""
        return "" if self.origin.startswith(FILE) else self.origin


class Event(FrozenModel):
    """One row of the journal: what happened, by whom, hash-chained to the row before it."""

    seq: int = Field(ge=1)
    at: Timestamp
    incident_id: str
    kind: str
    by: str
    detail: dict[str, JsonValue] = Field(default_factory=dict)
    previous: str
    digest: str


def certainty_of(incident: Incident, ranking: Ranking) -> Certainty:
    """Return how sure the cause is, once a model was asked with what it holds against it."""
    first, held = ranking.candidates[:1], incident.hypotheses[:1]
    if first and held and held[0].component == first[0].component:
        return held[0].certainty
    return ranking.certainty


SUREST = 99
"""Percent; nothing measured is certain."""


def percent(ranking: Ranking, probability: float) -> str:
    """`84 %`, as shown; empty where the chances of a ranking are not calibrated."""
    return f"{min(SUREST, round(100 * probability))} %" if ranking.calibrated else ""


@dataclass(frozen=True, slots=True)
class ClockLine:
    """One of the three clocks, relative to the onset; `met` is None while it runs."""

    name: str
    after: str
    limit: str
    met: bool | None


def clock_lines(clocks: Clocks) -> list[ClockLine]:
    """Return the three clocks as durations since the onset, each with its limit.

    Empty where they are not measurable; `measured_from` says why.
    """
    if not clocks.measurable:
        return []
    lines = []
    for name, limit in LIMITS_S.items():
        moment = getattr(clocks, name)
        if clocks.onset is None or moment is None:
            lines.append(ClockLine(name, "–", duration(limit), None))
        else:
            # An alert can come before the metrics show it: then nothing was lost.
            passed = max(0.0, moment - clocks.onset)
            lines.append(ClockLine(name, duration(passed), duration(limit), passed <= limit))
    return lines
