"""Charts of the console: what is normal, what happened and what was done, on one axis."""

import shutil
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from copilot.sources.deployment import MetricSnapshot
from copilot.store import Store
from copilot.surfaces.console.chart import TimeMark, chart
from copilot.surfaces.service import create_app
from copilot.surfaces.service.shared_look import MOST_LOOKING
from copilot.testing.service import CountedEngine
from copilot.types.incident import Clocks, Incident
from tools.types import Candidate, Evidence, Ranking, Series, Term, Timestamp, Window

NOW = 1_700_000_000.0
ONSET = NOW - 60
WINDOW = Window(start=NOW - 660, end=NOW)


@dataclass(frozen=True)
class Door:
    api_key: SecretStr | None = None
    max_body_bytes: int = 100_000
    max_alerts: int = 100


def series(name: str = "till|error_pct", *, gap: bool = False) -> Series:
    times = np.arange(NOW - 660, NOW + 1, 10.0)
    values = np.where(times < ONSET, 1.0, 20.0)
    if gap:
        values[30:35] = np.nan
    owner, _, metric = name.partition("|")
    return Series(owner, metric, times, values, "%")


def test_a_row_is_drawn_with_its_band_and_breaks_where_nothing_was_measured() -> None:
    (row,) = chart([series(gap=True)], [], WINDOW, ONSET, []).rows
    assert (row.label, row.low, row.high, row.last) == ("till error_pct", "1", "20", "20")
    assert len(row.points) == 2
    assert row.band is not None


def test_moments_stand_where_they_were_and_what_is_outside_is_left_out() -> None:
    marks = [TimeMark("onset", ONSET), TimeMark("alert", NOW), TimeMark("change", NOW - 5000)]
    drawn = chart([series()], [], WINDOW, ONSET, marks)
    assert [kind for kind, _ in drawn.marks] == ["onset", "alert"]
    assert drawn.marks[0][1] < drawn.marks[1][1] == drawn.ticks[-1][0]


def test_a_series_without_points_is_a_row_without_a_line() -> None:
    empty = Series("till", "error_pct", np.array([]), np.array([]))
    (row,) = chart([empty], [], WINDOW, ONSET, []).rows
    assert (row.points, row.band, row.last) == ((), None, "–")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "filled.sqlite"
    made = Store(f"sqlite:///{path}")
    made.create()
    seen = Evidence(
        id="E1", kind="metric", subject="till", name="errors <b>", source="metrics",
        query="till|error_pct", window=WINDOW, statement="rose",
    )  # fmt: skip
    likely = Candidate(
        component="till", score=1, terms=(Term(name="x", weight=1, evidence=("E1",)),)
    )
    for name, clocks in (("I1", Clocks(onset=ONSET)), ("I2", Clocks())):
        made.incidents.open(
            Incident(
                id=name, title="till", opened_at=NOW, updated_at=NOW, clocks=clocks,
                evidence=(seen,), ranking=Ranking(candidates=(likely,)),
            )
        )  # fmt: skip
    made.close()
    return path


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{shutil.copy(filled, tmp_path / 'store.sqlite')}")
    yield opened
    opened.close()


def test_the_picture_is_a_file_of_its_own_and_the_source_is_asked_once(store: Store) -> None:
    asked = []

    def measure(incident: Incident, window: Window, before: Timestamp) -> MetricSnapshot:
        asked.append((incident.id, window.start, before))
        return MetricSnapshot(series=(series(), series("<b>|x")), baseline=())

    app = create_app(CountedEngine(store, NOW), Door(), measure=measure)
    client = TestClient(app, base_url="http://127.0.0.1")
    assert "/console/incidents/I1/series.svg" in client.get("/console/incidents/I1").text
    for _ in range(3):
        answer = client.get("/console/incidents/I1/series.svg?lang=zh")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "till error_pct" in "".join(ElementTree.fromstring(answer.text).itertext())
    assert asked == [("I1", ONSET - 600, ONSET - 600)]
    assert client.get("/console/incidents/I2/series.svg").status_code == 404
    assert client.get("/console/incidents/I9/series.svg").status_code == 404


def test_without_a_source_no_chart_is_promised(store: Store) -> None:
    client = TestClient(create_app(CountedEngine(store, NOW), Door()), base_url="http://127.0.0.1")
    assert "series.svg" not in client.get("/console/incidents/I1").text


def test_a_source_that_hangs_takes_no_more_threads_than_it_may(
    store: Store,
) -> None:
    asked, let_go = threading.Semaphore(0), threading.Event()

    def measure(incident: Incident, window: Window, before: Timestamp) -> MetricSnapshot:
        asked.release()
        assert let_go.wait(30)
        return MetricSnapshot(series=(), baseline=())

    app = create_app(CountedEngine(store, NOW), Door(), measure=measure)
    client = TestClient(app, base_url="http://127.0.0.1")
    address = "/console/incidents/I1/series.svg"
    with ThreadPoolExecutor(MOST_LOOKING) as pool:
        waiting = [pool.submit(client.get, address) for _ in range(MOST_LOOKING)]
        for _ in range(MOST_LOOKING):
            assert asked.acquire(timeout=30)
        busy = client.get(address)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
        let_go.set()
        assert {one.result(30).status_code for one in waiting} == {404}
