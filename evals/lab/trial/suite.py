"""Suite: scenario after scenario on one lab, written down after each, taken up where it stopped."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from copilot.types.incident import LIMITS_S
from evals.lab.faults.catalogue import NAMES, scenario
from evals.lab.recorder.bundle import record_history
from evals.lab.trial.attempt import Bench, ProgressPrinter, attempt, record_alone
from evals.lab.trial.outcome import TrialOutcome
from tools.types import Window

_STARTS_S = 30.0
"""A shop that has just started is not in normal operation; this much of it is not measured."""

_TARGETS = {"detected": 0.95, "located": 0.85, "recovered": 0.80}


@dataclass(frozen=True, slots=True)
class TrialResults:
    """The outcomes so far, in their file if there is one."""

    path: Path | None
    seed: int
    outcomes: tuple[TrialOutcome, ...] = ()

    @classmethod
    def read(cls, path: Path | None, seed: int) -> "TrialResults":
        """What an interrupted run of the same seed has left."""
        if path is None or not path.exists():
            return cls(path, seed)
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["seed"] != seed:
            raise ValueError(f"{str(path)!r} is of seed {content['seed']!r}, not {seed!r}")
        return cls(path, seed, tuple(map(TrialOutcome.model_validate, content["outcomes"])))

    def plus(self, outcome: TrialOutcome) -> "TrialResults":
        """With one more, written down."""
        kept = [one for one in self.outcomes if one.scenario != outcome.scenario]
        found = replace(self, outcomes=(*kept, outcome))
        if self.path is not None:
            rows = [one.model_dump(mode="json") for one in found.outcomes]
            content = {"seed": self.seed, "outcomes": rows, "summary": summary(found.outcomes)}
            self.path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return found


def run(
    bench: Bench,
    names: Sequence[str],
    results: TrialResults,
    warm_up_s: float,
    say: ProgressPrinter,
    done: Callable[[TrialOutcome], None],
) -> TrialResults:
    """Let the shop run for a while, then go through the scenarios that have no outcome yet."""
    known = {one.scenario for one in results.outcomes}
    waiting = [name for name in names if name not in known]
    if waiting:
        bench = _warmed(bench, warm_up_s, say)
    for name in waiting:
        outcome = attempt(bench, scenario(name, bench.seed), say)
        results = results.plus(outcome)
        done(outcome)
    return results


def record_all(bench: Bench, names: Sequence[str], warm_up_s: float, say: ProgressPrinter) -> None:
    """Each scenario with no copilot attached, kept as a bundle; one that is kept is left out."""
    bench = _warmed(bench, warm_up_s, say)
    for name in names:
        record_alone(bench, scenario(name, bench.seed), say)


def _warmed(bench: Bench, seconds: float, say: ProgressPrinter) -> Bench:
    """Normal operation to compare with, recorded too if anything is."""
    time.sleep(_STARTS_S)
    bench.lab.monitoring.restart()
    began, history = time.time(), f"lab-{bench.seed}"
    while (left := began + seconds - time.time()) > 0:
        say(f"normal operation, {left:.0f} s more")
        time.sleep(min(left, 1.0))
    bench.lab.monitoring.remember()
    if bench.recordings is None:
        return bench
    if not (bench.recordings / "history" / history).exists():
        window = Window(start=began, end=time.time())
        record_history(bench.lab, bench.recordings, history, window, whole=bench.whole)
    return replace(bench, history=history)


def choose(only: str) -> tuple[str, ...]:
    """The scenarios named, separated by commas; all where none is."""
    wanted = tuple(name.strip() for name in only.split(",") if name.strip())
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        raise ValueError(f"unknown scenario {unknown!r}; choose from {', '.join(NAMES)}")
    return wanted or NAMES


def summary(outcomes: Sequence[TrialOutcome]) -> dict[str, Any]:
    """Shares and medians over the faults, and the no-action scenarios that were left alone."""
    faults = [one for one in outcomes if one.needs_action]
    quiet = [one for one in outcomes if not one.needs_action]
    times = {
        "detected": [one.detected_s for one in faults],
        "located": [one.located_s if one.right_component else None for one in faults],
        "recovered": [one.recovered_s for one in faults],
    }
    found: dict[str, Any] = {"faults": len(faults), "no_action": len(quiet)}
    for name, seconds in times.items():
        reached = [one for one in seconds if one is not None]
        within = sum(one <= LIMITS_S[name] for one in reached)
        found[f"{name}_within_limit"] = round(within / len(faults), 3) if faults else None
        found[f"{name}_median_s"] = median(reached) if reached else None
        found[f"{name}_target"] = _TARGETS[name]
    for name in ("right_component", "right_kind", "right_playbook"):
        right = sum(bool(getattr(one, name)) for one in faults)
        found[name] = round(right / len(faults), 3) if faults else None
    found["false_actions"] = sum(len(one.false_actions) for one in outcomes)
    found["false_alarms_before"] = sum(one.early for one in outcomes)
    found["left_alone"] = sum(not one.actions for one in quiet)
    return found


def line(one: TrialOutcome) -> str:
    """One outcome as soon as it is there."""
    clocks = ", ".join(
        f"{name} {_seconds(value)}"
        for name, value in (
            ("detected", one.detected_s),
            ("located", one.located_s),
            ("recovered", one.recovered_s),
        )
    )
    acted = ", ".join(one.actions) or "no action"
    said = f"{_verdict(one)} {one.scenario} ({one.component or 'harmless'}): {clocks}"
    return f"{said}; named {_named(one)}; {acted}" + (f"; {one.note}" if one.note else "")


def table(outcomes: Sequence[TrialOutcome]) -> Table:
    """One row a scenario, seconds from the onset."""
    shown = Table("scenario", "cause", title="lab suite", caption="seconds from the onset")
    for name in ("detected", "briefed", "located", "recovered"):
        shown.add_column(name, justify="right")
    for name in ("named", "acted", ""):
        shown.add_column(name)
    for one in outcomes:
        shown.add_row(
            one.scenario,
            one.component or "–",
            _seconds(one.detected_s),
            _seconds(one.briefed_s),
            _seconds(one.located_s),
            _seconds(one.recovered_s),
            _named(one),
            ", ".join(one.actions) or "–",
            _verdict(one),
        )
    return shown


def _verdict(one: TrialOutcome) -> str:
    return "[green]right[/green]" if one.right else "[red]wrong[/red]"


def _named(one: TrialOutcome) -> str:
    if not one.named:
        return "–"
    colour = "green" if one.right_component else "red"
    kind = "green" if one.right_kind else "red"
    return f"[{colour}]{one.named}[/{colour}] [{kind}]{one.named_kind}[/{kind}]"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
