"""Ledger: a SQLite database with a bounded number of sessions and one writer at a time."""

import asyncio
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evals.lab.shop.meters import LockMeters, since
from evals.lab.shop.volume import DataVolume

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
