"""Count the lines of every service and template before and after a moment; tell which changed."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from tools.log_retriever.access import Request
from tools.log_retriever.fields import level_name
from tools.log_retriever.miner import Miner, MinerConfig
from tools.log_retriever.significance import RateChange, dispersion_of, rate_change
from tools.types import FloatArray, FrozenModel, LogLine, SplitLog, Timestamp, Window

_LONG_SILENCE_S = 60.0


@dataclass(slots=True)
class Tally:
    """The lines of one template of one service."""

    service: str
    template: str
    level: str
    before: list[Timestamp] = field(default_factory=list)
    after: list[Timestamp] = field(default_factory=list)
    example: LogLine | None = None

    def join(self, other: "Tally") -> None:
        """Take the lines of a tally whose template has been merged into this one's."""
        self.before += other.before
        self.after += other.after
        self.example = self.example or other.example


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One line of an access log: when, and what was answered."""

    at: Timestamp
    request: Request
    line: LogLine


@dataclass(frozen=True, slots=True)
class CountedLog:
    """A log read once: its tallies, and the requests told before the onset and since."""

    tallies: list[Tally]
    requests: tuple[list[AnsweredRequest], list[AnsweredRequest]]


def tally(log: SplitLog, config: MinerConfig) -> CountedLog:
    """One tally per service and template; templates are those known after the last line."""
    miner = Miner(config)
    raw: dict[tuple[str, str], Tally] = {}
    requests: tuple[list[AnsweredRequest], list[AnsweredRequest]] = ([], [])
    for is_after, lines in enumerate((log.before, log.after)):
        for line in lines:
            parsed = miner.add(line.message)
            if parsed.header.request is not None:
                requests[is_after].append(AnsweredRequest(line.at, parsed.header.request, line))
            key = (line.service, parsed.template_id)
            found = raw.get(key)
            if found is None:
                level = level_name(line.level) or parsed.level
                found = raw[key] = Tally(line.service, parsed.template, level)
            (found.after if is_after else found.before).append(line.at)
            if found.example is None or (is_after and len(found.after) == 1):
                found.example = line
    return CountedLog(_resolved(miner, raw), requests)


def _resolved(miner: Miner, raw: dict[tuple[str, str], Tally]) -> list[Tally]:
    final: dict[tuple[str, str], Tally] = {}
    for (service, former), counted in raw.items():
        counted.template = miner.resolve(former).text
        known = final.setdefault((service, counted.template), counted)
        if known is not counted:
            known.join(counted)
    return list(final.values())


def exposure(times: Sequence[Timestamp], unread: Sequence[Window] = ()) -> float:
    """Return the seconds that lines at `times` cover, without silences much longer than usual.

    Recordings of several stretches are so many stretches, not the time between them. Of a stretch
    that was not read nobody knows whether it was silent: it is no part of the seconds.
    """
    if len(times) < 2:
        return 1.0
    silences = np.diff(_read_until(np.sort(np.asarray(times, dtype=np.float64)), unread))
    usual = max(_LONG_SILENCE_S, 20.0 * float(np.median(silences)))
    return max(1.0, float(silences[silences <= usual].sum()))


def _read_until(moments: FloatArray, unread: Sequence[Window]) -> FloatArray:
    """The moments on a clock that stands still in the disjoint, ascending stretches `unread`."""
    if not unread:
        return moments
    ends = [moment for window in unread for moment in (window.start, window.end)]
    lost = np.cumsum([part for window in unread for part in (0.0, window.seconds)])
    known: FloatArray = moments - np.interp(moments, ends, lost)
    return known


def active_bins(times: Sequence[Timestamp], width: float) -> tuple[int, ...]:
    """Return the bins of `width` seconds that hold at least one of `times`."""
    return tuple(sorted({math.floor(time / width) for time in times}))


def in_bins(times: Sequence[Timestamp], active: Sequence[int], width: float) -> list[int]:
    """Count the times that fall into each active bin of `width` seconds."""
    counts = dict.fromkeys(active, 0)
    for time in times:
        counts[math.floor(time / width)] += 1
    return list(counts.values())


NoveltyName = Literal["new_template", "frequency", "vanished", "burst"]


class NoveltyConfig(FrozenModel):
    """What counts as novel and how much is said.

    `false_discovery_rate` is the share of reported changes that may be chance; `bin_s` the width of
    a burst; `min_ratio` the least factor between rates; the weights multiply a finding's strength:
    an error that appears and a step that is no longer logged point at the fault more often than
    ordinary lines that appear, these more often than mere traffic (`more_lines`), and an error that
    went away seldom does. `until` is the end of what was observed, where that is known to be later
    than the last line: silence counts only then.
    """

    limit: int = Field(default=60, ge=1)
    per_service: int = Field(default=8, ge=1)
    excerpt: int = Field(default=300, ge=16)
    false_discovery_rate: float = Field(default=0.1, gt=0, lt=1)
    bin_s: float = Field(default=10.0, gt=0)
    min_ratio: float = Field(default=2.0, ge=1)
    min_burst: int = Field(default=10, ge=2)
    error_appears: float = Field(default=1.5, gt=0)
    error_vanishes: float = Field(default=0.5, gt=0)
    line_appears: float = Field(default=0.75, gt=0)
    line_vanishes: float = Field(default=1.5, gt=0)
    more_lines: float = Field(default=0.25, gt=0)
    until: Timestamp | None = None
    miner: MinerConfig = Field(default_factory=MinerConfig)


@dataclass(frozen=True, slots=True)
class ObservedSeconds:
    """For how long the log was read before the onset and since."""

    before_s: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Periods:
    """The two stretches compared: seconds observed, lines per service, bins with any line.

    `partly` are the seconds of services of which less was read than of the others (`whole`).
    """

    whole: ObservedSeconds
    partly: Mapping[str, ObservedSeconds]
    lines_before: Counter[str]
    lines_after: Counter[str]
    bins_before: tuple[int, ...]
    window: Window

    def of(self, service: str) -> ObservedSeconds:
        """Return for how long the log of a service was read."""
        return self.partly.get(service, self.whole)


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """One template's (or, with no template, one service's) change and how sure it is."""

    tally: Tally
    name: NoveltyName
    test: RateChange
    onset: Timestamp
    peak: int = 0


def periods_of(log: SplitLog, config: NoveltyConfig) -> Periods:
    """Return the two stretches that are compared: before the onset and since."""
    after, onset = log.after, log.onset
    end = max(onset, config.until or onset, after[-1].at if after else onset)
    earlier = [line.at for line in log.before]

    def observed(service: str) -> ObservedSeconds:
        unread = log.gaps_of(service)
        began, ended = _read_until(np.array([onset, end]), unread)
        return ObservedSeconds(exposure(earlier, unread), max(1.0, float(ended - began)))

    return Periods(
        whole=observed(""),
        partly={name: observed(name) for name in {gap.service for gap in log.gaps} - {""}},
        lines_before=Counter(line.service for line in log.before),
        lines_after=Counter(line.service for line in after),
        bins_before=active_bins(earlier, config.bin_s),
        window=Window(start=onset, end=end),
    )


def changes_of(
    tallies: Sequence[Tally], periods: Periods, config: NoveltyConfig
) -> list[TemplateChange]:
    """Every change of a template and of a service's volume, with its test, significant or not."""
    changes = [change for t in tallies if (change := _template_change(t, periods, config))]
    return changes + _volume_changes(tallies, periods, config)


def _template_change(
    counted: Tally, periods: Periods, config: NoveltyConfig
) -> TemplateChange | None:
    service = counted.service
    if service not in periods.lines_after:
        return None
    a, b = len(counted.after), len(counted.before)
    seconds = periods.of(service)
    test = rate = rate_change(b, a, seconds.before_s, seconds.after_s, 1.0)
    if service in periods.lines_before:
        test = rate_change(b, a, periods.lines_before[service], periods.lines_after[service], 1.0)
        if test.statistic * rate.statistic < 0:
            test = RateChange(0.0, 1.0)
    start = periods.window.start
    if not b:
        return TemplateChange(counted, "new_template", test, min(counted.after))
    if not a:
        return TemplateChange(counted, "vanished", test, start)
    ratio = (a / seconds.after_s) / (b / seconds.before_s)
    burst = _burst(counted, periods, config)
    if max(ratio, 1 / ratio) < config.min_ratio or (burst and burst.test.p_value < test.p_value):
        return burst
    return TemplateChange(counted, "frequency", test, min(counted.after) if ratio > 1 else start)


def _burst(counted: Tally, periods: Periods, config: NoveltyConfig) -> TemplateChange | None:
    """A short peak of a template, against its rate before and against its rate around the peak."""
    width, start = config.bin_s, periods.window.start
    after_s = periods.of(counted.service).after_s
    after = Counter(math.floor((at - start) / width) for at in counted.after)
    first, peak = max(after.items(), key=lambda item: (item[1], -item[0]))
    usual = in_bins(counted.before, periods.bins_before, width)
    if peak < config.min_burst or peak <= max(usual):
        return None
    before = float(len(counted.before)), len(usual) * width
    around = float(len(counted.after) - peak), max(width, after_s - width)
    count, seconds = max(before, around, key=lambda rate: rate[0] / rate[1])
    test = rate_change(count, peak, seconds, width, dispersion_of(usual))
    looks = max(1.0, after_s / width)
    corrected = RateChange(test.statistic, min(1.0, test.p_value * looks))
    return TemplateChange(counted, "burst", corrected, start + first * width, peak)


def _volume_changes(
    tallies: Sequence[Tally], periods: Periods, config: NoveltyConfig
) -> list[TemplateChange]:
    """Services that log more or less, or not at all, whatever they say."""
    whole: dict[str, Tally] = {}
    for counted in tallies:
        whole.setdefault(counted.service, Tally(counted.service, "", "")).join(counted)
    changes = []
    for service, total in whole.items():
        if service not in periods.lines_before:
            continue
        spread = dispersion_of(in_bins(total.before, periods.bins_before, config.bin_s))
        a, b = len(total.after), len(total.before)
        seconds = periods.of(service)
        test = rate_change(b, a, seconds.before_s, seconds.after_s, spread)
        ratio = (a / seconds.after_s) / (b / seconds.before_s)
        if config.min_ratio > ratio > 1 / config.min_ratio:
            continue
        name: NoveltyName = "frequency" if a else "vanished"
        changes.append(TemplateChange(total, name, test, periods.window.start))
    return changes
