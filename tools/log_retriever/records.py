"""Join the lines of one log record: a stack trace belongs to the message that raised it.

Collectors hand over a line each, of many streams at once. Lines of one stream (pod, container,
file) are joined where a grammar of traces says so, never because a line merely has no header:
Java and its kin, Python, Go, Node, .NET, Rust, PHP, Ruby, and whatever is indented; also where a
logger or a runtime put a header before every line. `gist` is what a record says without frames.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tools.log_retriever.cut_lines import MOST_CHARACTERS, MOST_SECONDS, uncut, unwrapped
from tools.log_retriever.fields import level_name
from tools.log_retriever.headers import Header, split_header
from tools.log_retriever.traces import (
    CARETS,
    CAUSED,
    CONTINUES,
    FRAME,
    GO_DUMP,
    GO_LINE,
    OPENS,
    PANICKED,
    PYTHON_CHAIN,
    PYTHON_FRAME,
    PYTHON_OPENS,
    RAIL,
    RAISED,
    WITHIN,
    hinted,
    traced,
)
from tools.types import LogLine, Timestamp

MOST_LINES = 500
"""Lines kept of a record; frames beyond it are passed over. Source: Filebeat's default of
`multiline.max_lines`."""

_LOOK = 1024
_LOOK_BACK = 20
"""Lines without header that a message may have between its first line and its first frame."""

_MOST_SAID = 4
"""Lines of a record that its gist keeps, besides a cause."""

_DIGITS = str.maketrans("123456789", "000000000")
_CAUSED_BY = " Caused by: "
_PACKAGE = re.compile(r"(?:[\w$]{1,200}\.){1,20}(?=[A-Z])")
_QUIET = frozenset(("INFO", "DEBUG", "TRACE"))
_ALARMING = frozenset(("WARN", "ERROR", "FATAL"))


def join_records(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    r"""Return the records that these lines are, ascending by time, the lines of each after `\n`.

    A line goes on with the record before it in its stream if it is a frame, a cause, indented, or
    the exception that frames follow, and came within `MOST_SECONDS`. A trace of which no line names
    a level is an ERROR. Lines that a runtime cut are put together first.

    >>> told = ("boom", "java.lang.Error: x", "\tat a.B(C.java:1)", "next")
    >>> [r.message for r in join_records(LogLine(n, "web", "", t) for n, t in enumerate(told))]
    ['boom\njava.lang.Error: x\n\tat a.B(C.java:1)', 'next']
    """
    streams: dict[tuple[str, str], list[LogLine]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: line.at):
        streams[line.service, line.stream].append(line)
    found = [record for stream in streams.values() for record in _joined(uncut(stream))]
    found.sort(key=lambda record: record.at)
    return tuple(found)


def with_exception(message: str, kind: str, said: str, trace: str) -> str:
    r"""Return a message with the exception that its record carries beside it, once.

    >>> with_exception("order failed", "a.b.StoreError", "no row", "")
    'order failed\na.b.StoreError: no row'
    """
    raised = trace or ": ".join(filter(None, (kind, said)))
    return message if raised in message else f"{message}\n{raised}".lstrip("\n")


@dataclass
class _Row:
    """A line without what a runtime wrapped it in; its header is read only if it is asked for."""

    line: LogLine

    @cached_property
    def text(self) -> str:
        return unwrapped(self.line.message)

    @cached_property
    def hinted(self) -> bool:
        return hinted(self.text[:_LOOK])

    @cached_property
    def inside(self) -> re.Match[str] | None:
        """Where a part of a trace stands in the line, behind whatever a logger put before it."""
        whole = not self.hinted or self.text.startswith("{")
        return None if whole else WITHIN.search(self.text[:_LOOK])

    @cached_property
    def header(self) -> Header:
        start = self.text[:_LOOK]
        return Header() if RAISED.match(start) or FRAME.match(start) else split_header(start)[0]

    @property
    def headed(self) -> bool:
        return bool(self.header.stamp or self.header.level)

    @property
    def level(self) -> str:
        return level_name(self.line.level) or self.header.level

    def behind(self, prefix: str) -> str | None:
        """The line without a prefix that it begins with, whatever digits; None if it does not."""
        if self.text[: len(prefix)].translate(_DIGITS) != prefix:
            return None
        return self.text[len(prefix) :].removeprefix(" ") if prefix else self.text


@dataclass
class _Record:
    """Rows that belong together, as far as they are kept, and what may still come.

    `prefix` is what a logger put before every row. `python` and `dump` say that a traceback, or a
    Go dump, is not over: lines belong to it that look like any other.
    """

    rows: list[_Row]
    until: Timestamp
    prefix: str = ""
    trace: bool = False
    ended: bool = False
    dump: bool = False
    python: bool = False
    code: bool = False
    named: bool = True
    size: int = 0

    @classmethod
    def begun(cls, row: _Row) -> "_Record":
        record = cls([], row.line.at)
        if row.inside and not FRAME.match(row.inside["part"]):
            record.prefix = _prefix(row.inside)
        record.add(row)
        return record

    def add(self, row: _Row) -> None:
        """Take a row as part of this record."""
        said = self._said(row) or ""
        start = said[:_LOOK]
        self._note(start)
        self.until = row.line.at
        over = len(self.rows) >= MOST_LINES and FRAME.match(start) and not CAUSED.match(start)
        if not self.rows or (not over and self.size + len(said) <= MOST_CHARACTERS):
            self.rows.append(row)
            self.size += len(said) + 1

    def _said(self, row: _Row) -> str | None:
        """What the row says if it may belong here: no header stands before it, or this record's."""
        if self.prefix:
            said = row.behind(self.prefix)
            if said is not None:
                return said
        if self.rows and row.inside:
            prefix, first = _prefix(row.inside), self.rows[0]
            # A message that itself ends in a place of the code, again, is another message.
            same = first.inside and FRAME.match(first.inside["part"])
            if prefix and not same and first.behind(prefix) is not None:
                self.prefix = prefix
                return row.behind(prefix)
        return row.text if not self.rows or not row.headed else None

    def _note(self, start: str) -> None:
        self.named = not PANICKED.match(start)
        if PYTHON_OPENS.match(start):
            self.trace = self.python = True
            self.ended = self.code = False
        elif self.python:
            self._note_python(start)
        elif self.trace and PYTHON_CHAIN.match(start):
            self.ended = False
        if GO_DUMP.match(start):
            self.trace = self.dump = True
        if FRAME.match(start) or OPENS.match(start):
            self.trace = True

    def _note_python(self, start: str) -> None:
        framed = PYTHON_FRAME.match(start) is not None
        code = self.code and not RAISED.match(start)
        if not (framed or code or CONTINUES.match(start) or CARETS.match(start)):
            self.python, self.ended = False, True
        self.code = framed

    @property
    def open(self) -> bool:
        """Whether lines belong to it that look like any other."""
        return self.python or self.dump or not self.named

    def goes_on(self, row: _Row) -> bool:
        """Whether the row is part of this record, too."""
        if row.line.at - self.until > MOST_SECONDS or not (row.hinted or self.open or self.prefix):
            return False
        said = self._said(row)
        if said is None:
            return False
        start = said[:_LOOK]
        if PYTHON_OPENS.match(start):
            return not self.ended and not self.python if self.trace else self.attachable(row)
        if FRAME.match(start) or self.python or not self.named:
            return True
        if CONTINUES.match(start):
            return self.trace or not self.prefix
        return self.dump and GO_LINE.match(start) is not None

    def attachable(self, row: _Row) -> bool:
        """Whether what was raised at `row` may be what this record tells of."""
        near = row.line.at - self.until <= MOST_SECONDS
        return near and not self.trace and self.rows[0].level not in _QUIET

    def joined(self) -> LogLine:
        """The record as one line."""
        first = self.rows[0]
        silent = not level_name(first.line.level)
        if len(self.rows) == 1:
            raised = silent and OPENS.match(first.text[:_LOOK])
            return replace(first.line, level="ERROR") if raised else first.line
        head = first.text
        if first.headed and (head.startswith("{") or "=" in head[:24]):
            # Text after a JSON object or pairs would keep both from being read as such.
            head = split_header(head)[1]
        rest = (self._said(row) or "" for row in self.rows[1:])
        return replace(
            first.line,
            message="\n".join((head, *rest)).rstrip(),
            level=self._level(first) if silent else first.line.level,
            trace=next((row.line.trace for row in self.rows if row.line.trace), ""),
        )

    def _level(self, first: _Row) -> str:
        return first.header.level or ("ERROR" if self.trace else first.line.level)


def _prefix(inside: re.Match[str]) -> str:
    """What stands before a part of a trace, digits alike, if a header ends there; else nothing."""
    before = inside.string[: inside.start("part")].rstrip()
    if not any(map(str.isalnum, before)):
        return ""  # the rail of a group of exceptions
    last = before.split()[-1]
    ends = not last[-1].isalnum() or ":" in last or level_name(last)
    return before.translate(_DIGITS) if ends else ""


def _joined(stream: Iterable[LogLine]) -> Sequence[LogLine]:
    whole = list(stream)
    texts = (unwrapped(line.message) for line in whole)
    if not any(traced(text) for text in texts):
        return whole
    rows = [_Row(line) for line in whole]
    records: list[_Record] = []
    for row in rows:
        last = records[-1] if records else None
        if last is None or not last.goes_on(row):
            records.append(_Record.begun(row))
            continue
        unframed = not last.trace
        last.add(row)
        if unframed and last.trace:
            _reach_back(records)
    return [record.joined() for record in records]


def _reach_back(records: list[_Record]) -> None:
    """Join with the last record, whose first frame just came, what its frames belong to."""
    last = len(records) - 1
    prefix, head = records[last].prefix, records[last].rows[0]
    start = (head.behind(prefix) or "").lstrip()[:_LOOK]
    if last == 0 or OPENS.match(start):
        return
    raised = RAISED.match(start) is not None
    first = None
    if prefix:
        before = records[last - 1].rows[0].behind(prefix)
        blank = not start and before is not None and RAISED.match(before[:_LOOK])
        first = last - 1 if blank or (raised and before is not None) else None
    elif not head.headed:
        reached = _complaint(records)
        first = last - 1 if reached is None and raised else reached
    if first is not None and records[first].attachable(records[first + 1].rows[0]):
        _merge(records, first)


def _complaint(records: Sequence[_Record]) -> int | None:
    """Where the last line with an alarming header stands, if only lines without one came since."""
    last = len(records) - 1
    for place in range(last - 1, max(-1, last - 1 - _LOOK_BACK), -1):
        record = records[place]
        if not record.attachable(records[place + 1].rows[0]):
            return None
        if record.rows[0].headed:
            return place if record.rows[0].level in _ALARMING else None
    return None


def _merge(records: list[_Record], first: int) -> None:
    records[first].prefix = records[-1].prefix
    for record in records[first + 1 :]:
        for row in record.rows:
            records[first].add(row)
    del records[first + 1 :]


def shortened(said: str, limit: int) -> str:
    """Return what a record says within `limit`, its innermost cause rather than the middle.

    >>> shortened("order failed a.b.StoreError: no row Caused by: a.b.RangeError: too large", 48)
    'order failed a… Caused by: RangeError: too large'
    """
    head, mark, cause = said.rpartition(_CAUSED_BY)
    if len(said) <= limit or not mark:
        return said
    cause = _PACKAGE.sub("", cause, count=1)
    room = max(limit - len(mark) - len(cause) - 1, limit // 5)
    return f"{head[:room]}…{mark}{cause}"


def gist(record: str) -> str:
    """What a record of several lines says, without its stack frames, on one line.

    Of several causes the innermost is kept, which was raised first.

    >>> gist("boom\\njava.lang.Error: x\\n\\tat a.B(C.java:1)\\nCaused by: y\\nCaused by: z")
    'boom java.lang.Error: x Caused by: z'
    """
    first, *rest = record.splitlines() or [""]
    said, cause, framed = [first], "", False
    for line in rest:
        line = RAIL.sub("", line, count=1)
        start = line[:_LOOK]
        if CAUSED.match(start):
            cause = line.strip()
        elif FRAME.match(start) or PYTHON_OPENS.match(start):
            framed = True
        elif start.strip() and not (framed and start[0] in " \t") and not GO_LINE.match(start):
            said.append(line.strip())
    return " ".join((*said[:_MOST_SAID], *filter(None, [cause])))
