"""Heads of lines that follow no common grammar, and levels that a message itself tells.

Source of each form: the logger's own documentation or code, named beside it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from tools.log_retriever.fields import (
    ABROAD,
    EPOCH,
    FULL,
    LEVELS,
    SYNONYMS,
    level_name,
    level_value,
)

NAMES = sorted({*LEVELS, *(name for name in SYNONYMS if len(name) > 1)}, key=len, reverse=True)
UPPER = "|".join(NAMES)
ANYCASE = "|".join((*NAMES, *(n.capitalize() for n in NAMES), *(n.lower() for n in NAMES)))
_ABROAD = "|".join(sorted(ABROAD, key=len, reverse=True))
_MONTH = r"[A-Z][a-z]{2,8}"


class LineHead(NamedTuple):
    """What a head tells, and where it ends in the line."""

    stamp: str
    level: str
    component: str
    end: int


class HeadForms(NamedTuple):
    """Forms of heads, and one pattern that tells whether any of them fits."""

    either: re.Pattern[str]
    each: tuple[re.Pattern[str], ...]


_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


def _heads(*forms: str) -> HeadForms:
    either = "|".join(_NAMED_GROUP.sub("(?:", form) for form in forms)
    return HeadForms(re.compile(either), tuple(map(re.compile, forms)))


_AT_START: dict[str, HeadForms] = {
    "[": _heads(
        # GlassFish; NestJS; level words of other languages
        r"\[#\|(?P<stamp>[^|]{1,40})\|(?P<level>\w{1,16})\|[^|]{0,128}\|(?P<name>[^|]{0,256})"
        r"\|[^|]{0,512}\|",
        rf"\[Nest\] \d+ +- (?P<stamp>[^A-Z]{{8,32}}[AP]M) +(?P<level>{UPPER}) "
        r"(?:\[(?P<name>[^\]]{1,64})\] )?",
        rf"\[(?P<level>{_ABROAD})\]\s?(?P<stamp>{FULL})?\s?",
    ),
    # WebLogic
    "#": _heads(r"####<(?P<stamp>[^<>]{1,64})> <(?P<level>\w{1,16})> <(?P<name>[^<>]{0,64})> "),
    # Erlang
    "=": _heads(r"=(?P<level>ERROR|WARNING|INFO|CRASH|SUPERVISOR) REPORT==== "),
    "【": _heads(rf"【(?P<level>{_ABROAD})】\s?(?P<stamp>{FULL})?\s?"),
}
_DIGIT_FIRST = _heads(
    # Redis: process, role, day, mark; zerolog's console
    rf"\d{{1,9}}:[A-Z] (?P<stamp>\d\d {_MONTH} (?:\d{{4}} )?\d\d:\d\d:\d\d\.\d{{3}}) "
    r"(?P<level>[.*#-]) ",
    r"(?P<stamp>\d{1,2}:\d\d[AP]M) (?P<level>[A-Z]{3}) ",
)
_WORD_FIRST = _heads(
    # .NET's console; logrus on a terminal; log15; java.util.logging; words of other languages
    r"(?P<level>trce|dbug|info|warn|fail|crit): (?P<name>[\w.+`<>$/-]{1,256})\[-?\d+\]\s*",
    r"(?P<level>[A-Z]{4,5})\[(?:\d{4,10}|(?P<stamp>\d\d-\d\d\|\d\d:\d\d:\d\d(?:\.\d+)?))\]\s*",
    rf"(?P<stamp>{_MONTH} \d{{1,2}}, \d{{4}},? \d{{1,2}}:\d\d:\d\d [AP]M) "
    rf"(?P<name>\S{{1,256}}) \S{{1,128}} (?P<level>{UPPER}): ",
    rf"(?P<level>{_ABROAD})[:：]\s{{0,4}}",
)
# Serilog's console and env_logger: the stamp, the level and the module in one bracket.
_IN_BRACKETS = _heads(rf"  ?(?P<level>{ANYCASE})(?: (?P<name>[\w:.-]{{1,128}}))?\] ?")
_AFTER_STAMP = _heads(
    # etcd (capnslog); MongoDB before 4.4; PostgreSQL on RDS, then anywhere; Envoy; Apache 2.4;
    # Monolog; Sidekiq; PostgreSQL's CSV; logback of itself; words of other languages
    r" (?P<level>[CEWNIDT]) \| (?:(?P<name>[\w/-]{1,64}): )?",
    r" (?P<level>[FEWID])[1-5]? {1,4}(?P<name>[A-Z_]{2,16}|-) +(?=\[)",
    r"(?: ?[A-Z]{3,4})?:[^\s:]{0,64}(?:\(\d{1,5}\))?:[^\s@:]{0,64}@[^\s:]{0,64}:\[\d{1,10}\]:"
    rf"(?P<level>{UPPER}|LOG|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|{_ABROAD}):\s{{0,4}}",
    r"(?: [A-Z]{3,4})?(?: \[[\d-]{1,20}\]:?)?(?: \S{1,64}@\S{1,64})? "
    rf"(?P<level>LOG|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|{_ABROAD}):\s{{1,4}}",
    rf"(?:\[[^\[\]]{{0,64}}\]){{1,2}}\[(?P<level>{ANYCASE})\](?:\[(?P<name>[^\[\]]{{0,64}})\])?\s?",
    rf" \[(?P<name>\w{{1,32}}):(?P<level>{ANYCASE})\](?: \[pid [^\]]{{1,40}}\])?\s?",
    rf" (?P<name>[\w-]{{1,64}})\.(?P<level>{UPPER}): ",
    rf"(?: [\w.]{{1,32}}=[^\s=]{{1,64}}){{1,8}} (?P<level>{UPPER}): ",
    r"(?: [A-Z]{3,4})?(?:,(?:\"[^\"]{0,256}\"|[^\",]{0,64})){8,14}?,"
    rf"(?P<level>{UPPER}|LOG),[0-9A-Z]{{5}},",
    rf" ?\|-(?P<level>{UPPER}) in ",
    rf" (?:\[[^\[\]]{{1,64}}\] )?[\[【]?(?P<level>{_ABROAD})(?:[\]】:：]\s?|\s)",
)
_MARKS = {".": "DEBUG", "-": "DEBUG", "*": "NOTICE", "#": "WARN"}
"""Redis, server.c: debug, verbose, notice, warning."""
_OTHER = {
    "FAIL": "ERROR", "CRASH": "ERROR", "SUPERVISOR": "ERROR", "N": "NOTICE", "T": "TRACE",
    **dict.fromkeys(("LOG", "DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY"), "INFO"),
}  # fmt: skip


def head_at_start(text: str) -> LineHead | None:
    """The head of a line that its first character announces."""
    first = text[:1]
    if first in _AT_START:
        return _head(_AT_START[first], text, 0)
    if first.isdigit() and ":" in text[1:10]:
        return _head(_DIGIT_FIRST, text, 0)
    return None


def head_in_brackets(text: str, position: int) -> LineHead | None:
    """The rest of a head whose bracket does not close behind its stamp."""
    return _head(_IN_BRACKETS, text, position)


def head_of_words(text: str) -> LineHead | None:
    """The head of a line that begins with a word and has no stamp where others have it."""
    return _head(_WORD_FIRST, text, 0)


def head_after_stamp(text: str, position: int) -> LineHead | None:
    """The rest of a head behind its stamp."""
    return _head(_AFTER_STAMP, text, position)


def _head(forms: HeadForms, text: str, position: int) -> LineHead | None:
    if not forms.either.match(text, position):
        return None
    for pattern in forms.each:
        found = pattern.match(text, position)
        if found:
            parts = found.groupdict()
            word = parts["level"]
            level = _MARKS.get(word) or _OTHER.get(word.upper()) or level_name(word)
            if level:
                stamp, name = parts.get("stamp") or "", parts.get("name") or ""
                return LineHead(stamp, level, name, found.end())
    return None


_TOLD = re.compile(
    r"(?P<fatal>panic: |fatal error: |fatal: |FATAL\b|thread '[^']{0,64}' panicked at "
    r"|terminate called|(?:PHP )?Fatal error: |Unhandled exception|\*{3} (?:FATAL|Error in)"
    r"|SIG(?:SEGV|ABRT|BUS|ILL)\b|[Ss]egmentation fault|致命)"
    r"|(?P<error>(?:[\w.$/-]{1,128}: )?panic serving |error(?:\[E\d+\])?: |Error: |E: |ERROR\b"
    r"|npm ERR! |Traceback \(most recent|Exception in thread |Uncaught |\[?error\]? "
    r"|(?:[A-Za-z_$][\w$]{0,64}[.:]{1,2}){0,12}[A-Z]\w{0,64}(?:Error|Exception)(?:: |$))"
    r"|(?P<warn>(?:PHP )?[Ww]arning: |WARN(?:ING)?\b"
    r"|(?:\(node:\d{1,9}\) )?(?:[a-z_]\w{0,64}\.){0,8}[A-Z]\w{0,64}Warning: )"
    rf"|[\w.-]{{1,32}}: \[(?P<other>{ANYCASE})\] "
)
# What a first word must look like for the pattern to be worth a try.
_TELLING_WORD = re.compile(
    r"(?i:fatal|panic|error|warn|segm)|thread|termi|PHP|Unhandled|\*{3}|SIG|致命|E:|npm|Traceback"
    r"|Exception|Uncaught|\[error|\(node|.*(?:Error|Exception):? |.*: "
)
_LONGEST_WORD = 64  # source: longer than any class name that a message begins with
_MOST_WORDS = 4096  # source: as many as one page holds, some 200 KB
_PRIORITY = re.compile(r"<(\d{1,3})>")
_LEVEL_TOLD = {"fatal": "FATAL", "error": "ERROR", "warn": "WARN"}


def level_told(message: str) -> str:
    """The level that the first words of a message tell, `""` if none: it began in no other way.

    >>> level_told("panic: assignment to entry in nil map"), level_told("no error: all is well")
    ('FATAL', '')
    """
    if not _may_tell(message[: message.find(" ", 0, _LONGEST_WORD) + 1]):
        return ""
    found = _TOLD.match(message)
    if not found:
        return ""
    return _LEVEL_TOLD.get(found.lastgroup or "") or level_name(found["other"] or "")


def level_of_priority(text: str) -> str:
    """The severity in the priority of a syslog line, `""` where it has none."""
    number = _PRIORITY.match(text) if text.startswith("<") else None
    return level_value(str(int(number[1]) % 8), "syslog") if number else ""  # RFC 5424


@lru_cache(maxsize=_MOST_WORDS)
def _may_tell(first: str) -> bool:
    """Whether the first word of a message leaves it open that it tells a level."""
    return not first or _TELLING_WORD.match(first) is not None


EPOCHS = rf"{EPOCH}|1\.\d{{4,16}}e\+09"
"""Seconds since 1970, also as Go prints a float."""
