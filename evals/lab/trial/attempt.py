"""Attempt: one scenario from a calm shop to a calm shop, with the copilot at work in between."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from evals.lab.faults.controller import Controller
from evals.lab.faults.scenario import LabScenario
from evals.lab.live import Lab
from evals.lab.monitoring import Monitoring
from evals.lab.operator import PlatformError
from evals.lab.recorder.bundle import AppliedFix, RecordingTake, bundle_of, record, shipped_step
from evals.lab.trial.approver import Approver
from evals.lab.trial.outcome import TrialOutcome, judged
from evals.lab.trial.service import CopilotServiceError, serving
from tools.types import Window

_EVERY_S = 2.0


class AlertTape:
    """Asks Alertmanager every two seconds, in a thread of its own, until `stop`."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._open: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def rows(self, start: float, end: float) -> list[dict[str, Any]]:
        """Alerts that began between two moments, as Alertmanager posts them."""
        found = [row for row in tuple(self._rows.values()) if start <= began(row) <= end]
        return sorted(found, key=lambda row: str(row["startsAt"]))

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            try:
                held = self._monitoring.notified()
            except httpx.HTTPError:
                continue
            self._note(held)

    def _note(self, held: list[dict[str, Any]]) -> None:
        now = set()
        for alert in held:
            key = (alert["fingerprint"], alert["startsAt"])
            now.add(key)
            row = {name: alert[name] for name in _KEPT if name in alert}
            self._rows.setdefault(key, row | {"status": "firing", "endsAt": _NEVER})
        moment = datetime.now(UTC).isoformat()
        for key in self._open - now:
            self._rows[key] |= {"status": "resolved", "endsAt": moment}
        self._open = now


_KEPT = ("labels", "annotations", "startsAt", "fingerprint", "generatorURL")
_NEVER = "0001-01-01T00:00:00Z"


def began(row: dict[str, Any]) -> float:
    """When an alert began, Unix seconds."""
    return datetime.fromisoformat(row["startsAt"]).timestamp()


_CALM_BEFORE_S = 30.0
SETTLES_S = 40.0
"""How long the copilot looks at a calm shop before something happens."""

LIMIT_S = 240.0
_ACTING_S = 360.0
"""An approved plan that runs or is being verified is waited for this long."""

_GIVEN_UP_S = 120.0
"""A handed-over incident is looked at again as alerts join it; after this nothing more is due."""

_LOOKS_EVERY_S = 0.7
_CALM_S = 18.0
_NEVER_CALM_S = 120.0
_BEFORE_S, _AFTER_S = 150.0, 130.0
"""What a recording holds of the time around the onset, at most."""

_WHOLE_S = 120.0
"""A whole recording holds this much of the time after the act that mended it."""

_MENDED_S = 30.0
_ALONE_S = 75.0
ProgressPrinter = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every attempt of a suite shares."""

    lab: Lab
    port: int
    seed: int
    extra: dict[str, Any]
    recordings: Path | None = None
    history: str = ""
    keep: Path | None = None  # copilot's folders are kept here, for reading what went wrong
    whole: bool = False  # recordings go on to the recovery, and say what mended it


def attempt(bench: Bench, scenario: LabScenario, say: ProgressPrinter) -> TrialOutcome:
    """Run one scenario; whatever breaks of the lab or the copilot is in the outcome's note."""
    controller, tape = Controller(bench.lab), AlertTape(bench.lab.monitoring)
    folder = bench.lab.places.root / f"copilot-{scenario.name}"
    shutil.rmtree(folder, ignore_errors=True)
    onset, outcome, problem = (
        time.time(),
        TrialOutcome(scenario=scenario.name, seed=bench.seed, needs_action=scenario.needs_action),
        "",
    )
    try:
        say(f"{scenario.name}: the copilot starts")
        with serving(bench.lab, bench.port, folder, bench.extra) as door:
            time.sleep(SETTLES_S)
            approver = Approver(door)
            approver.look()
            facts = bench.lab.platform.get("/facts") if bench.whole else {}
            onset = controller.inject(scenario)
            say(f"{scenario.name}: injected")
            _follow(bench, scenario, approver, onset, say)
            healthy = _mended(bench, approver)
            outcome = judged(scenario, bench.seed, onset, approver.seen.values(), healthy)
            outcome = outcome.model_copy(update=_alerted(tape, onset))
            mended = _mend(approver, scenario, facts) if bench.whole else None
            if bench.whole and mended is None:
                problem = (
                    "kept up to the first act: no single step of the shipped catalogue ended it"
                )
            elif mended is not None:
                say(f"{scenario.name}: recording the recovery")
                time.sleep(max(mended.at + _WHOLE_S - time.time(), 0.0))
            acts = [at for one in approver.seen.values() for at, _, _ in one.approved]
            _recorded(bench, scenario, onset, acts, tape, mended)
    except (CopilotServiceError, PlatformError, httpx.HTTPError) as error:
        problem = f"{type(error).__name__}: {error}"[:300]
    # Not in a `finally`: who is interrupted takes the whole lab down and need not heal it first.
    tape.stop()
    say(f"{scenario.name}: healing")
    _calm(bench.lab, controller.heal())
    bench.lab.monitoring.rewind()
    if bench.keep is not None:
        shutil.copytree(folder, bench.keep / f"{scenario.name}-{bench.seed}", dirs_exist_ok=True)
    return outcome.model_copy(update={"note": problem}) if problem else outcome


def record_alone(bench: Bench, scenario: LabScenario, say: ProgressPrinter) -> None:
    """Let the scenario take its course with nobody to mend it, and keep it."""
    if bench.recordings is None or bundle_of(bench.recordings, scenario, bench.seed).exists():
        return
    controller, tape = Controller(bench.lab), AlertTape(bench.lab.monitoring)
    time.sleep(_CALM_BEFORE_S)
    onset = controller.inject(scenario)
    say(f"{scenario.name}: injected")
    time.sleep(scenario.lasts_s or _ALONE_S)
    _recorded(bench, scenario, onset, (), tape)
    tape.stop()
    say(f"{scenario.name}: healing")
    _calm(bench.lab, controller.heal())
    bench.lab.monitoring.rewind()


def _follow(
    bench: Bench, scenario: LabScenario, approver: Approver, onset: float, say: ProgressPrinter
) -> None:
    limit = LIMIT_S if scenario.needs_action else scenario.lasts_s
    while time.time() - onset < (_ACTING_S if approver.acting else limit):
        approver.look()
        if scenario.needs_action and approver.over and _ended(scenario, approver, onset):
            return
        known = len(approver.seen)
        say(f"{scenario.name}: {time.time() - onset:.0f} s, {known} incident(s)")
        time.sleep(_LOOKS_EVERY_S)


def _ended(scenario: LabScenario, approver: Approver, onset: float) -> bool:
    """Whether to wait no more: it was rightly mended, or handed over and left at that.

    A false alarm that was `recovered` from is no end: the fault is still there to be found.
    """
    books = {book for one in approver.seen.values() for _, book, _ in one.approved}
    if approver.mended:
        return bool(books & scenario.cures)
    return time.time() - onset > _GIVEN_UP_S


def _mended(bench: Bench, approver: Approver) -> bool:
    """Whether no rule fires any more, given a moment for the ranges of the rules to pass."""
    until = time.time() + (_MENDED_S if approver.mended else 0.0)
    while True:
        firing = [one for one in bench.lab.monitoring.alerts() if one["state"] == "firing"]
        if not firing or time.time() >= until:
            return not firing
        time.sleep(1.0)


def _alerted(tape: AlertTape, onset: float) -> dict[str, Any]:
    rows = tape.rows(onset - 1.0, time.time())
    first = min(map(began, rows), default=None)
    names = dict.fromkeys(
        f"{row['labels']['alertname']}:{row['labels'].get('service', '')}" for row in rows
    )
    return {
        "first_alert_s": None if first is None else round(first - onset, 1),
        "alerts": tuple(names),
    }


def _mend(approver: Approver, scenario: LabScenario, facts: dict[str, Any]) -> AppliedFix | None:
    """The act that mended it, where nothing else was run and it can be re-enacted."""
    acts = [one for seen in approver.seen.values() for one in seen.approved]
    if not approver.mended or len(acts) != 1 or acts[0][1] not in scenario.cures:
        return None
    at, playbook, component = acts[0]
    step = shipped_step(playbook, component)
    return AppliedFix(at, *step, facts) if step is not None else None


def _recorded(
    bench: Bench,
    scenario: LabScenario,
    onset: float,
    acts: Sequence[float],
    tape: AlertTape,
    mended: AppliedFix | None = None,
) -> None:
    """Look back and keep it, up to the first act that could have changed it, or to its recovery."""
    if bench.recordings is None:
        return
    end = min(onset + _AFTER_S, time.time(), *acts) if mended is None else mended.at + _WHOLE_S
    window = Window(start=onset - _BEFORE_S, end=max(end, onset + 20.0))
    changes = [
        row
        for row in bench.lab.platform.get(f"/changes?since={window.start}")
        if row["at"] <= window.end
    ]
    rows = tape.rows(window.start, window.end)
    take = RecordingTake(scenario, bench.seed, onset, window, rows, changes, mended)
    record(bench.lab, take, bench.recordings, bench.history)


def _calm(lab: Lab, healed: float) -> None:
    """Until nothing fires or is about to, and the rules' ranges hold only the calm."""
    while time.time() - healed < _NEVER_CALM_S:
        if time.time() - healed >= _CALM_S and not lab.monitoring.alerts():
            return
        time.sleep(1.0)
