"""The forecast suite: drawn resources, what counts as foretold, and its published keys."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from evals import keys
from evals.forecast import limits, suite
from evals.forecast.leaks import DAY, FULL, HOUR, KINDS, LEAKS, STEP_S, Resource, resource
from evals.report import Options
from tools.forecaster import LimitForecast
from tools.types import FloatArray


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_is_drawn_the_same_by_its_seed_and_ends_where_it_is_full(kind: str) -> None:
    one, again = resource(kind, 5), resource(kind, 5)
    np.testing.assert_array_equal(one.values, again.values)
    assert (one.values < FULL).all()
    assert kind in LEAKS or one.full_at is None


def told_after(days: float, said_h: float) -> limits.Rule:
    def rule(one: Resource, times: FloatArray, values: FloatArray) -> LimitForecast | None:
        now = float(times[-1])
        if now - one.times[0] < days * DAY:
            return None
        at = now + said_h * HOUR
        return LimitForecast(
            owner="db", metric="disk", now=now, level=50, limit=FULL, slope=1, since=now - DAY,
            points=96, at=at, earliest=at - HOUR, latest=at + HOUR,
        )  # fmt: skip

    return rule


def a_disk(full_after: float) -> Resource:
    times = STEP_S * np.arange(full_after * DAY / STEP_S)
    return Resource("disk", 1, times, np.full(len(times), 50.0), float(times[-1]) + STEP_S)


def test_a_forecast_counts_where_the_resource_was_full_about_then() -> None:
    good = limits.judged(a_disk(6.0), told_after(5.0, 20.0))
    early = limits.judged(a_disk(20.0), told_after(5.0, 20.0))
    assert 20 < good.lead_h < 24
    assert good.false == 0
    assert early.lead_h == 0
    assert early.false == 1


def write(data: Path) -> None:
    nab, kpi = data / "metrics" / "nab", data / "metrics" / "kpi"
    (nab / "web").mkdir(parents=True)
    kpi.mkdir(parents=True)
    (nab / "combined_windows.json").write_text(json.dumps({"web/a.csv": []}))
    rng = np.random.default_rng(0)
    rows, curve = ["timestamp,value"], ["timestamp,value,label"]
    for hour in range(24 * 12):
        value = 10 + 3 * np.sin(hour / 24 * 6.283) + rng.normal(0, 0.3)
        rows.append(f"2026-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00,{value}")
        curve.append(f"{1_700_000_000 + 3600 * hour},{value},0")
    (nab / "web" / "a.csv").write_text("\n".join(rows))
    (kpi / "b.csv").write_text("\n".join(curve))


def test_the_suite_tells_its_published_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    few = {kind: KINDS[kind] for kind in ("disk_fills", "memory_leaks", "flat")}
    monkeypatch.setattr(suite, "KINDS", few)
    with Progress(disable=True) as progress:
        result = suite.run(Options(data=tmp_path, arm="ml", limit=1), progress)
    assert keys.differences(result) == []
    assert 0.5 < result.summary["coverage90"] <= 1.0
    assert result.summary["lead_time_h.p50"] > 24
    assert result.tables[2].rows[0][0].startswith("copilot")
