"""Whom alerts are about: labelled alerts of public rule files against our reading of them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

from pydantic import JsonValue

from copilot.alerts.subjects import SubjectReading, read
from evals.report import Table, number
from tools.types import FrozenModel

RULES = Path(__file__).with_name("rules.jsonl")
"""Our own table: alerts of the ecosystem's rules, labelled before the code that reads them."""


class LabelledSubject(FrozenModel):
    """The right answer: any of `name` and `also`; an empty name means that nobody is named."""

    kind: str = ""
    namespace: str = ""
    name: str
    also: tuple[str, ...] = ()


class LabelledAlert(FrozenModel, extra="ignore"):
    """One alert as it fires, with its subject; `doubtful`: a good engineer may say otherwise."""

    id: int
    source: str
    alertname: str
    labels: dict[str, str]
    annotations: dict[str, str]
    subject: LabelledSubject
    messenger: bool
    heartbeat: bool
    doubtful: bool


@dataclass(frozen=True, slots=True)
class SubjectAnswer:
    """A labelled alert and how it was read."""

    alert: LabelledAlert
    reading: SubjectReading

    @property
    def right(self) -> bool:
        """Whether the name is one of the right ones, and a heartbeat is told from an alert.

        Case and a prefix `namespace/` do not count; where nobody is named, nobody may be accused.
        """
        answer, name = self.alert.subject, self.reading.subject.name
        names = {_plain(one, answer.namespace) for one in (answer.name, *answer.also)}
        if self.reading.heartbeat != self.alert.heartbeat:
            return False
        return _plain(name, answer.namespace) in names


def labelled(path: Path) -> tuple[LabelledAlert, ...]:
    """The labelled alerts of a file, one JSON object a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(LabelledAlert.model_validate(json.loads(line)) for line in lines if line)


def answers(path: Path) -> tuple[SubjectAnswer, ...]:
    """How every alert of a file is read."""
    return tuple(
        SubjectAnswer(alert, read(alert.alertname, alert.labels, alert.annotations))
        for alert in labelled(path)
    )


def share_right(found: Iterable[SubjectAnswer], doubtful: bool = False) -> float:
    """The share read rightly, doubtful alerts apart (or these alone); NaN of none."""
    asked = [one.right for one in found if one.alert.doubtful == doubtful]
    return sum(asked) / len(asked) if asked else nan


def tables(found: Mapping[str, Sequence[SubjectAnswer]]) -> tuple[Table, ...]:
    """Of each set of alerts: the right ones per kind of subject, and every miss."""
    return tuple(
        table
        for title, some in found.items()
        for table in (_kinds(title, some), _misses(title, some))
        if table.rows
    )


def case(title: str, one: SubjectAnswer) -> dict[str, JsonValue]:
    """One answer for the result's JSON."""
    return {
        "id": f"{title}/{one.alert.id}",
        "alertname": one.alert.alertname,
        "right": one.right,
        "doubtful": one.alert.doubtful,
        "subject": one.reading.subject.shown,
        "why": one.reading.why,
    }


def _plain(name: str, namespace: str) -> str:
    lowered = name.lower()
    return lowered.removeprefix(f"{namespace.lower()}/") if namespace else lowered


def _kinds(title: str, found: Sequence[SubjectAnswer]) -> Table:
    by_kind: dict[str, list[SubjectAnswer]] = defaultdict(list)
    for one in found:
        by_kind[one.alert.subject.kind or "nobody"].append(one)
    rows = [_row(kind, some) for kind, some in sorted(by_kind.items())]
    return Table(
        title=f"Subjects of alerts: {title}",
        columns=("kind", "alerts", "right", "doubtful", "right of these"),
        rows=(*rows, _row("all", found)) if rows else (),
    )


def _row(kind: str, found: Sequence[SubjectAnswer]) -> tuple[str, ...]:
    doubtful = sum(one.alert.doubtful for one in found)
    return (
        kind,
        str(len(found) - doubtful),
        number(share_right(found), 3),
        str(doubtful),
        number(share_right(found, doubtful=True), 3),
    )


def _misses(title: str, found: Sequence[SubjectAnswer]) -> Table:
    return Table(
        title=f"Read wrongly: {title}",
        columns=("alert", "doubtful", "right answer", "read as", "because"),
        rows=tuple(
            (
                f"{one.alert.id} {one.alert.alertname}",
                "yes" if one.alert.doubtful else "",
                one.alert.subject.name or "nobody",
                one.reading.subject.shown or "nobody",
                one.reading.why,
            )
            for one in found
            if not one.right
        ),
    )
