"""`python -m evals run SUITE` and `python -m evals bench NAME`: one front door to every number."""

import importlib
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evals.baseline import BaselineError, worse_than
from evals.baseline import read as read_baseline
from evals.lab.cli import lab
from evals.page import tracking, whole
from evals.page.jobs import ARMS, OverviewOptions
from evals.report import EvalArm, Options, Perturbation, Result, show

EVERYTHING = "all"
SUITES = (
    EVERYTHING,
    "demo",
    "incidents",
    "cloud-opsbench",
    "detection",
    "metrics",
    "kpi",
    "mts",
    "alerts",
    "logs",
    "recovery",
    "knowledge",
    "reasoning",
)
TRAININGS = ("ranker",)
BENCHMARKS = ("detector", "clusterer", "logs", "locate", "ingest", "brief")

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(lab, name="lab")


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _finish(result: Result, json_path: Path | None, baseline: Path | None) -> None:
    console = Console()
    show(console, result.tables)
    if json_path is not None:
        json_path.write_text(result.to_json(), encoding="utf-8")
        console.print(f"wrote {json_path}")
    if baseline is not None:
        regressions = worse_than(_baseline(baseline), result)
        for line in regressions:
            console.print(f"[red]worse[/red] {line}")
        if regressions:
            raise typer.Exit(1)


def _baseline(path: Path) -> dict[str, Any]:
    try:
        return read_baseline(path)
    except BaselineError as error:
        raise typer.BadParameter(str(error)) from error


def _arms(given: str) -> tuple[EvalArm, ...]:
    asked = [one.strip() for one in given.split(",") if one.strip()]
    unknown = sorted(set(asked) - set(ARMS))
    if unknown or not asked:
        raise typer.BadParameter(f"--arms {given!r}: name some of {', '.join(ARMS)}, by commas")
    return tuple(arm for arm in ARMS if arm in asked)


def _everything(
    asked: OverviewOptions,
    report: Path | None,
    json_path: Path | None,
    baseline: Path | None,
    mlflow: Path | None,
) -> None:
    """All suites, the page, and an exit code that says whether any broke or got worse."""
    console = Console()
    before = _baseline(baseline) if baseline is not None else None
    with ExitStack() as stack:
        if mlflow is not None:
            _tracked(lambda: stack.enter_context(tracking.traced(mlflow)))
        progress = stack.enter_context(_progress(Console(stderr=True)))
        done = whole.run(
            asked,
            progress,
            datetime.now(UTC),
            shlex.join(["python", "-m", "evals", *sys.argv[1:]]),
            before,
            str(baseline or ""),
        )
    if report is not None:
        console.print(f"wrote {whole.write(done, report)}")
    _finish(done.result, json_path, None)
    if mlflow is not None:
        console.print(f"logged run {_tracked(lambda: _log(done, report, mlflow))} in {mlflow}")
    if done.baseline:
        console.print(done.baseline, markup=False)
    for line in done.failures:
        console.print(line, style="red", markup=False)
    if done.failures:
        raise typer.Exit(1)


def _log(done: whole.OverviewResult, report: Path | None, store: Path) -> str:
    if report is not None:
        return tracking.track(done, report, store)
    with TemporaryDirectory(prefix="evals-") as folder:
        whole.write(done, Path(folder))
        return tracking.track(done, Path(folder), store)


def _tracked(action: Callable[[], T]) -> T:
    try:
        return action()
    except tracking.TrackingError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help=f"One of: {', '.join(SUITES)}.")],
    data: Annotated[Path | None, typer.Option(help="Folder or archive of recorded data.")] = None,
    arm: Annotated[
        Literal["rules", "ml", "llm"] | None,
        typer.Option(help="Which way; by default the one that measured best."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N cases.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    onset: Annotated[
        Literal["oracle", "detected"], typer.Option(help="Hand the onset over, or detect it.")
    ] = "oracle",
    split_by: Annotated[Literal["system", "fault"], typer.Option(help="Rows of the table.")] = (
        "system"
    ),
    baseline: Annotated[
        Path | None, typer.Option(help="Exit 1 if a figure is worse than in this JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    perturb: Annotated[
        Perturbation,
        typer.Option(help="Make the recorded telemetry worse first; all: one table of every way."),
    ] = "none",
    arms: Annotated[str, typer.Option(help="Of `all`: which ways, by commas.")] = ",".join(ARMS),
    report: Annotated[
        Path | None, typer.Option(help="Of `all`: write the page and its JSON into this folder.")
    ] = None,
    mlflow: Annotated[
        Path | None, typer.Option(help="Of `all`: log the run into this MLflow file store.")
    ] = None,
    model_url: Annotated[str, typer.Option(help="Ollama's address, for the arm llm.")] = "",
    model: Annotated[str, typer.Option(help="The model's name there, for the arm llm.")] = "",
    policy: Annotated[
        str, typer.Option(help="Of `reasoning` without a model: one scripted policy, not all.")
    ] = "",
    runs: Annotated[
        int, typer.Option(min=1, help="Of `reasoning`: how often; the majority's opinion counts.")
    ] = 1,
) -> None:
    """Run one suite over recorded data and print its scores beside the peers'."""
    if suite not in SUITES:
        raise typer.BadParameter(f"unknown suite {suite!r}; choose one of {', '.join(SUITES)}")
    if data is not None and not data.exists():
        raise typer.BadParameter(f"--data {str(data)!r} does not exist")
    if suite == EVERYTHING:
        asked = OverviewOptions(
            data=data,
            arms=_arms(arms if arm is None else arm),
            limit=limit,
            seed=seed,
            model_url=model_url,
            model=model,
        )
        _everything(asked, report, json_path, baseline, mlflow)
        return
    options = Options(
        data=data,
        arm=arm or "rules",
        best_arm=arm is None,
        limit=limit,
        plot=plot,
        onset=onset,
        split_by=split_by,
        seed=seed,
        perturb=perturb,
        model_url=model_url,
        model=model,
        policy=policy,
        runs=runs,
    )
    module = importlib.import_module(f"evals.suites.{suite.replace('-', '_')}")
    with _progress(Console(stderr=True)) as progress:
        result: Result = module.run(options, progress)
    _finish(result, json_path, baseline)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHMARKS)}.")],
    data: Annotated[Path | None, typer.Option(help="Recorded data, where it takes some.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Measure a cost: ratios to a peer in the same run, and growth at 1x, 10x, 100x input."""
    if name not in BENCHMARKS:
        raise typer.BadParameter(f"unknown benchmark {name!r}; choose {', '.join(BENCHMARKS)}")
    module = importlib.import_module(f"evals.benchmarks.{name}")
    with _progress(Console(stderr=True)) as progress:
        result: Result = module.run(Options(data=data, seed=seed), progress)
    _finish(result, json_path, None)


@app.command()
def train(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(TRAININGS)}.")],
    data: Annotated[Path, typer.Option(help="Recorded data with its answers.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N cases.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
) -> None:
    """Fit what an `ml` arm ships, held-out scores first, and write its file into the package."""
    if name not in TRAININGS:
        raise typer.BadParameter(f"unknown training {name!r}; choose {', '.join(TRAININGS)}")
    if not data.exists():
        raise typer.BadParameter(f"--data {str(data)!r} does not exist")
    module = importlib.import_module(f"evals.training.{name}")
    with _progress(Console(stderr=True)) as progress:
        result: Result = module.run(Options(data=data, arm="ml", limit=limit), progress)
    _finish(result, json_path, None)


if __name__ == "__main__":
    app()
