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
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.schema import SchemaManager
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool
from sqlalchemy import text

from copilot.store.database import Database, StoreError

log = logging.getLogger(__name__)

STALLED_S = 30.0
"""A worker whose heartbeat is older is taken for dead; it beats every 10 s (Procrastinate)."""

SWEEP = "* * * * * */15"
"""How often jobs of dead workers are handed on: every 15 s, by one of all workers."""

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

    def work(self, handle: Callable[[str], None], stopping: threading.Event) -> None:
        """Hand run ids to `handle`, in threads, until `stopping`; raises where it cannot go on."""
        asyncio.run(self._work(handle, stopping))

    async def _work(self, handle: Callable[[str], None], stopping: threading.Event) -> None:
        app = App(connector=PsycopgConnector(conninfo=address(self._database), max_size=4))
        self._register(app, handle)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=["runs", "upkeep"],
                    concurrency=self._workers + 1,
                    delete_jobs="always",
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=STOP_S,
                    stalled_worker_timeout=STALLED_S,
                )
            )
            while not stopping.is_set() and not worker.done():
                await asyncio.sleep(0.1)
            if worker.done() and not stopping.is_set():
                problem = worker.exception()
                raise StoreError(f"the queue stopped: {problem}", recoverable=True) from problem
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker

    def _register(self, app: App, handle: Callable[[str], None]) -> None:
        @app.task(name="advance", queue="runs", retry=RetryStrategy(max_attempts=8, wait=2))
        async def advance(run_id: str) -> None:
            await _threaded(handle, run_id)

        @app.periodic(cron=SWEEP)
        @app.task(name="sweep", queue="upkeep", lock="sweep", pass_context=True)
        async def sweep(context: JobContext, timestamp: int) -> None:
            for job in await context.app.job_manager.get_stalled_jobs(
                seconds_since_heartbeat=STALLED_S
            ):
                log.warning("job %s is taken from a worker that went silent", job.id)
                await context.app.job_manager.retry_job(job)
            await _threaded(self._offer, time.time())

    def _offer(self, now: float) -> None:
        with self._database.write() as connection:
            connection.execute(_UNOFFERED, {"now": now})


ArgumentT = str | float


async def _threaded(work: Callable[..., None], argument: ArgumentT) -> None:
    """Run the work in a thread that does not keep the process alive, as an executor's would."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    problems: list[Exception] = []

    def run() -> None:
        try:
            work(argument)
        except Exception as problem:  # noqa: BLE001 - handed to whoever awaits it
            problems.append(problem)
        with suppress(RuntimeError):  # the loop ended without us
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()
    await done.wait()
    if problems:
        raise problems[0]
