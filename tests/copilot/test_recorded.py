"""A recorded bundle as every telemetry port at once; the bundles are written here."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copilot.alerts.formats import parse
from copilot.sources.recorded import BundleError, RecordedBundle
from copilot.sources.recorded.tables import MOST_PACKED, MOST_UNPACKED
from tools.types import Window

T0 = 1_700_000_000.0
DAY = 86_400.0
ALL = Window(start=0.0, end=T0 + 10 * DAY)


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


def describe(folder: Path, **changes: object) -> None:
    described = {
        "schema": "incident-bundle/1",
        "id": folder.name,
        "system": "a shop",
        "window": [T0, T0 + 600],
        "services": ["web", "cart"],
        "entry": "web",
        "modalities": ["metrics"],
        "sampling_s": 60,
        "history": None,
        "reference_excluded": [],
        "trace_minutes_missing": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "incident.json").write_text(json.dumps(described | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten minutes of two services: metrics, an edge, lines, spans, a change, a page."""
    folder = tmp_path / "set" / "incidents" / "xx-000001"
    describe(folder, history="quiet", reference_excluded=[[T0 + 60, T0 + 120]])
    rows = [f"{T0 + 60 * i:.0f},{i},{'' if i == 3 else 10 * i}" for i in range(11)]
    pack(folder / "metrics.csv.gz", "ts,web|cpu_pct,cart|latency_p99_ms\n" + "\n".join(rows))
    edges = [f"{T0 + 60 * i:.0f},web,cart,5,2.5" for i in range(11)]
    pack(folder / "edges.csv.gz", "ts,caller,callee,calls,gap_p50_ms\n" + "\n".join(edges))
    lines = [
        {"ts": T0 + 60 * i, "service": "cart", "level": "INFO", "msg": f"n {i}", "trace": "t"}
        for i in range(11)
    ]
    pack(folder / "logs.ndjson.gz", "\n".join(map(json.dumps, lines)))
    pack(
        folder / "spans.csv.gz",
        "ts,trace,span,parent,service,op,dur_us\n"
        f"{T0 + 5},t,1,0,web,GET /,60000000\n{T0 + 6},t,2,1,cart,get,1500",
    )
    change = {"ts": T0 + 100, "service": "cart", "kind": "canary_release", "to_version": "v2"}
    (folder / "changes.json").write_text(json.dumps([change]))
    page = {"ts": T0 + 300, "name": "slow", "service": "web", "signal": "latency_p99_ms"}
    (folder / "alerts.json").write_text(json.dumps([page]))
    (folder / "topology.json").write_text(
        json.dumps({"nodes": ["web"], "edges": [["web", "cart"], ["cart", "db"]]})
    )
    quiet = [f"{T0 + 3 * DAY + 60 * i:.0f},{100 + i}" for i in range(5)]
    history = tmp_path / "set" / "history" / "quiet"
    pack(history / "metrics.csv.gz", "ts,web|cpu_pct\n" + "\n".join(quiet))
    return folder


def test_one_folder_answers_every_port(folder: Path) -> None:
    bundle = RecordedBundle(folder)
    assert {one.name for one in bundle.series(ALL)} == {
        "web|cpu_pct",
        "cart|latency_p99_ms",
        "web->cart|calls",
        "web->cart|gap_p50_ms",
    }
    assert [line.message for line in bundle.lines(ALL)][:2] == ["n 0", "n 1"]
    root, child = bundle.spans(ALL)
    assert (root.parent, child.parent, child.seconds) == ("", "1", 0.0015)
    assert [(c.kind, c.to_version) for c in bundle.changes(ALL)] == [("canary", "v2")]
    assert [(a.name, a.service, a.starts_at) for a in bundle.alerts(ALL)] == [
        ("slow", "web", T0 + 300)
    ]


def test_units_follow_the_metric_names(folder: Path) -> None:
    units = {one.metric: one.unit for one in RecordedBundle(folder).series(ALL)}
    assert units == {"cpu_pct": "%", "latency_p99_ms": "ms", "gap_p50_ms": "ms", "calls": ""}


def test_services_and_ends_of_edges_are_nodes(folder: Path) -> None:
    topology = RecordedBundle(folder).topology()
    assert topology.nodes == ("web", "cart", "db")
    assert topology.entry == "web"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(offset=st.floats(-100, 900), back=st.floats(0, 800), ahead=st.floats(0, 5000))
def test_no_answer_holds_a_point_of_the_future(
    folder: Path, offset: float, back: float, ahead: float
) -> None:
    now = T0 + offset
    bundle = RecordedBundle(folder, clock_at=now)
    window = Window(start=now - back, end=now + ahead)
    assert all(one.times.max() <= now for one in bundle.series(window))
    assert all(one.times.max() <= now for one in bundle.baseline(now + ahead))
    assert all(line.at <= now for line in bundle.lines(window))
    assert all(line.at <= now for line in bundle.baseline_lines(now + ahead))
    assert all(span.at + span.seconds <= now for span in bundle.spans(window))
    assert all(change.at <= now for change in bundle.changes(window))
    assert all(alert.starts_at <= now for alert in bundle.alerts(window))


def test_the_clock_moves_forward_only_and_the_world_with_it(folder: Path) -> None:
    bundle = RecordedBundle(folder, clock_at=T0)
    assert len(bundle.lines(ALL)) == 1
    bundle.sleep(60.0)
    assert (bundle.now(), len(bundle.lines(ALL))) == (T0 + 60, 2)
    bundle.advance(T0 + 600)
    assert len(bundle.lines(ALL)) == 11
    with pytest.raises(ValueError, match="cannot go back"):
        bundle.advance(T0)
    with pytest.raises(ValueError, match="forward only"):
        bundle.sleep(-1.0)


def test_a_replay_stands_at_its_end_unless_told_otherwise(folder: Path) -> None:
    assert RecordedBundle(folder).now() == T0 + 600


def test_history_is_moved_back_by_whole_days_and_the_quiet_past_follows(folder: Path) -> None:
    baseline = {one.name: one for one in RecordedBundle(folder).baseline(T0 + 300)}
    cpu = baseline["web|cpu_pct"]
    # Five points of history (the same time of day), then the window without the excluded minute.
    assert cpu.values.tolist() == [100, 101, 102, 103, 104, 0, 3, 4]
    assert (cpu.times[0] - T0) % DAY == 0
    assert cpu.times[4] < T0
    assert (cpu.times[1:] > cpu.times[:-1]).all()


def test_baseline_lines_leave_out_earlier_incidents(folder: Path) -> None:
    messages = [line.message for line in RecordedBundle(folder).baseline_lines(T0 + 300)]
    assert messages == ["n 0", "n 3", "n 4"]


def test_spans_of_earlier_incidents_are_left_out(folder: Path) -> None:
    describe(folder, reference_excluded=[[T0, T0 + 5.5]])
    assert [span.operation for span in RecordedBundle(folder).spans(ALL)] == ["get"]


def test_a_missing_point_is_nan_and_no_row_is_lost(folder: Path) -> None:
    latency = next(s for s in RecordedBundle(folder).series(ALL) if s.owner == "cart")
    assert latency.times.size == 11
    assert latency.values[3] != latency.values[3]


def test_an_alert_that_ends_in_the_future_is_still_firing(folder: Path) -> None:
    rows = [
        {
            "labels": {"alertname": "HighLatency", "service": "cart", "severity": "critical"},
            "annotations": {"summary": "slow"},
            "startsAt": "2023-11-14T22:15:00Z",
            "endsAt": "2023-11-14T22:20:00Z",
            "status": "resolved",
        }
    ]
    (folder / "alerts.json").write_text(json.dumps(rows))
    (open_,) = RecordedBundle(folder, clock_at=T0 + 200).alerts(ALL)
    assert (open_.name, open_.severity, open_.status, open_.ends_at) == (
        "HighLatency",
        "critical",
        "firing",
        None,
    )
    (closed,) = RecordedBundle(folder).alerts(ALL)
    assert closed.status == "resolved"


def test_a_recorded_alert_is_the_alert_that_was_posted(folder: Path) -> None:
    fired = {
        "labels": {
            "alertname": "KubePodCrashLooping",
            "job": "kube-state-metrics",
            "service": "mon-kube-state-metrics",
            "pod": "till-6b7c8d9f5-x7k2p",
            "severity": "P1",
        },
        "annotations": {"summary": "crashes"},
        "startsAt": "2023-11-14T22:15:00Z",
        "status": "firing",
    }
    (folder / "alerts.json").write_text(json.dumps([fired]))
    (recorded,) = RecordedBundle(folder).alerts(ALL)
    assert (recorded,) == parse({"version": "4", "alerts": [fired]}, "alertmanager")
    assert (recorded.service, recorded.severity) == ("till", "critical")


def test_anomaly_events_become_alerts_with_their_score(folder: Path) -> None:
    event = {
        "ts": T0 + 200,
        "kind": "metric",
        "instance": "cart-1",
        "service": "cart",
        "signal": "cpu_usage",
        "score": 4.5,
    }
    (folder / "alerts.json").unlink()
    pack(folder / "alerts.ndjson.gz", json.dumps(event) + "\n" + json.dumps(event))
    one, again = RecordedBundle(folder).alerts(ALL)
    assert (one.name, one.value, one.labels["instance"]) == ("cpu_usage", 4.5, "cart-1")
    assert one.fingerprint == again.fingerprint


def test_a_bundle_with_nothing_but_a_description_is_empty_not_broken(tmp_path: Path) -> None:
    describe(tmp_path / "xx-000002")
    bundle = RecordedBundle(tmp_path / "xx-000002")
    assert not any((bundle.series(ALL), bundle.baseline(T0), bundle.lines(ALL), bundle.spans(ALL)))
    assert bundle.topology().nodes == ("web", "cart")


def test_the_quiet_part_of_the_window_is_the_baseline_where_there_is_no_history(
    folder: Path,
) -> None:
    describe(folder)
    cpu = next(s for s in RecordedBundle(folder).baseline(T0 + 180) if s.metric == "cpu_pct")
    assert cpu.values.tolist() == [0, 1, 2]


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no incident.json": (lambda f: (f / "incident.json").unlink(), "has no incident.json"),
    "another schema": (lambda f: describe(f, schema="other/9"), "only incident-bundle/1"),
    "a window backwards": (lambda f: describe(f, window=[T0, T0 - 1]), "ends first"),
    "description is no JSON": (
        lambda f: (f / "incident.json").write_text("{"),
        "see the format incident-bundle/1",
    ),
    "history is not there": (lambda f: describe(f, history="gone"), "history 'gone' is not there"),
    "a column without an owner": (lambda f: pack(f / "metrics.csv.gz", "ts,cpu\n1,2"), "no owner"),
    "no time column": (lambda f: pack(f / "metrics.csv.gz", "time,a|b\n1,2"), "name it 'ts'"),
    "a cell that is no number": (
        lambda f: pack(f / "metrics.csv.gz", "ts,a|b\n1,x"),
        "leave a missing cell empty",
    ),
    "a row that is short": (lambda f: pack(f / "metrics.csv.gz", "ts,a|b\n1"), "1|2 cells"),
    "a row without a time": (lambda f: pack(f / "metrics.csv.gz", "ts,a|b\n,3"), "has no time"),
    "an empty table": (lambda f: pack(f / "metrics.csv.gz", ""), "is empty"),
    "not gzip": (lambda f: (f / "metrics.csv.gz").write_bytes(b"ts,a|b"), "fetch the bundle"),
    "a log row without text": (
        lambda f: pack(f / "logs.ndjson.gz", '{"ts": 1, "service": "a"}'),
        "give ts, service, msg",
    ),
    "log lines that are no JSON": (lambda f: pack(f / "logs.ndjson.gz", "hello"), "is not JSON"),
    "alerts that are no list": (
        lambda f: (f / "alerts.json").write_text("{}"),
        "not a list of objects",
    ),
    "a change without a service": (
        lambda f: (f / "changes.json").write_text('[{"ts": 1, "kind": "deploy"}]'),
        "service",
    ),
    "a span without a duration": (
        lambda f: pack(f / "spans.csv.gz", "ts,trace,span,parent,service,op,dur_us\n1,t,1,0,a,b,x"),
        "a span row",
    ),
}


def ask_everything(folder: Path) -> None:
    bundle = RecordedBundle(folder)
    for answer in (bundle.series, bundle.lines, bundle.spans, bundle.changes, bundle.alerts):
        answer(ALL)
    bundle.baseline(T0 + 300)
    bundle.topology()


@pytest.mark.parametrize("case", BROKEN, ids=list(BROKEN))
def test_a_malformed_bundle_says_which_file_what_and_what_to_do(folder: Path, case: str) -> None:
    break_it, words = BROKEN[case]
    break_it(folder)
    with pytest.raises(BundleError, match=words) as caught:
        ask_everything(folder)
    assert str(caught.value.path) in str(caught.value)
    assert caught.value.advice
    assert not caught.value.recoverable


def test_nothing_is_read_before_it_is_asked_for(folder: Path) -> None:
    pack(folder / "spans.csv.gz", "garbage")
    bundle = RecordedBundle(folder)
    assert bundle.series(ALL)
    with pytest.raises(BundleError):
        bundle.spans(ALL)


# --- hostile folders -----------------------------------------------------------------------------


def _linked(folder: Path) -> None:
    (folder / "metrics.csv").symlink_to("/etc/passwd")


def _device(folder: Path) -> None:
    (folder / "metrics.csv").symlink_to("/dev/zero")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "metrics.csv")


def _bomb(folder: Path) -> None:
    mebibyte = gzip.compress(bytes(2**20))
    (folder / "metrics.csv.gz").write_bytes(mebibyte * (1 + (MOST_UNPACKED >> 20)))


def _large(folder: Path) -> None:
    with (folder / "metrics.csv").open("wb") as file:
        file.truncate(MOST_PACKED + 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_linked, "link out of the bundle"),
        (_device, "link out of the bundle"),
        (_fifo, "is no file"),
        (_bomb, "holds more than"),
        (_large, "holds more than"),
    ],
)
def test_what_is_no_bounded_file_of_the_bundle_is_refused(
    folder: Path, spoil: Callable[[Path], None], said: str
) -> None:
    (folder / "metrics.csv.gz").unlink()
    spoil(folder)
    with pytest.raises(BundleError, match=said):
        RecordedBundle(folder).series(ALL)


@pytest.mark.parametrize("window", [[0, 1e300], [0, 1e12], [-1e9, 0], [5, float("nan")]])
def test_a_window_of_no_possible_recording_is_refused(tmp_path: Path, window: list[float]) -> None:
    describe(tmp_path / "xx", window=window)
    with pytest.raises(BundleError, match="window"):
        RecordedBundle(tmp_path / "xx")


@pytest.mark.parametrize("field", ["history", "reference"])
def test_a_bundle_names_no_file_outside_of_it(folder: Path, field: str) -> None:
    describe(folder, **{field: "../../../../etc/passwd"})
    with pytest.raises(BundleError, match="leads out of the bundle"):
        RecordedBundle(folder).baseline(T0)
