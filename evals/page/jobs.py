"""Which suites make up a run of everything, given the data that lies there, and running them."""

import importlib
import importlib.util
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.progress import Progress

from evals.report import EvalArm, Options, Result
from evals.simulator import shipped_bundles
from tools.types import FrozenModel

ARMS: tuple[EvalArm, ...] = ("rules", "ml", "llm")
SUITES: Mapping[str, tuple[EvalArm, ...]] = {
    "detection": ("rules", "ml"),
    "metrics": ("rules", "ml"),
    "kpi": ("rules", "ml"),
    "mts": ("rules", "ml"),
    "alerts": ("rules", "ml"),
    "logs": ("rules", "ml"),
    "demo": ("rules", "ml"),
    "incidents": ("rules", "ml"),
    "cloud-opsbench": ("rules",),
    "reasoning": ("llm",),
    "recovery": ("rules", "ml", "llm"),
    "knowledge": ("rules",),
}
"""The suites in the order of the stages, each with the arms it has."""

RECOVERY_DAYS = 12
"""Days lived through where nobody set a limit: minutes instead of a quarter of an hour or more."""

NO_MODEL = "no model"
NO_DATA = "no data"
JobStatus = Literal["done", "broken", "not run"]


class Job(FrozenModel):
    """One suite with one arm; `missing` says why it cannot be run."""

    suite: str
    arm: EvalArm
    options: Options
    missing: str = ""


class JobRun(FrozenModel):
    """How a job ended. `reason` is for a person: why it was not run, or what broke."""

    suite: str
    arm: EvalArm
    status: JobStatus
    reason: str = ""
    trace: str = ""
    seconds: float = 0.0
    result: Result | None = None


class OverviewOptions(FrozenModel):
    """What the command line asked of the whole."""

    data: Path | None = None
    arms: tuple[EvalArm, ...] = ARMS
    limit: int | None = None
    seed: int = 0
    model_url: str = ""
    model: str = ""


def plan(asked: OverviewOptions) -> tuple[Job, ...]:
    """A job per suite and asked arm."""
    return tuple(
        _job(suite, arm, asked)
        for suite, arms in SUITES.items()
        for arm in arms
        if arm in asked.arms
    )


def _job(suite: str, arm: EvalArm, asked: OverviewOptions) -> Job:
    place = where(suite, asked.data)
    limit = asked.limit
    if suite == "recovery" and limit is None:
        limit = RECOVERY_DAYS
    options = Options(
        data=place if isinstance(place, Path) else None,
        arm=arm,
        limit=limit,
        seed=asked.seed,
        model_url=asked.model_url,
        model=asked.model,
    )
    missing = place if isinstance(place, str) else ""
    if arm == "llm" and not asked.model_url:
        missing = NO_MODEL
    elif importlib.util.find_spec(_module(suite)) is None:
        missing = f"this build has no suite {suite}"
    return Job(suite=suite, arm=arm, options=options, missing=missing)


def _module(suite: str) -> str:
    return f"evals.suites.{suite.replace('-', '_')}"


def where(suite: str, data: Path | None) -> Path | str | None:
    """The suite's `--data` in this data set; None: it needs none; a text: what is missing."""
    if suite in ("demo", "recovery", "knowledge"):
        return None
    if data is None:
        return _without_data(suite)
    if suite in ("detection", "incidents", "reasoning"):
        return _bundles(data)
    if suite == "cloud-opsbench":
        return _archive(data)
    part = {"metrics": "metrics/nab", "kpi": "metrics/kpi", "mts": "metrics/mts"}.get(suite, suite)
    return data if (data / part).is_dir() else f"no {part}/ in --data"


def _without_data(suite: str) -> Path | str | None:
    if suite == "detection":
        return None
    return shipped_bundles() if suite == "reasoning" else NO_DATA


def _bundles(data: Path) -> Path | str:
    for place in (data / "incidents", data):
        if (place / "truth" / "truth.jsonl").is_file():
            return place
    return "no incidents/truth/truth.jsonl in --data"


def _archive(data: Path) -> Path | str:
    place = data / "cloud-opsbench"
    if not place.is_dir():
        return "no cloud-opsbench/ in --data"
    return next(iter(sorted(place.glob("*.tar*"))), place)


def run_all(jobs: Sequence[Job], progress: Progress) -> tuple[JobRun, ...]:
    """Run one after another; what breaks is recorded, and the rest goes on."""
    whole = progress.add_task("all suites", total=len(jobs))
    runs = []
    for job in jobs:
        progress.update(whole, description=f"all suites: {job.suite}, {job.arm}")
        runs.append(_run(job, progress))
        for task in progress.task_ids:
            if task != whole:
                progress.remove_task(task)
        progress.advance(whole)
    return tuple(runs)


def _run(job: Job, progress: Progress) -> JobRun:
    if job.missing:
        return JobRun(suite=job.suite, arm=job.arm, status="not run", reason=job.missing)
    started = time.perf_counter()
    try:
        result: Result = importlib.import_module(_module(job.suite)).run(job.options, progress)
    except SystemExit as refusal:  # a suite's way to say in one line what is wrong
        return _broken(job, str(refusal), "", started)
    except Exception as error:  # noqa: BLE001 - the boundary: one broken suite must not take the rest along
        said = f"{type(error).__name__}: {error}"
        return _broken(job, said, traceback.format_exc(), started)
    seconds = time.perf_counter() - started
    return JobRun(suite=job.suite, arm=job.arm, status="done", seconds=seconds, result=result)


def _broken(job: Job, reason: str, trace: str, started: float) -> JobRun:
    return JobRun(
        suite=job.suite,
        arm=job.arm,
        status="broken",
        reason=reason,
        trace=trace,
        seconds=time.perf_counter() - started,
    )
