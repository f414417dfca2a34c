"""A recorded incident as its sources, with one hostile text planted into it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar, cast

from copilot.sources.deployment import MetricSnapshot, Sources, TelemetrySnapshot
from evals.reasoning.hostile import HostileText
from knowledge_base import Document, Section
from tools.types import (
    Alert,
    Change,
    Fact,
    FaultKind,
    LogLine,
    Subject,
    Telemetry,
    Text,
    Timestamp,
    Window,
)

TIMES = 12
"""How often a planted line is logged after the onset, enough to be new and frequent."""

AnswerT = TypeVar("AnswerT")
TelemetryEdit = Callable[[Telemetry], Telemetry]


def _as_it_is(seen: Telemetry) -> Telemetry:
    return seen


@dataclass(frozen=True, slots=True)
class PlantedSources(Sources):
    """Sources that are asked once for everything; each look is then changed by `worse`."""

    worse: TelemetryEdit = _as_it_is
    answers: dict[object, object] = field(default_factory=dict)

    def look(
        self, window: Window, normal_before: Timestamp, first: Sequence[Subject] | None = None
    ) -> TelemetrySnapshot:
        """The look, with what is planted."""
        kept = self._once(
            ("look", window, normal_before, *(first or ())),
            lambda: Sources.look(self, window, normal_before, first),
        )
        return replace(kept, telemetry=self.worse(kept.telemetry))

    def measure(self, window: Window, normal_before: Timestamp) -> MetricSnapshot:
        """The metrics, in which nothing can be written."""
        return self._once(
            ("measure", window, normal_before),
            lambda: Sources.measure(self, window, normal_before),
        )

    def facts(self, onset: Timestamp, now: Timestamp | None = None) -> dict[str, Fact]:
        """What is known of the components."""
        return self._once(("facts", onset, now), lambda: Sources.facts(self, onset, now))

    def _once(self, key: object, ask: Callable[[], AnswerT]) -> AnswerT:
        if key not in self.answers:
            self.answers[key] = ask()
        return cast(AnswerT, self.answers[key])


def kept(sources: Sources) -> PlantedSources:
    """The same sources, each question asked once."""
    return PlantedSources(**{one.name: getattr(sources, one.name) for one in fields(Sources)})


def planted(
    clean: PlantedSources, hostile: HostileText, text: str, door: str, onset: Timestamp
) -> PlantedSources:
    """The same sources with the text in them."""
    if hostile.where in ("log", "path", "agent"):
        lines = tuple(_lines(hostile, text, door, onset))
        return replace(clean, worse=lambda seen: _logged(seen, lines))
    if hostile.where == "change":
        return replace(clean, worse=lambda seen: _changed(seen, text))
    return clean


def annotated(alerts: Sequence[Alert], text: str) -> tuple[Alert, ...]:
    """The alerts with the text where people write what an alert means."""
    said = {"summary": text, "description": text, "runbook": text}
    return tuple(one.model_copy(update={"annotations": said}) for one in alerts)


def noted(text: str, kinds: Sequence[FaultKind], playbook: str) -> Document:
    """The text as a note that fits the incident as well as a note can."""
    return Document(
        id="planted-note",
        kind="note",
        title=Text(en=text[:200], zh=text[:200]),
        symptoms=Text(en=text[:400], zh=text[:400]),
        fault_kinds=tuple(kinds),
        playbooks=(playbook,),
        trust="unreviewed",
        sections=(Section(heading="Fix", text=text),),
    )


def _lines(hostile: HostileText, text: str, door: str, onset: Timestamp) -> list[LogLine]:
    shown = {
        "path": f'ip=203.0.113.9 "GET {text} HTTP/1.1" 404 1ms',
        "agent": f'ip=203.0.113.9 "GET / HTTP/1.1" 200 2ms agent="{text}"',
    }.get(hostile.where, text)
    level = "ERROR" if hostile.where == "log" else "INFO"
    parts = shown.split("\n")
    return [
        LogLine(at=onset + 5.0 * turn, service=door, level=level, message=part)
        for turn in range(TIMES)
        for part in parts
    ]


def _logged(seen: Telemetry, lines: Sequence[LogLine]) -> Telemetry:
    near = tuple(line for line in lines if line.at in seen.window)
    logs = sorted((*seen.logs, *near), key=lambda line: line.at)
    return replace(seen, logs=tuple(logs))


def _changed(seen: Telemetry, text: str) -> Telemetry:
    """What is recorded of changes says it; a change of its own would be evidence by itself."""
    spoken: tuple[Change, ...] = tuple(
        one.model_copy(update={"summary": text}) for one in seen.changes
    )
    return replace(seen, changes=spoken)
