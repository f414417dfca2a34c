"""The storm benchmark tells when each incident was opened and when people were told of it."""

from pathlib import Path

import pytest

from copilot.store import Store
from evals.alerts.storm import Briefs, apart, measured, storm


def test_a_storm_has_its_size_its_services_and_the_seed_decides_the_rest() -> None:
    alerts = storm(200, seed=1)
    assert len(alerts) == 200
    assert alerts == storm(200, seed=1) != storm(200, seed=2)
    assert len({one["labels"]["cluster"] for one in apart(20, seed=1)}) == 20


def test_an_incident_waits_until_its_brief_or_until_it_went_into_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    store = Store(url)
    store.create()
    for at, incident, kind in (
        (10.0, "a", "opened"), (11.0, "b", "opened"), (12.0, "c", "opened"),
        (13.5, "a", "briefed"), (14.0, "c", "merged"), (20.0, "a", "briefed"),
    ):  # fmt: skip
        store.journal.append(incident, kind, "copilot", {}, at)
    briefs = Briefs(url)
    briefs.look()
    assert briefs.waiting() == {"b"}
    assert briefs.waits() == [3.5]
    store.close()


@pytest.mark.integration
def test_a_small_storm_over_a_real_service_is_told_to_its_last_incident() -> None:
    timing = measured(apart(4, seed=1), within_s=0.0)
    assert timing.opened == len(timing.waits_s) == 4
    assert timing.unbriefed == 0
