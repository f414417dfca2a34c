"""A recorded incident as every telemetry source at once, and the clock that it is seen from."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

import copilot.sources.recorded.records as records
import copilot.sources.recorded.tables as tables
from copilot.ports import ClusterReading, RemoteSource, SourceError
from copilot.sources.recorded.tables import BundleError
from tools.types import (
    Alert,
    Change,
    Commit,
    LogLine,
    LogReading,
    Series,
    Span,
    Timestamp,
    Topology,
    Window,
)


class ReplayClock:
    """A `Clock` that moves only when it is told to."""

    def __init__(self, at: Timestamp) -> None:
        self._now = at

    def now(self) -> Timestamp:
        """Where the replay stands."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the replay move on instead of waiting."""
        if seconds < 0:
            raise ValueError(f"cannot sleep {seconds!r} seconds; a replay moves forward only")
        self._now += seconds

    def advance(self, moment: Timestamp) -> None:
        """Stand at a later moment."""
        if moment < self._now:
            raise ValueError(f"cannot go back from {self._now!r} to {moment!r}; open it again")
        self._now = moment


_DAY = 86400.0


class RecordedBundle(ReplayClock):
    """Reads an `incident-bundle/1` folder lazily; satisfies all telemetry ports and `Clock`.

    No answer holds a point later than `now()`, which stands at `clock_at` (default: the last
    moment of the recording) until `sleep` or `advance` moves it. Recorded history may carry any
    date; it is moved back by whole days, so that it ends before the incident's window begins and
    keeps its time of day.
    """

    def __init__(self, folder: Path, clock_at: Timestamp | None = None) -> None:
        described = next(
            (
                folder / name
                for name in ("incident.json", "timeline.json")
                if (folder / name).exists()
            ),
            None,
        )
        if described is None:
            raise BundleError(folder, "has no incident.json", "name the folder of one incident")
        self.folder = folder
        self.description = records.description(described)
        self.window = Window(start=self.description.window[0], end=self.description.window[1])
        super().__init__(self.window.end if clock_at is None else clock_at)

    @property
    def id(self) -> str:
        """The bundle's name."""
        return self.description.id

    @property
    def entry(self) -> str:
        """The component at the front door, empty where the bundle names none."""
        return self.description.entry

    @property
    def sampling_s(self) -> float:
        """Seconds between two metric samples."""
        return self.description.sampling_s

    def series(self, window: Window) -> Sequence[Series]:
        """Metrics and call edges inside the window."""
        seen = self._seen(window)
        if seen is None:
            return ()
        cut = (one.between(seen) for one in self._metrics)
        return tuple(one for one in cut if one.times.size)

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """History or reference, then the quiet part of the window before `before`."""
        limit = min(before, self._now)
        joined: dict[str, list[Series]] = {}
        for one in self._past:
            joined.setdefault(one.name, []).append(_earlier(one, limit))
        for one in self._metrics:
            joined.setdefault(one.name, []).append(self._quiet(_earlier(one, limit)))
        merged = (_join(parts) for parts in joined.values())
        return tuple(one for one in merged if one.times.size)

    def lines(self, window: Window) -> LogReading:
        """Log lines inside the window."""
        seen = self._seen(window)
        if seen is None:
            return LogReading()
        return LogReading(tuple(x for x in self._logs if seen.start <= x.at <= seen.end))

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """Lines of the history, moved back to end before, then of the quiet part of the window."""
        limit = min(before, self._now)
        past = self._past_logs
        shift = _whole_days(past[-1].at if past else 0.0, min(limit, self.window.start))
        moved = (replace(line, at=line.at - shift) for line in past)
        quiet = (x for x in self._logs if x.at < limit and not self._excluded(x.at))
        return LogReading((*moved, *quiet))

    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans that began inside the window and have ended by now; none of earlier incidents."""
        seen = self._seen(window)
        if seen is None:
            return ()
        return tuple(
            span
            for span in self._spans
            if seen.start <= span.at <= seen.end
            and span.at + span.seconds <= self._now
            and not self._excluded(span.at)
        )

    def topology(self) -> Topology:
        """The declared graph; services without edges are nodes, too."""
        path = self.folder / "topology.json"
        services = self.description.services
        if not path.exists():
            return Topology(nodes=services, entry=self.entry)
        declared = records.topology(path, self.entry)
        ends = (name for edge in declared.edges for name in (edge.caller, edge.callee))
        named = dict.fromkeys((*declared.nodes, *services, *ends))
        return declared.model_copy(update={"nodes": tuple(named)})

    def changes(self, window: Window) -> Sequence[Change]:
        """Changes made inside the window."""
        seen = self._seen(window)
        return () if seen is None else tuple(c for c in self._changes if c.at in seen)

    def commits(self, window: Window) -> Sequence[Commit]:
        """Commits made inside the window, with their diffs."""
        seen = self._seen(window)
        return () if seen is None else tuple(one for one in self._commits if one.at in seen)

    def alerts(self, window: Window) -> Sequence[Alert]:
        """Alerts that began inside the window; one that ends later is still open."""
        seen = self._seen(window)
        if seen is None:
            return ()
        return tuple(self._as_of_now(alert) for alert in self._alerts if alert.starts_at in seen)

    def reading(self) -> ClusterReading:
        """No objects were kept, but what was found wrong with them at the time."""
        path = self.folder / "findings.json"
        if not path.exists():
            raise SourceError("cluster", "not configured", recoverable=False)
        return ClusterReading((), findings=records.findings(path))

    def remotes(self) -> Sequence[RemoteSource]:
        """None: a recording asks no cluster."""
        return ()

    def _as_of_now(self, alert: Alert) -> Alert:
        if alert.ends_at is None or alert.ends_at <= self._now:
            return alert
        return alert.model_copy(update={"ends_at": None, "status": "firing"})

    def _seen(self, window: Window) -> Window | None:
        if window.start > self._now:
            return None
        return Window(start=window.start, end=min(window.end, self._now))

    def _excluded(self, moment: Timestamp) -> bool:
        return any(a <= moment <= b for a, b in self.description.reference_excluded)

    def _quiet(self, one: Series) -> Series:
        keep = np.ones(one.times.size, dtype=bool)
        for start, end in self.description.reference_excluded:
            keep &= (one.times < start) | (one.times > end)
        return Series(one.owner, one.metric, one.times[keep], one.values[keep], one.unit)

    @cached_property
    def _metrics(self) -> tuple[Series, ...]:
        return tuple(map(self._with_unit, series_in(self.folder)))

    def _with_unit(self, one: Series) -> Series:
        return replace(one, unit=self.description.units.get(one.metric, one.unit))

    @cached_property
    def _past(self) -> tuple[Series, ...]:
        found: tuple[Series, ...] = ()
        if self.description.reference:
            found += tables.wide_series(
                self.folder / _inside(self.folder, self.description.reference)
            )
        if self.description.history:
            found += tuple(map(self._with_unit, series_in(self._history)))
        last = max((float(one.times[-1]) for one in found), default=0.0)
        shift = _whole_days(last, self.window.start)
        return tuple(
            Series(one.owner, one.metric, one.times - shift, one.values, one.unit) for one in found
        )

    @cached_property
    def _history(self) -> Path:
        """`history/<name>` beside the bundles, or inside the bundle itself."""
        name = _inside(self.folder, self.description.history or "")
        roots = (self.folder, *self.folder.resolve().parents[:2])
        found = next(
            (root / "history" / name for root in roots if (root / "history" / name).is_dir()), None
        )
        if found is None:
            raise BundleError(
                self.folder / "incident.json",
                f"history {name!r} is not there",
                f"put it at {str(roots[-1] / 'history' / name)!r}",
            )
        return found

    @cached_property
    def _logs(self) -> tuple[LogLine, ...]:
        path = _first(self.folder, "logs.ndjson.gz", "logs.ndjson")
        return records.log_lines(path) if path else ()

    @cached_property
    def _past_logs(self) -> tuple[LogLine, ...]:
        path = (
            _first(self._history, "logs.ndjson.gz", "logs.ndjson")
            if self.description.history
            else None
        )
        return records.log_lines(path) if path else ()

    @cached_property
    def _spans(self) -> tuple[Span, ...]:
        path = _first(self.folder, "spans.csv.gz", "spans.csv")
        return tables.spans(path) if path else ()

    @cached_property
    def _changes(self) -> tuple[Change, ...]:
        path = _first(self.folder, "changes.json")
        return records.changes(path) if path else ()

    @cached_property
    def _commits(self) -> tuple[Commit, ...]:
        path = _first(self.folder, "commits.json")
        brought = (one for change in self._changes for one in change.commits)
        known = {one.sha: one for one in (*brought, *(records.commits(path) if path else ()))}
        return tuple(sorted(known.values(), key=lambda one: one.at))

    @cached_property
    def _alerts(self) -> tuple[Alert, ...]:
        path = _first(self.folder, "alerts.json", "alerts.ndjson.gz", "alerts.ndjson")
        return records.alerts(path) if path else ()


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)


def series_in(folder: Path) -> tuple[Series, ...]:
    """All metrics of one folder, of services and of edges; empty where it holds none."""
    found: tuple[Series, ...] = ()
    metrics = _first(folder, "metrics.csv.gz", "metrics.csv")
    edges = _first(folder, "edges.csv.gz", "edges.csv")
    if metrics:
        found += tables.wide_series(metrics)
    if edges:
        found += tables.edge_series(edges)
    # A recorder may have counted the calls of an edge a second time, per minute: one name, one
    # series, and the metrics' own is the finer.
    return tuple({one.name: one for one in reversed(found)}.values())[::-1]


def _whole_days(last: Timestamp, start: Timestamp) -> float:
    return 0.0 if last < start else _DAY * math.ceil((last - start + 1.0) / _DAY)


def _earlier(one: Series, limit: Timestamp) -> Series:
    end = int(np.searchsorted(one.times, limit, side="left"))
    return Series(one.owner, one.metric, one.times[:end], one.values[:end], one.unit)


def _join(parts: Sequence[Series]) -> Series:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Series(parts[0].owner, parts[0].metric, times, values, parts[0].unit)


def _inside(folder: Path, name: str) -> str:
    """A name without a way out of its folder."""
    if name != Path(name).name and name:
        raise BundleError(folder, f"{name!r} leads out of the bundle", "give a name, no path")
    return name
