"""Detection alone: the copilot's own watch over replayed metrics, with each arm of the detector."""

import time
from collections.abc import Mapping
from math import nan
from pathlib import Path
from statistics import median

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.detection.replay import (
    PRODUCTION,
    Detection,
    by_three_sigma,
    by_watch,
    of_cases,
    of_histories,
    of_timelines,
    with_history,
)
from evals.localization.cases import RECORDINGS, BundleCase, CaseSetError, read
from evals.localization.tables import detection_table
from evals.report import Options, Result
from tools.detector import DetectorArm


def run(options: Options, progress: Progress) -> Result:
    """Replay the days and incidents under --data, or the shipped ones; count alarms."""
    if options.arm == "llm":
        raise SystemExit("detection has no llm arm: choose --arm rules or --arm ml")
    started = time.perf_counter()
    arm: DetectorArm = PRODUCTION if options.best_arm else options.arm
    place = options.data or RECORDINGS
    try:
        cases = read(place, options.limit)
    except CaseSetError as error:
        raise SystemExit(f"detection: {error}") from error
    detected = _replayed(place, cases, arm, progress, shipped=options.data is None)
    best = next((one for one in detected.values() if one.incidents), Detection())
    return Result(
        suite="detection",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data or "shipped"),
        seconds=time.perf_counter() - started,
        cases=tuple(
            _case(f"{name}/{id_}" if name == "timelines" else id_, delay)
            for name, one in detected.items()
            for id_, delay in one.by_incident.items()
        ),
        summary=_summary(best),
        tables=(detection_table(detected),),
        notes={"detection": {name: one.model_dump() for name, one in detected.items()}},
    )


def _replayed(
    place: Path,
    cases: tuple[BundleCase, ...],
    arm: DetectorArm,
    progress: Progress,
    *,
    shipped: bool,
) -> Mapping[str, Detection]:
    ways = {"": by_watch(arm), ", three sigma": by_three_sigma}
    task = progress.add_task("detection", total=len(ways))
    found: dict[str, Detection] = {}
    for name, alarms in ways.items():
        if shipped:
            found[f"shipped incidents{name}"] = with_history(cases, alarms)
        else:
            found[f"timelines{name}"] = of_timelines(place, alarms)
            found[f"incidents without history{name}"] = of_cases(cases, alarms)
            found[f"normal operation{name}"] = of_histories(place, alarms)
        progress.advance(task)
    return found


def _case(name: str, delay: float | None) -> dict[str, JsonValue]:
    return {"id": name, "delay_s": delay, "within_60_s": delay is not None and delay <= 60.0}


def _summary(found: Detection) -> dict[str, float]:
    count, quiet = found.incidents, found.quiet_hours
    return {
        "detected_within_60_s": sum(one <= 60.0 for one in found.delays) / count if count else nan,
        "detected_within_300_s": len(found.delays) / count if count else nan,
        "detect_delay_s.p50": median(found.delays) if found.delays else nan,
        "false_alarms_per_quiet_hour": found.false_alarms / quiet if quiet else nan,
    }
