"""What a tool found: statements in both languages, each with the evidence it rests on."""

from dataclasses import dataclass, field

from copilot.case.briefing import plain
from tools.types import Evidence, EvidenceKind, Finding, Plan, Timestamp, Window

CitedItem = Evidence | Finding


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. With empty words it is the evidence's own statement.

    `states`: the words say what the first cited item says, so that it need not be said again.
    """

    en: str
    zh: str
    cites: tuple[CitedItem, ...] = ()
    states: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer first (`lead`), what it rests on (`rows`), and what could not be told.

    `more` counts rows that were left out. A plan is rendered by code, whoever writes the answer;
    `waits` says that it is laid before people and can be approved.
    """

    lead: tuple[Statement, ...] = ()
    rows: tuple[Statement, ...] = ()
    more: int = 0
    missing: tuple[str, ...] = ()
    plan: Plan | None = None
    waits: bool = False
    services: tuple[str, ...] = field(default=())

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Lead and rows."""
        return self.lead + self.rows


NO_INCIDENT = ToolResult(missing=("incident: none is stored",))


def own(cited: CitedItem) -> Statement:
    """What the evidence says of itself."""
    return Statement("", "", (cited,))


def capped(rows: list[Statement], most: int) -> tuple[tuple[Statement, ...], int]:
    """The first rows, and how many were left out."""
    return tuple(rows[:most]), max(0, len(rows) - most)


def noted(
    subject: str,
    name: str,
    statement: str,
    at: Timestamp,
    *,
    source: str,
    query: str,
    kind: EvidenceKind = "note",
    figures: dict[str, float] | None = None,
    excerpt: str = "",
) -> Finding:
    """A fact of our own records, so that it can be cited like anything measured."""
    return Finding(
        kind=kind,
        subject=subject,
        name=name,
        source=source,
        query=query,
        window=Window(start=at, end=at),
        figures=figures or {},
        excerpt=plain(excerpt, 300) if excerpt else "",
        statement=plain(statement, 300),
    )
