"""`python -m evals lab …`: bring the shop up, break it, watch it being mended."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Never

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from evals.lab import live, monitoring
from evals.lab.faults.catalogue import NAMES, scenario
from evals.lab.faults.controller import Controller
from evals.lab.operator import Platform
from evals.lab.trial.attempt import Bench
from evals.lab.trial.outcome import TrialOutcome
from evals.lab.trial.suite import TrialResults, choose, line, record_all, summary, table
from evals.lab.trial.suite import run as trial

lab = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(stderr=True)


@contextmanager
def ends_cleanly() -> Iterator[None]:
    """SIGTERM ends like Ctrl-C, by way of every `finally`; what is missing is said plainly."""

    def stop(_number: int, _frame: FrameType | None) -> Never:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (live.LabError, monitoring.NotInstalledError, monitoring.NotReadyError) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("stopped; everything that was started has ended")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@lab.command()
def up(
    seed: Annotated[int, typer.Option(help="Seed of the users.")] = 0,
    copilot: Annotated[str, typer.Option(help="host:port of who is told of alerts.")] = "",
    collector: Annotated[str, typer.Option(help="OTLP/HTTP receiver of spans and logs.")] = "",
    webhook: Annotated[str, typer.Option(help="Who is told of changes.")] = "",
) -> None:
    """Bring the lab up and keep it up until Ctrl-C."""
    with ends_cleanly(), console.status("starting the shop, Prometheus and Alertmanager") as shown:
        ready = live.running(seed=seed, copilot=copilot, collector=collector, webhook=webhook)
        with ready as one:
            shown.stop()
            console.print(
                f"shop        {one.platform.url}\nPrometheus  {one.monitoring.prometheus}\n"
                f"Alertmanager {one.monitoring.alertmanager}\nfolder      {one.places.root}\n"
                "break it from another terminal: python -m evals lab inject KIND"
            )
            while True:
                time.sleep(3600)


@lab.command()
def down() -> None:
    """End a running lab, and clear away what a killed one left."""
    console.print(live.take_down())


@lab.command()
def status() -> None:
    """What runs, and which alerts are firing."""
    told = _running()
    platform = Platform(told["platform"], told["token"])
    table = Table("instance", "version", "node", "pid", "state")
    for one in platform.get("/instances"):
        state = "up" if one["running"] else "[red]down[/red]"
        table.add_row(one["instance"], one["version"], one["node"], str(one["pid"]), state)
    Console().print(table)
    for alert in monitoring.held(told["prometheus"]):
        labels = alert["labels"]
        Console().print(f"{alert['state']:8} {labels['alertname']} {labels.get('service', '')}")


@lab.command()
def inject(
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(NAMES)}; or `heal`.")],
    seed: Annotated[int, typer.Option(help="Which of its places.")] = 0,
) -> None:
    """Let something happen to the running lab; `heal` takes all of it away."""
    told = _running()
    if kind != "heal" and kind not in NAMES:
        raise typer.BadParameter(f"unknown kind {kind!r}; one of {', '.join(NAMES)}, or heal")
    with ends_cleanly():
        one = live.attached(told)
        controller = Controller(one)
        if kind == "heal":
            controller.heal()
            console.print("healed")
            return
        chosen = scenario(kind, seed)
        onset = controller.inject(chosen)
        console.print(f"{kind} since {time.strftime('%H:%M:%S', time.localtime(onset))}")
        controller.wait()


@lab.command(name="run")
def run_one(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(NAMES)}.")],
    seed: Annotated[int, typer.Option(help="Which of its places.")] = 0,
    warm_up: Annotated[float, typer.Option(help="Seconds of normal operation first.")] = 120.0,
    keep: Annotated[Path | None, typer.Option(help="Keep the copilot's folders here.")] = None,
    record_to: Annotated[
        Path | None, typer.Option("--record", help="Keep it here, with its recovery.")
    ] = None,
) -> None:
    """One scenario end to end, with the real copilot attached."""
    whole = record_to is not None
    _trial(TrialPlan(_chosen(name), seed, warm_up, record_to, keep=keep, whole=whole))


@lab.command()
def record(
    names: Annotated[str, typer.Argument(help="Scenarios, separated by commas; or `all`.")],
    out: Annotated[Path, typer.Option("-o", help="Folder of the bundles.")],
    seed: Annotated[int, typer.Option(help="Which of its places.")] = 0,
    warm_up: Annotated[float, typer.Option(help="Seconds of normal operation first.")] = 180.0,
) -> None:
    """Scenarios with nobody to mend them, kept as incident bundles, their answers apart."""
    chosen = _chosen("" if names == "all" else names)
    with ends_cleanly(), console.status("the shop starts") as shown:
        with live.running(seed=seed) as one:
            bench = Bench(one, 0, seed, {}, out)
            record_all(bench, chosen, warm_up, shown.update)
        console.print(f"kept in {out}")


@lab.command()
def suite(
    only: Annotated[str, typer.Option(help="Scenarios, separated by commas.")] = "",
    seed: Annotated[int, typer.Option(help="Which of their places.")] = 0,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Results; an interrupted run goes on from it.")
    ] = None,
    record_to: Annotated[
        Path | None, typer.Option("--record", help="Keep every scenario as a bundle here.")
    ] = None,
    warm_up: Annotated[float, typer.Option(help="Seconds of normal operation first.")] = 660.0,
    keep: Annotated[Path | None, typer.Option(help="Keep the copilot's folders here.")] = None,
) -> None:
    """Scenario after scenario with the real copilot, by the wall clock; takes an hour or two."""
    _trial(TrialPlan(_chosen(only), seed, warm_up, record_to, json_path, keep))


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What a trial is to do."""

    names: tuple[str, ...]
    seed: int
    warm_up_s: float
    recordings: Path | None = None
    results: Path | None = None
    keep: Path | None = None
    whole: bool = False


def _chosen(only: str) -> tuple[str, ...]:
    try:
        return choose(only)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _trial(plan: TrialPlan) -> None:
    port = monitoring.free_port()
    address = f"127.0.0.1:{port}"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with ends_cleanly(), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("the shop starts", total=len(plan.names))
        known = TrialResults.read(plan.results, plan.seed)
        progress.advance(task, sum(one.scenario in plan.names for one in known.outcomes))

        def say(text: str) -> None:
            progress.update(task, description=text)

        def done(outcome: TrialOutcome) -> None:
            progress.advance(task)
            console.print(line(outcome), soft_wrap=True)

        ready = live.running(
            seed=plan.seed,
            copilot=address,
            collector=f"http://{address}",
            webhook=f"http://{address}/changes",
        )
        with ready as one:
            bench = Bench(
                one, port, plan.seed, {}, plan.recordings, keep=plan.keep, whole=plan.whole
            )
            known = trial(bench, plan.names, known, plan.warm_up_s, say, done)
        Console().print(table(known.outcomes))
        Console().print_json(data=summary(known.outcomes))


def _running() -> dict[str, str]:
    told = live.found()
    if told is None:
        console.print("[red]no lab is running; start one with `python -m evals lab up`[/red]")
        raise typer.Exit(1)
    return told
