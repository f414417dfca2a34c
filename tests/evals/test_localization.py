"""Running sets of recorded incidents: reading them, peers, perturbations, fault names."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from copilot.sources.recorded import RecordedBundle
from evals.detection.replay import by_watch, with_history
from evals.keys import differences
from evals.localization.cases import RECORDINGS, CaseSetError, anonymous, perturb, read
from evals.localization.look import locate_bundle
from evals.localization.peers import PEERS
from evals.localization.score import accepted
from evals.localization.suite import IncidentOptions, score_set
from evals.localization.tables import robustness_table
from tools.types import Alert, Change, Edge, LogLine, Series, Span, Telemetry, Topology, Window

T = np.arange(0.0, 1200.0, 60.0)
ONSET = 900.0
ALL = Window(start=0.0, end=4e9)


def world() -> Telemetry:
    values = 10.0 + 0.1 * np.sin(T)
    loud = np.where(ONSET <= T, 90.0, values)
    return Telemetry(
        window=Window(start=0.0, end=1200.0),
        series=(
            Series("web", "cpu_pct", T, values),
            Series("db@v2", "cpu_pct", T, loud),
            Series("web->db", "calls", T, values),
            Series("node:n1", "cpu_pct", T, values),
        ),
        logs=(LogLine(1.0, "web", "INFO", "hello", "t"),),
        spans=(Span(1.0, "t", "1", "", "web", "op", 0.1),),
        changes=(Change(at=800.0, service="db", kind="deploy"),),
        alerts=(
            Alert(
                fingerprint="f",
                name="page",
                service="web",
                starts_at=ONSET,
                labels={"service": "web"},
            ),
        ),
        topology=Topology(
            nodes=("web", "db"), edges=(Edge(caller="web", callee="db"),), entry="web"
        ),
    )


def write_set(folder: Path, ids: dict[str, str]) -> Path:
    (folder / "truth").mkdir(parents=True)
    rows = []
    for id_, system in ids.items():
        (folder / "incidents" / id_).mkdir(parents=True)
        rows.append(json.dumps({"id": id_, "system": system, "root_cause": "db", "extra": 1}))
    (folder / "truth" / "truth.jsonl").write_text("\n".join(rows))
    return folder


def test_a_limit_is_spread_over_the_systems(tmp_path: Path) -> None:
    ids = {"aa-1": "aa", "aa-2": "aa", "aa-3": "aa", "bb-1": "bb", "bb-2": "bb", "cc-1": "cc"}
    cases = read(write_set(tmp_path, ids), limit=4)
    assert [case.answer.id for case in cases] == ["aa-1", "bb-1", "cc-1", "aa-2"]
    assert len(read(tmp_path)) == 6


def test_answers_without_a_bundle_are_left_out(tmp_path: Path) -> None:
    write_set(tmp_path, {"aa-1": "aa"})
    with (tmp_path / "truth" / "truth.jsonl").open("a") as file:
        file.write('\n{"id": "gone", "system": "aa", "root_cause": "x"}')
    assert [case.answer.id for case in read(tmp_path)] == ["aa-1"]


@pytest.mark.parametrize("break_it", ["empty", "no answers", "no JSON", "no bundles"])
def test_a_folder_that_is_no_set_is_named(tmp_path: Path, break_it: str) -> None:
    if break_it != "empty":
        write_set(tmp_path, {"aa-1": "aa"})
    if break_it == "no answers":
        (tmp_path / "truth" / "truth.jsonl").unlink()
    if break_it == "no JSON":
        (tmp_path / "truth" / "truth.jsonl").write_text("hello")
    if break_it == "no bundles":
        (tmp_path / "incidents" / "aa-1").rmdir()
    with pytest.raises(CaseSetError, match=tmp_path.name):
        read(tmp_path)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_scores_every_component_and_survives_nothing(name: str) -> None:
    scores = PEERS[name](world(), ONSET)
    assert set(scores) == {"web", "db"}
    empty = Telemetry(window=Window(start=0.0, end=1.0))
    assert PEERS[name](empty, 0.0) in ({}, {"": 1.0})


@pytest.mark.parametrize("name", ["N-sigma", "robust", "PageRank", "last change"])
def test_peers_find_a_plain_fault(name: str) -> None:
    scores = PEERS[name](world(), ONSET)
    assert scores["db"] > scores["web"]


def test_chance_ties_everything() -> None:
    assert set(PEERS["chance"](world(), ONSET).values()) == {0.0}


def test_renaming_keeps_versions_edges_and_nodes_apart() -> None:
    seen = perturb(world(), "renamed", ONSET, 0)
    web, db = anonymous("web"), anonymous("db")
    assert [one.owner for one in seen.series] == [web, f"{db}@v2", f"{web}->{db}", "node:n1"]
    assert seen.topology.entry == web
    assert seen.alerts[0].labels == {"service": web}
    assert "web" not in repr(seen.changes) + repr(seen.spans) + repr(seen.logs)


def test_a_modality_is_gone() -> None:
    assert perturb(world(), "no_metrics", ONSET, 0).series == ()
    assert perturb(world(), "no_logs", ONSET, 0).logs == ()
    assert perturb(world(), "no_traces", ONSET, 0).spans == ()
    assert perturb(world(), "no_changes", ONSET, 0).changes == ()
    assert perturb(world(), "no_topology", ONSET, 0).topology.edges == ()


def test_what_is_drawn_follows_the_seed() -> None:
    one, same, other = (perturb(world(), "dropped_samples", ONSET, seed) for seed in (1, 1, 2))
    sizes = [[s.times.size for s in seen.series] for seen in (one, same, other)]
    assert sizes[0] == sizes[1] != sizes[2]
    assert all(size < T.size for size in sizes[0])


def test_clocks_are_off_by_at_most_a_minute() -> None:
    seen = perturb(world(), "skewed_clocks", ONSET, 3)
    assert 0.0 < abs(seen.series[0].times[0] - T[0]) <= 60.0
    assert seen.alerts == world().alerts


def test_an_irrelevant_deploy_is_added_before_the_onset() -> None:
    changes = perturb(world(), "irrelevant_deploy", ONSET, 0).changes
    assert len(changes) == 2
    assert changes[-1].at == ONSET - 180.0


def test_what_is_perturbed_includes_the_alerts_the_incident_was_opened_with() -> None:
    case = next(case for case in read(RECORDINGS) if RecordedBundle(case.folder).alerts(ALL))
    bundle = RecordedBundle(case.folder)
    recorded = {alert.service for alert in bundle.alerts(ALL)}
    paged = {
        kind: {
            one.service
            for one in locate_bundle(
                bundle, case.answer, perturb=partial(perturb, kind=kind, onset=ONSET, seed=0)
            ).telemetry.alerts
        }
        for kind in ("none", "renamed", "no_alerts")
    }
    assert paged["none"] <= recorded
    assert paged["renamed"] == {anonymous(service) for service in paged["none"]}
    assert paged["no_alerts"] == {bundle.entry}


def test_the_table_of_perturbations_says_what_each_costs() -> None:
    found = {"none": {"aa": 1.0, "bb": 0.8}, "no_logs": {"aa": 0.5, "bb": 0.8}}
    table = robustness_table(found, 10)
    assert table.columns[-2:] == ("aa", "bb")
    assert table.rows == (
        ("none", "0.900", "0.0 %", "1.00", "0.80"),
        ("no_logs", "0.650", "27.8 %", "0.50", "0.80"),
    )


@pytest.mark.parametrize(
    ("fault", "released", "kinds"),
    [
        ("cpu_load", False, {"cpu_saturation", "noisy_neighbour"}),
        ("memoryleak", True, {"memory_pressure", "bad_deploy"}),
        ("pool_exhaustion", False, {"pool_exhaustion"}),
        ("exception", False, {"errors"}),
        ("never heard of", False, set()),
        ("never heard of", True, {"bad_deploy"}),
    ],
)
def test_fault_names_of_data_sets_are_ours(fault: str, released: bool, kinds: set[str]) -> None:
    assert accepted(fault, released=released) == kinds


def test_recordings_that_ship_are_scored_with_the_published_keys() -> None:
    cases = read(RECORDINGS, limit=3)
    detected = {"shipped": with_history(cases, by_watch())}
    result = score_set(IncidentOptions(), cases, Progress(disable=True), "demo", detected)
    assert result.summary["mean.ac1"] == 1.0
    assert differences(result) == []
    assert all(case["evidence"] for case in result.cases)
