"""Incidents that only logs tell of: is the first cause named by component and kind?

Each runs through the whole graph without a model, from its alerts to the brief, and searches its
own onset. Half the ids are kept aside (the parity of SHA-256 of the id): what is tuned is tuned on
the others. A line is written `LEVEL text`, and what follows ` || ` is the error that a structured
logger keeps in a field of its own; a first word that is no level belongs to the text.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import Field, JsonValue

from copilot.sources.recorded import RecordedBundle
from copilot.wiring import recorded_sources
from evals.localization.look import LOOKBACK_S
from evals.reasoning.investigate import Page, investigate
from evals.report import Table, number
from tools.types import FrozenModel, Timestamp

ALERTED_AT: Timestamp = 1_772_421_247.0
WATCHED_S = 300.0
"""How long after the alert the recording goes on: a brief is due within a minute or two."""

_FIRST_NUMBER = 71_000
"""Running numbers pass 71045, which holds the code of a database error and is none."""

_Told = tuple[float | str, ...]


class LogOnlyIncident(FrozenModel):
    """One incident, as written down; `later` ones were written when the catalogue stood."""

    id: str
    source: str
    layout: dict[str, str]
    calls: tuple[str, ...]
    alerts: tuple[str, ...] = Field(min_length=1)
    before_s: float = Field(ge=0)
    normal: dict[str, _Told]
    failing: dict[str, _Told]
    later: bool = False


@dataclass(frozen=True, slots=True)
class CauseAnswer:
    """Components and kinds that count as right; neither where there is no cause to name."""

    components: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CauseCase:
    """What was said of one incident beside what is right."""

    incident: LogOnlyIncident
    answer: CauseAnswer
    component: str
    kind: str
    probability: float
    abstained: bool
    onset_off_s: float

    @property
    def right(self) -> bool:
        """Component and kind are first and right; where there is no cause, none is decided on."""
        if not self.answer.components:
            return self.abstained
        named = self.component in self.answer.components and self.kind in self.answer.kinds
        return named and not self.abstained

    @property
    def half(self) -> str:
        """Whether the catalogue was tuned on it, kept from it, or written before it."""
        if self.incident.later:
            return "later"
        return "kept_aside" if kept_aside(self.incident.id) else "tuned_on"


def kept_aside(name: str) -> bool:
    """By the name alone, decided before any result was seen."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 1


def incidents() -> tuple[tuple[LogOnlyIncident, CauseAnswer], ...]:
    """Every incident with its answer, which only the score reads."""
    truth = _read("causes_truth")
    return tuple(
        (one, _answer(truth[one.id]))
        for name in ("causes", "causes_later")
        for row in _read(name)
        for one in (LogOnlyIncident(**row, later=name == "causes_later"),)
    )


def _read(name: str) -> Any:
    return yaml.safe_load((files("evals.logs") / f"{name}.yaml").read_text(encoding="utf-8"))


def _answer(row: str | Sequence[str]) -> CauseAnswer:
    if isinstance(row, str):
        return CauseAnswer()
    component, kinds = row
    return CauseAnswer(tuple(component.split()), tuple(kinds.split()))


def judged(incident: LogOnlyIncident, answer: CauseAnswer) -> CauseCase:
    """Investigate it as the product does, and hold the first cause against the answer."""
    with TemporaryDirectory(prefix="evals-") as folder:
        bundle = recorded(incident, Path(folder) / "incident")
        alerts = bundle.alerts(bundle.window)
        ran = investigate(
            recorded_sources(bundle), bundle, Page(alerts[0], tuple(alerts)), onsets="detected"
        )
    ranking = ran.incident.ranking
    first = ranking.candidates[0] if ranking.candidates else None
    return CauseCase(
        incident,
        answer,
        (first.peer or first.component) if first else "",
        (first and first.fault_kind) or "",
        first.probability if first else 0.0,
        ranking.abstained,
        ran.onset.at - (ALERTED_AT - incident.before_s),
    )


def recorded(incident: LogOnlyIncident, folder: Path) -> RecordedBundle:
    """Write the incident down as a bundle without metrics; the level stands in the line only."""
    folder.mkdir(parents=True)
    services = tuple(dict.fromkeys((*incident.layout, *_named(incident))))
    window = (ALERTED_AT - LOOKBACK_S, ALERTED_AT + WATCHED_S)
    edges = [call.split(" > ") for call in incident.calls]
    parts: dict[str, JsonValue] = {
        "incident.json": {
            "id": incident.id,
            "schema": "incident-bundle/1",
            "window": list(window),
            "services": list(services),
            "modalities": ["logs", "topology", "alerts"],
        },
        "topology.json": {"nodes": list(services), "edges": [list(edge) for edge in edges]},
        "alerts.json": [_alert(told) for told in incident.alerts],
    }
    for name, document in parts.items():
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    rows = sorted(_lines(incident, window), key=lambda row: row[0])
    (folder / "logs.ndjson").write_text(
        "".join(
            json.dumps({"ts": at, "service": service, "level": "", "msg": text}) + "\n"
            for at, service, text in rows
        ),
        encoding="utf-8",
    )
    return RecordedBundle(folder)


def _named(incident: LogOnlyIncident) -> Iterator[str]:
    for call in incident.calls:
        yield from call.split(" > ")


def _alert(told: str) -> JsonValue:
    service, name, severity = told.split()
    return {
        "labels": {"alertname": name, "service": service, "severity": severity},
        "startsAt": datetime.fromtimestamp(ALERTED_AT, UTC).isoformat(),
    }


def _lines(
    incident: LogOnlyIncident, window: tuple[Timestamp, Timestamp]
) -> Iterator[tuple[Timestamp, str, str]]:
    start, end = window
    began = ALERTED_AT - incident.before_s
    for told, since in ((incident.normal, start), (incident.failing, began)):
        for place, (service, (every, *texts)) in enumerate(told.items()):
            lines = cycle(texts)
            at, number = since + 1.0 + 0.37 * place, _FIRST_NUMBER
            while at < end:
                text = str(next(lines)).replace("{n}", str(number))
                yield at, service, written(incident.layout[service], at, text)
                at, number = at + float(every), number + 3


def summary(cases: Sequence[CauseCase]) -> dict[str, float]:
    """Share of cases with component and kind first and right: over all, and of each part."""
    parts = {"causes.right": list(cases)}
    for case in cases:
        parts.setdefault(f"causes.right.{case.half}", []).append(case)
    return {
        name: fmean([case.right for case in part]) if part else float("nan")
        for name, part in parts.items()
    }


def row_of(case: CauseCase) -> dict[str, JsonValue]:
    """One case of the published JSON."""
    return {
        "id": f"causes/{case.incident.id}",
        "half": case.half,
        "right": case.right,
        "component": case.component,
        "kind": case.kind,
        "probability": case.probability,
        "abstained": case.abstained,
        "onset_off_s": case.onset_off_s,
        "source": case.incident.source,
    }


def table(cases: Sequence[CauseCase]) -> Table:
    """A row per case: what is right, what was said, how sure, and how far the onset was off."""
    return Table(
        title="Log-only incidents: first cause, component and kind",
        columns=("case", "half", "right", "answer", "said", "p", "onset off, s"),
        rows=tuple(
            (
                case.incident.id,
                case.half.replace("_", " "),
                "yes" if case.right else "NO",
                f"{'/'.join(case.answer.components)} {'/'.join(case.answer.kinds)}".strip() or "–",
                f"{case.component} {case.kind}" + (" (undecided)" if case.abstained else ""),
                number(case.probability),
                number(case.onset_off_s, 0),
            )
            for case in sorted(cases, key=lambda case: (case.half, case.incident.id))
        ),
    )


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
