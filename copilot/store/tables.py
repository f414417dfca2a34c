"""The tables of the store. Documents are JSON text; columns hold what is searched or compared."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 6
"""The number of the last file in `migrations`; builds before those compare it, too."""

metadata = MetaData()

# SQLite numbers rows by itself only in a column declared INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")

schema = Table(
    "schema_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
)

# Alembic's own, in its shape.
alembic_version = Table(
    "alembic_version", metadata, Column("version_num", String(32), primary_key=True)
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Index("incidents_newest", "opened_at", "id"),
    Index("incidents_status", "status"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", _Serial, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("starts_at", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("accepted_at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Column("incident_id", Text, ForeignKey("incidents.id"), nullable=True),
    Column("action", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("decided_at", Double, nullable=True),
    UniqueConstraint("fingerprint", "starts_at", "status", name="alerts_identity"),
    Index("alerts_incident", "incident_id", "key"),
    sqlite_autoincrement=True,
)
# Only the undecided rows are in it, so looking for work costs nothing as the table grows.
Index(
    "alerts_undecided",
    alerts.c.key,
    sqlite_where=alerts.c.action == "",
    postgresql_where=alerts.c.action == "",
)

alert_leases = Table(
    "alert_leases",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("starts_at", Double, nullable=False),
    Column("until", Double, nullable=True),
    Column("seen_at", Double, nullable=False),
    Column("missed", Integer, nullable=False, default=0),
    Index("alert_leases_due", "until"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", Text, ForeignKey("incidents.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("owner", Text, nullable=False, default=""),
    Column("lease_until", Double, nullable=False, default=0.0),
    Column("attempt", Integer, nullable=False, default=0),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("error", Text, nullable=False, default=""),
    Column("due_at", Double, nullable=False, server_default=text("0")),
    Column("place", Text, nullable=False, server_default=text("''")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("incident_id", "number", name="runs_number"),
    Index("runs_queue", "status", "priority", "created_at"),
)
# The lock of an incident: the database itself refuses a second running row.
Index(
    "runs_one_running",
    runs.c.incident_id,
    unique=True,
    sqlite_where=runs.c.status == "running",
    postgresql_where=runs.c.status == "running",
)

approvals = Table(
    "approvals",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("incident_id", Text, ForeignKey("incidents.id"), nullable=False),
    Column("run_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("plan", Text, nullable=False),
    Column("given", Text, nullable=False, default=""),
    Column("changed_at", Double, nullable=False),
    Column("consumed_by", Text, nullable=False, default=""),
    Index("approvals_incident", "incident_id", "status"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=True),
    Column("result", Text, nullable=False, default=""),
)

# What was or will be said of incidents, one row per target and change.
notices = Table(
    "notices",
    metadata,
    Column("key", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("document", Text, nullable=False),
    Index("notices_incident", "incident_id"),
    Index("notices_newest", "target", "created_at"),
)
Index(
    "notices_queue",
    notices.c.target,
    notices.c.due_at,
    sqlite_where=notices.c.status == "pending",
    postgresql_where=notices.c.status == "pending",
)
Index(
    "notices_waiting",
    notices.c.due_at,
    sqlite_where=notices.c.status == "waiting",
    postgresql_where=notices.c.status == "waiting",
)

# The message that a channel shows of an incident, where it can be edited.
notice_cards = Table(
    "notice_cards",
    metadata,
    Column("target", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("reference", Text, nullable=False),
)

# Up to which row of the journal it was decided who is told.
notice_cursor = Table(
    "notice_cursor",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("playbook_id", Text, nullable=False),
    Column("fault_kind", Text, nullable=False),
    Column("component", Text, nullable=False),
    Column("component_kind", Text, nullable=False),
    Column("recovered", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Index("outcomes_newest", "at"),
)

# No foreign key: what people confirmed outlives the incident's retention.
causes = Table(
    "causes",
    metadata,
    Column("incident_id", Text, primary_key=True),
    Column("component", Text, nullable=False),
    Column("fault_kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("lesson", Text, nullable=False, default=""),
    Column("forgotten", Integer, nullable=False, default=0),
)

changes = Table(
    "changes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("service", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("from_version", Text, nullable=False, default=""),
    Column("to_version", Text, nullable=False, default=""),
    Column("summary", Text, nullable=False, default=""),
    Column("accepted_at", Double, nullable=False),
    Column("document", Text, nullable=False, default="", server_default=text("''")),
    Index("changes_newest", "at"),
)

commits = Table(
    "commits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Index("commits_newest", "at"),
)

halt = Table(
    "halt",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)

locks = Table(
    "locks",
    metadata,
    Column("target", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Double, nullable=False),
    Index("locks_holder", "holder"),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("ends_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Index("silences_end", "ends_at"),
)

# `key` is what look-alike names have in common; `identity` is null where only a password is known.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("identity", Text, nullable=True, unique=True),
    Column("document", Text, nullable=False),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("used_at", Double, nullable=True),
    Column("revoked_at", Double, nullable=True),
    Column("document", Text, nullable=False),
)

person_sessions = Table(
    "person_sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("document", Text, nullable=False),
    Index("person_sessions_seen", "seen_at"),
)

# What is given out once and taken back once: a sign-in on its way, a code of a device.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("ends_at", Double, nullable=False),
    Column("document", Text, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", Text, nullable=False, default=""),
    Column("language", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("summary", Text, nullable=False, default=""),
    Column("folded", Integer, nullable=False, default=0),
    Index("conversations_newest", "updated_at"),
)

turns = Table(
    "turns",
    metadata,
    Column("conversation_id", Text, ForeignKey("conversations.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("question", Text, nullable=False),
    Column("incident_id", Text, nullable=False, default=""),
    Column("key", Text, nullable=False, default=""),
    Column("status", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("answered_at", Double, nullable=True),
    Column("answer", Text, nullable=False, default=""),
    Index("turns_key", "key"),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("journal_incident", "incident_id", "seq"),
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
)

# What was taken out of the journal: up to which row, and the digest the next row follows.
journal_archives = Table(
    "journal_archives",
    metadata,
    Column("last_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("at", Double, nullable=False),
)
