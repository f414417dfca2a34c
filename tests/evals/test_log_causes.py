"""The log-only incidents: what they hold, how they are written down, and how they are judged."""

import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from evals.logs import causes
from evals.logs.causes import LAYOUTS, written
from tools.types import FaultKind, Window

INCIDENTS = causes.incidents()
JSON_LAYOUTS = {"logback", "zap", "zerolog", "structlog", "winston", "pino"}


def test_there_are_cases_of_many_kinds_half_of_them_in_json() -> None:
    kinds = {kind for _, answer in INCIDENTS for kind in answer.kinds[:1]}
    assert len(kinds) >= 12
    assert kinds <= set(get_args(FaultKind))
    layouts = Counter(
        layout in JSON_LAYOUTS for one, _ in INCIDENTS for layout in one.layout.values()
    )
    assert min(layouts.values()) >= 0.4 * sum(layouts.values())


def test_each_case_has_a_source_and_layouts_that_exist() -> None:
    for one, _ in INCIDENTS:
        assert one.source.startswith("https://"), one.id
        assert set(one.layout.values()) <= set(LAYOUTS), one.id
        assert set(one.normal) | set(one.failing) <= set(one.layout), one.id


def test_about_half_is_kept_aside_by_the_name_alone() -> None:
    kept = [causes.kept_aside(one.id) for one, _ in INCIDENTS if not one.later]
    assert 0.4 <= sum(kept) / len(kept) <= 0.6


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_writes_text_and_error(layout: str) -> None:
    line = written(layout, 1_772_421_247.0, "ERROR not saved || no space")
    assert "not saved" in line
    assert "no space" in line
    if layout in JSON_LAYOUTS:
        assert json.loads(line)


def test_a_recording_has_nothing_but_alerts_and_lines(tmp_path: Path) -> None:
    incident, _ = INCIDENTS[0]
    bundle = causes.recorded(incident, tmp_path / "one")
    assert not bundle.series(bundle.window)
    assert bundle.alerts(bundle.window)[0].starts_at == causes.ALERTED_AT
    fault = Window(start=causes.ALERTED_AT - incident.before_s, end=causes.ALERTED_AT)
    assert any("is not available" in line.message for line in bundle.lines(fault))
    before = Window(start=bundle.window.start, end=fault.start)
    assert not any("is not available" in line.message for line in bundle.lines(before))


@pytest.mark.parametrize("name", ["hikari-orders", "stripe-429", "mongo-chain", "quiet-restart"])
def test_a_case_is_judged_by_component_and_kind_through_the_whole_graph(name: str) -> None:
    incident, answer = next(one for one in INCIDENTS if one[0].id == name)
    case = causes.judged(incident, answer)
    assert case.right
    assert case.probability <= 0.7
    if answer.components:
        assert abs(case.onset_off_s) <= 5
        wrong = causes.CauseAnswer(("nobody",), answer.kinds)
        assert not causes.judged(incident, wrong).right
