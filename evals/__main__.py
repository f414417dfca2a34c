"""`python -m evals run SUITE` and `python -m evals bench NAME`: one front door to every number."""

import importlib
import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evals.baseline import worse_than
from evals.lab.cli import lab
from evals.report import Options, Perturbation, Result, show

SUITES = (
    "demo",
    "incidents",
    "cloud-opsbench",
    "metrics",
    "kpi",
    "mts",
    "alerts",
    "logs",
    "recovery",
    "knowledge",
)
TRAININGS = ("ranker",)
BENCHMARKS = ("detector", "clusterer", "logs", "locate", "ingest", "brief")

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
        regressions = worse_than(json.loads(baseline.read_text(encoding="utf-8")), result)
        for line in regressions:
            console.print(f"[red]worse[/red] {line}")
        if regressions:
            raise typer.Exit(1)


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
        Perturbation, typer.Option(help="Make the recorded telemetry worse first.")
    ] = "none",
) -> None:
    """Run one suite over recorded data and print its scores beside the peers'."""
    if suite not in SUITES:
        raise typer.BadParameter(f"unknown suite {suite!r}; choose one of {', '.join(SUITES)}")
    if data is not None and not data.exists():
        raise typer.BadParameter(f"--data {str(data)!r} does not exist")
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
