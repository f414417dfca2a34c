"""How programs write a line: what the text of a case looks like in the file of its logger.

A line is `LEVEL text`, and what follows ` || ` is the error that a structured logger keeps in a
field of its own. A first word that is no level belongs to the text.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from tools.types import Timestamp

_LEVELS = frozenset({"DEBUG", "INFO", "LOG", "WARN", "WARNING", "ERROR", "FATAL", "PANIC"})
_PINO = {"INFO": 30, "WARN": 40, "WARNING": 40, "ERROR": 50, "FATAL": 60}

Layout = Callable[[datetime, str, str, str], str]
"""Of moment, level, text and error, the line as its program writes it."""


def written(layout: str, at: Timestamp, line: str) -> str:
    """The line as it stands in the log; an unknown layout is named by the KeyError."""
    first, _, rest = line.partition(" ")
    level, text = (first, rest) if first in _LEVELS else ("", line)
    if layout == "plain" and level == "FATAL":
        level, text = "", line
    said, _, error = text.partition(" || ")
    return LAYOUTS[layout](datetime.fromtimestamp(at, UTC), level, said, error)


def _whole(text: str, error: str) -> str:
    return f"{text}: {error}" if error else text


def _clock(at: datetime, form: str = "%Y-%m-%d %H:%M:%S", point: str = ".") -> str:
    return f"{at.strftime(form)}{point}{at.microsecond // 1000:03d}"


def _iso(at: datetime) -> str:
    return _clock(at, "%Y-%m-%dT%H:%M:%S") + "Z"


def _text(form: str) -> Layout:
    """A text layout; `{at}` is `2026-03-02 03:14:07.000`, `{go}` `2026/03/02 03:14:07`."""

    def lay(at: datetime, level: str, text: str, error: str) -> str:
        return form.format(
            at=_clock(at),
            comma=_clock(at, point=","),
            iso=_iso(at),
            go=at.strftime("%Y/%m/%d %H:%M:%S"),
            second=at.strftime("%Y-%m-%d %H:%M:%S"),
            level=level,
            padded=f"{level:>5}",
            small=level.lower(),
            initial=level[:1],
            text=_whole(text, error),
        )

    return lay


def _spring(at: datetime, level: str, text: str, error: str) -> str:
    head = f"{_clock(at)} {level:>5} 1 --- [nio-8080-exec-3] c.acme.web.Controller : {text}"
    return f"{head}\n{error}" if error else head


def _keys(level: str, time: str, text: str, error: str, upper: bool = False) -> Layout:
    """A structured logger, by its keys for level, time, message and error."""

    def lay(at: datetime, severity: str, said: str, told: str) -> str:
        row = {level: severity if upper else severity.lower(), time: _iso(at), text: said}
        return json.dumps({**row, error: told} if told else row)

    return lay


def _pino(at: datetime, level: str, text: str, error: str) -> str:
    row = {"level": _PINO.get(level, 30), "time": int(at.timestamp() * 1000), "pid": 7}
    told = {"err": {"type": "Error", "message": error}} if error else {}
    return json.dumps({**row, **told, "msg": text})


LAYOUTS: dict[str, Layout] = {
    "plain": _text("{text}"),
    "spring": _spring,
    "python": _text("{comma} {level} app.service {text}"),
    "go": _text("{go} {text}"),
    "nginx": _text("{go} [{small}] 31#31: *8217 {text}"),
    "postgres": _text("{at} UTC [241] {level}:  {text}"),
    "pgbouncer": _text("{at} UTC [1] {level} {text}"),
    "proxysql": _text("{second} MySQL_HostGroups_Manager.cpp:2209:action(): [{level}] {text}"),
    "coredns": _text("[{level}] {text}"),
    "log4j": _text("[{comma}] {level} {text} (org.apache.kafka.clients.NetworkClient)"),
    "rabbit": _text("{at} [{small}] <0.298.0> {text}"),
    "rails": _text("{initial}, [{iso} #1] {padded} -- : {text}"),
    "logback": _keys("level", "@timestamp", "message", "stack_trace", upper=True),
    "zap": _keys("level", "ts", "msg", "error"),
    "zerolog": _keys("level", "time", "message", "error"),
    "structlog": _keys("level", "timestamp", "event", "exception"),
    "winston": _keys("level", "timestamp", "message", "stack"),
    "pino": _pino,
}
