"""Search over log lines: words in SQLite FTS5, ranked by BM25 among the newest that match.

Ranking every line that matches a common word would cost time in proportion to the log. Here the
candidates are the newest lines that hold every term, and BM25 orders those; the answer takes the
same few milliseconds however long the log is. Lines are kept in two generations: when the younger
is full, the older is dropped, so memory or disk stays within the limit.
"""

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tools.log_retriever.fields import level_name
from tools.log_retriever.ranking import bm25, spaced, terms_of
from tools.types import LogLine, Timestamp, Window

_BATCH = 20_000
_BLOCK = 1_000
_COMMON = 4_000
_CANDIDATES = 100
_MAX_INDEXED = 4096
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_COLUMNS = (
    "id INTEGER PRIMARY KEY, at REAL, service INT, level INT, trace TEXT, message TEXT, wide TEXT"
)


@dataclass(frozen=True, slots=True)
class LogHit:
    """One line that answers a search; `score` (BM25, 0 without terms) grows with relevance."""

    line: LogLine
    score: float


@dataclass(frozen=True, slots=True)
class IndexSize:
    """What the index holds and takes."""

    lines: int
    bytes: int


class _Block(NamedTuple):
    """A run of stored lines, so that a window of time becomes a range of ids."""

    first_id: int
    last_id: int
    first_at: Timestamp
    last_at: Timestamp


class Index:
    """Full-text index of log lines, in memory or in a file, of at most `max_lines` lines.

    >>> index = Index()
    >>> index.add([LogLine(1.0, "cart", "ERROR", "payment refused: code 17")])
    1
    >>> [hit.line.service for hit in index.search("payment refused", level="error")]
    ['cart']

    Words are matched whole and without case, `"quoted words"` as a phrase, `word*` as a prefix;
    Chinese and Japanese by character. A message is stored up to 4,096 characters.
    """

    def __init__(self, path: Path | None = None, max_lines: int = 2_000_000) -> None:
        if max_lines < 2:
            raise ValueError(f"max_lines must be at least 2, got {max_lines!r}")
        self._half = max_lines // 2
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._db.execute(f"PRAGMA journal_mode = {'WAL' if path else 'OFF'}")
        self._db.execute(f"PRAGMA synchronous = {'NORMAL' if path else 'OFF'}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, text TEXT UNIQUE)"
        )
        self._names = {text: key for key, text in self._db.execute("SELECT id, text FROM name")}
        self._texts = {key: text for text, key in self._names.items()}
        self._generations = sorted(self._stored_generations()) or [0]
        self._create(self._generations[-1])
        newest = self._generations[-1]
        self._blocks = {g: self._stored_blocks(g) for g in self._generations}
        (self._count,) = self._db.execute(f"SELECT count(*) FROM line_{newest}").fetchone()
        self._next_id = max((b.last_id for g in self._blocks.values() for b in g), default=0) + 1

    def add(self, lines: Iterable[LogLine]) -> int:
        """Store lines; returns how many. What is added later counts as newer from call to call."""
        stored = 0
        remaining = iter(sorted(map(_dated, lines), key=lambda line: line.at))
        while batch := list(islice(remaining, min(_BATCH, self._half))):
            if self._count + len(batch) > self._half:
                self._rotate()
            self._store(batch)
            stored += len(batch)
        return stored

    def search(
        self,
        query: str,
        service: str | None = None,
        level: str | None = None,
        window: Window | None = None,
        limit: int = 20,
    ) -> list[LogHit]:
        """Lines that hold every term of the query, best first, newer first among equals.

        An empty query asks for the newest lines, a template for lines with its words. `level` is
        understood in any spelling.
        """
        terms = terms_of(query)
        facets = self._facets(service, level)
        if facets is None or limit < 1 or (query.strip() and not terms):
            return []
        match = " AND ".join((*facets, *(f"message : {term}" for term in terms)))
        found: list[LogLine] = []
        wanted = max(limit, _CANDIDATES) if terms else limit
        for generation in reversed(self._generations):
            found += self._newest(generation, match, window, wanted - len(found))
        return self._ranked(found, terms)[:limit]

    def size(self) -> IndexSize:
        """Lines held and bytes taken in memory or on disk."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        return IndexSize(self._total(), pages * page)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def _total(self) -> int:
        counts = (
            self._db.execute(f"SELECT count(*) FROM line_{g}").fetchone()[0]
            for g in self._generations
        )
        return sum(counts)

    def _stored_generations(self) -> Iterator[int]:
        rows = self._db.execute("SELECT name FROM sqlite_master WHERE name GLOB 'line_[0-9]*'")
        for (name,) in rows.fetchall():
            yield int(name.removeprefix("line_"))

    def _stored_blocks(self, generation: int) -> list[_Block]:
        rows = self._db.execute(
            f"SELECT min(id), max(id), min(at), max(at) FROM line_{generation}"
            f" GROUP BY id / {_BLOCK} ORDER BY 1"
        )
        return [_Block(*row) for row in rows]

    def _create(self, generation: int) -> None:
        self._db.execute(f"CREATE TABLE IF NOT EXISTS line_{generation} ({_LINE_COLUMNS})")
        self._db.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS words_{generation} USING"
            " fts5(message, facets, content='', columnsize=0)"
        )
        # Merging seldom makes adding faster; a search then reads up to 16 segments.
        self._db.execute(
            f"INSERT INTO words_{generation}(words_{generation}, rank) VALUES ('automerge', 16)"
        )

    def _rotate(self) -> None:
        with self._db:
            self._create(self._generations[-1] + 1)
            self._generations.append(self._generations[-1] + 1)
            self._blocks[self._generations[-1]] = []
            while len(self._generations) > 2:
                oldest = self._generations.pop(0)
                del self._blocks[oldest]
                self._db.execute(f"DROP TABLE line_{oldest}")
                self._db.execute(f"DROP TABLE words_{oldest}")
        self._count = 0

    def _store(self, batch: list[LogLine]) -> None:
        generation, first = self._generations[-1], self._next_id
        services = {name: self._name(name) for name in {line.service for line in batch}}
        levels = {text: self._level(text) for text in {line.level for line in batch}}
        rows = [
            (
                key,
                x.at,
                services[x.service],
                levels[x.level],
                _plain(x.trace),
                *_storable(x.message),
            )
            for key, x in enumerate(batch, start=first)
        ]
        with self._db:
            self._db.executemany(
                f"INSERT INTO line_{generation} VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._db.execute(
                f"INSERT INTO words_{generation}(rowid, message, facets)"
                " SELECT id, coalesce(wide, message), 's' || service || ' l' || level"
                f" FROM line_{generation} WHERE id >= ?",
                (first,),
            )
        for start in range(0, len(batch), _BLOCK):
            block = batch[start : start + _BLOCK]
            ids = first + start, first + start + len(block) - 1
            self._blocks[generation].append(_Block(*ids, block[0].at, block[-1].at))
        self._next_id += len(batch)
        self._count += len(batch)

    def _name(self, text: str) -> int:
        text = _plain(text)
        key = self._names.get(text)
        if key is None:
            key = self._names[text] = len(self._names) + 1
            self._texts[key] = text
            self._db.execute("INSERT INTO name VALUES (?, ?)", (key, text))
        return key

    def _level(self, text: str) -> int:
        return self._name(level_name(text) or text.upper())

    def _facets(self, service: str | None, level: str | None) -> list[str] | None:
        """The filter in the words of the index; None if nothing can match."""
        facets = []
        if service is not None:
            service = _plain(service)
            if service not in self._names:
                return None
            facets.append(f"facets : s{self._names[service]}")
        if level is not None:
            name = _plain(level_name(level) or level.upper())
            if name not in self._names:
                return None
            facets.append(f"facets : l{self._names[name]}")
        return facets

    def _newest(
        self, generation: int, match: str, window: Window | None, wanted: int
    ) -> list[LogLine]:
        if wanted < 1:
            return []
        tables = f"line_{generation} AS line"
        conditions: list[str] = []
        values: list[str | float] = []
        if match:
            tables = f"words_{generation} AS words CROSS JOIN {tables} ON line.id = words.rowid"
            conditions.append(f"words_{generation} MATCH ?")
            values.append(match)
        if window is not None:
            blocks = self._blocks[generation]
            ids = [b for b in blocks if b.first_at <= window.end and b.last_at >= window.start]
            if not ids:
                return []
            key = "words.rowid" if match else "line.id"
            conditions += [f"{key} BETWEEN ? AND ?", "line.at BETWEEN ? AND ?"]
            values += [ids[0].first_id, ids[-1].last_id, window.start, window.end]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "words.rowid" if match else "line.id"
        rows = self._db.execute(
            f"SELECT line.at, line.service, line.level, line.message, line.trace"
            f" FROM {tables}{where}"
            f" ORDER BY {order} DESC LIMIT ?",
            (*values, wanted),
        )
        return [LogLine(at, self._texts[s], self._texts[v], m, t) for at, s, v, m, t in rows]

    def _ranked(self, lines: list[LogLine], terms: list[str]) -> list[LogHit]:
        weights = [(term, self._rarity(term)) for term in terms]
        scores = bm25([line.message for line in lines], weights)
        hits = map(LogHit, lines, scores)
        return sorted(hits, key=lambda hit: (-hit.score, -hit.line.at))

    def _rarity(self, term: str) -> float:
        """Inverse document frequency; terms in over `_COMMON` lines count as equally common."""
        seen = sum(
            self._db.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM words_{g} WHERE words_{g} MATCH ? LIMIT ?)",
                (f"message : {term}", _COMMON),
            ).fetchone()[0]
            for g in self._generations
        )
        return math.log(1.0 + max(0.0, self._next_id - seen + 0.5) / (seen + 0.5))


def _plain(text: str) -> str:
    """Text that SQLite can hold: without lone surrogates."""
    return text if text.isascii() else _SURROGATE.sub("?", text)


def _dated(line: LogLine) -> LogLine:
    """The line; one whose time is not a number, which has no place in an order, at the epoch."""
    return line if line.at == line.at else replace(line, at=0.0)


def _storable(message: str) -> tuple[str, str | None]:
    """The message as it can be stored, and as it is indexed where that differs."""
    message = message[:_MAX_INDEXED]
    if message.isascii():
        return message, None
    message = _plain(message)
    wide = spaced(message)
    return message, None if wide == message else wide
