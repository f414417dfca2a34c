"""A run of everything from the plan to the written page, JSON and verdict."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.page import page, view
from evals.page.clocks import CLOCKS, clocked
from evals.page.difference import Difference, differences, name_of, stored
from evals.page.jobs import JobRun, OverviewOptions, plan, run_all
from evals.page.outcomes import outcomes
from evals.page.page import PageFacts
from evals.report import Result, Table
from tools.log_retriever import redact
from tools.types import FrozenModel


class OverviewResult(FrozenModel):
    """Everything that was run, as a result of its own, and what it changed."""

    facts: PageFacts
    runs: tuple[JobRun, ...]
    result: Result
    differences: tuple[Difference, ...] | None = None
    baseline: str = ""

    @property
    def failures(self) -> list[str]:
        """A line per suite that broke or got worse; none means success."""
        broken = [f"broken: {run.suite}, {run.arm}: {run.reason}" for run in self.runs
                  if run.status == "broken"]  # fmt: skip
        worse = [_worse(one) for one in self.differences or () if one.verdict == "worse"]
        return broken + worse


def run(
    asked: OverviewOptions,
    progress: Progress,
    made_at: datetime,
    command: str,
    baseline: Mapping[str, Any] | None = None,
    baseline_name: str = "",
) -> OverviewResult:
    """Run every suite that can be run, and compare."""
    started = time.perf_counter()
    runs = run_all(plan(asked), progress)
    seconds = time.perf_counter() - started
    return judge(asked, runs, made_at, command, seconds, baseline, baseline_name)


def judge(
    asked: OverviewOptions,
    runs: Sequence[JobRun],
    made_at: datetime,
    command: str,
    seconds: float,
    baseline: Mapping[str, Any] | None = None,
    baseline_name: str = "",
) -> OverviewResult:
    """What these runs say, alone and against a baseline."""
    facts = PageFacts(
        asked=asked,
        data=str(asked.data) if asked.data else "what ships with the project",
        version=copilot.__version__,
        made_at=made_at,
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        command=redact(command),  # an address may carry a password
        seconds=seconds,
    )
    found = None if baseline is None else differences(baseline, runs)
    result = _result(facts, runs)
    if found is not None:
        compared: list[JsonValue] = [one.model_dump(mode="json") for one in found]
        result = result.model_copy(update={"notes": {**result.notes, "differences": compared}})
    return OverviewResult(
        facts=facts,
        runs=tuple(runs),
        result=result,
        differences=found,
        baseline=_said_of(baseline_name, found),
    )


def write(whole: OverviewResult, folder: Path) -> Path:
    """The page, its JSON, and every suite's own JSON beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in whole.runs:
        if one.result is not None:
            own = folder / f"{name_of(one.suite, one.arm)}.json"
            own.write_text(one.result.to_json(), encoding="utf-8")
    (folder / "report.json").write_text(whole.result.to_json(), encoding="utf-8")
    target = folder / "index.html"
    shown = page.render(whole.facts, whole.runs, whole.differences, whole.baseline)
    target.write_text(shown, encoding="utf-8", errors="replace")
    return target


def _result(facts: PageFacts, runs: Sequence[JobRun]) -> Result:
    rows = view.stage_rows(runs, facts.asked.arms)
    return Result(
        suite="all",
        arm=facts.asked.arms[0],
        version=facts.version,
        data=str(facts.asked.data or ""),
        seconds=facts.seconds,
        cases=tuple(_cases(runs)),
        summary={
            f"{name_of(one.suite, one.arm)}.{key}": value
            for one in runs
            if one.result is not None
            for key, value in one.result.summary.items()
        },
        tables=(_stage_table(rows), _run_table(runs)),
        notes={
            "arms": list(facts.asked.arms),
            "limit": facts.asked.limit,
            "seed": facts.asked.seed,
            "machine": facts.machine,
            "made_at": facts.made_at.isoformat(),
            "stored": stored(runs),
            "runs": [one.model_dump(mode="json", exclude={"result", "trace"}) for one in runs],
            "stages": [json.loads(row.model_dump_json()) for row in rows],
            "calibration": [
                {"suite": suite, "arm": arm, **one.model_dump(mode="json")}
                for suite, arm, one in view.calibrations(runs)
            ],
        },
    )


def _cases(runs: Sequence[JobRun]) -> list[dict[str, JsonValue]]:
    """A row per case and arm: its score, and its clocks where it has any."""
    clocks = {(one.suite, one.arm, one.id): one for one in clocked(runs)}
    rows = []
    for run in runs:
        for id_, score in (outcomes(run.result) if run.result is not None else {}).items():
            row: dict[str, JsonValue] = {
                "id": id_,
                "suite": run.suite,
                "arm": run.arm,
                "score": score,
            }
            known = clocks.get((run.suite, run.arm, id_))
            if known is not None:
                row |= {f"{c}_s": known.seconds[c] for c in CLOCKS if c in known.seconds}
                row |= {"system": known.system, "kind": known.kind}
            rows.append(row)
    return rows


def _stage_table(rows: Sequence[view.StageRow]) -> Table:
    def cell(one: view.ToneText) -> str:
        return f"{one.text}, {one.note}" if one.note else one.text

    return Table(
        title="Four stages, three arms",
        columns=("stage", "figure", "target", "rules", "ml", "llm"),
        rows=tuple((row.name, row.title, row.target or "–", *map(cell, row.cells)) for row in rows),
    )


def _run_table(runs: Sequence[JobRun]) -> Table:
    return Table(
        title="Suites",
        columns=("suite, arm", "cases", "seconds", "status"),
        rows=tuple(
            (
                f"{one.suite}, {one.arm}",
                str(len(one.result.cases)) if one.result is not None else "–",
                f"{one.seconds:.0f}",
                f"{one.status}: {one.reason}" if one.reason else one.status,
            )
            for one in runs
        ),
    )


def _said_of(name: str, found: Sequence[Difference] | None) -> str:
    if found is None:
        return ""
    compared = sum(one.verdict != "not compared" for one in found)
    if found and not compared:
        return f"{name} is of other data or other suites: nothing was compared"
    return f"{name}: {compared} of {len(found)} suite runs can be compared"


def _worse(one: Difference) -> str:
    said = list(one.figures[:3])
    if one.paired is not None and one.paired.worse:
        said.insert(0, f"score was {one.paired.before:.3f}, is {one.paired.after:.3f}")
    return f"worse: {one.suite}, {one.arm}: {'; '.join(said)}"
