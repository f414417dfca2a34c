"""Texts as pages set them: the brief as rows and as a status update; other texts as blocks."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from copilot.case.briefing import in_language
from copilot.types.incident import CLOSED, Incident, clock_lines
from copilot.types.time_format import date_time
from prompts import Language, load, translation, word
from tools.impact import impact_of
from tools.log_retriever.sanitize import plain

ANSWERS = (
    "what", "who", "since", "cause", "owner", "before", "commit", "model", "seen", "elsewhere",
    "next", "oncall", "unknown", "clocks",
)  # fmt: skip
"""Rows of a brief, in its order; `words.yaml` has the label of each under `answer`."""

_LABEL = re.compile(r"\*\*([^*]+)\*\*")
_INLINE = re.compile(r"\*\*(?P<strong>[^*]+)\*\*|`(?P<code>[^`]+)`|\[(?P<cite>E\d+)\]")

Audience = Literal["engineers", "customers"]
"""Who reads a status update: engineers are told names, causes and steps, customers none of them."""

UPDATED = ("what", "who", "cause", "before", "next")
"""Rows of a brief that engineers are told."""

SpanKind = Literal["text", "strong", "code", "cite"]
MARKED: tuple[SpanKind, ...] = ("strong", "code", "cite")


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """A piece of a line and how it is set; `cite` is the number of an item of evidence."""

    kind: SpanKind
    text: str


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One labelled row; `key` is empty for a label that the catalogue does not name."""

    key: str
    label: str
    lines: tuple[tuple[AnswerSpan, ...], ...]

    @property
    def cites(self) -> tuple[str, ...]:
        """The evidence it cites, each once."""
        spans = (one.text for line in self.lines for one in line if one.kind == "cite")
        return tuple(dict.fromkeys(spans))


def answer_rows(brief: str, language: Language) -> tuple[AnswerRow, ...]:
    """The rows above the evidence of a brief; none where there is no brief yet."""
    keys = {word("answer", key, language): key for key in ANSWERS}
    rows: list[AnswerRow] = []
    for paragraph in brief.partition("\n## ")[0].split("\n\n"):
        text = paragraph.strip()
        if not text or text.startswith("# "):
            continue
        label = _LABEL.match(text)
        if label is None and rows:
            rows[-1] = _longer(rows[-1], text)
        elif label is not None:
            said = text[label.end() :].lstrip(":,：， ")
            rows.append(AnswerRow(keys.get(label[1], ""), label[1], _lines(said)))
    return tuple(rows)


def _longer(row: AnswerRow, text: str) -> AnswerRow:
    return AnswerRow(row.key, row.label, (*row.lines, *_lines(text)))


def _lines(text: str) -> tuple[tuple[AnswerSpan, ...], ...]:
    return tuple(spans(line.removeprefix("- ")) for line in text.splitlines() if line.strip())


def spans(line: str) -> tuple[AnswerSpan, ...]:
    """A line of a brief cut into its pieces."""
    found: list[AnswerSpan] = []
    at = 0
    for match in _INLINE.finditer(line):
        found += [AnswerSpan("text", line[at : match.start()])] if match.start() > at else []
        found += [AnswerSpan(kind, match[kind]) for kind in MARKED if match[kind] is not None]
        at = match.end()
    return (*found, AnswerSpan("text", line[at:])) if at < len(line) else tuple(found)


def status_update(incident: Incident, language: Language, audience: Audience) -> str:
    """What may be told of it now, as plain text: lines of its brief, which are checked already.

    Customers are told since when, what is felt, and whether it is over; of nobody's internals.
    """
    rows = answer_rows(incident.brief.get(language, ""), language)
    over, clocks = incident.status in CLOSED, incident.clocks
    ended = clocks.recovered if over else None
    known = {one.id: one for one in incident.evidence}
    felt = [known[one] for row in rows if row.key == "what" for one in row.cites if one in known]
    hurts = impact_of(felt[0]) if felt else None
    shown = {row.key: (row.label, _plainly(row)) for row in rows}
    return load("status_update", language).render(
        customers=audience == "customers",
        title=plain(translation(incident.title, language), 160),
        severity=word("severity", incident.severity, language),
        status=word("status", incident.status, language),
        over=over,
        since=date_time(clocks.onset or incident.opened_at),
        ended="" if ended is None else date_time(ended),
        impact=in_language(hurts.reason if hurts and hurts.felt else None, language),
        rows=[shown[key] for key in UPDATED if key in shown],
        taken_by=plain(incident.taken_by, 80),
        clocks=clock_lines(clocks),
    )


def _plainly(row: AnswerRow) -> str:
    """A row in one line, without citations, which nobody elsewhere can open."""
    lines = ("".join(one.text for one in line if one.kind != "cite") for line in row.lines)
    return re.sub(r" +(?=[;,.])", "", " ".join(" ".join(lines).split()))


MOST_SET, OF_A_CELL = 20_000, 5
"""Pieces of a text that are set as such, a second of processor for the page, and those of one cell
of a table. The largest page of our documents, 22,000 characters, has 4,600; a text of 61,000 from
outside had 66,000 cells, where the reader of Markdown stops to fill up rows: 8.7 s."""


def prose(text: str) -> SyntaxTreeNode:
    """A text in Markdown as a tree that templates walk; HTML in it is text like any other.

    One that would be too many pieces is shown as it was typed.
    """
    as_typed = [Token("code_block", "code", 0, content=text)]
    if _cells(text) * OF_A_CELL > MOST_SET:
        return SyntaxTreeNode(as_typed)
    tokens = _reader().parse(text)
    pieces = sum(1 + len(one.children or ()) for one in tokens)
    return SyntaxTreeNode(tokens if pieces <= MOST_SET else as_typed)


def _cells(text: str) -> int:
    """Cells that its tables have at most: a table ends at an empty line, each row is filled up."""
    groups = (group.splitlines() for group in text.split("\n\n") if "|" in group)
    return sum(len(rows) * max(row.count("|") + 1 for row in rows) for rows in groups if rows)


@cache
def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
