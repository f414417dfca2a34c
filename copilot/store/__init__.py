"""Store: alerts, silences, incidents, runs, approvals, outbox, journal, on disk before use.

`Store` opens one SQLite or PostgreSQL database; its parts take and return values of `types`. It
stands on the types only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from copilot.store import migrations
from copilot.store.alert_homes import AlertHomes
from copilot.store.alert_leases import AlertLeases, DueAlert
from copilot.store.alerts import AcceptedAlerts, Alerts, Assignment, StoredAlert
from copilot.store.approvals import (
    AlreadyConsumedError,
    AlreadyDecidedError,
    ApprovalExpiredError,
    ApprovalRequest,
    Approvals,
    ApprovalStatus,
    NoRightError,
    NotApprovedError,
    PolicyRefusedError,
    ReasonMissingError,
    UnknownPlanError,
    WrongDigestError,
)
from copilot.store.causes import Causes, StoredCause
from copilot.store.changes import Changes
from copilot.store.conversations import Conversations, UnknownConversationError
from copilot.store.database import Database, StoreError
from copilot.store.firing import FiringAlert, FiringAlerts
from copilot.store.incidents import Incidents, UnknownIncidentError
from copilot.store.journal import GENESIS, Journal, JournalCheck, SignedHead
from copilot.store.leadership import Leadership, LeadershipLostError
from copilot.store.notices import Notices, NoticeState, StoredNotice, TargetFigures
from copilot.store.outbox import (
    Halt,
    HaltRecord,
    Locks,
    Outbox,
    OutboxEntry,
    Outcomes,
    TargetBusyError,
)
from copilot.store.people import (
    AccessTokens,
    NameTakenError,
    People,
    PersonSessions,
    UnknownAccountError,
)
from copilot.store.runs import LeaseLostError, Run, Runs, RunStatus
from copilot.store.silences import Silences, SilenceState, StoredSilence, UnknownSilenceError
from copilot.store.tables import SCHEMA_VERSION, schema
from copilot.types.home import ToldKey, key, made
from copilot.types.redaction import Redactor

__all__ = [
    "GENESIS",
    "SCHEMA_VERSION",
    "AcceptedAlerts",
    "AccessTokens",
    "AlertLeases",
    "Alerts",
    "AlreadyConsumedError",
    "AlreadyDecidedError",
    "ApprovalRequest",
    "ApprovalStatus",
    "Approvals",
    "Assignment",
    "Causes",
    "Changes",
    "Conversations",
    "ApprovalExpiredError",
    "FiringAlert",
    "FiringAlerts",
    "DueAlert",
    "Halt",
    "HaltRecord",
    "Incidents",
    "OutboxEntry",
    "Redactor",
    "Journal",
    "JournalCheck",
    "Leadership",
    "LeadershipLostError",
    "LeaseLostError",
    "Locks",
    "NameTakenError",
    "NoRightError",
    "NotApprovedError",
    "NoticeState",
    "Notices",
    "Outbox",
    "Outcomes",
    "ReasonMissingError",
    "People",
    "PersonSessions",
    "PolicyRefusedError",
    "Run",
    "RunStatus",
    "Runs",
    "SilenceState",
    "SignedHead",
    "Silences",
    "Store",
    "StoreError",
    "StoredAlert",
    "StoredCause",
    "StoredNotice",
    "StoredSilence",
    "TargetBusyError",
    "TargetFigures",
    "UnknownAccountError",
    "UnknownConversationError",
    "UnknownIncidentError",
    "UnknownPlanError",
    "UnknownSilenceError",
    "WrongDigestError",
    "opened",
]


class Store:
    """One database, in its parts; safe to use from many threads and processes."""

    def __init__(self, url: str, redactor: Redactor | None = None) -> None:
        """Name the database, `sqlite:///PATH` or `postgresql://USER@HOST/NAME`; opens nothing.

        `redactor` is the door for text from outside; what is written goes through it before.
        """
        self.redactor = redactor or Redactor()
        self._database = Database(url)
        self.leadership = Leadership(self._database)
        self.alerts = Alerts(self._database)
        self.alert_homes = AlertHomes(self._database)
        self.firing = FiringAlerts(self._database)
        self.alert_leases = AlertLeases(self._database)
        self.incidents = Incidents(self._database)
        self.runs = Runs(self._database)
        self.approvals = Approvals(self._database)
        self.outbox = Outbox(self._database)
        self.outcomes = Outcomes(self._database)
        self.causes = Causes(self._database)
        self.changes = Changes(self._database)
        self.locks = Locks(self._database)
        self.halt = Halt(self._database)
        self.journal = Journal(self._database, self.redactor)
        self.silences = Silences(self._database, self.journal, self.redactor)
        self.conversations = Conversations(self._database)
        self.notices = Notices(self._database)
        self.people = People(self._database)
        self.access_tokens = AccessTokens(self._database)
        self.sessions = PersonSessions(self._database)

    def create(self) -> None:
        """Make what is missing; an older SQLite file is upgraded, a newer schema refused."""
        migrations.prepare(self._database)

    def upgrade(self) -> tuple[int | None, int]:
        """Bring an older database forward; the schema version before (None: new) and now."""
        return migrations.upgrade(self._database)

    def schema_version(self) -> int | None:
        """The schema version of the database; None where there is no store in it yet."""
        return migrations.version(self._database)

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the database at the same time."""
        return not self._database.sqlite

    @property
    def database(self) -> Database:
        """What is under it: for what only PostgreSQL gives, and upkeep."""
        return self._database

    def close(self) -> None:
        """Give the connections back; whatever this process led is free."""
        self.leadership.close()
        self._database.close()

    @contextmanager
    def transaction(self, *, lazily: bool = False) -> Iterator[None]:
        """Everything written inside, by this thread, is kept together or dropped together.

        On disk when it ends; with `lazily` a moment later, on a file (`Database.write`).
        """
        with self._database.write(lazily=lazily):
            yield

    def ping(self) -> None:
        """Raise `StoreError` unless the database answers."""
        with self._database.read() as connection:
            connection.execute(select(schema.c.version))


@contextmanager
def opened(home: Path, url: str, told: ToldKey | None) -> Iterator[Store]:
    """The store at an address, its tables made; redacts by the key that was `told`, or `home`'s."""
    made(home)
    found = Store(url, Redactor(key(home / "redaction.key", told)))
    try:
        found.create()
        yield found
    finally:
        found.close()
