"""What only PostgreSQL gives: the queue of runs by Procrastinate, and checkpoints by LangGraph.

The table `runs` stays the truth: a trigger makes a job, in the same transaction, of each row that
may be worked on, and a job that finds its run taken does nothing. So a job that is lost or doubled
by a crash costs a look. Why: docs/decisions/scale.md.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.schema import SchemaManager
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool
from sqlalchemy import text

from copilot.store.database import Database, StoreError

log = logging.getLogger(__name__)

STALLED_S = 30.0
"""A worker whose heartbeat is older is taken for dead; it beats every 10 s (Procrastinate)."""

BEAT_S = 1.0
"""How often it is asked whether the database answers, while the queue waits."""

LOOK_S = 0.5
"""How often a worker with nothing to do looks for jobs. A run that is laid down makes its next job
while this one holds the incident's lock: the notice comes too early, and nobody sends another."""

POOL_S = 10.0
"""How long a question to the queue waits for a connection."""

FORGOTTEN_S = 60.0
"""A job that began this long ago and whose run nobody works on is of a thread that lost its
connection: its end was never written. As long as a lease of a run (`copilot/case/worker.py`)."""

STOP_S = 25.0
"""How long jobs may take to end at shutdown; Kubernetes kills 30 s after its SIGTERM."""

_SETUP_KEY = 7233207

_JOBS = """
CREATE FUNCTION copilot_offer_run(run text, incident text, urgency integer, due double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'runs'
        AND lock = incident AND args->>'run_id' = run;
    PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW('runs', 'advance', -urgency, incident, NULL,
        jsonb_build_object('run_id', run), to_timestamp(due))::procrastinate_job_to_defer_v1]);
END $$;
CREATE FUNCTION copilot_queue_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'accepted' AND (TG_OP = 'INSERT' OR OLD.status <> 'accepted'
            OR OLD.due_at <> NEW.due_at OR OLD.priority <> NEW.priority) THEN
        PERFORM copilot_offer_run(NEW.id, NEW.incident_id, NEW.priority, NEW.due_at);
    ELSIF TG_OP = 'UPDATE' AND OLD.status = 'accepted'
            AND NEW.status NOT IN ('accepted', 'running') THEN
        DELETE FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'runs'
            AND lock = NEW.incident_id AND args->>'run_id' = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER copilot_runs_queued AFTER INSERT OR UPDATE ON runs
    FOR EACH ROW EXECUTE FUNCTION copilot_queue_run();
"""

# Not a periodic job: one that its worker left behind would hold the lock of all that follow.
_ABANDONED = text("""
DELETE FROM procrastinate_jobs j WHERE j.status = 'doing' AND (
    NOT EXISTS (SELECT 1 FROM procrastinate_workers w WHERE w.id = j.worker_id
        AND w.last_heartbeat >= now() - make_interval(secs => :stalled))
    OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = j.args->>'run_id'
        AND r.status = 'running' AND r.lease_until >= :now)
    AND EXISTS (SELECT 1 FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'started'
        GROUP BY e.job_id HAVING max(e.at) < now() - make_interval(secs => :forgotten))
)
""")

_UNOFFERED = text("""
SELECT copilot_offer_run(r.id, r.incident_id, r.priority, 0) FROM runs r
WHERE (r.status = 'accepted' AND r.due_at <= :now OR r.status = 'running' AND r.lease_until < :now)
AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs j WHERE j.status IN ('todo', 'doing')
    AND j.queue_name = 'runs' AND j.lock = r.incident_id AND j.args->>'run_id' = r.id
)
""")


def address(database: Database) -> str:
    """The address as libpq reads it."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def prepare(database: Database) -> None:
    """Make the tables of the queue and of the checkpoints where they are missing."""
    with database.write() as connection:
        known = text("SELECT to_regclass('procrastinate_jobs'), to_regproc('copilot_queue_run')")
        jobs, queued = connection.execute(known).one()
        raw = connection.connection.driver_connection
        if raw is not None and jobs is None:
            raw.execute(SchemaManager.get_schema())
        if raw is not None and queued is None:
            raw.execute(_JOBS)
            connection.execute(_UNOFFERED, {"now": time.time()})
    with Connection.connect(address(database), autocommit=True, row_factory=dict_row) as plain:
        # Not waited for inside the database: an index that is built concurrently would wait for
        # whoever waits.
        while not _locked(plain):
            time.sleep(0.2)
        PostgresSaver(plain).setup()


def _locked(connection: Connection[DictRow]) -> bool:
    query = f"SELECT pg_try_advisory_lock({_SETUP_KEY}) AS free"
    row = connection.execute(query.encode()).fetchone()
    return bool(row and row["free"])


@contextmanager
def saver(
    database: Database, serde: SerializerProtocol, connections: int
) -> Iterator[PostgresSaver]:
    """Checkpoints in the store's own database, over a pool of their own."""
    with ConnectionPool[Connection[DictRow]](
        address(database),
        min_size=1,
        max_size=connections,
        open=True,
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    ) as pool:
        yield PostgresSaver(pool, serde=serde)


class ProcrastinateQueue:
    """Hands due runs to this process's threads, most urgent first, one of an incident at a time."""

    def __init__(self, database: Database, workers: int) -> None:
        self._database = database
        self._workers = workers

    def work(
        self,
        handle: Callable[[str], None],
        stopping: threading.Event,
        works: Callable[[], None],
    ) -> None:
        """Hand run ids to `handle`, in threads, until `stopping`; call `works` while it can.

        Raises where it cannot go on.
        """
        asyncio.run(self._work(handle, stopping, works))

    async def _work(
        self,
        handle: Callable[[str], None],
        stopping: threading.Event,
        works: Callable[[], None],
    ) -> None:
        connector = PsycopgConnector(conninfo=address(self._database), max_size=4, timeout=POOL_S)
        app = App(connector=connector)
        self._register(app, handle)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=["runs"],
                    concurrency=self._workers,
                    fetch_job_polling_interval=LOOK_S,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=STOP_S,
                    stalled_worker_timeout=STALLED_S,
                )
            )
            try:
                while not stopping.is_set() and not worker.done():
                    await app.connector.execute_query_async("SELECT 1")
                    works()
                    for _ in range(10):
                        if not stopping.is_set():
                            await asyncio.wait([worker], timeout=BEAT_S / 10)
            finally:
                worker.cancel()
                with suppress(asyncio.CancelledError):
                    await worker
            if not stopping.is_set():
                raise StoreError("the queue stopped", recoverable=True)

    def _register(self, app: App, handle: Callable[[str], None]) -> None:
        @app.task(name="advance", queue="runs", retry=RetryStrategy(max_attempts=8, wait=2))
        async def advance(run_id: str) -> None:
            await _threaded(handle, run_id)

    def sweep(self) -> None:
        """Take away jobs that nobody works on any more, and offer each run that has none."""
        now = time.time()
        limits = {"stalled": STALLED_S, "forgotten": FORGOTTEN_S}
        with self._database.write() as connection:
            if taken := connection.execute(_ABANDONED, {"now": now, **limits}).rowcount:
                log.warning("%d jobs are taken from workers that went silent", taken)
            connection.execute(_UNOFFERED, {"now": now})


async def _threaded(work: Callable[[str], None], argument: str) -> None:
    """Run the work in a thread that does not keep the process alive, as an executor's would."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    problems: list[Exception] = []

    def run() -> None:
        try:
            work(argument)
        except Exception as problem:  # noqa: BLE001 - whoever awaits it raises it, whatever it is
            problems.append(problem)
        try:
            loop.call_soon_threadsafe(done.set)
        except RuntimeError:  # the loop ended without us: nobody awaits it any more
            for lost in problems:
                log.error("%s ended after its queue: %s", argument, lost, exc_info=lost)

    threading.Thread(target=run, daemon=True).start()
    await done.wait()
    if problems:
        raise problems[0]
