"""A store whose database fails on demand, as one does that is full, restarted or away."""

import sqlite3
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from copilot.store import Store


class StoreFaults:
    """Between the store and its database: lets statements of the threads `of` fail.

    `failed` lists what did. Threads with other names, such as a test's own, are left in peace.
    """

    def __init__(self, store: Store, of: Set[str]) -> None:
        self.failed: list[str] = []
        self._of = of
        self._once: set[str] | None = None
        self._away = False
        self._lock = threading.Lock()
        event.listen(store._database.engine, "before_cursor_execute", self._before)

    def each_once(self) -> None:
        """From now on every different statement fails the first time it is tried."""
        self._once = set()

    @contextmanager
    def away(self) -> Iterator[None]:
        """While inside, everything fails."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def _before(self, _connection: object, _cursor: object, statement: str, *_: Any) -> None:
        if threading.current_thread().name not in self._of:
            return
        with self._lock:
            fails = self._away or (self._once is not None and statement not in self._once)
            if self._once is not None:
                self._once.add(statement)
            if not fails:
                return
            self.failed.append(statement)
        full = sqlite3.OperationalError("database or disk is full")
        raise OperationalError(statement, {}, full)
