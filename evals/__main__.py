"""`python -m evals run SUITE` and `python -m evals bench NAME`: one front door to every number."""

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import copilot
from evals.baseline import BaselineError, worse_than
from evals.baseline import read as read_baseline
from evals.house.measures import House, summary
from evals.house.way import ROOT, way, way_summary
from evals.lab.cli import lab
from evals.page import tracking, whole
from evals.page.jobs import ARMS, OverviewOptions
from evals.registry import ABLATION, BENCHMARKS, SUITES, TRAININGS, RegistryEntry, own_options
from evals.report import EvalArm, Options, Result, Table, show
from evals.torture import soak
from evals.torture import suite as torture
from evals.torture.service import TortureError

EVERYTHING = "all"

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


def _measured(entries: Mapping[str, RegistryEntry[Any]]) -> str:
    """A line per name, as a paragraph each: how the help is broken into lines."""
    return "\n\n".join(f"{name}: {one.measures}" for name, one in entries.items())


def _with_own_options(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with a flag for each option that a suite declares."""
    declared = inspect.signature(command)
    fixed = [one for one in declared.parameters.values() if one.kind is not one.VAR_KEYWORD]
    flags = []
    for name, (field, suites) in own_options().items():
        said = f"{field.description} Of {', '.join(suites)}; {field.default or 'none'} by default."
        given = typer.Option(None, help=said)
        kind = field.annotation or str
        flags.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given,
                                       annotation=kind | None))  # fmt: skip
    command.__signature__ = declared.replace(parameters=[*fixed, *flags])  # type: ignore[attr-defined]
    return command


@app.command(epilog=_measured(SUITES))
@_with_own_options
def run(
    suite: Annotated[str, typer.Argument(help=f"One of: {', '.join((EVERYTHING, *SUITES))}.")],
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
    baseline: Annotated[
        Path | None, typer.Option(help="Exit 1 if a figure is worse than in this JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    arms: Annotated[str | None, typer.Option(help="Of all: which ways, by commas.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Of all: write the page and its JSON into this folder.")
    ] = None,
    mlflow: Annotated[
        Path | None, typer.Option(help="Of all: log the run into this MLflow file store.")
    ] = None,
    **own: Any,
) -> None:
    """Run one suite over recorded data and print its scores beside the peers'."""
    if suite != EVERYTHING and suite not in SUITES:
        known = ", ".join((EVERYTHING, *SUITES))
        raise typer.BadParameter(f"unknown suite {suite!r}; choose one of {known}")
    if data is not None and not data.exists():
        raise typer.BadParameter(f"--data {str(data)!r} does not exist")
    own |= {"arms": arms, "report": report, "mlflow": mlflow}
    given = {name: value for name, value in own.items() if value is not None}
    _refuse_unknown(suite, given)
    if suite == EVERYTHING:
        asked = OverviewOptions(
            data=data,
            arms=_arms(arms or arm or ",".join(ARMS)),
            limit=limit,
            seed=seed,
            model_url=given.get("model_url", ""),
            model=given.get("model", ""),
        )
        _everything(asked, report, json_path, baseline, mlflow)
        return
    entry, best = SUITES[suite], arm is None
    common = {"data": data, "arm": arm or "rules", "best_arm": best, "limit": limit, "plot": plot}
    _finish(_run(entry, {**common, "seed": seed, **given}), json_path, baseline)


def _refuse_unknown(suite: str, given: Mapping[str, object]) -> None:
    """Raise on an option that this suite would not look at, and name those that do."""
    declared = {name: suites for name, (_, suites) in own_options().items()}
    for name in given:
        knows = declared.get(name, [])
        if name in OverviewOptions.model_fields or not knows:
            knows = [*knows, EVERYTHING]
        if suite not in knows:
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{suite} knows no {flag}; known to {', '.join(knows)}")


def _run(entry: RegistryEntry[Any], asked: Mapping[str, object]) -> Result:
    try:
        options: Options = entry.options.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        flag = "--" + ".".join(map(str, first["loc"])).replace("_", "-")
        raise typer.BadParameter(f"{flag}: {first['msg']}") from error
    with _progress(Console(stderr=True)) as progress:
        result: Result = entry.run(options, progress)
    return result


@app.command(epilog=_measured(BENCHMARKS))
def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHMARKS)}.")],
    data: Annotated[Path | None, typer.Option(help="Recorded data, where it takes some.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only sizes up to N, where it grows.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Measure a cost: ratios to a peer in the same run, and growth at 1x, 10x, 100x input."""
    if name not in BENCHMARKS:
        raise typer.BadParameter(f"unknown benchmark {name!r}; choose {', '.join(BENCHMARKS)}")
    _finish(_run(BENCHMARKS[name], {"data": data, "limit": limit, "seed": seed}), json_path, None)


@app.command(epilog=_measured(TRAININGS))
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
    asked = {"data": data, "arm": "ml", "limit": limit}
    _finish(_run(TRAININGS[name], asked), json_path, None)


@app.command("torture")
def tortured(
    minutes: Annotated[float, typer.Option(min=0.1, help="About how long.")] = 3.0,
    database: Annotated[
        str,
        typer.Option(help="sqlite, postgresql (a server of its own), or a URL; empty: both."),
    ] = "",
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Exit 1 if a figure is worse than in this JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Kill, stop, starve and lie to a real service, and count what was lost or done twice."""
    asked = torture.TortureOptions(minutes=minutes, database=database, seed=seed)
    console = Console()
    try:
        with _progress(Console(stderr=True)) as progress:
            result = torture.run(asked, progress)
    except TortureError as error:
        raise typer.BadParameter(str(error)) from error
    _finish(result, json_path, baseline)
    if left := result.notes.get("left_out"):
        console.print(f"left out, for want of time or of a server: {left}", markup=False)
    for line in torture.failures(result):
        console.print(f"broken: {line}", style="red", markup=False)
    if torture.failures(result):
        raise typer.Exit(1)


@app.command("soak")
def soaked(
    days: Annotated[float, typer.Option(min=1, help="Days of alerts.")] = 30.0,
    minutes: Annotated[float, typer.Option(min=0.1, help="In so many minutes.")] = 20.0,
    services: Annotated[int, typer.Option(min=1, help="Services of the system.")] = 100,
    incidents_a_day: Annotated[
        float, typer.Option("--incidents", min=0, help="Incidents a day.")
    ] = 60.0,
    database: Annotated[str, typer.Option(help="sqlite, postgresql, or a URL.")] = "sqlite",
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture into this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
) -> None:
    """Send weeks of alerts in minutes to a real service, and watch its memory and its disk."""
    asked = soak.SoakOptions(
        days=days,
        minutes=minutes,
        services=services,
        incidents_a_day=incidents_a_day,
        database=database,
        seed=seed,
    )
    try:
        with _progress(Console(stderr=True)) as progress:
            result = soak.run(asked, progress)
    except TortureError as error:
        raise typer.BadParameter(str(error)) from error
    _finish(result, json_path, None)
    if plot is not None:
        soak.draw(result, plot)


@app.command()
def ablate(
    data: Annotated[Path, typer.Option(help="A bundle set, or a folder of bundle sets.")],
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the result as JSON.")
    ] = None,
) -> None:
    """Leave out each fault signature of the ranking in turn, and count what is lost without it."""
    if not data.is_dir():
        raise typer.BadParameter(f"--data {str(data)!r} is no folder")
    _finish(_run(ABLATION, {"data": data}), json_path, None)


@app.command("house")
def show_house(
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures as JSON.")
    ] = None,
    lines: Annotated[
        bool, typer.Option("--list", help="Name the modules that have one importer only.")
    ] = False,
) -> None:
    """Measure the code itself: sizes, importers, names, literals, floors, and an alert's way."""
    house, passed = House(ROOT), way()
    figures = {**summary(house), **way_summary(passed)}
    rows = tuple((name, f"{value:,.0f}") for name, value in figures.items())
    console = Console()
    show(console, (Table(title="The house", columns=("figure", "now"), rows=rows),))
    if lines:
        console.print("\n".join(house.with_one_importer()), markup=False)
    if json_path is not None:
        result = Result(
            suite="house",
            arm="rules",
            version=copilot.__version__,
            data="",
            seconds=0.0,
            cases=(),
            summary={name: float(value) for name, value in figures.items()},
            tables=(),
        )
        json_path.write_text(result.to_json(), encoding="utf-8")
        console.print(f"wrote {json_path}")


if __name__ == "__main__":
    app()
