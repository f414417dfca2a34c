"""Several processes on one PostgreSQL: what one would have done, each thing once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from copilot import wiring
from copilot.case.engine import Engine
from copilot.case.loops import EVERY_ROLE, Role, problem_of
from copilot.case.wiring import working
from copilot.settings import Settings, SettingsError, load
from copilot.store import LeadershipLostError, Run, Store, StoreError
from copilot.store.postgresql import ProcrastinateQueue
from copilot.surfaces.commands import serve as commands
from copilot.types.incident import Incident
from evals.torture.databases import Server
from tools.types import Alert

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
INTAKE: frozenset[Role] = frozenset(("intake",))
WORK: frozenset[Role] = frozenset(("work",))


@pytest.fixture
def url(postgresql: str, request: pytest.FixtureRequest) -> str:
    name = f"m{abs(hash(request.node.nodeid))}"
    with psycopg.connect(
        host=postgresql, user="copilot", dbname="postgres", autocommit=True
    ) as server:
        server.execute(f"CREATE SCHEMA {name}".encode())
    return f"postgresql://copilot@/postgres?host={postgresql}&options=-csearch_path%3D{name}"


def settings(url: str, folder: Path) -> Settings:
    return load(data_dir=folder, database_url=url, settle_s=0, workers=4, refresh_s=0)


@contextmanager
def engine(url: str, folder: Path, roles: frozenset[Role]) -> Iterator[Engine]:
    with wiring.engine(settings(url, folder), "test", roles=roles) as made:
        made.start()
        try:
            yield made
        finally:
            made.stop()


def alerts(groups: int, each: int) -> list[Alert]:
    """So many alerts of each of some systems that have nothing to do with each other."""
    now = time.time()
    return [
        Alert(
            fingerprint=f"{group}-{number}",
            name=f"Slow{number}",
            severity="critical",
            starts_at=now,
            service=f"shop-{group}",
            labels={"cluster": f"c{group}", "namespace": f"n{group}", "service": f"shop-{group}"},
        )
        for number in range(each)
        for group in range(groups)
    ]


def until(what: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def settled(store: Store) -> bool:
    return not store.alerts.unassigned(limit=1) and not store.runs.unfinished()


def groups_of(store: Store) -> list[list[str]]:
    """Which alerts are of one incident, whatever its id."""
    return sorted(
        sorted({alert.fingerprint for alert in store.alerts.of(incident.id)})
        for incident in store.incidents.list(limit=1000)
    )


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(commands.worker, id="worker"),
        pytest.param(commands.watch, id="watch"),
        pytest.param(partial(commands.serve, apart=True), id="serve apart"),
    ],
)
def test_roles_apart_are_refused_on_a_file(
    command: Callable[[Settings], int], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="COPILOT_DATABASE_URL"):
        command(load(data_dir=tmp_path))


def test_three_services_make_the_groups_that_one_makes(url: str, tmp_path: Path) -> None:
    given = alerts(groups=5, each=6)
    expected = sorted(sorted(f"{group}-{n}" for n in range(6)) for group in range(5))
    with ExitStack() as stack:
        several = [stack.enter_context(engine(url, tmp_path / str(n), INTAKE)) for n in range(3)]
        for number, alert in enumerate(given):
            several[number % 3].accept([alert], time.time())
        store = several[0].store
        until(lambda: not store.alerts.unassigned(limit=1))
        assert groups_of(store) == expected
        assert [one.leading for one in several].count(True) == 1
        opened = [event for event in store.journal.events(limit=5000) if event.kind == "opened"]
        assert len(opened) == 5
        assert len({event.incident_id for event in opened}) == 5


def test_when_the_deciding_service_ends_another_goes_on_with_its_groups(
    url: str, tmp_path: Path
) -> None:
    given = alerts(groups=3, each=4)
    with ExitStack() as stack:
        first = stack.enter_context(engine(url, tmp_path / "1", INTAKE))
        first.accept(given[:6], time.time())
        until(lambda: not first.store.alerts.unassigned(limit=1))
        second = stack.enter_context(engine(url, tmp_path / "2", INTAKE))
        assert not second.leading
        first.stop()
        second.accept(given[6:], time.time())
        until(lambda: not second.store.alerts.unassigned(limit=1))
        assert groups_of(second.store) == [
            [f"{group}-{number}" for number in range(4)] for group in range(3)
        ]


def test_a_worker_that_began_first_leaves_deciding_to_a_service(url: str, tmp_path: Path) -> None:
    with engine(url, tmp_path / "worker", WORK) as worker:
        worker.upkeep()
        with engine(url, tmp_path / "service", INTAKE) as service:
            until(lambda: service.leading)


def test_decisions_of_who_lost_the_lead_are_not_written(url: str, tmp_path: Path) -> None:
    with engine(url, tmp_path / "1", frozenset(("watch",))) as one:
        assert one.leading
        one.accept(alerts(1, 1), time.time())
        with one.store.database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND classid = 7233206"
            )
        # What it would write now is refused within the very transaction.
        with pytest.raises(LeadershipLostError), one.store.transaction():
            one.store.leadership.check("intake ")
        one.group()
        assert len(one.store.alerts.unassigned()) == 1
        assert one.leading  # nobody else wanted it meanwhile
        one.group()
        assert one.store.alerts.unassigned() == ()


def test_workers_share_the_runs_and_each_is_run_once(url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        intake = stack.enter_context(engine(url, tmp_path / "0", INTAKE))
        several = [stack.enter_context(engine(url, tmp_path / f"w{n}", WORK)) for n in range(2)]
        intake.accept(alerts(groups=12, each=1), time.time())
        until(lambda: bool(intake.store.incidents.count()) and settled(intake.store))
        assert [run.status for run in every_run(intake.store)] == ["done"] * 12
        assert sum(one.counters.runs_finished for one in several) == 12
        assert all(one.counters.runs_finished for one in several)


def every_run(store: Store) -> list[Run]:
    return [run for incident in store.incidents.list(100) for run in store.runs.of(incident.id)]


def test_shards_of_the_watch_are_shared_and_taken_over(url: str) -> None:
    stores = [Store(url) for _ in range(3)]
    stores[0].create()
    for _ in range(2):
        shares = [one.leadership.shards("watch", 6) for one in stores]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert frozenset.union(*shares) == frozenset(range(6))
    stores[0].close()
    for _ in range(2):
        shares = [one.leadership.shards("watch", 6) for one in stores[1:]]
    assert [len(share) for share in shares] == [3, 3]
    for one in stores:
        one.close()


def process(url: str, folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "COPILOT_DATABASE_URL": url,
        "COPILOT_DATA_DIR": str(folder),
        "COPILOT_SETTLE_S": "0",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "copilot", *command],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@contextmanager
def worker(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own, once it works."""
    environment = {
        **os.environ,
        "COPILOT_DATABASE_URL": url,
        "COPILOT_DATA_DIR": str(folder),
        "COPILOT_SETTLE_S": "0",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "copilot", "worker"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as made:
        try:
            assert made.stderr is not None
            assert "works on" in made.stderr.readline()
            yield made
        finally:
            made.kill()


def test_a_worker_that_is_told_to_stop_hands_back_and_leaves_with_0(
    url: str, tmp_path: Path
) -> None:
    with engine(url, tmp_path / "0", INTAKE) as intake, worker(url, tmp_path / "1") as first:
        intake.accept(alerts(groups=8, each=1), time.time())
        until(lambda: any(run.status != "accepted" for run in every_run(intake.store)))
        first.send_signal(signal.SIGTERM)
        assert first.wait(40) == 0
        assert not [run for run in every_run(intake.store) if run.status == "running"]
        with engine(url, tmp_path / "2", WORK):
            until(lambda: settled(intake.store))
        assert [run.status for run in every_run(intake.store)] == ["done"] * 8


def test_the_runs_of_a_killed_worker_are_taken_by_another(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copilot.store.postgresql.STALLED_S", 3.0)
    with engine(url, tmp_path / "0", INTAKE) as intake, worker(url, tmp_path / "1") as victim:
        intake.accept(alerts(groups=8, each=1), time.time())
        until(lambda: any(run.status == "running" for run in every_run(intake.store)))
        victim.kill()
        with intake.store.database.write() as connection:  # as if its lease had run out by now
            connection.exec_driver_sql("UPDATE runs SET lease_until = 1 WHERE status = 'running'")
        with engine(url, tmp_path / "2", WORK):
            until(lambda: settled(intake.store), 60)
        assert [run.status for run in every_run(intake.store)] == ["done"] * 8


def test_what_a_living_worker_relies_on_outlives_a_crash_of_the_server(
    mortal: Server, tmp_path: Path
) -> None:
    configured = settings(mortal.fresh(), tmp_path)
    with wiring.store(configured) as store, working(configured, store, tmp_path) as (saver, _queue):
        store.incidents.open(Incident(id="I1", title="slow", opened_at=1.0, updated_at=1.0))
        store.runs.accept("I1", 1.0)
        at: RunnableConfig = {"configurable": {"thread_id": "I1.1", "checkpoint_ns": ""}}
        with store.transaction(lazily=True):
            store.journal.append("I1", "located", "copilot", {}, 1.0)
        saver.put(at, empty_checkpoint(), {}, {})
        assert store.runs.claim("one", 1.0, 60.0) is not None
        mortal.stop()
        mortal.start()
        until(lambda: works(store))
        assert store.runs.claim("another", 2.0, 60.0) is None
        assert [event.kind for event in store.journal.events()] == ["located"]
        assert saver.get_tuple(at) is not None


def works(store: Store) -> bool:
    with suppress(StoreError):
        store.ping()
        return True
    return False


def test_a_killed_server_that_comes_back_leaves_nothing_stuck_and_nothing_unwell(
    mortal: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copilot.store.postgresql.POOL_S", 1.0)
    monkeypatch.setattr("copilot.store.postgresql.STOP_S", 1.0)
    with engine(mortal.fresh(), tmp_path, EVERY_ROLE) as one:
        one.longest_pause_s = 1.0
        one.accept(alerts(groups=8, each=1), time.time())
        until(lambda: any(run.status != "accepted" for run in every_run(one.store)))
        mortal.stop()
        until(lambda: "queue failing" in problem_of(one.loops))
        mortal.start()
        until(lambda: settled(one.store), 120)
        until(lambda: set(one.ready().values()) == {"ok"}, 20)
        assert [run.status for run in every_run(one.store)] == ["done"] * 8
        one.accept(alerts(groups=9, each=1), time.time())
        until(lambda: len(every_run(one.store)) == 9 and settled(one.store))


LEFT_BEHIND = (
    """INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, worker_id)
    SELECT '{queue}', 'advance', '{lock}', '{{"run_id": "{run}"}}', {worker}
    FROM procrastinate_workers LIMIT 1""",
    "UPDATE procrastinate_jobs SET status = 'doing'",
    "UPDATE procrastinate_events SET at = now() - interval '{age} s' WHERE type = 'started'",
)
"""A job that began `age` seconds ago."""


@pytest.mark.parametrize(
    ("queue", "worker", "age", "left"),
    [
        pytest.param("runs", "NULL", 0, 0, id="of a worker that is gone"),
        pytest.param("runs", "id", 90, 0, id="of a living worker, its end was not written"),
        pytest.param("upkeep", "NULL", 0, 0, id="the sweep of an earlier version"),
        pytest.param("runs", "id", 5, 1, id="of a living worker, just begun"),
    ],
)
def test_a_job_that_nobody_works_on_holds_its_incident_no_longer(
    url: str, tmp_path: Path, queue: str, worker: str, age: int, left: int
) -> None:
    with engine(url, tmp_path, EVERY_ROLE) as one:
        one.accept(alerts(groups=1, each=1), time.time())
        until(lambda: len(every_run(one.store)) == 1 and settled(one.store))
        (run,) = every_run(one.store)
        given = {"queue": queue, "worker": worker, "lock": run.incident_id, "run": run.id}
        with one.store.database.write() as connection:
            for statement in LEFT_BEHIND:
                connection.exec_driver_sql(statement.format(age=age, **given))
        ProcrastinateQueue(one.store.database, 1).sweep()
        with one.store.database.read() as connection:
            jobs = connection.exec_driver_sql("SELECT count(*) FROM procrastinate_jobs").scalar()
        assert jobs == left
