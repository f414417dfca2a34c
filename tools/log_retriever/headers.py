"""Recognise the header of a log line and set it aside.

No list of formats, but a grammar of the fields that headers are made of, in the order the trade
puts them: priority or host or ids · time · host · ids, thread · level · thread · component ·
request. That covers syslog (RFC 3164, 5424), log4j and its kin, klog, logcat, Python, nginx, pipes,
supercomputers' event logs and what is like them; JSON lines and logfmt are read as such.
"""

import json
import re
from typing import NamedTuple

from tools.log_retriever.fields import CLOCK, EPOCH, FULL, LEVELS, SYNONYMS, level_name, read_stamp
from tools.types import Timestamp

_MESSAGE_KEYS = ("msg", "message", "@message", "log", "body", "event", "text")
_LEVEL_KEYS = ("level", "lvl", "severity", "loglevel", "log.level", "@level", "levelname")
_TIME_KEYS = ("ts", "time", "timestamp", "@timestamp", "datetime", "t", "asctime")
_NAME_KEYS = ("logger", "caller", "component", "name", "module")
_PAIRS = re.compile(r"([\w.@-]{1,64})=(\"(?:[^\"\\]|\\.){0,4096}\"|\S{0,4096})")


class StructuredLine(NamedTuple):
    """The usual fields of a structured line; empty where it has none."""

    stamp: str
    level: str
    component: str
    message: str


def read_json(text: str) -> StructuredLine | None:
    """The record of a JSON line, None if it is no object with a message."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return _from_fields({k: str(v) for k, v in record.items() if isinstance(v, str | int | float)})


def read_logfmt(text: str) -> StructuredLine | None:
    """The record of a `key=value` line, None if it names no level or message."""
    if not _PAIRS.match(text):
        return None
    fields = {key: value.strip('"') for key, value in _PAIRS.findall(text)}
    return _from_fields(fields) if any(key in fields for key in _LEVEL_KEYS) else None


def _from_fields(fields: dict[str, str]) -> StructuredLine | None:
    message = _first(fields, _MESSAGE_KEYS)
    if not message:
        return None
    stamp, level = _first(fields, _TIME_KEYS), _first(fields, _LEVEL_KEYS)
    return StructuredLine(stamp, level, _first(fields, _NAME_KEYS), message)


def _first(fields: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((fields[key] for key in keys if fields.get(key)), "")


class Header(NamedTuple):
    """What stands before the message. `level` is one of LEVELS or empty."""

    stamp: str = ""
    level: str = ""
    component: str = ""

    def timestamp(self, year: int) -> Timestamp | None:
        """Unix seconds of the stamp; `year` completes stamps that have none."""
        return read_stamp(self.stamp, year) if self.stamp else None


_NAMES = sorted({*LEVELS, *(name for name in SYNONYMS if len(name) > 1)}, key=len, reverse=True)
_UPPER = "|".join(_NAMES)
_ANYCASE = "|".join((*_NAMES, *(n.capitalize() for n in _NAMES), *(n.lower() for n in _NAMES)))
_END = r"(?=[\s|:,;\])]|$)"

_PRIORITY = re.compile(r"<\d{1,3}>(\d )?")
_STAMP = re.compile(rf"[\[(\"]?({FULL}|{EPOCH}|{CLOCK})(?: #\d{{1,10}})?[\])\"]?")
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
    rf"(?:[\[(<|]\s?({_ANYCASE})(?:\s?[\])>|]|:[\w.]+\])|({_UPPER}){_END}"
    rf"|({_ANYCASE})(?=:[ \t]|\||[ \t]{{2}}|\t)|({_UPPER})/[\w.-]{{1,64}}\])[:,]?"
)
_LETTER = re.compile(r"(?:\d+[ \t]+){1,2}([VDIWEFA])[ \t]+|([VDIWEF])/(?=[\w.]{1,64}\s{0,8}\()")
_PIPES = re.compile(r"(?:[^\s|]{1,64}\|){1,5}")
_BRACKET = re.compile(
    r"\[(?:[^\[\]]|\[[^\[\]]{0,128}\]){0,256}\]"
    r"(?=[ \t]*(?:-[ \t]|:|\S{1,120}[ \t]{0,40}:"
    r"|[\w$-]{1,64}(?:\.[\w$-]{1,64}){2,8}[ \t]))[ \t]*"
)
_COMPONENT = re.compile(
    r"([\w.$/()*@#<>~-]{1,120}(?::[\w<>]{1,64}){0,2}(?:\[[^\[\]]{0,64}\])?(?:\(\s{0,8}\d+\))?)"
    r"(?:[ \t]{0,40}:(?=[ \t])|(?:[ \t][*(][\w.)]{1,16})?[ \t]+-(?=[ \t]))"
    r"|([\w$-]{1,64}(?:\.[\w$-]{1,64})+(?:[#:]\d+)?)(?=[ \t])"
)
_COLUMN = re.compile(r"[ \t]{2,}([\w.$-]{1,64})(?:[ \t]{2,}|\t)")
_REQUEST = re.compile(r"\[(?=[^\]]{0,256}\d|-?\])[^\[\]]{0,256}\](?=[ \t])[ \t]*")
_FLAG = re.compile(r"-?\d{1,3}[ \t]+")
_ACCESS = re.compile(r"[\w.:-]{1,128} \S{1,64} \S{1,64} \[")
_LEVEL_FIRST = re.compile(
    rf"(?:\[({_ANYCASE})\s?\]|({_UPPER})(?=[: \t])):?(?:([\w.]{{1,64}}):(?=\S))?[ \t]*"
)
_LOGCAT = re.compile(r"([VDIWEF])/([\w.$-]{1,64})[ \t]{0,8}\([ \t]{0,8}\d+\): ")
_BLANKS = " \t"
_BLANK = (" ", "\t")
_PADDING = ("  ", "\t")
# Looking at one character first is four times cheaper than trying a pattern.
_SEPARATORS = (" ", "\t", ",", "|", ";", ":", "-")


def split_header(text: str) -> tuple[Header, str]:
    """Header and message of one line; an empty header where none is recognised.

    >>> header, message = split_header("2024-05-01 10:00:00 ERROR [main] c.a.Cart: out of stock")
    >>> header.level, header.component, message
    ('ERROR', 'c.a.Cart', 'out of stock')
    """
    text = text.lstrip(_BLANKS)
    record = read_json(text) if text.startswith("{") else None
    if record is None and "=" in text[:24]:
        record = read_logfmt(text)
    if record is not None:
        return Header(record.stamp, level_name(record.level), record.component), record.message
    klog = _KLOG.match(text) if text.startswith(("I", "W", "E", "F")) else None
    if klog:
        stamp = f"{klog[2]}-{klog[3]}" if len(klog[2]) == 2 else klog[2] + klog[3]
        return Header(stamp, level_name(klog[1]), klog[4]), text[klog.end() :]
    stamp, level, position = _find_stamp(text)
    if not position:
        return _without_stamp(text)
    return _with_stamp(text, stamp, level, position)


def _with_stamp(text: str, stamp: str, level: str, position: int) -> tuple[Header, str]:
    container = _CONTAINER.match(text, position) if text.startswith(" std", position) else None
    if container:
        inner, message = split_header(text[container.end() :])
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
        level = level or level_name(skipped[1].strip(":,"))
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


def _after_stamp(text: str, stamp: str, level: str, position: int) -> tuple[Header, int]:
    if text.startswith("|", position):
        pipes = _PIPES.match(text, position + 1)
        parts = pipes[0].split("|") if pipes else [""]
        end = pipes.end() if pipes else position + 1
        return Header(stamp, next(filter(None, map(level_name, parts)), ""), parts[0]), end
    position = _gap(text, position)
    found = _LEVEL.match(text, position) or _LETTER.match(text, position)
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
    found = _LEVEL_FIRST.match(text)
    if not found:
        return Header(), text
    level = level_name(found[1] or found[2])
    stamped = _STAMP.match(text, found.end())
    if stamped:
        return _with_stamp(text, stamped[1], level, stamped.end())
    return Header("", level, found[3] or ""), text[found.end() :]
