"""Records of `key: value` fields: JSON of every encoder and logfmt, whole or cut off.

Keys are compared without case, blanks, `_` and `-`; nested ones also by their last names. Sources
of the names: the documentation of zap, zerolog, logrus, slog, pino, bunyan, logstash's encoder for
logback, log4j 2, Serilog, NLog, .NET, winston, Monolog, structlog, GELF, ECS, OpenTelemetry, Google
Cloud Logging, systemd (journal export as JSON), Docker, MongoDB.
"""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from tools.log_retriever.access import request_in
from tools.log_retriever.fields import NumberScale, level_value
from tools.log_retriever.masks import VARIABLE, mask_token

_MESSAGES = (
    "msg", "message", "@m", "@message", "renderedmessage", "shortmessage", "log", "textpayload",
    "body", "event", "@mt", "messagetemplate", "m", "text", "fullmessage", "data", "消息", "内容",
    "err.message", "error.message", "exception.message",
)  # fmt: skip
_LEVELS: tuple[tuple[str, NumberScale], ...] = (
    ("level", "level"), ("lvl", "level"), ("severity", "cloud"), ("severitytext", "level"),
    ("loglevel", "dotnet"), ("log.level", "level"), ("@level", "level"), ("@l", "level"),
    ("errorseverity", "level"), ("levelname", "level"), ("level.name", "level"),
    ("levelstr", "level"), ("severitynumber", "otel"), ("levelno", "python"),
    ("levelvalue", "level"), ("journalpriority", "syslog"), ("severitylevel", "azure"),
    ("l", "level"), ("s", "level"), ("label", "level"), ("级别", "level"), ("等级", "level"),
)  # fmt: skip
_TIMES = (
    "ts", "time", "timestamp", "@timestamp", "datetime", "t", "@t", "asctime", "date", "t.$date",
    "realtimetimestamp", "timeunixnano", "instant.epochsecond", "timemillis", "starttime",
    "eventtime", "时间",
)  # fmt: skip
_NAMES = (
    "logger", "caller", "component", "name", "module", "loggername", "sourcecontext", "category",
    "channel", "@module", "syslogidentifier", "log.logger", "c",
)  # fmt: skip
_ERRORS = ("err", "error", "err.message", "error.message", "err.msg", "error.msg")
_NO_ERROR = frozenset(("true", "false", "null", "none", "nil", "0", "1", "[]", "{}"))
_TRANSPORT = frozenset(("log", "textpayload", "shortmessage", "MESSAGE"))
"""Keys under which collectors put a line that they have not read."""
# Who asked and what runs beside the record may hold sentences, too.
_ASIDE = re.compile(r"agent|header|label|annotation|tags?$|stack|trace|query|sql|^ua$|cookie|jwt")
_WRAPPER = frozenset(
    ("stringvalue", "intvalue", "kvlistvalue", "values", "arrayvalue", "jsonpayload")
)
_DEPTH, _LEAVES, _SHOWN, _LISTED = 8, 256, 24, 64  # RFC 8259, section 9: a reader may set limits
_MOST = 65_536  # source: four times the 16 KiB at which container runtimes cut a line
_MOST_KEYS, _LONGEST = 4096, 64  # source: a program has some hundred keys, of a few words
_BYTE = range(256)
_OBJECTS = ("{", "[{")
LONGEST_KEY = 24
"""A line whose first `=` comes later is no `key=value` record."""
_MOST_ERROR = 512  # source: half a kilobyte is two to three sentences
_PAIRS = re.compile(r"([\w.@-]{1,64})=(\"(?:[^\"\\]|\\.){0,4096}\"|\S{0,4096})")
_SCANNED = re.compile(
    r'"((?:[^"\\]|\\.){1,64})"\s{0,4}:\s{0,4}(?:"((?:[^"\\]|\\.)*)|(-?\d[\d.eE+-]{0,32}))'
)
_SENTENCE_WORD = re.compile(r"[\u4e00-\u9fff]{2}|(?<!\S)[^\W\d_]{2,32}[.,:;!?]?(?!\S)")
_PLAIN_VALUE = re.compile(r"[^\s\"=]{1,256}")


class StructuredLine(NamedTuple):
    """The usual fields of a structured line; empty where it has none.

    `level` is one of LEVELS. A `wrapped` message is a line of its own that somebody else wrote.
    `fields` are all values by their keys in one spelling.
    """

    stamp: str
    level: str
    component: str
    message: str
    wrapped: bool
    fields: Mapping[str, str]


def may_be_record(text: str) -> bool:
    """Whether a text is worth reading as a record: looking is cheaper than reading."""
    return text.startswith(_OBJECTS) or "=" in text[:LONGEST_KEY]


def read_record(text: str) -> StructuredLine | None:
    """The record that a text is: a JSON object or `key=value` pairs; None if it is neither."""
    if text.startswith(_OBJECTS):
        return read_json(text)
    return read_logfmt(text) if "=" in text[:LONGEST_KEY] else None


def read_json(text: str) -> StructuredLine | None:
    """The record of a JSON line, also of one that was cut off; None if it is no object.

    >>> read_json('{"Level":"Error","Message":"no stock"}').message
    'no stock'
    """
    try:
        record = json.loads(text[:_MOST])
    except (ValueError, RecursionError):
        record = dict(_scan(text[:_MOST]))
    if isinstance(record, list):
        record = next((one for one in record if isinstance(one, dict)), None)
    if not isinstance(record, dict) or not record:
        return None
    leaves = _leaves(record)
    fields = _by_name(leaves)
    found = _from_fields(fields, "MESSAGE" in record)
    if found is None or (not found.wrapped and _is_value(found.message)):
        return _unnamed(leaves, fields)
    return found


def read_logfmt(text: str) -> StructuredLine | None:
    """The record of a `key=value` line, None if it names no level or no message."""
    if not _PAIRS.match(text):
        return None
    leaves: list[_Leaf] = [
        ((_spelt(key),), _unquoted(value)) for key, value in _PAIRS.findall(text)
    ]
    fields = _by_name(leaves)
    level, asked = _level(fields), request_in(fields) is not None
    found = _from_fields(fields, journal=False) if level or asked else None
    if found is None and asked:
        return _unnamed(leaves, fields)
    return found


def _from_fields(fields: Mapping[str, str], journal: bool) -> StructuredLine | None:
    key = next((key for key in _MESSAGES if fields.get(key, "").strip()), "")
    if not key:
        return None
    message, error = fields[key].strip(), _error(fields)
    wrapped = key in _TRANSPORT or (journal and key == "message")
    if error and error not in message and not wrapped:
        message = f"{message}: {error}"
    stamp, name = _first(fields, _TIMES), _first(fields, _NAMES)
    return StructuredLine(stamp, _level(fields), name, message, wrapped, fields)


def _unnamed(leaves: "list[_Leaf]", fields: Mapping[str, str]) -> StructuredLine:
    """A record of unknown keys: its message is the value with the most words, else its pairs."""
    spoken = [
        (len(_SENTENCE_WORD.findall(value[:_MOST_ERROR])), value)
        for path, value in leaves
        if not any(map(_ASIDE.search, path))
    ]
    words, message = max(spoken, key=lambda one: one[0], default=(0, ""))
    request = request_in(fields)
    if words < 2 and request is not None:
        message = request.told
    elif words < 2:
        message = " ".join(f"{'.'.join(path)}={_shown(value)}" for path, value in leaves[:_SHOWN])
    stamp = _first(fields, _TIMES)
    return StructuredLine(stamp, _level(fields), _first(fields, _NAMES), message, False, fields)


def _shown(value: str) -> str:
    return value if _PLAIN_VALUE.fullmatch(value) else json.dumps(value[:_LONGEST])


def _is_value(message: str) -> bool:
    """Whether a message is one value (a number, an address, a blob): then it says nothing alone."""
    if " " in message:
        return False
    return len(message) > _MOST_ERROR or mask_token(message) == VARIABLE


def _error(fields: Mapping[str, str]) -> str:
    """What was caught, in one line; a stack trace is not one."""
    error = _first(fields, _ERRORS).strip().partition("\n")[0]
    return "" if error.lower() in _NO_ERROR or error.isdigit() else error[:_MOST_ERROR]


def _level(fields: Mapping[str, str]) -> str:
    values = ((fields[key], scale) for key, scale in _LEVELS if key in fields)
    found = next((name for value, scale in values if (name := level_value(value, scale))), "")
    # Serilog's compact form leaves the level out where it is Information.
    return found or ("INFO" if "@t" in fields and {"@m", "@mt"} & fields.keys() else "")


def _first(fields: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((fields[key] for key in keys if fields.get(key)), "")


_Leaf = tuple[tuple[str, ...], str]


def _leaves(record: dict[str, object]) -> list[_Leaf]:
    """Path and value of what an object holds, the shallow first; bounded in depth and number."""
    found: list[_Leaf] = []
    waiting: deque[tuple[tuple[str, ...], object]] = deque([((), record)])
    while waiting and len(found) < _LEAVES:
        path, value = waiting.popleft()
        if isinstance(value, dict) and len(path) < _DEPTH:
            for key, inner in list(value.items())[:_LEAVES]:
                name = _spelt(str(key))
                below = path if path and name in _WRAPPER else (*path, *name.split("."))
                waiting.append((below, inner))
        elif isinstance(value, list):
            waiting.extend(_listed(path, value[:_LISTED]))
        elif isinstance(value, str | int | float) and not isinstance(value, bool) and path:
            found.append((path, str(value)))
    return found


def _listed(
    path: tuple[str, ...], values: list[object]
) -> Iterator[tuple[tuple[str, ...], object]]:
    """What a list holds: words of one text, the bytes of one, pairs of key and value, objects."""
    if values and all(isinstance(one, int) and one in _BYTE for one in values):
        yield path, bytes(one for one in values if isinstance(one, int)).decode("utf-8", "replace")
    elif values and all(isinstance(one, str) for one in values):
        yield path, " ".join(map(str, values))
    for one in values:
        if isinstance(one, dict) and {"key", "value"} <= one.keys():
            yield (*path, _spelt(str(one["key"]))), one["value"]
        elif isinstance(one, dict):
            yield path, one


def _by_name(leaves: list[_Leaf]) -> dict[str, str]:
    """Values by their path, its last two names and its last; the shallow and the first win."""
    found: dict[str, str] = {}
    for path, value in leaves:
        if len(path) == 1:
            if not found.get(path[0]):
                found[path[0]] = value
            continue
        # `{"msg": "", "message": "x"}` says x, whichever is the first.
        for name in (".".join(path), ".".join(path[-2:]), path[-1]):
            if len(name) > 2 and not found.get(name):
                found[name] = value
    return found


@lru_cache(maxsize=_MOST_KEYS)
def _spelt(key: str) -> str:
    """A key in the spelling that keys are compared in."""
    if key == "PRIORITY":
        return "journalpriority"
    return key.lower().replace("_", "").replace("-", "").replace(" ", "")[:_LONGEST]


def _unquoted(value: str) -> str:
    return value[1:-1].replace('\\"', '"') if value.startswith('"') and len(value) > 1 else value


def _scan(text: str) -> Iterator[tuple[str, object]]:
    """Keys and values of a text that is no valid JSON, where it looks like it; the first wins."""
    seen: set[str] = set()
    for key, value, number in _SCANNED.findall(text):
        if key not in seen:
            seen.add(key)
            yield key, number or _unescaped(value)


def _unescaped(value: str) -> str:
    try:
        return str(json.loads(f'"{value}"'))
    except ValueError:
        return value
