"""The scores of clusterings, against values worked out by hand."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress

from copilot.alerts.subjects import read
from evals.alerts import peers, subjects, suite
from evals.alerts.feed import deliveries, ours
from evals.alerts.score import (
    NOISE,
    Clustering,
    adjusted_rand,
    incident_recall,
    merged_pct,
    ranking,
    score,
    v_measure,
)
from evals.alerts.streams import AlertStream
from evals.alerts.unrelated import merged_wrongly, unrelated
from evals.keys import differences
from evals.report import Options
from tools.clusterer import fingerprint
from tools.types import Alert, Topology

labels = st.lists(st.sampled_from("abcd"), min_size=2, max_size=30)


def week() -> Clustering:
    """Two incidents and three noise alerts; I2's second alert is in a cluster of its own."""
    return Clustering(
        truth=["I1", "I1", NOISE, "I2", "I2", NOISE, NOISE],
        clusters=["x", "x", "n", "y", "z", "x", "n"],
        starts=[0.0, 10.0, 20.0, 100.0, 110.0, 120.0, 604_800.0],
        rank={"x": 0.9, "n": 0.5, "y": 0.4, "z": 0.1},
        told={"x": 5.0, "y": 160.0},
    )


def test_adjusted_rand_of_a_known_table() -> None:
    # One pair agrees; 2 pairs in the truth, 2 found, 6 in all: (1 - 2/3) / (2 - 2/3).
    assert adjusted_rand(list("aabb"), list("xxyz")) == pytest.approx((1 - 1 / 3) / (1.5 - 1 / 3))
    assert adjusted_rand(list("aabb"), list("xyxy")) == pytest.approx(-0.5)


@settings(max_examples=50, deadline=None)
@given(labels)
def test_a_partition_agrees_with_itself_under_other_names(truth: list[str]) -> None:
    renamed = [f"cluster-{label}" for label in truth]
    assert adjusted_rand(truth, renamed) == pytest.approx(1.0)
    assert v_measure(truth, renamed)[2] == pytest.approx(1.0)


@settings(max_examples=50, deadline=None)
@given(labels, st.randoms(use_true_random=False))
def test_swapping_truth_and_clusters_swaps_homogeneity_and_completeness(
    truth: list[str], rng: object
) -> None:
    found = list(reversed(truth))
    one, other = v_measure(truth, found), v_measure(found, truth)
    assert one == pytest.approx((other[1], other[0], other[2]))
    assert adjusted_rand(truth, found) == pytest.approx(adjusted_rand(found, truth))


def test_merged_counts_every_incident_that_shares_a_cluster() -> None:
    assert merged_pct(["I1", "I2", "I3", "I3"], ["x", "x", "y", "z"]) == pytest.approx(200 / 3)


def test_ranking_rewards_incidents_before_noise() -> None:
    # Order x (right), n (wrong), y (right), z (right): precisions 1, 2/3, 3/4.
    ap, per_incident, top = ranking(week())
    assert ap == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert per_incident == pytest.approx((1 + 2 / 3) / 2)
    assert top == 0.5


def test_ties_are_broken_against_the_method() -> None:
    tied = replace(week(), rank={"x": 1.0, "n": 1.0, "y": 1.0, "z": 1.0})
    assert ranking(tied)[0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)


def test_an_incident_is_held_by_its_main_cluster_only() -> None:
    assert incident_recall(week()) == 1.0
    assert incident_recall(replace(week(), told={"z": 0.0})) == 0.0


def test_delays_run_from_the_first_alert_of_an_incident() -> None:
    figures = score(week())
    assert (figures.delay_mean, figures.delay_max) == (32.5, 60.0)
    assert figures.surfaced_per_week == 2.0
    assert figures.split_pct == 50.0
    assert figures.noise_share == pytest.approx(1 / 5)


def stream(times: list[float], seconds: float = 120.0) -> AlertStream:
    alerts = []
    for position, at in enumerate(times):
        carried = {"alertname": f"A{position}", "service": "s", "cluster": "c"}
        alerts.append(
            Alert(
                fingerprint=fingerprint(carried),
                name=carried["alertname"],
                service="s",
                starts_at=at,
                labels=carried,
            )
        )
    ends = tuple(at + seconds for at in times)
    return AlertStream("made", tuple(alerts), ends, Topology(), ("I1",) * len(times))


def test_the_emulated_alertmanager_waits_and_never_sends_what_ends_between_flushes() -> None:
    made = peers.alertmanager(stream([0.0, 40.0, 1000.0]), ["cluster"])
    # Flushes at 30, 330 (both over, group gone), then 1030: the second alert is never sent.
    assert made.never_sent == 1
    assert sorted(made.told.values()) == [30.0, 1030.0]
    assert made.clusters[0] == made.clusters[1] != made.clusters[2]


def test_a_keep_rule_ends_after_its_timeframe() -> None:
    made = peers.keep_rule(stream([0.0, 599.0, 1300.0]), ["cluster"])
    assert made.clusters[0] == made.clusters[1] != made.clusters[2]


def test_ends_are_delivered_when_they_happen_and_not_before() -> None:
    batches = list(deliveries(stream([0.0, 60.0], seconds=90.0)))
    assert [(len(starts), len(ends)) for _, starts, ends in batches] == [
        (1, 0),
        (1, 0),
        (0, 1),
        (0, 1),
    ]
    assert all(alert.starts_at < now for now, _, ends in batches for alert in ends)


def test_feeding_a_stream_says_something_of_every_alert() -> None:
    made = ours(stream([0.0, 30.0, 5000.0]))
    assert made.clusters[0] == made.clusters[1] != made.clusters[2]
    assert all(made.actions)
    assert set(made.told) == set(made.clusters)


def write_week(folder: Path) -> None:
    """One incident of two alerts and a day of noise, in the layout of the recorded streams."""
    folder.mkdir(parents=True)
    rows = [
        {
            "id": number,
            "startsAt": 1_700_000_000 + number * 3600,
            "endsAt": 1_700_000_120 + number * 3600,
            "labels": {"alertname": "Blip", "cluster": "c", "service": "s", "severity": "info"},
            "incident": NOISE,
        }
        for number in range(24)
    ]
    for number in (24, 25):
        labels = {"alertname": f"Down{number}", "cluster": "d", "service": "t"}
        row = {**rows[5], "id": number, "labels": labels, "incident": "INC-1"}
        rows.append(row)
    with gzip.open(folder / "nezha_tiny.jsonl.gz", "wt", encoding="utf-8") as opened:
        opened.writelines(json.dumps(row) + "\n" for row in rows)
    with gzip.open(folder / "ait_tiny.csv.gz", "wt", encoding="utf-8") as opened:
        opened.write("time,name,ip,host,short,time_label,event_label\n")
        opened.writelines(f"{at},Scan,10.0.0.1,gate,S,scan,scan\n" for at in range(1000, 1020))


def test_the_suite_runs_over_any_folder_of_the_layout(tmp_path: Path) -> None:
    write_week(tmp_path / "alerts")
    result = suite.run(Options(data=tmp_path, best_arm=True), Progress(disable=True))
    assert result.arm == "ml"
    assert differences(result) == []
    assert result.summary["tiny.ari"] == 1.0
    assert result.summary["tiny.incident_recall"] == 1.0
    assert result.summary["ait.clusters"] == 1.0
    methods = {row.get("method") for row in result.cases}
    assert methods >= {"ours, ml", "Alertmanager by cluster"}


def test_without_data_our_own_table_of_subjects_is_read() -> None:
    result = suite.run(Options(), Progress(disable=True))
    assert result.summary["subjects.rules"] >= 0.98
    assert result.summary["subjects.right"] != result.summary["subjects.right"]
    assert {table.title for table in result.tables} == {
        "350 alerts of unrelated subjects, in handfuls",
        "Subjects of alerts: our table of rules",
        "Read wrongly: our table of rules",
    }


def labelled(name: str, **labels: str) -> subjects.LabelledAlert:
    return subjects.LabelledAlert(
        id=1,
        source="here",
        alertname="Slow",
        labels=labels,
        annotations={},
        subject=subjects.LabelledSubject(name=name, namespace="prod"),
        messenger=False,
        heartbeat=False,
        doubtful=False,
    )


def test_a_subject_is_right_by_its_name_and_nobody_where_nobody_is_named() -> None:
    rows = [
        (labelled("prod/Till", service="till"), True),
        (labelled("till", service="web"), False),
        (labelled(""), True),
        (labelled("", service="till"), False),
    ]
    for alert, right in rows:
        reading = read(alert.alertname, alert.labels, {})
        assert subjects.SubjectAnswer(alert, reading).right == right


def test_a_folder_without_streams_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="neither alerts/nezha"):
        suite.run(Options(data=tmp_path), Progress(disable=True))


def test_unrelated_alerts_share_no_place_and_every_shared_group_counts_as_wrong() -> None:
    stream = unrelated()
    assert len(stream.alerts) == len(stream.truth) >= 300
    assert merged_wrongly(stream.truth, ["one"] * len(stream.truth)) == 100.0
    assert merged_wrongly(stream.truth, [str(n) for n in range(len(stream.truth))]) == 0.0
    assert [a.fingerprint for a in unrelated(seed=1).alerts] != [
        a.fingerprint for a in stream.alerts
    ]


def test_the_clusterer_merges_no_unrelated_subjects() -> None:
    result = suite.run(Options(), Progress(disable=True))
    assert result.summary["unrelated.merged_pct"] <= 2.0
