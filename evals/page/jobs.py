"""Which suites make up a run of everything, given the data that lies there, and running them."""

import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.progress import Progress

from evals.registry import SUITES
from evals.report import EvalArm, Options, Result
from tools.types import FrozenModel

ARMS: tuple[EvalArm, ...] = ("rules", "ml", "llm")
NO_MODEL = "no model"
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
        _job(name, arm, asked)
        for name, suite in SUITES.items()
        for arm in suite.arms
        if arm in asked.arms
    )


def _job(name: str, arm: EvalArm, asked: OverviewOptions) -> Job:
    suite = SUITES[name]
    place = suite.place(asked.data)
    given = {
        "data": place if isinstance(place, Path) else None,
        "arm": arm,
        "limit": asked.limit or suite.limit,
        "seed": asked.seed,
        "model_url": asked.model_url,
        "model": asked.model,
    }
    known = suite.options.model_fields
    options: Options = suite.options(**{key: one for key, one in given.items() if key in known})
    missing = place if isinstance(place, str) else ""
    if arm == "llm" and not asked.model_url:
        missing = NO_MODEL
    return Job(suite=name, arm=arm, options=options, missing=missing)


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
        result: Result = SUITES[job.suite].run(job.options, progress)
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
