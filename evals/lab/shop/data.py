"""Data: what a service keeps beside answering calls: a cache, a queue, a database, a volume."""

import asyncio
import errno
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evals.lab.blueprint import ServiceBlueprint, ServiceRoute
from evals.lab.places import LabFolder
from evals.lab.shop.meters import (
    CacheMeters,
    DiskMeters,
    InstanceMeters,
    LockMeters,
    QueueMeters,
    since,
)
from evals.lab.shop.outbound import Pool

_RECOUNT_S = 1.0
_KEPT_SEGMENTS = 4
_SEGMENT = 262_144


class DataVolume:
    """Bytes in a folder; `delay_s` is what each write waits for the device beside the real time."""

    def __init__(self, folder: Path, limit: int, meters: DiskMeters) -> None:
        self._folder = folder
        self._limit = limit
        self._meters = meters
        self._counted = 0.0
        self._used = 0
        self._segment = 0
        self.delay_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        meters.limit.set(limit)
        self.used()

    def used(self) -> int:
        """Bytes in the folder, counted at most once a second."""
        if since(self._counted) >= _RECOUNT_S:
            self._used = sum(f.stat().st_size for f in self._folder.iterdir() if f.is_file())
            self._counted = time.monotonic()
            self._meters.used.set(self._used)
        return self._used

    def append(self, name: str, content: bytes) -> None:
        """Write at the end of a file and wait until it is on the device.

        Raises OSError with ENOSPC where the quota would be passed.
        """
        started = time.monotonic()
        try:
            if self.used() + len(content) > self._limit:
                raise OSError(errno.ENOSPC, "No space left on device", str(self._folder / name))
            time.sleep(self.delay_s)
            with (self._folder / name).open("ab") as file:
                file.write(content)
            self._used += len(content)
        finally:
            self._meters.write.observe(since(started))

    def journal(self, content: bytes) -> None:
        """Append to the journal of the database; old segments go."""
        name = f"journal-{self._segment % _KEPT_SEGMENTS}.wal"
        path = self._folder / name
        if path.exists() and path.stat().st_size > _SEGMENT:
            self._segment += 1
            name = f"journal-{self._segment % _KEPT_SEGMENTS}.wal"
            (self._folder / name).unlink(missing_ok=True)
        self.append(name, content)


_BUSY_MS = 1200
_ROWS = 2000
_SESSIONS = 16


class BusyError(Exception):
    """The write lock did not come free in time."""


class OrderDatabase:
    """Reads beside each other, writes one after another, each written to the journal first."""

    def __init__(self, path: Path, volume: DataVolume, meters: LockMeters) -> None:
        self._path = path
        self._volume = volume
        self._meters = meters
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(_SESSIONS, thread_name_prefix="session")
        self._blocker: threading.Event | None = None
        with self._opened() as session:
            session.execute("PRAGMA journal_mode=WAL")
            session.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, body TEXT)")
            session.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?)",
                ((i, f"order {i}") for i in range(_ROWS)),
            )

    async def read(self) -> None:
        """Look up a few rows."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._read)

    async def write(self) -> None:
        """Change one row; raises `BusyError`, or `OSError` where the volume is full."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write)

    def block(self, blocked: bool) -> None:
        """Let a session of maintenance hold the write lock again and again, or end it."""
        if blocked and self._blocker is None:
            self._blocker = threading.Event()
            threading.Thread(target=self._hold, args=(self._blocker,), daemon=True).start()
        elif not blocked and self._blocker is not None:
            self._blocker.set()
            self._blocker = None

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_MS / 1000, isolation_level=None)

    @property
    def _session(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "session", None)
        if found is None:
            found = self._local.session = self._opened()
        return found

    def _read(self) -> None:
        first = random.randrange(_ROWS - 20)
        query = "SELECT body FROM orders WHERE id BETWEEN ? AND ?"
        self._session.execute(query, (first, first + 20)).fetchall()

    def _write(self) -> None:
        session, started = self._session, time.monotonic()
        try:
            session.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise BusyError(f"database is locked after {since(started):.2f} s") from error
        finally:
            self._meters.wait.observe(since(started))
        try:
            number = random.randrange(_ROWS)
            self._volume.journal(b"update order %06d %s\n" % (number, b"x" * 480))
            session.execute("UPDATE orders SET body = ? WHERE id = ?", (str(started), number))
        except OSError:
            session.execute("ROLLBACK")
            raise
        session.execute("COMMIT")

    def _hold(self, ended: threading.Event) -> None:
        session = self._opened()
        while not ended.is_set():
            try:
                session.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                continue
            ended.wait(0.9)
            session.execute("ROLLBACK")
            ended.wait(0.02)
        session.close()


MOST = 400
_CONSUMERS = 1


class Jobs:
    """First in, first out; a job that fails is dropped after its error was logged."""

    def __init__(self, meters: QueueMeters, work: Callable[[], Awaitable[None]]) -> None:
        self._meters = meters
        self._work = work
        self._waiting: deque[float] = deque()
        self._arrived = asyncio.Event()

    def put(self) -> bool:
        """Take a job; False where the queue is full."""
        if len(self._waiting) >= MOST:
            return False
        self._waiting.append(time.monotonic())
        self._arrived.set()
        return True

    def show(self) -> None:
        """Tell the meters how it stands."""
        self._meters.depth.set(len(self._waiting))
        self._meters.oldest.set(since(self._waiting[0]) if self._waiting else 0.0)

    async def consume(self) -> None:
        """Work jobs off for ever."""
        await asyncio.gather(*(self._one_after_another() for _ in range(_CONSUMERS)))

    async def _one_after_another(self) -> None:
        while True:
            while self._waiting:
                self._waiting.popleft()
                await self._work()
            self._arrived.clear()
            await self._arrived.wait()


_KEYS = 120
_TTL_S = 60.0


class Cache:
    """Whether an item is at hand; with `worthless` entries expire the moment they are stored."""

    def __init__(self, meters: CacheMeters) -> None:
        self._meters = meters
        self._until: dict[int, float] = {}
        self.worthless = False

    def has(self, rng: random.Random) -> bool:
        """Look up a random item, the popular ones more often; keep it from now on."""
        key, now = int(_KEYS * rng.random() ** 2), time.monotonic()
        hit = self._until.get(key, 0.0) > now
        (self._meters.hits if hit else self._meters.misses).inc()
        if not hit:
            lives = 0.0 if self.worthless else _TTL_S * rng.uniform(0.5, 1.5)
            self._until[key] = now + lives
        return hit

    def flush(self) -> None:
        """Forget everything."""
        self._until.clear()


_MEGABYTE = 1_048_576
_ENTRIES = 8  # that one page is made of
_CHUNK = b"debug: state of a request nobody asked for\n" * 1524  # 64 KiB


class DataAccessError(Exception):
    """The data could not be read or written; the message says why."""


class ServiceData:
    """The parts a service has; a part it does not have does nothing."""

    def __init__(
        self,
        service: ServiceBlueprint,
        places: LabFolder,
        meters: InstanceMeters,
        job: Callable[[], Awaitable[None]],
    ) -> None:
        kinds = {route.stored for route in service.routes.values()}
        self._rng = random.Random(service.name)
        self._cache = Cache(CacheMeters(meters.registry)) if "cached" in kinds else None
        self._jobs = Jobs(QueueMeters(meters.registry), job) if "queued" in kinds else None
        self._volume: DataVolume | None = None
        self._ledger: OrderDatabase | None = None
        self._sessions: Pool | None = None
        self._read_only = False
        self._flushed = 0.0
        if service.volume_mb:
            folder = places.volume(service.name)
            self._volume = DataVolume(
                folder, service.volume_mb * _MEGABYTE, DiskMeters(meters.registry)
            )
            database = folder.parent / f"{service.name}.sqlite"
            self._ledger = OrderDatabase(database, self._volume, LockMeters(meters.registry))

    def lookups(self, route: ServiceRoute) -> int:
        """How often the calls of a route are needed: once for each entry the cache lacks."""
        if self._cache is None or route.stored != "cached":
            return 1
        return sum(not self._cache.has(self._rng) for _ in range(_ENTRIES))

    async def background(self) -> None:
        """Work the queue off, for as long as the process lives."""
        if self._jobs is not None:
            await self._jobs.consume()

    async def do(self, route: ServiceRoute) -> None:
        """Read, write or queue what the route says; raises `DataAccessError`."""
        if self._jobs is not None and route.stored == "queued" and not self._jobs.put():
            raise DataAccessError(f"queue is full: {MOST} jobs wait")
        if self._ledger is None or route.stored not in ("read", "write"):
            return
        if route.stored == "read":
            await self._ledger.read()
            return
        if self._read_only:
            raise DataAccessError("the database is read-only")
        try:
            await self._ledger.write()
        except (BusyError, OSError) as error:
            raise DataAccessError(f"write failed: {error}") from error

    def tick(self, condition: Callable[[str], float], read_only: bool) -> None:
        """Bring about what is wrong with the data, and tell the meters."""
        self._read_only = read_only
        if self._cache is not None:
            self._cache.worthless = condition("worthless_cache") > 0
            flushed = condition("flushed_at")
            if flushed > self._flushed:
                self._flushed = flushed
                self._cache.flush()
        if self._jobs is not None:
            self._jobs.show()
        if self._volume is not None and self._ledger is not None:
            self._volume.used()
            self._volume.delay_s = condition("disk_delay_s")
            self._ledger.block(condition("locked") > 0)
            self._fill(condition("fill_mb_s"))

    def _fill(self, megabytes: float) -> None:
        """A runaway debug log; full is full."""
        assert self._volume is not None
        for _ in range(int(megabytes * 8)):
            try:
                self._volume.append("debug.log.1", _CHUNK)
            except OSError:
                return
