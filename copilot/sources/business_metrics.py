"""Business metrics that an operator declared, and the slices of those that departed.

[[metric]]
name = "failed plays"                # as the brief and the chat call it
promql = 'sum by (isp, region) (increase(play_failures_total[1m]))'
promql_count = 'sum by (isp, region) (increase(plays_total[1m]))'   # with it: a ratio

[[metric]]
name = "orders"
url_env = "ORDERS_DB_URL"            # the variable that holds the SQLAlchemy URL; or url = "..."
sql = '''SELECT minute AS time, isp, region, count(*) AS value FROM orders
         WHERE minute BETWEEN :start AND :end GROUP BY minute, isp, region'''

[[metric]]
name = "refunds"
csv = "/var/lib/export/refunds.csv"
dimensions = ["country", "method"]   # empty: all columns but time, value and count
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from copilot.ports import SourceError
from copilot.sources import business_sql
from copilot.sources.business import MetricColumns, read_csv
from copilot.sources.prometheus import PrometheusClient
from copilot.types import strict_toml
from copilot.types.incident import OURS
from tools.clusterer import fingerprint
from tools.slice_finder import MetricCube, SliceError, find
from tools.types import Alert, Finding, FrozenModel, Subject, Timestamp, Window

MOST_METRICS, MOST_SERIES = 50, 20_000
"""Of one file, and of one answer of Prometheus."""

WAIT_S = 10.0
"""Longest question of a database: the brief waits for it."""

PAST_S, RECENT_S = 3600.0, 600.0
"""Normal is learned from the hour before what is recent; what departs is recent."""

LONGEST_S = 6 * 3600.0

EVERY_S = 60.0
LEASE_S = 3 * EVERY_S
"""Seconds between two looks; after three that nobody repeats, an alert is over."""

SLICE, MOST_QUERY = "slice", 160
"""The name of what is found, and characters of the question that stand with it."""

log = logging.getLogger(__name__)


class BusinessFileError(strict_toml.FileError):
    """The file of business metrics is wrong; the message says at which key."""

    setting = "business_file"


class BusinessMetric(MetricColumns):
    """One metric, told by one of `promql`, `sql` and `csv`; `step_s` is between two moments."""

    name: str = Field(min_length=1, max_length=60)
    promql: str = Field(default="", max_length=2000)
    promql_count: str = Field(default="", max_length=2000)
    step_s: float = Field(default=60, ge=1)
    sql: str = Field(default="", max_length=10_000)
    url: SecretStr | None = None
    url_env: str = ""
    csv: str = ""

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        if sum(map(bool, (self.promql, self.sql, self.csv))) != 1:
            raise ValueError("a metric has one of promql, sql and csv")
        if bool(self.sql) != bool(self.url or self.url_env) or (self.url and self.url_env):
            raise ValueError("sql goes with url or url_env, one of them; nothing else does")
        if self.promql_count and not self.promql:
            raise ValueError("promql_count goes with promql")
        if self.sql:
            business_sql.checked(self.sql)
        return self


class BusinessFile(FrozenModel):
    """All business metrics that are declared."""

    metric: tuple[BusinessMetric, ...] = Field(min_length=1, max_length=MOST_METRICS)


class BusinessMetrics:
    """Reads the declared metrics when an incident asks; one that fails does not hide the others."""

    def __init__(
        self,
        declared: Sequence[tuple[BusinessMetric, str]],
        prometheus: PrometheusClient | None,
    ) -> None:
        self._declared = tuple(declared)
        self._prometheus = prometheus
        self._problems: tuple[str, ...] = ()
        self._began: dict[str, Timestamp] = {}

    def slices(self, window: Window, onset: Timestamp) -> Sequence[Finding]:
        """A finding for each metric that departed since the onset: which slice is to blame."""
        found, problems = [], []
        for one, url in self._declared:
            try:
                finding = _departed(one, self._read(one, url, window), window, onset)
            except (SourceError, SliceError) as error:
                problems.append(str(error))
            else:
                found += [finding] if finding is not None else []
        self._problems = tuple(problems)
        return found

    def alerts(self, now: Timestamp) -> Sequence[Alert]:
        """An alert for each metric that departs now, repeated while it does; then it lapses."""
        found = []
        for one, url in self._declared:
            since = self._began.get(one.name, now - RECENT_S)
            try:
                past = Window(start=since - PAST_S, end=now)
                began = self._read(one, url, past).departing(since)
            except (SourceError, SliceError) as error:
                log.warning("business metrics: %s", error)
                continue
            self._began.pop(one.name, None)
            # What has lasted this long is how things are now, and is learned anew.
            if began is not None and now - began < LONGEST_S:
                self._began[one.name] = began
                found.append(_alert(one, began, now + LEASE_S))
        return found

    def describe(self) -> str:
        """How many metrics are declared, by name."""
        names = ", ".join(one.name for one, _ in self._declared)
        return f"{len(self._declared)} declared: {names}"

    def problems(self) -> Sequence[str]:
        """Why metrics could not be read or judged, the last time they were asked for."""
        return self._problems

    def _read(self, one: BusinessMetric, url: str, window: Window) -> MetricCube:
        if one.promql:
            return self._scraped(one, window)
        # What is not over yet has not been counted to its end.
        over = Window(start=window.start, end=max(window.start, window.end - one.step_s))
        if one.csv:
            return read_csv(Path(one.csv), one).between(over)
        address = business_sql.address(url)
        return business_sql.read_sql(one.name, address, one.sql, over, one, WAIT_S).between(over)

    def _scraped(self, one: BusinessMetric, window: Window) -> MetricCube:
        if self._prometheus is None:
            raise SourceError(one.name, "promql needs prometheus_url", recoverable=False)
        rows: dict[tuple[Timestamp, tuple[str, ...]], list[float]] = {}
        names = one.dimensions
        for place, expression in enumerate(filter(None, (one.promql, one.promql_count))):
            told = self._prometheus.range(expression, window.start, window.end, one.step_s)
            if len(told) > MOST_SERIES:
                problem = f"{len(told)} series; sum them by fewer labels, {MOST_SERIES} are read"
                raise SourceError(one.name, problem, recoverable=False)
            labels = {key for vector in told for key in vector.labels} - {"__name__"}
            names = names or tuple(sorted(labels))
            for vector in told:
                leaf = tuple(vector.labels.get(name, "") for name in names)
                for at, value in zip(vector.times.tolist(), vector.values.tolist(), strict=True):
                    if math.isfinite(value):
                        rows.setdefault((at, leaf), [0.0, 0.0])[place] += value
        table = [
            (at, leaf, value, count if one.promql_count else None)
            for (at, leaf), (value, count) in rows.items()
        ]
        if not names:
            problem = "its answer has no labels; sum by (...) the attributes"
            raise SourceError(one.name, problem, recoverable=False)
        return MetricCube.of_rows(names, table)


def _alert(one: BusinessMetric, began: Timestamp, lease: Timestamp) -> Alert:
    labels = {"alertname": "BusinessMetricDeparted", "metric": one.name, "detector": "copilot"}
    return Alert(
        fingerprint=fingerprint(labels),
        name="BusinessMetricDeparted",
        subject=Subject(kind="other", name=one.name),
        severity="warning",
        starts_at=began,
        lease=lease,
        labels=labels,
        annotations={"summary": f"{one.name} left what is normal for it"},
        source=OURS,
    )


def _departed(
    one: BusinessMetric, table: MetricCube, window: Window, onset: Timestamp
) -> Finding | None:
    """What is to blame where the metric departed; None where it is as usual."""
    at, departed = table.worst(onset)
    if not departed:
        return None
    answer = find(table.moment(at))
    seen, usual = f"{answer.observed:,.4g}", f"{answer.expected:,.4g}"
    first = answer.slices[0] if answer.slices else None
    return Finding(
        kind="note",
        subject=one.name,
        name=SLICE,
        source="business metrics",
        query=(one.promql or one.sql or one.csv)[:MOST_QUERY],
        window=window,
        onset=at,
        direction=answer.direction,
        value=answer.observed,
        baseline=answer.expected,
        strength=first.share if first else 0.0,
        figures={"share": sum(blamed.share for blamed in answer.slices)},
        statement=f"{one.name} {seen}, normally {usual}: {answer.reason.en}",
        statement_zh=f"{one.name} 为 {seen},平时 {usual}:{answer.reason.zh}",
    )


def declared(
    path: Path, environment: Mapping[str, str], prometheus: PrometheusClient | None
) -> BusinessMetrics:
    """The metrics of a file; raises BusinessFileError, which repeats no address."""
    file = strict_toml.read(path, BusinessFile, BusinessFileError)
    found: list[tuple[BusinessMetric, str]] = []
    for number, one in enumerate(file.metric):
        url = one.url.get_secret_value() if one.url else environment.get(one.url_env, "")
        key = f"metric[{number}].{'url_env' if one.url_env else 'url'}"
        if one.url_env and not url:
            raise BusinessFileError(path, key, f"the variable {one.url_env!r} is not set")
        if one.promql and prometheus is None:
            raise BusinessFileError(path, f"metric[{number}].promql", "needs prometheus_url, too")
        try:
            if url:
                business_sql.address(url)
        except ValueError as error:
            raise BusinessFileError(path, key, str(error)) from error
        found.append((one, url))
    return BusinessMetrics(found, prometheus)
