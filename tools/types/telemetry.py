"""What is observed: series, log lines, spans, topology, changes, alerts."""

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tools.types.base import FrozenModel, Timestamp, Window
from tools.types.logs import LogGap, LogLine, SplitLog

FloatArray = NDArray[np.float64]

ENTRY = "ENTRY"
"""Owner of a series measured at the front door, for the system as a whole."""


# "cart@v2" names a version; "user@host.example" is a service of that name.
_VERSIONED = re.compile(r"(?P<service>[^@]+)@(?P<version>v?\d[\w.\-]*|stable|canary)")


class Owner(NamedTuple):
    """Whose measurement a series is, parsed from its owner string.

    >>> Owner.parse("cart@v2")
    Owner(kind='version', service='cart', version='v2', caller='')
    >>> Owner.parse("web->cart").caller
    'web'
    """

    kind: Literal["service", "version", "edge", "node", "entry"]
    service: str
    version: str = ""
    caller: str = ""

    @classmethod
    def parse(cls, owner: str) -> "Owner":
        """Read `service`, `service@version`, `caller->callee`, `node:<name>` or `ENTRY`."""
        if owner == ENTRY:
            return cls("entry", "")
        if owner.startswith("node:"):
            return cls("node", owner.removeprefix("node:"))
        caller, arrow, callee = owner.partition("->")
        if arrow:
            return cls("edge", callee, caller=caller)
        versioned = _VERSIONED.fullmatch(owner)
        if versioned:
            return cls("version", versioned["service"], version=versioned["version"])
        return cls("service", owner)


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """One time series: `times` (n,) ascending Unix seconds, `values` (n,), NaN where missing."""

    owner: str
    metric: str
    times: FloatArray
    values: FloatArray
    unit: str = ""

    @property
    def name(self) -> str:
        """`owner|metric`, the column name of a bundle."""
        return f"{self.owner}|{self.metric}"

    def between(self, window: Window) -> "Series":
        """The points inside the window (both ends included)."""
        first = int(np.searchsorted(self.times, window.start, side="left"))
        last = int(np.searchsorted(self.times, window.end, side="right"))
        return Series(
            self.owner, self.metric, self.times[first:last], self.values[first:last], self.unit
        )


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of one trace; `seconds` is its duration, `parent` is empty at the root."""

    at: Timestamp
    trace: str
    span: str
    parent: str
    service: str
    operation: str
    seconds: float
    error: bool | None = None


class Edge(FrozenModel):
    """`caller` depends on `callee`; `source` says who told us, `confidence` is in (0, 1]."""

    caller: str
    callee: str
    source: str = "declared"
    confidence: float = Field(default=1.0, gt=0, le=1)


class Topology(FrozenModel):
    """The service graph as far as it is known; edges may name services that `nodes` lacks."""

    nodes: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    entry: str = ""


class Commit(FrozenModel):
    """A commit as a repository tells it; `diff` is empty where nobody sent it, and untrusted.

    `files` are paths; `repository` is `host/path`, empty where only one is known. What is no
    commit but has lines (a pod template, a flag) is told as one, with its own name as `sha`.
    """

    sha: str
    at: Timestamp
    author: str = ""
    message: str = ""
    files: tuple[str, ...] = ()
    diff: str = ""
    url: str = ""
    repository: str = ""


ChangeKind = Literal["deploy", "canary", "config", "scale", "flag", "infrastructure", "other"]


class Change(FrozenModel):
    """Something a person or a pipeline changed.

    `revision` replaced `from_revision` of `repository` (`host/path`) and brought `commits`; `gap`
    says what of them is not known and why. All text is untrusted, and redacted where it came in.
    """

    at: Timestamp
    service: str
    kind: ChangeKind
    from_version: str = ""
    to_version: str = ""
    summary: str = ""
    author: str = ""
    url: str = ""
    repository: str = ""
    from_revision: str = ""
    revision: str = ""
    commits: tuple[Commit, ...] = ()
    gap: str = ""


Severity = Literal["critical", "high", "warning", "info", "low"]
AlertStatus = Literal["firing", "resolved", "acknowledged", "no_data"]


SubjectKind = Literal[
    "service",  # something that is called by name
    "workload",  # a deployment, stateful set, daemon set, or what its pods are folded to
    "container",  # one container, where no workload is named
    "pod",  # a pod without a workload
    "node",  # a machine of a cluster
    "host",  # a machine outside of any cluster, or a virtual one
    "claim",  # a persistent volume claim
    "volume",  # a volume, disk, pool or array
    "job",  # a job, cron job, backup or other task that ends
    "queue",  # a queue, stream or consumer group
    "topic",  # a topic or partition
    "database",  # a database, schema, index or table on a server
    "certificate",
    "endpoint",  # an address that is probed or called
    "ingress",  # a route, virtual server or load balancer
    "quota",  # a quota or limit of a namespace
    "namespace",
    "cluster",
    "device",  # a switch, port, battery, card or other hardware
    "target",  # what a monitoring system scrapes: the alert is about the telling itself
    "other",  # a thing of a kind that is not listed here
    "nobody",  # the labels name nobody; then nobody may be accused
]


class Subject(FrozenModel):
    """What an alert is about; `name` is empty exactly where `kind` is `nobody`.

    Two alerts of one subject are about the same thing: identity includes namespace and cluster.
    """

    kind: SubjectKind = "nobody"
    name: str = ""
    namespace: str = ""
    cluster: str = ""

    @property
    def shown(self) -> str:
        """As a person reads it: `checkout`, `node worker-3`; empty for nobody."""
        plain = self.kind in ("service", "workload", "container", "pod")
        return self.name if plain or not self.name else f"{self.kind} {self.name}"


RECORDED = "recorded"
"""Source of alerts that are rows of a recording: anomaly events, their labels its columns."""


class Alert(FrozenModel):
    """One alert in the form all sources are normalised to.

    `fingerprint` identifies the alert across deliveries (hash of its labels, or the source's own
    key). `subject` is what it is about, `told_by` who told it (an exporter, a scrape job; empty
    where the subject tells of itself), `why` how that was read. `service` is the component of the
    call graph that the subject is, empty for nodes, volumes and the like. A firing alert without
    repetition counts as resolved at `lease` (Unix seconds; None: its source says when it ends).
    A `heartbeat` fires while all is well. Labels and annotations are untrusted. `dated` is the
    start that was sent, where it lay ahead of the arrival, which then stands as `starts_at`.
    """

    fingerprint: str
    name: str
    status: AlertStatus = "firing"
    severity: Severity = "warning"
    service: str = ""
    subject: Subject = Subject()
    told_by: str = ""
    why: str = ""
    heartbeat: bool = False
    starts_at: Timestamp
    dated: Timestamp | None = None
    ends_at: Timestamp | None = None
    lease: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    source: str = "generic"
    generator_url: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """All that one look at the sources returned, for the instruments to work on.

    `baseline` holds series of the same names from normal operation (they may lie at other times);
    `logs` are those of `window` and of normal operation before it, each once, ascending by time,
    without what lies in `log_gaps`; `spans` cover `window`. Both only as far as sources kept them.
    """

    window: Window
    series: tuple[Series, ...] = ()
    baseline: tuple[Series, ...] = ()
    logs: tuple[LogLine, ...] = ()
    log_gaps: tuple[LogGap, ...] = ()
    spans: tuple[Span, ...] = ()
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()
    topology: Topology = field(default_factory=Topology)

    @property
    def recent_logs(self) -> tuple[LogLine, ...]:
        """Log lines of the window, without those of normal operation before it."""
        return tuple(line for line in self.logs if line.at in self.window)

    def split_log(self, onset: Timestamp) -> SplitLog:
        """Return the log as it was before `onset` and since."""
        return SplitLog(self.logs, onset, self.log_gaps)
