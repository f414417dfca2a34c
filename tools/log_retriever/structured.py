"""Lines that are records already: JSON objects and logfmt."""

import json
import re
from typing import NamedTuple

_MESSAGE_KEYS = ("msg", "message", "@message", "log", "body", "event", "text")
_LEVEL_KEYS = ("level", "lvl", "severity", "loglevel", "log.level", "@level", "levelname")
_TIME_KEYS = ("ts", "time", "timestamp", "@timestamp", "datetime", "t", "asctime")
_NAME_KEYS = ("logger", "caller", "component", "name", "module")
_PAIRS = re.compile(r"([\w.@-]{1,64})=(\"(?:[^\"\\]|\\.){0,4096}\"|\S{0,4096})")


class Record(NamedTuple):
    """The usual fields of a structured line; empty where it has none."""

    stamp: str
    level: str
    component: str
    message: str


def read_json(text: str) -> Record | None:
    """The record of a JSON line, None if it is no object with a message."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return _from_fields({k: str(v) for k, v in record.items() if isinstance(v, str | int | float)})


def read_logfmt(text: str) -> Record | None:
    """The record of a `key=value` line, None if it names no level or message."""
    if not _PAIRS.match(text):
        return None
    fields = {key: value.strip('"') for key, value in _PAIRS.findall(text)}
    return _from_fields(fields) if any(key in fields for key in _LEVEL_KEYS) else None


def _from_fields(fields: dict[str, str]) -> Record | None:
    message = _first(fields, _MESSAGE_KEYS)
    if not message:
        return None
    stamp, level = _first(fields, _TIME_KEYS), _first(fields, _LEVEL_KEYS)
    return Record(stamp, level, _first(fields, _NAME_KEYS), message)


def _first(fields: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((fields[key] for key in keys if fields.get(key)), "")
