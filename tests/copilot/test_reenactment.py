"""A recorded incident answers to what is done about it by what was recorded, to nothing else."""

from pathlib import Path

import numpy as np
import pytest

from copilot.sources.recorded import BundleError, IncidentReplay
from copilot.sources.recordings import recordings
from evals.localization.cases import RECORDINGS, read
from tools.types import PlanStep, Window

FOLDERS = sorted((recordings() / "incidents").iterdir())
ALWAYS = Window(start=0.0, end=4e9)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def shown(request: pytest.FixtureRequest) -> IncidentReplay:
    return IncidentReplay(request.param)


def right(shown: IncidentReplay) -> PlanStep:
    return PlanStep(
        index=0, title="a step", action=shown.mend.action, arguments=shown.mend.arguments
    )


def failing(shown: IncidentReplay) -> float:
    """The worst failing share of calls between services in the last half minute, percent."""
    recent = Window(start=shown.now() - 30.0, end=shown.now())
    errors = [one for one in shown.series(recent) if one.metric == "error_pct"]
    return max(float(np.nanmean(one.values)) for one in errors)


def test_it_starts_at_the_first_alert_and_tells_nothing_of_what_comes_later(
    shown: IncidentReplay,
) -> None:
    assert shown.now() == shown.alerts()[0].starts_at
    assert all(one.status == "firing" for one in shown.alerts())
    assert max(float(one.times[-1]) for one in shown.series(ALWAYS)) <= shown.now()
    assert max(line.at for line in shown.lines(ALWAYS)) <= shown.now()
    assert all(span.at + span.seconds <= shown.now() for span in shown.spans(ALWAYS))
    assert all(change.at <= shown.now() for change in shown.changes(ALWAYS))


def test_until_the_right_step_the_fault_goes_on_and_no_other_step_changes_anything(
    shown: IncidentReplay,
) -> None:
    shown.sleep(60.0)
    during = failing(shown)
    assert during > 5.0
    wrong = right(shown).model_copy(update={"arguments": {"name": "somebody-else"}})
    assert "no effect was recorded" in shown.run(wrong, "k1").output
    for _ in range(10):
        shown.sleep(60.0)
        assert failing(shown) > 0.5 * during
    assert not shown.mended


def test_what_follows_the_right_step_is_the_recovery_and_then_normal_operation(
    shown: IncidentReplay,
) -> None:
    shown.sleep(300.0)
    before = shown.series(ALWAYS)
    told = shown.run(right(shown), "k1")
    assert told.ok
    shown.sleep(60.0)
    assert shown.run(right(shown), "k1") == told
    shown.sleep(600.0)
    assert failing(shown) < 1.0
    # What was seen before stays as it was seen.
    for one, now in zip(before, shown.series(ALWAYS), strict=True):
        np.testing.assert_array_equal(one.values, now.values[: one.values.size])
        assert np.all(np.diff(now.times) > 0)


def test_one_that_was_not_recorded_to_its_end_cannot_be_re_enacted() -> None:
    folder: Path = read(RECORDINGS, None)[0].folder
    with pytest.raises(BundleError, match="recorded up to its recovery"):
        IncidentReplay(folder)
