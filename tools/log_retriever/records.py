"""Join the lines of one log record: a stack trace belongs to the message that raised it."""

import re
from collections.abc import Iterable, Iterator

from tools.log_retriever.headers import split_header

_MAX_LINES = 200
_MAX_CHARACTERS = 65_536
_LOOK = 1024
# What continues a record: indented text, Java's frames and causes, Python's last line (an exception
# class and its message after a traceback), Go's goroutine dumps, closing brackets.
_CONTINUES = re.compile(
    r"[ \t]+\S|\t|(?:Caused by|Suppressed): |\.{3} \d+ more|at [\w.$<>/@]{1,256}\("
    r"|Traceback \(most recent call last\)|goroutine \d+ \[|created by \S|[)}\]]+[;,]?$|\s*$"
)
_FRAME = re.compile(
    r"[ \t]|\.{3} \d+ more|at [\w.$<>/@]{1,256}\(|Traceback \(most recent call last\)|\s*$"
)
_OPENS = re.compile(r"Traceback \(most recent call last\):|goroutine \d+ \[|panic: ")
_RAISED = re.compile(r"[A-Za-z_][\w.]{0,255}(?:Error|Exception|Warning|Interrupt|Exit)\b[: ]?")
_CHAINED = re.compile(r"(?:During handling of|The above exception was) ")


def join_records(lines: Iterable[str]) -> Iterator[str]:
    r"""Records of a stream of lines, the lines of each separated by `\n`.

    After a line with a timestamp all lines without header belong to it, as log shippers have it.
    Where lines have no timestamps, those continue a record that are indented, a stack frame, a
    cause, the end of a traceback, or blank. A record is cut off after 200 lines or 64 Ki
    characters, so that nothing is held without bound.

    >>> list(join_records(["10:00:00 ERROR boom", "java.lang.Error: x", "  at a.B(C.java:1)"]))
    ['10:00:00 ERROR boom\njava.lang.Error: x\n  at a.B(C.java:1)']
    """
    record: list[str] = []
    size, stamped, in_trace = 0, False, False
    for line in lines:
        line = line.rstrip("\r\n")[:_MAX_CHARACTERS]
        start = line[:_LOOK]
        header, _ = split_header(start)
        has_header = bool(header.stamp or header.level)
        belongs = not has_header and (stamped or _continues(start, in_trace))
        full = len(record) >= _MAX_LINES or size + len(line) > _MAX_CHARACTERS
        if record and (not belongs or full):
            yield "\n".join(record).rstrip()
            record, size = [], 0
        if not belongs:
            stamped, in_trace = bool(header.stamp), False
        if record or start.strip():
            record.append(line)
            size += len(line) + 1
        in_trace = in_trace or bool(_OPENS.search(start))
    if record:
        yield "\n".join(record).rstrip()


def gist(record: str) -> str:
    """What a record of several lines says, without its stack frames, on one line.

    >>> gist("boom\\njava.lang.Error: x\\n\\tat a.B(C.java:1)\\nCaused by: y")
    'boom java.lang.Error: x Caused by: y'
    """
    first, *rest = record.splitlines()[:_MAX_LINES] or [""]
    said = [line for line in rest if not _FRAME.match(line[:_LOOK])]
    return " ".join((first, *said))


def _continues(line: str, in_trace: bool) -> bool:
    """Whether a line without header goes on with a record that has no timestamp."""
    if in_trace and (_RAISED.match(line) or _CHAINED.match(line)):
        return True
    return bool(_CONTINUES.match(line))
