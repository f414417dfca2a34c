"""Changes: what people and pipelines said they changed, so that a restart does not forget it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import JsonValue
from sqlalchemy import Connection, RowMapping, Select, Table, delete, func, select, update

from copilot.store.database import Database
from copilot.store.tables import changes, commits
from tools.types import Change, Commit, Timestamp, Window

MOST = 20_000
"""The newest ones are kept; nobody looks further back than a day."""

SLACK = 1_000
"""So many more may pile up before the oldest are dropped: not every write has to count."""

_IN_COLUMNS = frozenset(changes.c.keys()) & frozenset(Change.model_fields)

Compared = Literal["", "whole", "failed"]
"""Whether a forge was asked for a change's commits: not yet, answered, or in vain."""


class Changes:
    """One row per change, one per commit; the same one told again is written once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, told: Mapping[str, Change], now: Timestamp, pushed: Sequence[Commit] = ()
    ) -> int:
        """Write changes by their keys, and commits; returns how many changes were new.

        On disk on return.
        """
        with self._database.write() as connection:
            before = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            for key, one in told.items():
                row = {"key": key, "accepted_at": now, **_row(_with_former(connection, one))}
                connection.execute(
                    self._database.insert(changes).values(row).on_conflict_do_nothing()
                )
            self._keep(connection, [*pushed, *(c for one in told.values() for c in one.commits)])
            after: int = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            for table in (changes, commits) if after > MOST + SLACK else ():
                _drop_oldest(connection, table)
        return after - int(before)

    def amend(self, key: str, change: Change, compared: Compared) -> None:
        """Write what a forge said of the commits of a change that is stored."""
        with self._database.write() as connection:
            connection.execute(
                update(changes).where(changes.c.key == key).values(_row(change, compared))
            )
            self._keep(connection, change.commits)

    def changes(self, window: Window) -> Sequence[Change]:
        """Changes made inside the window with their commits, oldest first."""
        return tuple(change for _, change in self._read(window))

    def commits(self, window: Window) -> Sequence[Commit]:
        """Commits made inside the window, or brought by a change inside it, oldest first."""
        query = select(commits).where(commits.c.at.between(window.start, window.end))
        with self._database.read() as connection:
            made = [_commit(row._mapping) for row in connection.execute(query)]
        brought = [one for change in self.changes(window) for one in change.commits]
        once = {_key(one): one for one in [*made, *brought]}
        return tuple(sorted(once.values(), key=lambda one: one.at))

    def unknown(self, window: Window) -> Sequence[tuple[str, Change]]:
        """Changes of a revision whose commits no forge was asked for yet, with keys, newest first.

        One that was asked for in vain is among them: it may be told now.
        """
        found = self._read(window, without="whole")
        return tuple((key, one) for key, one in reversed(found) if one.revision and one.repository)

    def count(self) -> int:
        """How many are kept."""
        with self._database.read() as connection:
            found: int = connection.execute(select(func.count()).select_from(changes)).scalar_one()
            return found

    def _read(self, window: Window, without: Compared | None = None) -> list[tuple[str, Change]]:
        inside = changes.c.at.between(window.start, window.end)
        query = select(changes).where(inside).order_by(changes.c.at, changes.c.key)
        with self._database.read() as connection:
            rows = [row._mapping for row in connection.execute(query)]
            found = [(row, json.loads(row["document"] or "{}")) for row in rows]
            named = {key for _, document in found for key in document.get("commits", ())}
            known = _known(connection, named)
        return [
            (row["key"], _change(row, document, known))
            for row, document in found
            if without is None or document.get("compared", "") != without
        ]

    def _keep(self, connection: Connection, made: Iterable[Commit]) -> None:
        """Write commits; one whose lines are known now takes the place of one without."""
        for one in made:
            row = {"key": _key(one), "at": one.at, "document": one.model_dump_json()}
            insert = self._database.insert(commits).values(row)
            if one.diff:
                kept = insert.on_conflict_do_update(index_elements=["key"], set_=row)
            else:
                kept = insert.on_conflict_do_nothing()
            connection.execute(kept)


def _with_former(connection: Connection, change: Change) -> Change:
    """The change with revision and version of its component that it replaces, if it says none."""
    if not change.revision or change.from_revision or not change.repository:
        return change
    query = _newest_of(change.service).where(changes.c.at <= change.at)
    for row in connection.execute(query):
        former = json.loads(row.document or "{}")
        revision, repository = former.get("revision"), former.get("repository")
        if revision and revision != change.revision and repository == change.repository:
            version = change.from_version or row.to_version
            return change.model_copy(update={"from_revision": revision, "from_version": version})
    return change


FORMER = 20
"""Changes of a component that are looked through for the revision that ran before."""


def _newest_of(service: str) -> "Select[tuple[str, str]]":
    query = select(changes.c.document, changes.c.to_version).where(changes.c.service == service)
    return query.order_by(changes.c.at.desc()).limit(FORMER)


def _drop_oldest(connection: Connection, table: Table) -> None:
    newest = select(table.c.key).order_by(table.c.at.desc()).limit(MOST)
    connection.execute(delete(table).where(table.c.key.not_in(newest)))


def _key(one: Commit) -> str:
    return f"{one.repository}@{one.sha}"


def _row(one: Change, compared: Compared = "") -> dict[str, object]:
    """Columns that are searched, and the rest as a document with the keys of its commits."""
    document = one.model_dump(exclude={*_IN_COLUMNS, "commits"}, exclude_defaults=True)
    if one.commits:
        document["commits"] = [_key(commit) for commit in one.commits]
    if compared:
        document["compared"] = compared
    columns = {name: getattr(one, name) for name in _IN_COLUMNS}
    return {**columns, "document": json.dumps(document) if document else ""}


def _known(connection: Connection, keys: Iterable[str]) -> dict[str, Commit]:
    """Commits by key, asked for in portions: a statement takes 999 values at least."""
    wanted, found = sorted(keys), dict[str, Commit]()
    for start in range(0, len(wanted), 900):
        query = select(commits).where(commits.c.key.in_(wanted[start : start + 900]))
        found |= {row.key: _commit(row._mapping) for row in connection.execute(query)}
    return found


def _commit(row: RowMapping) -> Commit:
    return Commit.model_validate_json(row["document"])


def _change(
    row: RowMapping, document: Mapping[str, JsonValue], known: Mapping[str, Commit]
) -> Change:
    named = document.get("commits")
    keys = map(str, named) if isinstance(named, list) else ()
    brought = [known[key] for key in keys if key in known]
    rest = {name: value for name, value in document.items() if name in Change.model_fields}
    columns = {name: row[name] for name in _IN_COLUMNS}
    return Change.model_validate({**rest, **columns, "commits": brought})
