"""The database inspector: names as signals, causes by what moves, and who is no database."""

import numpy as np
import pytest

from tools.database_inspector import DatabaseDiagnosis, database_findings, diagnose, signal
from tools.evidence import number
from tools.topology_walker.site import signs
from tools.types import Candidate, FloatArray, Series, Telemetry, Window

MYSQL = (
    "mysql_global_status_commands_total_com_commit", "mysql_global_status_threads_running",
    "mysql_global_status_innodb_row_lock_current_waits",
    "mysql_global_status_innodb_row_lock_time", "mysql_global_status_handlers_read_rnd_next",
    "mysql_global_status_innodb_rows_inserted", "mysql_global_status_innodb_os_log_written",
    "mysql_global_status_innodb_buffer_pool_pages_dirty",
    "mysql_global_status_innodb_buffer_pool_pages_flushed",
    "mysql_global_status_innodb_pages_written", "mysql_global_status_bytes_sent",
    "mysql_global_status_bytes_received", "mysqld_process_cpu_seconds", "node_cpu_user",
    "node_cpu_system", "node_cpu_idle", "node_cpu_iowait", "node_procs_running",
    "node_disk_written_bytes", "statement_latency_ms",
)  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("mysql_global_status_innodb_row_lock_current_waits", "lock_waiting"),
        ("InnodbRowLockTime", "lock_time"),
        ("pg_stat_database_xact_commit", "commits"),
        ("pg_stat_database_numbackends", "sessions"),
        ("pg_stat_user_tables_seq_tup_read", "rows_scanned"),
        ("pg_wal_bytes", "log_writes"),
        ("pg_stat_bgwriter_buffers_checkpoint", "flushed_pages"),
        ("mysql_global_status_threads_connected", "sessions"),
        ("node_cpu_iowait", "io_wait"),
        ("node_network_transmit_bytes", "sent"),
        ("dbmsCumFlushedPages", None),
        ("interruptsSinceBoot", None),
        ("temperature", None),
        ("checkout_requests", None),
    ],
)
def test_names_of_servers_and_exporters_become_signals(metric: str, told: str | None) -> None:
    assert signal(metric) == told


def around(level: float, count: int) -> FloatArray:
    """Values of a tenth around a level, in a fixed order."""
    waves: FloatArray = level * (1.0 + 0.1 * np.sin(np.linspace(0.0, 40.0, count)))
    return waves


def seen(**factors: float) -> DatabaseDiagnosis:
    """All metrics as usual, those of the named signals times their factor."""
    found = diagnose(
        (name, around(100.0 * factors.get(signal(name) or "", 1.0), 30), around(100.0, 60))
        for name in MYSQL
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("moved", "cause"),
    [
        ({"own_cpu": 4, "cpu_user": 3, "sessions": 2}, "poor query"),
        ({"dirty_pages": 3, "flushed_pages": 3, "log_writes": 3}, "write amplification"),
        ({"sessions": 4, "lock_waiting": 4, "commits": 1.5}, "workload spike"),
        ({"io_wait": 6, "disk_writes": 5, "page_writes": 0.4, "commits": 0.5}, "I/O saturation"),
        ({"rows_scanned": 50, "sent": 9, "rows_changed": 0.4}, "backup"),
        ({"rows_changed": 9, "log_writes": 9, "commits": 0.2}, "restore"),
        ({"cpu_system": 6, "run_queue": 5, "cpu_idle": 0.1}, "CPU saturation"),
        ({"flushed_pages": 3, "rows_changed": 0.1, "log_writes": 0.1}, "flush"),
        (
            {"latency": 5, "sent": 0.1, "received": 0.1, "page_writes": 0.1, "disk_writes": 0.1},
            "network congestion",
        ),
        ({"lock_waiting": 5, "lock_time": 8, "commits": 0.3}, "lock contention"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_each_cause_is_named_by_what_it_moves(moved: dict[str, float], cause: str) -> None:
    assert seen(**moved).causes[0][0] == cause


def test_two_causes_at_once_are_the_first_two() -> None:
    both = seen(sessions=4, lock_waiting=4, cpu_system=6, run_queue=5, cpu_idle=0.1)
    assert {cause for cause, _ in both.causes[:2]} == {"workload spike", "CPU saturation"}


def telemetry(owner: str, names: tuple[str, ...], **factors: float) -> Telemetry:
    times = np.linspace(0.0, 590.0, 60)
    series = tuple(
        Series(
            owner, name, times,
            around(100.0, 60) * np.where(times >= 400.0, factors.get(signal(name) or "", 1.0), 1.0),
        )
        for name in names
    )  # fmt: skip
    return Telemetry(window=Window(start=0.0, end=600.0), series=series)


def test_a_finding_says_the_cause_in_both_languages_and_teaches_its_signs() -> None:
    data = telemetry("orders-db", MYSQL, lock_waiting=5, lock_time=8, commits=0.3)
    (found,) = database_findings(data, 400.0)
    assert found.statement.startswith("orders-db behaves as under lock contention: ")
    assert "lock time up" in found.statement
    assert "锁争用" in found.statement_zh
    learned = signs(Candidate(component="orders-db", score=0.0), number([found]))
    assert {"database lock_time up", "database commits down"} <= set(learned)
    assert signs(Candidate(component="cart", score=0.0), number([found])) == {}


@pytest.mark.parametrize(
    "data",
    [
        telemetry("orders-db", MYSQL),
        telemetry("cart", MYSQL[10:], sent=0.1, received=0.1, latency=9.0),
        telemetry("web->orders-db", MYSQL, lock_waiting=5, lock_time=8, commits=0.3),
        Telemetry(window=Window(start=0.0, end=600.0)),
    ],
    ids=["nothing moved", "no database", "a call to one", "nothing measured"],
)
def test_nothing_is_said_where_nothing_moved_or_nobody_is_a_database(data: Telemetry) -> None:
    assert database_findings(data, 400.0) == []


def test_missing_silent_and_short_metrics_are_no_error() -> None:
    empty, gone = np.array([]), np.zeros(30)
    assert diagnose([(name, empty, around(1.0, 9)) for name in MYSQL]) is None
    quiet = diagnose([(name, gone, gone) for name in MYSQL])
    assert quiet is not None
    assert set(quiet.moves.values()) == {0.0}
