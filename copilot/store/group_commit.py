"""Deliveries that arrive while one is written share the next transaction."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from copilot.store.database import Database, StoreError

OutcomeT = TypeVar("OutcomeT")


class _Call(Generic[OutcomeT]):
    """One caller's work, and what came of it."""

    def __init__(self, work: Callable[[Connection], OutcomeT]) -> None:
        self._work = work
        self._outcomes: list[OutcomeT] = []
        self.problem: StoreError | None = None

    @property
    def over(self) -> bool:
        return bool(self._outcomes) or self.problem is not None

    def run(self, connection: Connection) -> OutcomeT:
        return self._work(connection)

    def end(self, outcome: OutcomeT) -> None:
        self._outcomes.append(outcome)

    def result(self) -> OutcomeT:
        if self.problem is not None:
            raise self.problem
        return self._outcomes[0]


class GroupCommit(Generic[OutcomeT]):
    """Runs writes of many threads; whoever comes first writes for all who came meanwhile.

    An fsync costs milliseconds, whatever it makes durable. The work may fail with `StoreError`
    only; then each of the group is tried alone, so that nobody fails for another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        self._list = threading.Lock()
        self._waiting: list[_Call[OutcomeT]] = []

    def __len__(self) -> int:
        """How many wait for the next transaction."""
        return len(self._waiting)

    def write(self, work: Callable[[Connection], OutcomeT]) -> OutcomeT:
        """Run the work in a transaction; what it wrote is on disk on return.

        Inside a transaction of this thread it joins that one, as every write does.
        """
        if self._database.joined:
            with self._database.write() as connection:
                return work(connection)
        call = _Call(work)
        with self._list:
            self._waiting.append(call)
        with self._turn:
            if not call.over:
                self._lead()
        return call.result()

    def _lead(self) -> None:
        with self._list:
            group, self._waiting = self._waiting, []
        try:
            self._together(group)
        except StoreError:
            for call in group:
                self._alone(call)
        finally:
            for call in group:
                if not call.over:  # this thread is being ended in the middle of it
                    call.problem = StoreError("the write was interrupted", recoverable=True)

    def _together(self, group: list[_Call[OutcomeT]]) -> None:
        with self._database.write() as connection:
            outcomes = [call.run(connection) for call in group]
        for call, outcome in zip(group, outcomes, strict=True):
            call.end(outcome)

    def _alone(self, call: _Call[OutcomeT]) -> None:
        try:
            with self._database.write() as connection:
                outcome = call.run(connection)
        except StoreError as problem:
            call.problem = problem
        else:
            call.end(outcome)
