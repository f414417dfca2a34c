"""What the inspector concludes: one finding per broken rule, and the ranking of causes."""

from typing import Literal

from pydantic import Field

from tools.types import FaultKind, Finding, FrozenModel, Window

Stage = Literal[
    "admission",  # the API server refused to create it
    "scheduling",  # no node or volume was found for it
    "startup",  # a node has it, its container does not start
    "runtime",  # it ran and fails
    "routing",  # it runs, its callers do not reach it or it does not reach what it calls
    "performance",  # it works, slowly
    "infrastructure",  # the node under it, or the control plane
]
"""Where on its way from manifest to serving an application is stopped."""


PROVEN, INFERRED, LIKELY, HINT, SYMPTOM, NOTE = 0.92, 0.8, 0.7, 0.45, 0.32, 0.25
"""Bands of a score (docs/decisions/cluster-inspector.md): shown by its own evidence and stops what
is served; inferred; stated by a controller, but of what may not be served; a hint; a symptom that
says less than what the pods say; worth a line, never a cause of an outage by itself."""


class InspectorRule(FrozenModel):
    """One rule of the inspector: its id, the stage it belongs to and the fault it names."""

    id: str
    stage: Stage
    fault_kind: FaultKind
    title: str


class ClusterFinding(FrozenModel):
    """One rule that an object breaks.

    `object` is `app/NAME`, `node/NAME` or `namespace/NAME`: what a person would repair. `kind` and
    `name` are the Kubernetes object it was seen on, `field` the field of it. `evidence` is the line
    that shows it, as read (untrusted). `score` in [0, 1] says how surely this is the cause and not
    a symptom.
    """

    rule: InspectorRule
    object: str = Field(pattern=r"^(app|node|namespace)/.+$")
    kind: str
    name: str
    field: str
    observed: str
    expected: str
    cause: str
    score: float = Field(ge=0, le=1)
    evidence: str = ""

    @property
    def stage(self) -> Stage:
        """The stage at which the object is stopped."""
        return self.rule.stage

    @property
    def component(self) -> str:
        """The owner string for the common ranker: the service, or `node:NAME`."""
        scope, _, name = self.object.partition("/")
        return f"node:{name}" if scope == "node" else name

    @property
    def is_note(self) -> bool:
        """Worth a line to a reader, and no evidence of a cause: a cron job that rests."""
        return self.score <= NOTE

    def as_finding(self, window: Window) -> Finding:
        """This as evidence of kind `cluster` for the ranker that weighs all instruments."""
        return Finding(
            kind="cluster",
            subject=self.component,
            name=self.rule.fault_kind,
            source="kubernetes",
            query=f"{self.kind}/{self.name} {self.field}",
            window=window,
            strength=self.score,
            excerpt=self.evidence,
            statement=self.cause,
        )


class ClusterDiagnosis(FrozenModel):
    """Causes, the likeliest first, at most one per object and rule; `reason` when there is none."""

    predictions: tuple[ClusterFinding, ...] = ()
    reason: str = ""
