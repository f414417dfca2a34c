"""Incidents that only logs tell of: is the first cause named by component and kind?

Each runs through the whole graph without a model, from its alerts to the brief, and searches its
own onset. Half the ids are kept aside (the parity of SHA-256 of the id): what is tuned is tuned on
the others.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
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
from evals.logs.layouts import written
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
