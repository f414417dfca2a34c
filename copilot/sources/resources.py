"""What is coming: resources with a limit, and when each is full.

The table of kinds, queries and names is `resources.toml`. Prometheus is asked for weeks in coarse
steps; a recording, or what exporters post, tells what it holds.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from pydantic import Field

from copilot.ports import MetricSource, SourceError
from copilot.sources.prometheus import PrometheusClient
from copilot.types.incident import OURS
from tools.clusterer import fingerprint
from tools.forecaster import Growth, LimitForecast, time_to_limit
from tools.log_retriever.sanitize import plain
from tools.types import Alert, FrozenModel, Owner, Series, Subject, Text, Timestamp, Window

ResourceKind = Literal[
    "disk", "inodes", "memory", "connections", "descriptors", "certificate", "quota", "queue",
    "capacity", "budget",
]  # fmt: skip

DAY, HOUR = 86_400.0, 3600.0
PAST_S = 21 * DAY
"""How far back a live source is asked: three weeks show a weekly peak three times."""

STEP_S = 900.0
RECENT_S = 600.0
FULL = 100.0
LEAST_PAST_S = 3600.0
"""A forecast rests on an hour at least, as the mixins' rules wait (`for: 1h`): minutes are a fault
of now, or nothing."""

MOST_SERIES = 5000
"""Series of one query; a look at more takes longer than the minutes between two looks."""

NAME = 120
"""Characters of an owner or a detail, which come from labels."""


class ResourceWords(FrozenModel):
    """A kind: the alert it becomes, how far ahead it is told, and what to do in time."""

    alert: str
    horizon_days: float = Field(gt=0)
    growth: Growth = "additive"
    en: str
    zh: str
    act: Text
    playbooks: tuple[str, ...] = ()

    @property
    def in_time(self) -> Text:
        """What to do, and the playbooks that help before it is a fault."""
        names = ", ".join(self.playbooks)
        if not names:
            return self.act
        return Text(en=f"{self.act.en}; playbook: {names}", zh=f"{self.act.zh};预案:{names}")


class AskedResource(FrozenModel):
    """A query of the table, for a server that has what it needs."""

    kind: ResourceKind
    source: str
    needs: tuple[str, ...]
    promql: str
    owner: tuple[str, ...]
    detail: tuple[str, ...] = ()
    node: bool = False


class NamedResource(FrozenModel):
    """Series of this name, from whatever source, are such a resource."""

    kind: ResourceKind
    metric: str


class ResourceTable(FrozenModel):
    """All of `resources.toml`."""

    kinds: dict[ResourceKind, ResourceWords]
    asked: tuple[AskedResource, ...]
    named: tuple[NamedResource, ...]


@cache
def table() -> ResourceTable:
    """The table that ships."""
    text = files("copilot.sources").joinpath("resources.toml").read_text(encoding="utf-8")
    return ResourceTable.model_validate(tomllib.loads(text))


class ComingLimit(FrozenModel):
    """A resource that will be full: percent used, and when, with a 90 % interval.

    `detail` tells two of one owner apart (a mount point, a topic); `since` and `points` are the
    past that it rests on, `slope` is in percentage points an hour.
    """

    kind: ResourceKind
    owner: str
    detail: str = ""
    used: float
    at: Timestamp
    earliest: Timestamp
    latest: Timestamp
    now: Timestamp
    since: Timestamp
    points: int
    slope: float
    cycles: bool = False

    @property
    def key(self) -> str:
        """The same for the same resource."""
        return "|".join((self.kind, self.owner, self.detail))

    @property
    def resource(self) -> str:
        """Owner and detail, as a person reads them: `node worker-1 /data`."""
        owner = Owner.parse(self.owner)
        shown = f"node {owner.service}" if owner.kind == "node" else self.owner
        return f"{shown} {self.detail}".strip()

    def said(self) -> Text:
        """When it is full, and what that rests on."""
        words = table().kinds[self.kind]
        at, first, last = (spell(one - self.now) for one in (self.at, self.earliest, self.latest))
        past = spell(self.now - self.since)
        peaks = (", by its peaks", "(按峰值)") if self.cycles else ("", "")
        return Text(
            en=f"{words.en} of {self.resource} reaches its limit in {at} "
            f"({first} to {last}): {self.used:.0f} % used, {self.slope:+.2g} points an hour "
            f"over {past}{peaks[0]}",
            zh=f"{self.resource} 的{words.zh}将在 {at} 后到达上限({first} 至 {last}):"
            f"已用 {self.used:.0f}%,近 {past} 每小时 {self.slope:+.2g} 个百分点{peaks[1]}",
        )

    def alert(self, began: Timestamp, lease: Timestamp) -> Alert:
        """The alert of its own kind: never a present fault."""
        words, owner = table().kinds[self.kind], Owner.parse(self.owner)
        node = owner.kind == "node"
        labels = {
            "alertname": words.alert,
            ("node" if node else "service"): owner.service,
            "resource": self.kind,
            "detector": "copilot",
        } | ({"detail": self.detail} if self.detail else {})
        said = self.said()
        act, shown = words.in_time, [f"copilot playbook show {one}" for one in words.playbooks]
        annotations = {
            "summary": f"{said.en}; in time: {act.en}",
            "summary_zh": f"{said.zh};及时处理:{act.zh}",
        } | ({"playbook": "; ".join(shown)} if shown else {})
        return Alert(
            fingerprint=fingerprint(labels),
            name=words.alert,
            service="" if node else owner.service,
            subject=Subject(kind="node" if node else "service", name=owner.service),
            severity="warning",
            starts_at=began,
            lease=lease,
            labels=labels,
            annotations=annotations,
            source=OURS,
            value=self.used,
        )


def spell(seconds: float) -> str:
    """A span as a person says it: `40 min`, `13 h`, `3.5 d`.

    >>> spell(47_000), spell(302_400), spell(90)
    ('13 h', '3.5 d', '2 min')
    """
    if seconds < 1.5 * HOUR:
        return f"{max(seconds, 0.0) / 60.0:.0f} min"
    return f"{seconds / HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} d"


def kind_of(metric: str) -> ResourceKind | None:
    """Which resource a series of this name is.

    >>> kind_of("node_fs_used_pct"), kind_of("latency_p95_ms")
    ('disk', None)
    """
    return next((one.kind for one in table().named if re.search(one.metric, metric)), None)


def coming(series: Sequence[Series], detail: str = "") -> tuple[ComingLimit, ...]:
    """What of these series, by their names, will reach its limit; the soonest first."""
    kinds = ((kind_of(one.metric), one) for one in series)
    found = [
        told for kind, one in kinds if kind and (told := _coming(kind, one, detail)) is not None
    ]
    return tuple(sorted(found, key=lambda one: one.at))


def _coming(kind: ResourceKind, one: Series, detail: str) -> ComingLimit | None:
    words = table().kinds[kind]
    used = _spent(one) if kind == "certificate" else one
    try:
        told = time_to_limit(used, FULL, words.horizon_days * DAY, words.growth)
    except ValueError:
        return None
    return _limit(kind, told, detail)


def _limit(kind: ResourceKind, told: LimitForecast, detail: str) -> ComingLimit | None:
    if told.at is None or told.earliest is None or told.latest is None:
        return None
    # What is full is a fault of now, and others' to tell.
    if told.level >= FULL or told.now - told.since < LEAST_PAST_S:
        return None
    exact = kind == "certificate"  # its last second is written in it
    return ComingLimit(
        kind=kind,
        owner=plain(told.owner, NAME),
        detail=plain(detail, NAME),
        used=told.level,
        at=told.at,
        earliest=told.at if exact else told.earliest,
        latest=told.at if exact else told.latest,
        now=told.now,
        since=told.since,
        points=told.points,
        slope=told.slope,
        cycles=told.cycles,
    )


def _spent(one: Series) -> Series:
    """A certificate's time left as percent of the most it was seen to have."""
    most = max(float(np.nanmax(one.values, initial=1.0)), 1.0)
    return Series(one.owner, one.metric, one.times, FULL * (1.0 - one.values / most), "%")


class ResourceOutlook:
    """Looks at all resources; what of it could not be asked is told by `problems`.

    `metrics` tells resources by their names, `client` is asked the queries of the table.
    `full` are the keys of those that are full already.
    """

    def __init__(
        self, metrics: MetricSource | None, client: PrometheusClient | None, past_s: float = PAST_S
    ) -> None:
        self._metrics, self._client, self._past_s = metrics, client, past_s
        self.problems: tuple[str, ...] = ()
        self.full: frozenset[str] = frozenset()
        self.looked_at = 0

    def coming(self, now: Timestamp) -> tuple[ComingLimit, ...]:
        """What will be full, the soonest first; raises SourceError where nothing answered."""
        window = Window(start=now - self._past_s, end=now)
        found: dict[str, ComingLimit] = {}
        problems: list[str] = []
        full: set[str] = set()
        seen = 0
        for part in self._parts(window, problems):
            for kind, one, detail in part:
                seen += 1
                last = _spent(one).values[-1:] if kind == "certificate" else one.values[-1:]
                if (last >= FULL).any():
                    full.add("|".join((kind, one.owner, detail)))
                if (told := _coming(kind, one, detail)) is not None:
                    found.setdefault(told.key, told)
        self.problems, self.full, self.looked_at = tuple(problems), frozenset(full), seen
        if problems and not seen:
            raise SourceError("forecast", problems[0], recoverable=True)
        return tuple(sorted(found.values(), key=lambda one: one.at))

    def kinds(self, now: Timestamp) -> tuple[ResourceKind, ...]:
        """The kinds of resources there are to look at, by the names of what is told now."""
        found: set[ResourceKind] = set()
        problems: list[str] = []
        if self._client is not None:
            window = Window(start=now - HOUR, end=now)
            found |= {row.kind for row in self._rows(self._client, window, problems)}
        if self._metrics is not None:
            told = self._metrics.series(Window(start=now - RECENT_S, end=now))
            found |= {kind for one in told if (kind := kind_of(one.metric))}
        self.problems = tuple(problems)
        return tuple(kind for kind in table().kinds if kind in found)

    def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            self._client.close()

    def _parts(
        self, window: Window, problems: list[str]
    ) -> Iterator[list[tuple[ResourceKind, Series, str]]]:
        asked: set[ResourceKind] = set()
        if self._client is not None:
            for row in self._rows(self._client, window, problems):
                try:
                    told = list(_asked(self._client, row, window))
                except SourceError as error:
                    problems.append(f"{row.kind}: {error.problem}")
                    continue
                asked |= {row.kind} if told else set()
                yield told
        if self._metrics is not None:
            try:
                series = self._metrics.series(window)
            except SourceError as error:
                problems.append(error.problem)
                return
            # What the table asks volume by volume is not told again by its owner's fullest.
            kinds = ((kind_of(one.metric), one) for one in series)
            yield [(kind, one, "") for kind, one in kinds if kind and kind not in asked]

    @staticmethod
    def _rows(client: PrometheusClient, window: Window, problems: list[str]) -> list[AskedResource]:
        try:
            known = client.names(window.end - HOUR, window.end)
        except SourceError as error:
            problems.append(error.problem)
            return []
        return [one for one in table().asked if known.issuperset(one.needs)]


def _asked(
    client: PrometheusClient, row: AskedResource, window: Window
) -> Iterator[tuple[ResourceKind, Series, str]]:
    start = window.start - window.start % STEP_S
    for one in client.range(row.promql, start, window.end, STEP_S)[:MOST_SERIES]:
        owner = next((one.labels[name] for name in row.owner if one.labels.get(name)), "")
        if not owner:
            continue
        # The port of an exporter is no part of a machine's name.
        named = f"node:{owner.partition(':')[0]}" if row.node else owner
        detail = " ".join(_labelled(one.labels, row.detail))
        yield row.kind, Series(named, f"{row.kind}_used_pct", one.times, one.values, "%"), detail


def _labelled(labels: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return [labels[name] for name in names if labels.get(name)]
