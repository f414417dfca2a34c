"""What is kept how long; what a person backs up is there again."""

import json
from pathlib import Path

import pytest

from copilot import wiring
from copilot.case.wiring import sweep_checkpoints
from copilot.settings import Settings, load
from copilot.store import Store
from copilot.store.retention import DAY_S, Retention, RetentionLimits, used_bytes
from copilot.surfaces.cli_options import Flags
from copilot.types.incident import Incident, IncidentStatus
from tests.copilot.worked_incident import POOL, work_on
from tools.types import Alert, Evidence, Finding, Window

NOW = 1_700_000_000.0


def incident(store: Store, name: str, days: float, status: IncidentStatus) -> None:
    at = NOW - days * DAY_S
    seen = Finding(
        kind="metric",
        subject="cart",
        name="latency",
        source="prometheus",
        query="latency",
        window=Window(start=at - 60, end=at),
        statement="cart is slow",
    )
    evidence = tuple(Evidence(id=f"E{number}", **dict(seen)) for number in (1, 2))
    store.incidents.open(
        Incident(
            id=name,
            title=name,
            status=status,
            opened_at=at,
            updated_at=at,
            evidence=evidence,
            brief={"en": "cart is slow [E2]"},
        )
    )
    accepted = store.alerts.accept([Alert(fingerprint=name, name=name, starts_at=at)], at + 1)
    store.alerts.assign([one.key for one in accepted.new], name, "first", "opened", at)
    run = store.runs.accept(name, at)
    store.runs.finish(run.id, "done", at)
    store.journal.append(name, "opened", "copilot", {}, at)


def lone(store: Store, name: str, days: float, lease: float | None = None) -> None:
    at = NOW - days * DAY_S
    alert = Alert(fingerprint=name, name=name, starts_at=at, lease=lease)
    accepted = store.alerts.accept([alert], at + 1)
    store.alerts.assign([one.key for one in accepted.new], None, "usual", "noise", at)


@pytest.fixture
def filled(store: Store) -> Store:
    incident(store, "young", 2, "recovered")
    incident(store, "lean", 40, "recovered")
    incident(store, "old", 100, "resolved")
    incident(store, "open", 100, "handed_over")
    lone(store, "noise", 20)
    lone(store, "fresh", 2)
    lone(store, "leased", 20, lease=NOW + 60)
    return store


def test_what_is_over_and_old_goes_and_the_rest_stays(filled: Store, tmp_path: Path) -> None:
    retention, limits = Retention(filled.database, tmp_path), RetentionLimits()
    foretold = retention.prune(limits, NOW, dry_run=True)
    assert foretold == {
        "incidents": 1,
        "evidence": 1,
        "alerts": 1,
        "conversations": 0,
        "journal": 0,
    }
    assert retention.prune(limits, NOW) == foretold
    assert {one.id for one in filled.incidents.list()} == {"young", "lean", "open"}
    assert [e.id for e in filled.incidents.require("lean").evidence] == ["E2"]
    assert [e.id for e in filled.incidents.require("young").evidence] == ["E1", "E2"]
    assert {s.alert.fingerprint for s in filled.alerts.decisions(None)} == {"fresh", "leased"}
    assert filled.runs.of("old") == ()
    assert sum(retention.prune(limits, NOW).values()) == 0


def test_a_pass_reads_what_became_old_since_the_last_and_once_a_day_all(
    filled: Store, tmp_path: Path
) -> None:
    retention, hour = Retention(filled.database, tmp_path), 3600.0
    assert retention.prune(RetentionLimits(), NOW)["evidence"] == 1
    incident(filled, "closed late", 35, "recovered")
    incident(filled, "old by now", 30 - 0.5 / 24, "recovered")
    assert retention.prune(RetentionLimits(), NOW + hour)["evidence"] == 1
    assert [e.id for e in filled.incidents.require("old by now").evidence] == ["E2"]
    assert retention.prune(RetentionLimits(), NOW + DAY_S)["evidence"] == 1
    assert [e.id for e in filled.incidents.require("closed late").evidence] == ["E2"]


def test_the_journal_goes_to_a_file_and_its_chain_goes_on(filled: Store, tmp_path: Path) -> None:
    before = filled.journal.verify()
    report = Retention(filled.database, tmp_path).prune(RetentionLimits(journal_days=30), NOW)
    assert report["journal"] == 4  # up to the newest of those that are old enough
    filled.journal.append("young", "refreshed", "copilot", {}, NOW)
    check = filled.journal.verify()
    assert (check.ok, check.rows) == (True, before.rows + 1)
    (file,) = tmp_path.glob("journal-*.jsonl")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["digest"] == before.head


def test_a_store_that_has_too_much_keeps_everything_shorter(filled: Store, tmp_path: Path) -> None:
    assert used_bytes(filled.database) > 1
    Retention(filled.database, tmp_path).prune(RetentionLimits(most_bytes=1), NOW)
    assert {one.id for one in filled.incidents.list()} == {"open"}


def flags(settings: Settings) -> Flags:
    return Flags(None, settings.home, None)


def test_checkpoints_of_runs_that_ended_are_swept_and_those_of_waiting_ones_stay(
    tmp_path: Path,
) -> None:
    settings = load(data_dir=tmp_path)
    found = work_on(settings, POOL)
    with wiring.store(settings) as store:
        (run,) = store.runs.of(found.id)
        assert sweep_checkpoints(settings, store) == 0
        store.runs.finish(run.id, "done", NOW)
        assert sweep_checkpoints(settings, store, dry_run=True) == 1
        assert sweep_checkpoints(settings, store) == 1
        assert sweep_checkpoints(settings, store) == 0
