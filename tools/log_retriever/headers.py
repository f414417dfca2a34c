"""Recognise the header of a log line and set it aside.

No list of formats, but a grammar of the fields that headers are made of, in the order the trade
puts them: priority or host or ids · time · host · ids, thread · level · thread · component ·
request. That covers syslog (RFC 3164, 5424), log4j and its kin, klog, logcat, Python, nginx, pipes,
supercomputers' event logs and what is like them; `dialects` has the heads that differ. JSON lines
and logfmt are read as such (`structured`), also behind the head of who collected them.
"""

import re
from typing import NamedTuple

from tools.log_retriever.access import Request, request_in
from tools.log_retriever.dialects import (
    ANYCASE,
    EPOCHS,
    UPPER,
    LineHead,
    head_after_stamp,
    head_at_start,
    head_in_brackets,
    head_of_words,
)
from tools.log_retriever.fields import CLOCK, FULL, level_name, read_stamp
from tools.log_retriever.structured import LONGEST_KEY, StructuredLine, read_record
from tools.types import Timestamp

_MOST_WRAPS = 4


class Header(NamedTuple):
    """What stands before the message. `level` is one of LEVELS or empty.

    `request` is what the fields of a record tell of one, in whatever order they stand.
    """

    stamp: str = ""
    level: str = ""
    component: str = ""
    request: Request | None = None

    def timestamp(self, year: int) -> Timestamp | None:
        """Unix seconds of the stamp; `year` completes stamps that have none."""
        return read_stamp(self.stamp, year) if self.stamp else None


_END = r"(?=[\s|:,;\])]|$)"

_PRIORITY = re.compile(r"<\d{1,3}>(?:\d )?")
_STAMP = re.compile(rf"[\[(\"]?({FULL}|{EPOCHS}|{CLOCK})(?: #\d{{1,10}})?[\])\"]?")
_UPTIME = re.compile(r"\[ {0,8}\d{1,9}\.\d{6}\] ")
_KLOG = re.compile(
    r"([IWEF])((?:\d{4})?[01]\d)([0-3]\d [0-2]\d:[0-5]\d:[0-6]\d\.\d{1,9}) +\d+"
    r" ([\w.\-/]{1,80}:\d+)\] "
)
# What may stand before the first stamp; the first field must not be a word of prose.
_FIRST = re.compile(
    r"(?=-\s|[A-Z_]{3,}\s|[DIWEF],\s|\S{0,80}[\d._/])([^\s\[\]{}=\"']{1,128})[ \t]+"
)
_FIELD = re.compile(r"([^\s\[\]{}=\"']{1,128})[ \t]+")
_AGAIN = re.compile(
    rf"(?:(?=\S{{0,64}}[\d._/-])[^\s\[\](){{}}=\"']{{1,64}}[ \t]+){{0,2}}((?:{FULL}))(?![\w])"
)
_SYSLOG_STAMP = re.compile(r"[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? \d\d:")
_HOST = re.compile(r"[^\s\[\](){}=\"']{1,128}(?<!:)[ \t]+")
_TAG = re.compile(
    r"(?:-- )?([\w./@()+\- ]{1,64}?)(?:\[([^\[\]]{0,64})\](?:\s?\([^()]{0,64}\))?|): ?(?=\S|$)"
)
_RFC5424 = re.compile(r" \S{1,255} (\S{1,48}) \S{1,128} \S{1,32} (?:-|\[[^\]]{0,512}\]) ?")
_CONTAINER = re.compile(r" std(?:out|err) [FP] ")
_GAP = re.compile(r"[ \t,|;]*(?:\d{1,10}[ \t]+---[ \t]+|-+[ \t]+(?::[ \t]+)?|:[ \t]+)?")
# Ids, thread, capitals up to the level: anything but prose.
_LEVEL = re.compile(
    r"(?:(?:\[[^\[\]]{0,128}\]|[\w.]{1,80}(?=[ \t]+-[ \t])"
    r"|(?![A-Za-z][a-z]+[ \t])[^\s\[\]\"'=]{1,80})[ \t]+){0,4}?"
    rf"(?:[\[(<|]\s?({ANYCASE})(?:\s?[\])>|]|:[\w.]+\])|({UPPER}){_END}"
    rf"|({ANYCASE})(?=:[ \t]|\||[ \t]{{2}}|\t)|({UPPER})/[\w.-]{{1,64}}\])[:,]?"
)
_LETTER = re.compile(r"(?:\d+[ \t]+){1,2}([VDIWEFA])[ \t]+|([VDIWEF])/(?=[\w.]{1,64}\s{0,8}\()")
_PIPES = re.compile(r"(?:[^\s|]{1,64}\|){1,5}")
_BRACKET = re.compile(
    r"\[(?:[^\[\]]|\[[^\[\]]{0,128}\]){0,256}\]"
    r"(?=[ \t]*(?:-[ \t]|:|\S{1,120}[ \t]{0,40}:"
    r"|[\w$-]{1,64}(?:\.[\w$-]{1,64}){2,8}[ \t]))[ \t]*"
)
_COMPONENT = re.compile(
    r"([\w.$/()*@#<>~-]{1,120}(?::{1,2}[\w<>]{1,64}){0,4}(?:\[[^\[\]]{0,64}\])?(?:\(\s{0,8}\d+\))?)"
    r"(?:[ \t]{0,40}:(?=[ \t])|(?:[ \t][*(][\w.)]{1,16})?[ \t]+-(?=[ \t]))"
    r"|([\w$-]{1,64}(?:\.[\w$-]{1,64})+(?:[#:]\d+)?)(?=[ \t])"
)
_COLUMN = re.compile(r"[ \t]{2,}([\w.$-]{1,64})(?:[ \t]{2,}|\t)")
_REQUEST = re.compile(r"\[(?=[^\]]{0,256}\d|-?\])[^\[\]]{0,256}\](?=[ \t])[ \t]*")
_COLLECTOR = re.compile(
    r"<\d{1,3}>(?=\D)|[\w.-]{1,64} {1,40}\| |\[(?:pod|container)/[\w./-]{1,256}\] "
)
# What a line within a line begins with: always, or where a digit follows (a time, klog's head).
_OPENERS = dict.fromkeys("{[", True) | dict.fromkeys("0123456789IWEF", False)
_KLOG_LETTERS = ("I", "W", "E", "F")
_THREAD = re.compile(r"\[[^\[\]]{1,64}\] ")
_FLAG = re.compile(r"-?\d{1,3}[ \t]+")
_ACCESS = re.compile(r"[\w.:-]{1,128} \S{1,64} \S{1,64} \[")
_LEVEL_FIRST = re.compile(
    rf"(?:\[({ANYCASE})\s?\]|({UPPER})(?=[: \t])):?(?:([\w.]{{1,64}}):(?=\S))?[ \t]*"
)
_LOGCAT = re.compile(r"([VDIWEF])/([\w.$-]{1,64})[ \t]{0,8}\([ \t]{0,8}\d+\): ")
_BLANKS = " \t"
_BLANK = (" ", "\t")
_PADDING = ("  ", "\t")
# Looking at one character first is four times cheaper than trying a pattern.
_SEPARATORS = (" ", "\t", ",", "|", ";", ":", "-")


def split_header(text: str) -> tuple[Header, str]:
    """Header and message of one line; an empty header where none is recognised.

    A line in a line (what a program wrote, in the record of who collected it) is opened; the level
    is the innermost that a header names.

    >>> header, message = split_header("2024-05-01 10:00:00 ERROR [main] c.a.Cart: out of stock")
    >>> header.level, header.component, message
    ('ERROR', 'c.a.Cart', 'out of stock')
    """
    return _split(text, 0)


def _split(text: str, depth: int) -> tuple[Header, str]:
    text = text.lstrip(_BLANKS)
    record = read_record(text)
    if record is not None:
        return _opened(Header(), record, depth)
    return settled(*outer_header(text), depth)


def settled(header: Header, message: str, depth: int = 0) -> tuple[Header, str]:
    """Header and message of a line, the line that its message may be opened."""
    inner = _inner(header, message, depth) if may_open(message) and any(header) else None
    return inner or (header, message)


def may_open(message: str) -> bool:
    """Whether a message may be a line of its own: looking is cheaper than reading."""
    opener = _OPENERS.get(message[:1])
    if opener is None:
        return message.find("=", 0, LONGEST_KEY) >= 0
    return opener or message[1:2].isdigit() or message.find("=", 0, LONGEST_KEY) >= 0


def _inner(header: Header, message: str, depth: int) -> tuple[Header, str] | None:
    """Header and message of a line that is the message of another, None if it is no line."""
    record = read_record(message) if depth < _MOST_WRAPS else None
    if record is not None:
        return _opened(header, record, depth)
    begins = _STAMP if not message.startswith(_KLOG_LETTERS) else _KLOG
    if not begins.match(message):
        return None
    inner, rest = outer_header(message)
    if inner.level and inner.stamp:
        return inner._replace(component=inner.component or header.component), rest
    return None


def _opened(header: Header, record: StructuredLine, depth: int) -> tuple[Header, str]:
    """The header of a record within another line, and its message, opened where it is a line."""
    stamp = record.stamp if not header.stamp or header.stamp[:1].isalpha() else header.stamp
    own = Header(
        stamp or header.stamp,
        record.level or header.level,
        record.component or header.component,
        request_in(record.fields),
    )
    message = record.message
    if depth >= _MOST_WRAPS or not (record.wrapped or not own.level or message.startswith("{")):
        return own, message
    inner, rest = _split(message, depth + 1)
    merged = Header(
        own.stamp or inner.stamp,
        inner.level or own.level,
        inner.component or own.component,
        inner.request or own.request,
    )
    return merged, rest


def outer_header(text: str) -> tuple[Header, str]:
    """Header and message of one line, the message as it stands."""
    head = head_at_start(text)
    if head is not None:
        return _headed(text, head)
    klog = _KLOG.match(text) if text.startswith(_KLOG_LETTERS) else None
    if klog:
        stamp = f"{klog[2]}-{klog[3]}" if len(klog[2]) == 2 else klog[2] + klog[3]
        return Header(stamp, level_name(klog[1]), klog[4]), text[klog.end() :]
    stamp, level, position = _find_stamp(text)
    if not position:
        return _without_stamp(text)
    return _with_stamp(text, stamp, level, position)


def _headed(text: str, head: LineHead) -> tuple[Header, str]:
    message = text[head.end :].strip(_BLANKS).removesuffix("|#]")
    return Header(head.stamp, head.level, head.component), message


def _with_stamp(text: str, stamp: str, level: str, position: int) -> tuple[Header, str]:
    container = _CONTAINER.match(text, position) if text.startswith(" std", position) else None
    if container:
        inner, message = _split(text[container.end() :], 1)
        return inner._replace(stamp=stamp), message
    structured = _RFC5424.match(text, position) if text.startswith("<") else None
    if structured:
        header, position = Header(stamp, level, structured[1]), structured.end()
    elif stamp[0].isalpha() and _SYSLOG_STAMP.match(stamp):
        header, position = _after_syslog(text, stamp, position)
    else:
        header, position = _after_stamp(text, stamp, level, position)
    return header, text[position:].lstrip(_BLANKS)


def _find_stamp(text: str) -> tuple[str, str, int]:
    """The last stamp of the header, a level seen before it, and where it ends (0: no stamp)."""
    position, level = _skip(_PRIORITY, text, 0) if text.startswith("<") else 0, ""
    for field in (_FIRST, _FIELD, _FIELD, _FIELD, _FIELD, None):
        found = _STAMP.match(text, position)
        if found:
            break
        if field is None:
            return "", "", 0
        skipped = field.match(text, position)
        if not skipped:
            return "", "", 0
        if not level and (word := skipped[1].strip(":,")).isalpha():
            level = level_name(word)
        position = skipped.end()
    else:
        return "", "", 0
    stamp, end = found[1], found.end()
    while True:
        again = _AGAIN.match(text, end + 1) if text.startswith(_BLANK, end) else None
        if not again:
            return stamp, level, end
        stamp, end = again[1], again.end()


def _after_syslog(text: str, stamp: str, position: int) -> tuple[Header, int]:
    while text[position : position + 1] in (" ", "\t"):
        position += 1
    host = _HOST.match(text, position)
    if host:
        position = host.end()
    tag = _TAG.match(text, position)
    if tag:
        return Header(stamp, "", tag[1].strip()), tag.end()
    return Header(stamp), position


def _after_stamp(text: str, stamp: str, level: str, start: int) -> tuple[Header, int]:
    position = start
    if text.startswith("[") and text.startswith(" ", start):
        head = head_in_brackets(text, start)
        if head is not None:
            return Header(stamp, head.level, head.component), head.end
    if text.startswith("|", position):
        pipes = _PIPES.match(text, position + 1)
        parts = pipes[0].split("|") if pipes else [""]
        end = pipes.end() if pipes else position + 1
        return Header(stamp, next(filter(None, map(level_name, parts)), ""), parts[0]), end
    position = _gap(text, position)
    found = _LEVEL.match(text, position) or _LETTER.match(text, position)
    head = head_after_stamp(text, start) if not found and not stamp[:10].isdigit() else None
    if head is not None:
        return Header(stamp, head.level, head.component), head.end
    if found:
        level = level_name(found[found.lastindex or 0])
        position = found.end()
    elif _ACCESS.match(text) or stamp[:10].isdigit():
        position = _skip(_FLAG, text, position) if stamp[:10].isdigit() else position
        return Header(stamp, level), position
    component, position = _component(text, position)
    return Header(stamp, level, component), position


def _component(text: str, position: int) -> tuple[str, int]:
    column = _COLUMN.match(text, position) if text.startswith(_PADDING, position) else None
    if column:
        return column[1], column.end()
    position = _gap(text, position)
    if text.startswith("[", position):
        position = _gap(text, _skip(_BRACKET, text, position))
    found = _COMPONENT.match(text, position) if _may_name(text, position) else None
    if not found:
        return "", position
    position = _gap(text, found.end())
    if found[2] and text.startswith("[", position):
        position = _skip(_REQUEST, text, position)
    return found[1] or found[2], position


def _may_name(text: str, position: int) -> bool:
    """Whether a component can stand here: what follows a word tells most prose from it."""
    blank = text.find(" ", position)
    word = text[position:blank] if blank >= 0 else text[position:]
    if not word.isalnum():
        return True
    return not text[blank + 1 : blank + 2].isalnum()


def _gap(text: str, position: int) -> int:
    if text.startswith(" ", position) and text[position + 1 : position + 2].isalpha():
        return position + 1
    return _skip(_GAP, text, position) if text.startswith(_SEPARATORS, position) else position


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _without_stamp(text: str) -> tuple[Header, str]:
    uptime = _UPTIME.match(text)
    if uptime:
        return Header(), text[uptime.end() :]
    logcat = _LOGCAT.match(text)
    if logcat:
        return Header("", level_name(logcat[1]), logcat[2]), text[logcat.end() :]
    head = head_of_words(text)
    if head is not None:
        return _headed(text, head)
    found = _LEVEL_FIRST.match(text)
    if not found:
        return _collected(text)
    level = level_name(found[1] or found[2])
    stamped = _STAMP.match(text, _skip(_THREAD, text, found.end()))
    if stamped:
        return _with_stamp(text, stamped[1], level, stamped.end())
    return Header("", level, found[3] or ""), text[found.end() :]


def _collected(text: str) -> tuple[Header, str]:
    """A line behind the name of its container or behind its severity alone."""
    prefix = _COLLECTOR.match(text)
    if prefix is None:
        return Header(), text
    header, message = _split(text[prefix.end() :], 1)
    if header.level or header.stamp or text.startswith("<"):
        return header, message
    return Header(), text
