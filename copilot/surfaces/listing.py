"""Incidents as lines of a terminal, read from a stored file without loading what works on them."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from copilot.types.time_format import date_time
from prompts import Language, translation, word

NARROW = 100
"""Columns below which a table would cut every cell; an incident then takes two lines."""

UNDECIDED = frozenset({"ambiguous", "insufficient"})
"""Certainties by which no component is named, as `Ranking.abstained` has it; a test holds both."""

NOTHING: dict[Language, str] = {
    "en": "No incident yet. Try: copilot demo",
    "zh": "还没有事件。可以试试:copilot demo",
}


class ListedIncident(NamedTuple):
    """What a list shows of an incident; `cause` is empty where none is located."""

    id: str
    status: str
    opened_at: float
    severity: str
    cause: str
    title: str


def kept(database: Path, limit: int) -> tuple[ListedIncident, ...] | None:
    """The newest incidents of an SQLite store; None where it has to be opened as a store is."""
    query = "SELECT document FROM incidents ORDER BY opened_at DESC, id DESC LIMIT ?"
    if not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return tuple(_row(json.loads(found)) for (found,) in file.execute(query, (limit,)))
    except (sqlite3.Error, ValueError, KeyError):  # locked, of an earlier build, or no store
        return None


def _row(document: dict[str, object]) -> ListedIncident:
    ranking = document["ranking"]
    if not isinstance(ranking, dict):
        raise ValueError("no ranking")
    first = ranking["candidates"][:1] if ranking["certainty"] not in UNDECIDED else []
    opened_at = document["opened_at"]
    return ListedIncident(
        id=str(document["id"]),
        status=str(document["status"]),
        opened_at=float(opened_at) if isinstance(opened_at, int | float) else 0.0,
        severity=str(document["severity"]),
        cause=str(first[0]["component"]) if first else "",
        title=str(document["title"]),
    )


def show(console: Console, rows: Sequence[ListedIncident], language: Language) -> None:
    """Incidents, newest first: a table, or two lines each where the terminal is narrow."""
    if not rows:
        console.print(NOTHING[language], markup=False)
    elif console.width < NARROW:
        for row in rows:
            told = word("status", row.status, language), word("severity", row.severity, language)
            console.print(Text(row.id, style="bold"), Text(" ".join(told)), soft_wrap=False)
            cause = Text(f"  {row.cause or '?'}: ", style="bold")
            console.print(cause + Text(translation(row.title, language)))
            console.print(Text(f"  {date_time(row.opened_at)}", style="dim"))
    else:
        console.print(_table(rows, language))


def _table(rows: Sequence[ListedIncident], language: Language) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "status", "opened", "severity", "cause", "title"):
        shown.add_column(word("column", column, language), no_wrap=column != "title")
    for row in rows:
        shown.add_row(
            Text(row.id),
            word("status", row.status, language),
            date_time(row.opened_at),
            word("severity", row.severity, language),
            Text(row.cause or "?"),
            Text(translation(row.title, language)),
        )
    return shown
