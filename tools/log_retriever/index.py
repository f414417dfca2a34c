"""Search over log lines: SQLite FTS5, BM25-ranked, newest first among equals."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.types import LogLine, Window


@dataclass(frozen=True, slots=True)
class Hit:
    """One line that answers a search; `score` grows with relevance."""

    line: LogLine
    score: float


class Index:
    """Full-text index of log lines, in memory or in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._connection = sqlite3.connect(path or ":memory:")
        self._connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS lines"
            " USING fts5(message, at UNINDEXED, service UNINDEXED,"
            " level UNINDEXED, trace UNINDEXED)"
        )

    def add(self, lines: Iterable[LogLine]) -> int:
        """Store lines; returns how many."""
        rows = [(x.message, x.at, x.service, x.level, x.trace) for x in lines]
        with self._connection:
            self._connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", rows)
        return len(rows)

    def search(
        self,
        query: str,
        service: str | None = None,
        level: str | None = None,
        window: Window | None = None,
        limit: int = 20,
    ) -> list[Hit]:
        """The best lines for a query."""
        words = " ".join('"' + word.replace('"', '""') + '"' for word in query.split())
        sql = "SELECT message, at, service, level, trace, bm25(lines) FROM lines WHERE 1=1"
        arguments: list[str | float | int] = []
        if words:
            sql += " AND lines MATCH ?"
            arguments.append(words)
        if service is not None:
            sql += " AND service = ?"
            arguments.append(service)
        if level is not None:
            sql += " AND level = ?"
            arguments.append(level)
        if window is not None:
            sql += " AND at BETWEEN ? AND ?"
            arguments += [window.start, window.end]
        sql += " ORDER BY bm25(lines), at DESC LIMIT ?" if words else " ORDER BY at DESC LIMIT ?"
        if not words:
            sql = sql.replace("bm25(lines)", "0.0")
        rows = self._connection.execute(sql, [*arguments, limit])
        return [Hit(LogLine(at, s, lv, m, t), -score) for m, at, s, lv, t, score in rows]

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
