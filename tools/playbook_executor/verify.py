"""Did it help? Judge fresh series against what was normal and what it was like before the act.

Why these numbers: docs/decisions/playbooks.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tools.forecaster import time_to_limit
from tools.impact import impact
from tools.normal import ENOUGH, Normal
from tools.topology_walker.signals import read
from tools.types import (
    Anomaly,
    FloatArray,
    Judgement,
    MetricCheck,
    Owner,
    Series,
    Timestamp,
    Verification,
    VerificationOutcome,
    Window,
)

_HEALED = 0.1  # of the incident's deviation may be left
_GREW = 1.5
_QUORUM = 0.8
_WORD = re.compile(r"[a-z0-9]+")

_State = Literal["normal", "mending", "still", "worse"]


@dataclass(frozen=True)
class _Look:
    """One watched series: what was normal, what it was before the act, and what it is now.

    One that is `mending` will be normal at `done_at`, by its trend.
    """

    name: str
    state: _State
    normal: float
    before: float
    fresh: float
    edge: float  # where it counts as normal again, on the side it is on
    done_at: Timestamp | None = None


def verify(
    anomalies: Sequence[Anomaly],
    baseline: Sequence[Series],
    series: Sequence[Series],
    verification: Verification,
    *,
    component: str,
    since: Timestamp,
    now: Timestamp,
) -> Judgement:
    """Judge a plan whose last step ended at `since`, on series that reach up to `now`.

    For each watched anomalous series: normal is `tools.normal` of the baseline and of the points
    before the onset, with its band; before and fresh are the medians of the last `hold_s` seconds
    before `since` and before `now`. A series is normal inside the band (beyond it on the other side
    than the anomaly counts as inside) or with at most a tenth of its deviation left; it is worse
    with one and a half times the deviation, if that hurts more (`tools.impact`). `recovered`: four
    fifths are normal, no calls fail more than before the act, and all checks hold. `worse`: a
    quarter or more are worse, or one of the front door is, and more than are normal (what is at
    its limit cannot grow worse, the users' errors can). `recovering`: it would be `recovered` if
    those were normal that a line through their points since the act (`tools.forecaster`) brings
    back within `within_s` from now. `unknown`: too early, nothing to watch, or fewer than half of
    the watched have fresh points. Else `unchanged`.
    """
    if now - since < verification.hold_s:
        wait = verification.hold_s - (now - since)
        return Judgement(
            outcome="unknown",
            statement=f"too early to judge: {wait:.0f} s more are needed",
            statement_zh=f"尚不能判断：还需等待 {wait:.0f} 秒",
        )
    watched = _watched(anomalies, verification, component)
    fresh_window = Window(start=max(since, now - max(verification.hold_s, 1.0)), end=now)
    looks = [
        look
        for anomaly in watched
        if (look := _series_check(anomaly, baseline, series, since, fresh_window)) is not None
    ]
    looks = [_with_trend(look, series, since, verification.within_s) for look in looks]
    failed = [check for check in verification.checks if not _holds(check, series, fresh_window)]
    return _judged(watched, looks, failed, bool(verification.checks), now)


def _watched(
    anomalies: Sequence[Anomaly], verification: Verification, component: str
) -> list[Anomaly]:
    """The first anomaly of each series to watch; all of them if the plan's own show nothing."""
    first: dict[tuple[str, str], Anomaly] = {}
    for anomaly in sorted(anomalies, key=lambda a: (a.onset, a.owner, a.metric)):
        if not _left_out(anomaly, verification):
            first.setdefault((anomaly.owner, anomaly.metric), anomaly)
    subject = Owner.parse(component).service
    chosen = [a for a in first.values() if _in_view(a, verification, subject)]
    return chosen or list(first.values())


def _left_out(anomaly: Anomaly, verification: Verification) -> bool:
    at_the_door = Owner.parse(anomaly.owner).kind == "entry"
    return _ignored(anomaly.metric, verification.ignore) or (
        not at_the_door and _ignored(anomaly.metric, verification.stays)
    )


def _ignored(metric: str, ignore: Sequence[str]) -> bool:
    """`request_rate` ignores `http_request_rate_1m` but not `error_rate`."""
    words = f"_{'_'.join(_WORD.findall(metric.lower()))}_"
    return any(f"_{entry}_" in words for entry in ignore)


def _in_view(anomaly: Anomaly, verification: Verification, subject: str) -> bool:
    owner = Owner.parse(anomaly.owner)
    if "all" in verification.watch:
        return True
    if owner.kind == "entry":
        return "entry" in verification.watch
    own = subject in (owner.service, owner.caller)
    return ("component" if own else "others") in verification.watch


def _points(
    series: Sequence[Series], owner: str, metric: str, window: Window | None = None
) -> FloatArray:
    found = [s for s in series if s.owner == owner and s.metric == metric]
    cut = [s if window is None else s.between(window) for s in found]
    values: FloatArray = np.concatenate([np.empty(0), *(s.values for s in cut)])
    return values[np.isfinite(values)]


def _step(series: Sequence[Series], anomaly: Anomaly) -> float:
    """Seconds between the samples of the series that departed; endless where there are none."""
    found = (s.times for s in series if (s.owner, s.metric) == (anomaly.owner, anomaly.metric))
    times = np.unique(np.concatenate([np.empty(0), *found]))
    return float(np.median(np.diff(times))) if times.size > 1 else np.inf


def _series_check(
    anomaly: Anomaly,
    baseline: Sequence[Series],
    series: Sequence[Series],
    since: Timestamp,
    fresh_window: Window,
) -> _Look | None:
    fresh = _points(series, anomaly.owner, anomaly.metric, fresh_window)
    # Sampled more slowly than the holding time: the newest after the act. What is sampled faster
    # and fell silent, as calls behind an open breaker do, says nothing.
    if fresh.size == 0 and _step(series, anomaly) > fresh_window.seconds:
        after = Window(start=np.nextafter(since, np.inf), end=max(fresh_window.end, since + 1))
        fresh = _points(series, anomaly.owner, anomaly.metric, after)[-1:]
    if fresh.size == 0:
        return None
    onset = min(anomaly.onset, since)
    incident = Window(start=onset, end=since)
    late = Window(start=max(onset, since - fresh_window.seconds), end=since)
    low, middle, high = _normal(anomaly, baseline, series, onset)
    levels = [
        float(np.median(points))
        for window in (late, incident)
        if (points := _points(series, anomaly.owner, anomaly.metric, window)).size
    ]
    before = max(levels or [anomaly.observed], key=lambda v: _away(v, middle, anomaly))
    now_at = float(np.median(fresh))
    state = _state(anomaly, low, middle, high, before, now_at)
    left = _HEALED * _away(before, middle, anomaly)
    edge = max(high, middle + left) if now_at > middle else min(low, middle - left)
    return _Look(f"{anomaly.owner}|{anomaly.metric}", state, middle, before, now_at, edge)


def _with_trend(look: _Look, series: Sequence[Series], since: Timestamp, within_s: float) -> _Look:
    """The look, `mending` if its points since the act lead to its edge within `within_s`."""
    points = next((s for s in series if s.name == look.name), None)
    if look.state != "still" or points is None:
        return look
    side = -1.0 if look.fresh > look.normal else 1.0  # a forecast is of what rises to a limit
    after = points.between(Window(start=since, end=np.inf))
    rising = replace(after, values=side * after.values)
    try:
        at = time_to_limit(rising, side * look.edge, within_s).at
    except ValueError:  # too few points for a line
        at = None
    return look if at is None else replace(look, state="mending", done_at=at)


def _normal(
    anomaly: Anomaly, baseline: Sequence[Series], series: Sequence[Series], onset: Timestamp
) -> tuple[float, float, float]:
    quiet = Window(start=-np.inf, end=np.nextafter(onset, -np.inf))
    points = np.concatenate(
        [
            _points(baseline, anomaly.owner, anomaly.metric),
            _points(series, anomaly.owner, anomaly.metric, quiet),
        ]
    )
    normal = Normal.of(points) if points.size >= ENOUGH else None
    if normal is None:  # what the anomaly itself expected
        return anomaly.low, (anomaly.low + anomaly.high) / 2, anomaly.high
    low, high = normal.band
    return low, normal.level, high


def _away(value: float, middle: float, anomaly: Anomaly) -> float:
    """How far the value lies from normal on the anomaly's side."""
    if anomaly.direction == "up":
        return max(0.0, value - middle)
    if anomaly.direction == "down":
        return max(0.0, middle - value)
    return abs(value - middle)


def _state(
    anomaly: Anomaly, low: float, middle: float, high: float, before: float, fresh: float
) -> _State:
    left, was = _away(fresh, middle, anomaly), _away(before, middle, anomaly)
    if low <= fresh <= high or left <= _HEALED * was:
        return "normal"
    hurts = impact(anomaly.metric, before, fresh).level != "none"
    return "worse" if left >= _GREW * was and hurts else "still"


def _holds(check: MetricCheck, series: Sequence[Series], window: Window) -> bool:
    points = _points(series, check.owner, check.metric, window)
    if points.size == 0:
        return False
    middle = float(np.median(points))
    return middle < check.value if check.comparison == "<" else middle > check.value


def _judged(
    watched: Sequence[Anomaly],
    looks: Sequence[_Look],
    failed: Sequence[MetricCheck],
    has_checks: bool,
    now: Timestamp,
) -> Judgement:
    states: tuple[_State, ...] = ("normal", "mending", "worse")
    count: dict[str, int] = {state: sum(look.state == state for look in looks) for state in states}
    outcome: VerificationOutcome = "unchanged"
    if 2 * len(looks) < len(watched) or not (watched or has_checks):
        outcome = "unknown"
    elif count["worse"] > count["normal"] and _harm(looks, count["worse"]):
        outcome = "worse"
    elif not failed and not _failing(looks):
        if count["normal"] >= _QUORUM * len(looks):
            outcome = "recovered"
        elif count["normal"] + count["mending"] >= _QUORUM * len(looks):
            outcome = "recovering"
    figures = {
        "watched": float(len(watched)),
        "judged": float(len(looks)),
        "normal": float(count["normal"]),
        "mending": float(count["mending"]),
        "worse": float(count["worse"]),
        "failed_checks": float(len(failed)),
    }
    done = [at for look in looks if (at := look.done_at) is not None]
    done_at = max(done) if outcome == "recovering" else None
    english, chinese = _sentences(len(watched), looks, count, failed)
    if done_at is not None:
        minutes = max(1, round((done_at - now) / 60.0))
        english = f"recovering, done in about {minutes} min if it goes on so: {english}"
        chinese = f"正在恢复，照此趋势约 {minutes} 分钟后完成：{chinese}"
    return Judgement(
        outcome=outcome,
        statement=english,
        statement_zh=chinese,
        figures=figures,
        done_at=done_at,
    )


def _failing(looks: Sequence[_Look]) -> bool:
    """Whether more calls fail than before the act, whatever else is normal again."""
    worse = [look for look in looks if look.state == "worse"]
    family = {look.name: read(look.name.rpartition("|")[2]).family for look in worse}
    return any(
        (family[look.name] == "errors" and look.fresh > look.before)
        or (family[look.name] == "success" and look.fresh < look.before)
        for look in worse
    )


def _harm(looks: Sequence[_Look], worse: int) -> bool:
    at_the_door = (
        look for look in looks if Owner.parse(look.name.partition("|")[0]).kind == "entry"
    )
    return 4 * worse >= len(looks) or any(look.state == "worse" for look in at_the_door)


def _sentences(
    watched: int, looks: Sequence[_Look], count: dict[str, int], failed: Sequence[MetricCheck]
) -> tuple[str, str]:
    order = {"worse": 0, "still": 1, "mending": 2, "normal": 3}
    shown = sorted(looks, key=lambda look: (order[look.state], look.name))[:3]
    figures = "; ".join(
        f"{look.name} {look.before:.4g} -> {look.fresh:.4g} (normal {look.normal:.4g})"
        for look in shown
    )
    checks = "".join(
        f"; check failed: {check.owner}|{check.metric} {check.comparison} {check.value:g}"
        for check in failed
    )
    english = f"{count['normal']} of {watched} watched series are normal again"
    english += f", {count['mending']} are on their way there" if count["mending"] else ""
    english += f", {count['worse']} are worse" if count["worse"] else ""
    english += f", {watched - len(looks)} have no fresh points" if watched > len(looks) else ""
    chinese = f"{watched} 个受监视的指标中 {count['normal']} 个恢复正常"
    chinese += f"，{count['mending']} 个正在回归正常" if count["mending"] else ""
    chinese += f"，{count['worse']} 个更差" if count["worse"] else ""
    tail = f": {figures}{checks}" if figures else checks
    return english + tail, chinese + tail
