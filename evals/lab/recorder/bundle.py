"""Bundle: writes what the copilot may see, and apart from it the answer."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from pydantic import JsonValue

from evals.lab.blueprint import ENTRY, OURS, topology
from evals.lab.faults.scenario import LabScenario
from evals.lab.live import Lab
from evals.lab.recorder.tables import SAMPLING_S, lines, span_rows, spans, table
from knowledge_base import playbooks
from tools.playbook_executor.parameters import holes, substitute
from tools.types import LogLine, Scalar, StepAction, Timestamp, Window

SYSTEM = "lab"
BUNDLE_LIMIT = 400 * 1024
"""Bytes a recorded incident may have on disk."""

_LINES, _SPANS = 4000, 5000
_HISTORY_LINES = 3000
_WHOLE_LINES = 20_000
"""Where a recording is shown to people, no service may fall silent by having been thinned."""

_ESTABLISHED_S, _CALM_S = 25.0, 50.0
"""From when on a fault shows whole; the end of a recovery that is normal operation again."""


@dataclass(frozen=True, slots=True)
class AppliedFix:
    """The step that ended it, when it was approved, and the facts the platform told before."""

    at: Timestamp
    action: StepAction
    arguments: JsonValue
    facts: dict[str, Any]


def shipped_step(playbook: str, component: str) -> tuple[StepAction, JsonValue] | None:
    """The first step of a playbook in the words of the catalogue that ships.

    None where it does not ship, or where its step needs more than the component's name.
    """
    shipped = next((one for one in playbooks() if one.id == playbook), None)
    if shipped is None:
        return None
    own: dict[str, Scalar] = {
        one.name: component for one in shipped.parameters if one.source == "component"
    }
    step = shipped.steps[0]
    if any(name not in own for name, _ in holes(step.arguments)):
        return None
    return step.action, substitute(step.arguments, own)


@dataclass(frozen=True, slots=True)
class RecordingTake:
    """What is recorded: a scenario, its onset, the window, and the alerts that were held in it.

    `mended` is there where the window goes on to the recovery.
    """

    scenario: LabScenario
    seed: int
    onset: Timestamp
    window: Window
    alerts: Sequence[dict[str, Any]]
    changes: Sequence[dict[str, Any]]
    mended: AppliedFix | None = None

    @property
    def name(self) -> str:
        """A name that says nothing of the answer."""
        return _name(self.scenario, self.seed)


def bundle_of(folder: Path, scenario: LabScenario, seed: int) -> Path:
    """Where a scenario's bundle lies in a set."""
    return folder / "incidents" / _name(scenario, seed)


def _name(scenario: LabScenario, seed: int) -> str:
    return f"lab-{hashlib.sha256(f'{scenario.name}/{seed}'.encode()).hexdigest()[:6]}"


def record(lab: Lab, take: RecordingTake, folder: Path, history: str) -> Path:
    """Write the bundle and its line of truth; thinner logs and traces until it is small enough."""
    place = folder / "incidents" / take.name
    place.mkdir(parents=True, exist_ok=True)
    _gzip(place / "metrics.csv.gz", table(lab.monitoring.prometheus, take.window))
    _gzip(place / "alerts.ndjson.gz", _ndjson(take.alerts))
    _json(place / "changes.json", [_change(row) for row in take.changes])
    _json(place / "topology.json", {**topology(), "source": "declared"})
    _json(place / "incident.json", _description(take, history))
    room = 1.0
    while True:
        rng = Random(take.name)
        most = _LINES if take.mended is None else _WHOLE_LINES
        found = lines(lab.places, take.window, int(most * room), rng)
        _gzip(place / "logs.ndjson.gz", _ndjson(map(_log, found)))
        traced = spans(lab.places, take.window, int(_SPANS * room), rng)
        _gzip(place / "spans.csv.gz", span_rows(traced))
        if sum(path.stat().st_size for path in place.iterdir()) <= BUNDLE_LIMIT:
            break
        room *= 0.7
    _truth(folder / "truth" / "truth.jsonl", take)
    if take.mended is not None:
        _json(place / "facts.json", take.mended.facts)
        _json(folder / "mends" / f"{take.name}.json", _mend(take, take.mended))
    return place


def _mend(take: RecordingTake, mended: AppliedFix) -> dict[str, Any]:
    """What a re-enactment must know."""
    return {
        "at": round(mended.at, 3),
        "failing_since": round(min(take.onset + _ESTABLISHED_S, mended.at - SAMPLING_S), 3),
        "calm_since": round(take.window.end - _CALM_S, 3),
        "action": mended.action,
        "arguments": mended.arguments,
    }


def record_history(
    lab: Lab, folder: Path, name: str, window: Window, *, whole: bool = False
) -> None:
    """Write a stretch of normal operation that incidents share; `whole` leaves no line out."""
    place = folder / "history" / name
    place.mkdir(parents=True, exist_ok=True)
    metrics = table(lab.monitoring.prometheus, window)
    _gzip(place / "metrics.csv.gz", metrics)
    most = _WHOLE_LINES if whole else _HISTORY_LINES
    found = lines(lab.places, window, most, Random(name))
    _gzip(place / "logs.ndjson.gz", _ndjson(map(_log, found)))
    described = {
        "columns": metrics.split("\n", 1)[0].count(","),
        "note": "normal operation of the lab, no injected fault; use as reference period",
        "rows": metrics.count("\n") - 1,
        "sampling_s": SAMPLING_S,
        "system": SYSTEM,
    }
    _json(place / "history.json", described)


def _description(take: RecordingTake, history: str) -> dict[str, Any]:
    return {
        "entry": ENTRY,
        "history": history,
        "id": take.name,
        "licence": "Apache-2.0",
        "modalities": ["metrics", "topology", "spans", "logs", "alerts", "changes"],
        "reference_excluded": [],
        "sampling_s": SAMPLING_S,
        "schema": "incident-bundle/1",
        "services": list(OURS),
        "source": "evals.lab",
        "system": SYSTEM,
        "window": [round(take.window.start, 3), round(take.window.end, 3)],
    }


def _truth(path: Path, take: RecordingTake) -> None:
    """One line for each incident, in order of their names, whatever was recorded first."""
    rows = {}
    if path.exists():
        rows = {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}
    scenario = take.scenario
    rows[take.name] = {
        "id": take.name,
        "system": SYSTEM,
        "root_cause": next(iter(scenario.components), None),
        "also_right": list(scenario.components[1:]),
        "fault_type": next(iter(scenario.kinds), None),
        "also_right_kinds": list(scenario.kinds[1:]),
        "playbooks": sorted(scenario.cures),
        "inject_ts": round(take.onset, 3),
        "source_case": f"lab/{scenario.name}/seed-{take.seed}",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(rows[name], sort_keys=True) + "\n" for name in sorted(rows))
    path.write_text(text, encoding="utf-8")


def _log(line: LogLine) -> dict[str, object]:
    return {
        "ts": round(line.at, 3),
        "service": line.service,
        "level": line.level,
        "msg": line.message,
        "trace": "",
    }


def _change(row: dict[str, Any]) -> dict[str, Any]:
    return {"ts": row["at"], **{name: value for name, value in row.items() if name != "at"}}


def _ndjson(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
