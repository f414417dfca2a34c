"""The JSON records of a bundle: description, topology, log lines, changes, alerts."""

import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from copilot.alerts.formats.fields import Annotations, Labels
from copilot.alerts.formats.normal import normalised
from copilot.sources.recorded.tables import BundleError, text_of
from tools.clusterer import fingerprint
from tools.types import (
    RECORDED,
    Alert,
    AlertStatus,
    Change,
    ChangeKind,
    Commit,
    Edge,
    Finding,
    LogLine,
    Severity,
    Subject,
    Timestamp,
    Topology,
)


class _Recorded(BaseModel):
    """A row somebody else wrote: fields we do not know are left alone, and null is no field."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, row: object) -> object:
        if not isinstance(row, dict):
            return row
        return {name: value for name, value in row.items() if value is not None}


LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999: no date lies after it. Source: `datetime.MAXYEAR`."""

LONGEST_S = 366 * 86_400.0
"""Nobody records an incident of more than a year."""


class Description(_Recorded):
    """`incident.json` (or `timeline.json` of a replayed day): what the bundle holds."""

    id: str
    schema_: str = Field(alias="schema")
    system: str = ""
    window: tuple[Timestamp, Timestamp]
    services: tuple[str, ...] = ()
    entry: str = ""
    modalities: tuple[str, ...] = ()
    sampling_s: float = Field(default=60.0, gt=0)
    history: str | None = None
    reference: str | None = None
    reference_excluded: tuple[tuple[Timestamp, Timestamp], ...] = ()
    units: dict[str, str] = Field(default_factory=dict)


class _TopologyRow(_Recorded):
    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    source: str = "declared"


class _ChangeRow(_Recorded):
    ts: Timestamp
    service: str
    kind: str
    from_version: str = ""
    to_version: str = ""
    summary: str = ""
    replicas: dict[str, int] = Field(default_factory=dict)
    author: str = ""
    url: str = ""
    repository: str = ""
    from_revision: str = ""
    revision: str = ""
    commits: tuple[Commit, ...] = ()
    gap: str = ""


class _CommitRow(_Recorded):
    """A commit as `git log` and the APIs of forges tell it."""

    sha: str
    timestamp: datetime
    author: str = ""
    message: str = ""
    files_changed: tuple[str, ...] = ()
    diff: str | None = None
    url: str = ""


class _EventRow(_Recorded):
    """An anomaly event or a recorded page."""

    ts: Timestamp
    name: str = ""
    service: str = ""
    signal: str = ""
    kind: str = ""
    instance: str = ""
    caller: str = ""
    node: str = ""
    score: float | None = None


class _ReadAlert(_Recorded):
    """How an alert was read that another sender than Alertmanager had sent."""

    name: str
    severity: Severity
    service: str = ""
    subject: Subject = Subject()
    told_by: str = ""
    why: str = ""
    heartbeat: bool = False
    source: str


class _FiringRow(_Recorded):
    """An alert as Alertmanager posts it; times as RFC 3339 text or Unix seconds."""

    labels: Labels
    annotations: Annotations = Field(default_factory=dict)
    startsAt: datetime
    endsAt: datetime | None = None
    status: AlertStatus = "firing"
    fingerprint: str = ""
    generatorURL: str = ""
    value: float | None = None
    read: _ReadAlert | None = None


_CHANGE_WORDS: tuple[tuple[str, ChangeKind], ...] = (
    ("canary", "canary"),
    ("deploy", "deploy"),
    ("release", "deploy"),
    ("rollout", "deploy"),
    ("config", "config"),
    ("scale", "scale"),
    ("flag", "flag"),
    ("infra", "infrastructure"),
)


def description(path: Path) -> Description:
    """Read and check `incident.json` or `timeline.json`."""
    try:
        found = Description.model_validate_json(text_of(path))
    except ValidationError as error:
        raise _malformed(path, error) from error
    if not found.schema_.startswith("incident-") or not found.schema_.endswith("/1"):
        raise BundleError(path, f"schema is {found.schema_!r}", "only incident-bundle/1 is read")
    first, last = found.window
    if not (first >= 0 and last <= LAST_MOMENT and last - first <= LONGEST_S):
        problem = f"window {found.window!r} is no time of a recording"
        raise BundleError(path, problem, "give Unix seconds, a year at most")
    if found.window[1] < found.window[0]:
        raise BundleError(path, f"window {found.window!r} ends first", "give [first, last]")
    return found


def topology(path: Path, entry: str) -> Topology:
    """Nodes and `[caller, callee]` pairs."""
    try:
        row = _TopologyRow.model_validate_json(text_of(path))
    except ValidationError as error:
        raise _malformed(path, error) from error
    edges = tuple(Edge(caller=a, callee=b, source=row.source) for a, b in row.edges)
    return Topology(nodes=row.nodes, edges=edges, entry=entry)


def log_lines(path: Path) -> tuple[LogLine, ...]:
    """One JSON object a line, ascending by time."""
    found = []
    for row in _objects(path):
        try:
            found.append(
                LogLine(
                    at=float(row["ts"]),  # type: ignore[arg-type]
                    service=str(row["service"]),
                    level=str(row.get("level") or ""),
                    message=str(row["msg"]),
                    trace=str(row.get("trace") or ""),
                    stream=str(row.get("stream") or ""),
                    cut=row.get("cut") is True,
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(path, f"a log row: {error!r}", "give ts, service, msg") from error
    found.sort(key=lambda line: line.at)
    return tuple(found)


def changes(path: Path) -> tuple[Change, ...]:
    """What was released, scaled or configured, ascending by time."""
    try:
        rows = [_ChangeRow.model_validate(row) for row in _objects(path)]
    except ValidationError as error:
        raise _malformed(path, error) from error
    return tuple(sorted((_change(row) for row in rows), key=lambda change: change.at))


def commits(path: Path) -> tuple[Commit, ...]:
    """What was committed to the repositories, ascending by time."""
    try:
        rows = [_CommitRow.model_validate(row) for row in _objects(path)]
    except ValidationError as error:
        raise _malformed(path, error) from error
    return tuple(sorted((_commit(row) for row in rows), key=lambda commit: commit.at))


def findings(path: Path) -> tuple[Finding, ...]:
    """What was found at the time and no recorded telemetry tells."""
    try:
        return tuple(map(Finding.model_validate, _objects(path)))
    except ValidationError as error:
        raise _malformed(path, error) from error


def _commit(row: _CommitRow) -> Commit:
    return Commit(
        sha=row.sha,
        at=_seconds(row.timestamp),
        author=row.author,
        message=row.message,
        files=row.files_changed,
        diff=row.diff or "",
        url=row.url,
    )


def alerts(path: Path) -> tuple[Alert, ...]:
    """Recorded pages, anomaly events or Alertmanager rows, ascending by time."""
    try:
        found = [
            _fired(_FiringRow.model_validate(row))
            if "labels" in row
            else _event(_EventRow.model_validate(row))
            for row in _objects(path)
        ]
    except ValidationError as error:
        raise _malformed(path, error) from error
    return tuple(sorted(found, key=lambda alert: alert.starts_at))


def _objects(path: Path) -> list[dict[str, JsonValue]]:
    text = text_of(path)
    try:
        rows = (
            [json.loads(line) for line in text.splitlines() if line]
            if ".ndjson" in path.name
            else json.loads(text)
        )
    except json.JSONDecodeError as error:
        raise BundleError(path, f"is not JSON: {error}", "one object per record") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BundleError(path, "is not a list of objects", "one object per record")
    return rows


def _malformed(path: Path, error: ValidationError) -> BundleError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    return BundleError(path, f"{where}: {first['msg']}", "see the format incident-bundle/1")


def _change(row: _ChangeRow) -> Change:
    kind = next((kind for word, kind in _CHANGE_WORDS if word in row.kind), "other")
    replicas = ", ".join(f"{version}: {count}" for version, count in row.replicas.items())
    told = row.model_dump(exclude={"ts", "kind", "summary", "replicas", "commits"})
    summary = row.summary or (f"replicas {replicas}" if replicas else "")
    return Change(at=row.ts, kind=kind, summary=summary, commits=row.commits, **told)


def _event(row: _EventRow) -> Alert:
    given = {
        "alertname": row.name or row.signal,
        "service": row.service,
        "signal": row.signal,
        "kind": row.kind,
        "instance": row.instance,
        "caller": row.caller,
        "node": row.node,
    }
    labels = {key: value for key, value in given.items() if value}
    named = Subject(kind="service", name=row.service) if row.service else Subject()
    return Alert(
        fingerprint=fingerprint(labels),
        name=row.name or row.signal or "alert",
        service=row.service,
        subject=named,
        why="column service" if row.service else "the row names no service",
        starts_at=row.ts,
        labels=labels,
        source=RECORDED,
        value=row.score,
    )


def _fired(row: _FiringRow) -> Alert:
    """The alert that was posted; unlike an open one, it may already say when it will end."""
    posted = normalised(
        row.labels,
        row.annotations,
        status=row.status,
        starts_at=_seconds(row.startsAt),
        ends_at=None,
        source="alertmanager",
        fingerprint=row.fingerprint,
        generator_url=row.generatorURL,
        value=row.value,
    )
    if row.read is not None:
        posted = posted.model_copy(update=dict(row.read))
    # Alertmanager writes year 1 for "has not ended".
    if row.endsAt is None or row.endsAt.year <= 1:
        return posted
    return posted.model_copy(update={"ends_at": _seconds(row.endsAt)})


def _seconds(moment: datetime) -> Timestamp:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
