"""What the instruments conclude: anomalies, groups, templates, evidence, rankings."""

from typing import Literal

from pydantic import Field

from tools.types.base import FrozenModel, Text, Timestamp, Window

FaultKind = Literal[
    "cpu_saturation",  # the component burns or is throttled on CPU
    "memory_pressure",  # leak, out of memory, swapping
    "disk_full",
    "disk_io",  # slow or saturated reads and writes
    "network_delay",
    "network_loss",  # loss, corruption, duplication, partition
    "slow_dependency",  # what it calls answers late, outside of our view
    "dependency_down",  # what it calls does not answer
    "errors",  # it raises or returns errors by its own code
    "bad_deploy",
    "bad_config",
    "pool_exhaustion",  # connections, threads, handles
    "lock_contention",
    "process_down",  # killed, crash loop, zero replicas
    "traffic_surge",
    "retry_storm",
    "queue_backlog",
    "cache_stampede",
    "certificate_expired",
    "dns_failure",
    "clock_skew",
    "rate_limited",  # refused for too many requests, or for a quota used up
    "credentials",  # a password, token or permission is refused
    "schema_mismatch",  # the code wants a column or table that the store does not have
    "read_only",  # a store that takes no writes
    "replication_lag",
    "noisy_neighbour",
    "admission",  # Kubernetes refused to create it
    "scheduling",  # Kubernetes found no node or volume for it
    "startup",  # image, secret, volume permission
    "routing",  # service, port, gateway, address
    "node_fault",  # the node or a control-plane service
]

Direction = Literal["up", "down", "none"]
AnomalyKind = Literal[
    "spike", "level_shift", "trend_change", "variance_change", "missing", "flatline"
]


class Anomaly(FrozenModel):
    """An episode in which a series leaves what its past makes likely.

    `score` is the tail probability of the worst point under the fitted normal behaviour (smaller
    is stranger); `low` and `high` bound the expected band at that point; `end` is None while open.
    """

    owner: str
    metric: str
    onset: Timestamp
    end: Timestamp | None
    direction: Direction
    kind: AnomalyKind
    score: float = Field(ge=0, le=1)
    observed: float
    low: float
    high: float
    reason: str


class AlertGroup(FrozenModel):
    """Alerts taken for one incident, with the reason for each member.

    `summary` says who alerted first, how many and where; `blast_radius` is what breaks with its
    root, nearest first; `rank` in [0, 1] orders groups, real incidents first.
    """

    id: str
    title: str
    fingerprints: tuple[str, ...]
    services: tuple[str, ...]
    first_service: str
    started_at: Timestamp
    severity: str
    reasons: dict[str, str] = Field(default_factory=dict)
    summary: str = ""
    blast_radius: tuple[str, ...] = ()
    rank: float = Field(default=0.0, ge=0, le=1)


EvidenceKind = Literal[
    "alert", "metric", "edge", "trace", "log", "change", "topology", "cluster", "note"
]


class Finding(FrozenModel):
    """One measured fact about one subject, before it has a number.

    `subject` is an owner string (see `Owner`). `value` is the headline figure in `unit` and
    `baseline` what it normally is; further figures a scorer needs are in `figures`, by name.
    `statement` is one English sentence made of these figures only; surfaces in another language
    render from the fields, or show `statement_zh` where the fields do not tell. `source` and
    `query` let a person repeat the look.
    """

    kind: EvidenceKind
    subject: str
    name: str
    source: str
    query: str
    window: Window
    value: float | None = None
    baseline: float | None = None
    unit: str = ""
    onset: Timestamp | None = None
    direction: Direction = "none"
    strength: float = 0.0
    figures: dict[str, float] = Field(default_factory=dict)
    excerpt: str = ""
    statement: str
    statement_zh: str = ""


class Evidence(Finding):
    """A finding with its number, `E1…En`; the number is what every claim cites."""

    id: str = Field(pattern=r"^E[1-9][0-9]*$")


class Term(FrozenModel):
    """One summand of a candidate's score: its name, weight and the evidence it rests on."""

    name: str
    weight: float
    evidence: tuple[str, ...] = ()


class Candidate(FrozenModel):
    """A component that may be the root cause. `score` is the sum of the terms' weights.

    `peer` is a host that its lines accuse and that nothing here watches, such as a provider's.
    """

    component: str
    score: float
    fault_kind: FaultKind | None = None
    instance: str = ""
    peer: str = ""
    probability: float = Field(default=0.0, ge=0, le=1)
    terms: tuple[Term, ...] = ()


Certainty = Literal[
    "proven",  # independent kinds of evidence agree, one measured there, none contradicts
    "likely",
    "ambiguous",  # two hypotheses; a further look would tell them apart
    "insufficient",  # the evidence names nothing, or too little of it is there
]


class Ranking(FrozenModel):
    """Candidates, most likely first, and how sure the first is.

    `none_of_these` is the chance that the cause is none of the candidates; with theirs it sums to
    1. `calibrated`: the chances come true as often as they say, so they may be shown. `why` is the
    reason for the certainty; `look` what would tell two hypotheses apart, or what is missing.
    `reason` is the sum behind the first, for the journal.
    """

    candidates: tuple[Candidate, ...] = ()
    certainty: Certainty = "insufficient"
    none_of_these: float = Field(default=1.0, ge=0, le=1)
    calibrated: bool = False
    why: Text | None = None
    look: Text | None = None
    reason: str = ""
    arm: Literal["rules", "ml", "llm"] = "rules"

    @property
    def abstained(self) -> bool:
        """Whether the evidence does not decide."""
        return self.certainty in ("ambiguous", "insufficient")

    @property
    def located(self) -> Candidate | None:
        """The first candidate; None where the evidence does not decide."""
        return self.candidates[0] if self.candidates and not self.abstained else None
