"""The store as a whole: transactions, coming back, databases it refuses."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from sqlalchemy import Connection

from copilot.store import Store, StoreError
from copilot.store.database import Database, WriteAheadLog
from copilot.store.group_commit import GroupCommit
from copilot.types.incident import Hypothesis, Incident, IncidentStatus
from tools.types import Alert, AlertStatus, Candidate, Ranking

NOW = 1_700_000_000.0


def alert(name: str, starts_at: float = NOW - 60, status: AlertStatus = "firing") -> Alert:
    return Alert(fingerprint=name, name=name, status=status, starts_at=starts_at, service="cart")


def opened(store: Store, incident_id: str = "I1", at: float = NOW) -> Incident:
    incident = Incident(id=incident_id, title="cart is slow", opened_at=at, updated_at=at)
    store.incidents.open(incident)
    return incident


def test_a_transaction_keeps_an_incident_and_its_journal_row_together(store: Store) -> None:
    opened(store)

    def breaks() -> None:
        with store.transaction():
            store.incidents.update("I1", NOW, status="acting")
            store.journal.append("I1", "acting", "ann", {}, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert store.incidents.require("I1").status == "investigating"
    assert store.journal.events() == ()
    with store.transaction():
        store.incidents.update("I1", NOW, status="acting")
        store.journal.append("I1", "acting", "ann", {}, NOW)
    assert store.incidents.require("I1").status == "acting"
    assert len(store.journal.events("I1")) == 1


def test_another_thread_sees_a_transaction_only_when_it_is_over(store: Store) -> None:
    opened(store)
    seen: list[str] = []

    def look() -> None:
        seen.append(store.incidents.require("I1").status)

    with store.transaction():
        store.incidents.update("I1", NOW, status="acting")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        look()
    look()
    assert seen == ["investigating", "acting", "acting"]


def test_a_store_that_is_opened_again_has_everything(store: Store, database_url: str) -> None:
    opened(store)
    store.alerts.accept([alert("a")], NOW)
    store.runs.accept("I1", NOW)
    store.close()
    again = Store(database_url)
    again.create()
    assert again.incidents.get("I1") is not None
    assert len(again.alerts.unassigned()) == 1
    assert len(again.runs.recoverable(NOW)) == 1
    again.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "not a database URL"),
        ("mysql://h/x", "not supported"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
    ],
)
def test_a_url_that_cannot_hold_a_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        Store(url)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Store(f"sqlite:///{path}")
    store.create()
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    with pytest.raises(StoreError, match="version 99"):
        store.create()
    store.close()


def test_an_incident_of_an_earlier_build_is_read_with_its_outcome(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Store(f"sqlite:///{path}")
    store.create()
    opened(store)
    store.incidents.update("I1", NOW, outcome="recovered")
    with sqlite3.connect(path) as raw:
        raw.execute(
            """UPDATE incidents SET document = replace(document, '"outcome"', '"verdict"')"""
        )
    raw.close()
    assert store.incidents.require("I1").outcome == "recovered"
    assert store.incidents.update("I1", NOW, status="recovered").outcome == "recovered"
    store.close()


@pytest.mark.parametrize(
    ("before", "said", "reopen", "after"),
    [
        pytest.param("resolved", "handed_over", False, "resolved", id="a late report"),
        pytest.param("resolved", "awaiting_approval", False, "resolved", id="a late plan"),
        pytest.param("recovered", "failed", False, "recovered", id="a late failure"),
        pytest.param("resolved", "recovered", False, "recovered", id="a better end"),
        pytest.param("resolved", "investigating", True, "investigating", id="an alert came back"),
        pytest.param("acting", "handed_over", False, "handed_over", id="it is still open"),
    ],
)
def test_what_ended_while_it_was_worked_on_stays_over(
    store: Store, before: IncidentStatus, said: IncidentStatus, reopen: bool, after: IncidentStatus
) -> None:
    store.incidents.open(Incident(id="I1", title="slow", opened_at=NOW, updated_at=NOW))
    store.incidents.update("I1", NOW, status=before)
    change = store.incidents.reopen if reopen else store.incidents.update
    changed = change("I1", NOW, status=said, title="slower")
    assert (changed.status, changed.title) == (after, "slower")
    assert store.incidents.require("I1") == changed


def test_an_incident_of_a_build_without_certainty_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Store(f"sqlite:///{path}")
    store.create()
    opened(store)
    ranking = Ranking(candidates=(Candidate(component="cart", score=1.0),), certainty="likely")
    held = Hypothesis(component="cart", statement="cart: errors", certainty="likely")
    store.incidents.update("I1", NOW, ranking=ranking, hypotheses=(held,))
    with sqlite3.connect(path) as raw:
        (text,) = raw.execute("SELECT document FROM incidents").fetchone()
        old = json.loads(text)
        for field in ("certainty", "none_of_these", "calibrated", "why", "look"):
            old["ranking"].pop(field, None)
        old["ranking"]["abstained"] = False
        old["hypotheses"][0].pop("certainty", None)
        old["hypotheses"][0]["confidence"] = "high"
        raw.execute("UPDATE incidents SET document = ?", (json.dumps(old),))
    raw.close()
    assert store.incidents.require("I1").ranking.certainty == "likely"
    store.close()


def test_a_database_that_cannot_be_opened_is_a_store_error(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'nowhere' / 'store.sqlite'}")
    with pytest.raises(StoreError, match="nowhere"):
        store.create()
    store.close()


KILLED = """
import os, sys
from copilot.store import Store
from tools.types import Alert
store = Store(sys.argv[1])
for n in range(10_000):
    batch = [Alert(fingerprint=f"{n}-{k}", name="x", starts_at=1.0) for k in range(7)]
    store.alerts.accept(batch, 2.0)
    print(n, flush=True)
"""


def test_what_was_answered_for_survives_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    store = Store(url)
    store.create()
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True, cwd=root
    )
    with child:
        assert child.stdout is not None
        answered = [int(line) for _, line in zip(range(20), child.stdout, strict=False)]
        child.kill()
        answered += [int(line) for line in child.stdout if line.strip().isdigit()]
    kept = [row.alert.fingerprint for row in store.alerts.unassigned(limit=1_000_000)]
    store.close()
    batches = max(answered) + 1
    assert len(kept) % 7 == 0
    assert len(kept) in (batches * 7, (batches + 1) * 7)


def test_writes_that_come_together_share_a_transaction_and_none_fails_for_another(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    grouped = GroupCommit[int](database)
    connections: list[Connection] = []

    def work(number: int) -> int:
        def write(connection: Connection) -> int:
            connections.append(connection)
            if number == 3:
                raise StoreError("three is refused")
            return number

        try:
            return grouped.write(write)
        except StoreError:
            return -number

    with ThreadPoolExecutor(8) as pool:
        with database.write():  # all wait behind this one, and then go together
            results = [pool.submit(work, number) for number in range(8)]
            while len(grouped) < 7:
                time.sleep(0.001)
        assert [result.result() for result in results] == [0, 1, 2, -3, 4, 5, 6, 7]
    assert len({id(connection) for connection in connections}) < len(connections)
    database.close()


def test_commits_of_many_threads_share_a_sync_and_none_returns_before_it(tmp_path: Path) -> None:
    synced, let_go = list[int](), threading.Event()

    class SlowLog(WriteAheadLog):
        def flush(self) -> None:
            synced.append(len(synced))
            assert let_go.wait(30)

    log = SlowLog(str(tmp_path / "store.sqlite-wal"))
    with ThreadPoolExecutor(8) as pool:
        returned = [pool.submit(log.sync) for _ in range(8)]
        wait(returned, timeout=0.2)
        assert not any(one.done() for one in returned)
        let_go.set()
        for one in returned:
            one.result(30)
    assert len(synced) < 8


def test_a_new_log_is_found_after_a_power_cut_since_its_folder_is_synced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = list[int]()
    monkeypatch.setattr(os, "fsync", folders.append)
    path = tmp_path / "store.sqlite-wal"
    log = WriteAheadLog(str(path))
    log.sync()
    assert folders == []
    path.write_bytes(b"one")
    log.sync()
    log.sync()
    assert len(folders) == 1
    path.rename(tmp_path / "old")
    path.write_bytes(b"another")
    log.sync()
    assert len(folders) == 2


def test_what_is_written_lazily_is_synced_with_the_next_commit_or_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    synced: list[int] = []
    monkeypatch.setattr(WriteAheadLog, "flush", lambda _: synced.append(1))
    with store.transaction(lazily=True):
        store.journal.append("I1", "located", "copilot", {}, NOW)
    assert len(store.journal.events("I1")) == 1
    assert synced == []
    store.database.settle()
    store.database.settle()
    assert synced == [1]
    with store.transaction(), store.transaction(lazily=True):
        store.journal.append("I1", "approved", "ann", {}, NOW)
    assert synced == [1, 1]
    with store.transaction(lazily=True):
        store.journal.append("I1", "located", "copilot", {}, NOW)
    store.close()  # a command has no upkeep
    assert synced == [1, 1, 1]


def test_a_journal_reaches_what_was_written_and_archived_and_nothing_else(store: Store) -> None:
    empty = store.journal.mark()
    marks = [store.journal.append("I1", "located", "copilot", {}, NOW).seq for _ in range(2)]
    end = store.journal.mark()
    assert store.journal.reaches(empty)
    assert store.journal.reaches(end)
    assert not store.journal.reaches(f"{marks[-1]}:{'f' * 64}")
    assert not store.journal.reaches(f"{marks[-1] + 1}:{end.partition(':')[2]}")


def test_a_delivery_is_kept_to_the_letter_on_each_database(store: Store) -> None:
    named = {f"k{number}": text for number, text in enumerate(
        ("it's \"quoted\"", "back\\slash", "{a,b}", "NULL", "数据库 \N{SNOWMAN}", "tab\tnew\nline")
    )}  # fmt: skip
    given = [
        Alert(fingerprint=f"f{number}", name=text or "-", starts_at=NOW + 0.1 * number,
              labels=named, lease=NOW + 60 if number % 2 else None)
        for number, text in enumerate(named.values())
    ]  # fmt: skip
    store.alerts.accept(given, NOW)
    assert [row.alert for row in store.alerts.unassigned()] == given


def test_a_log_that_cannot_be_synced_is_a_store_error(tmp_path: Path) -> None:
    class BrokenLog(WriteAheadLog):
        def flush(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StoreError, match="cannot be synced: Input/output error"):
        BrokenLog(str(tmp_path / "store.sqlite-wal")).sync()
