"""Log parsing on annotated logs, from the message and the raw line; causes that only logs tell."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.logs import causes, peers
from evals.logs.files import AnnotatedLog, read_logs
from evals.logs.score import LogScore, mean, normalise, score
from evals.page import pictures
from evals.report import EvalArm, Options, Result, Table, ml_or_rules, number
from tools.log_retriever import Miner, MinerConfig

LogParser = Callable[[Sequence[str]], list[str]]
_COLUMNS = ("GA", "FGA", "PA", "FTA", "lines/s")
_PUBLISHED = (
    ("Drain3 tuned per system (published, 16 systems)", "0.874", "0.748", "0.456", "0.499"),
    ("Brain tuned per system, batch (published, 16)", "0.965", "0.928", "–", "–"),
)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One method on one system, from the message (`content`) or from the whole line (`raw`)."""

    system: str
    method: str
    source: str
    score: LogScore
    lines_per_s: float


def run(options: Options, progress: Progress) -> Result:
    """Mine every system under --data with one configuration, and score it beside Drain3."""
    started = time.perf_counter()
    logs = _logs(options)
    arm = ml_or_rules(options, "logs")
    methods = _methods(arm)
    told = causes.incidents()[: options.limit]
    task = progress.add_task("logs", total=len(logs) * len(methods) + len(told))
    rows: list[LogRow] = []
    for log in logs:
        for method, content, raw in methods:
            rows.append(_row(log, method, "content", content))
            rows.append(_row(log, method, "raw", raw))
            progress.advance(task)
    cases = []
    for incident, answer in told:
        cases.append(causes.judged(incident, answer))
        progress.advance(task)
    named = causes.summary(cases)
    if options.plot is not None:
        _plot(options.plot, rows)
    return Result(
        suite="logs",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=(*map(_case, rows), *map(causes.row_of, cases)),
        summary={**_summary(rows), "causes.right": named["causes.right"]},
        more={name: value for name, value in named.items() if name != "causes.right"},
        tables=(
            *(_table(rows, source) for source in ("content", "raw")),
            _means(rows),
            causes.table(cases),
        ),
    )


def _plot(folder: Path, rows: Sequence[LogRow]) -> None:
    for source, given in (("content", "the message given"), ("raw", "the raw line given")):
        figures: dict[str, dict[str, float]] = {}
        for row in rows:
            if row.source == source:
                figures.setdefault(row.system, {})[row.method] = row.score.ga
        title = f"Grouping accuracy, {given}"
        pictures.save_bars(f"logs-{source}", figures, "GA", folder, title)


def _logs(options: Options) -> list[AnnotatedLog]:
    if options.data is None or not options.data.is_dir():
        raise SystemExit("logs needs --data DIR with logs/SYSTEM/*structured*.csv[.gz] in it")
    logs = list(read_logs(options.data))[: options.limit]
    if not logs:
        raise SystemExit(
            f"--data {str(options.data)!r} has no logs/SYSTEM/ with *structured*.csv[.gz] and "
            "*.log[.gz]; give the folder that holds logs/"
        )
    return logs


def miner_config(arm: EvalArm) -> MinerConfig:
    """`rules`: the form of a token alone decides; `ml`: what varies is learnt from the stream."""
    return MinerConfig() if arm == "ml" else MinerConfig(siblings=None)


def _methods(arm: EvalArm) -> list[tuple[str, LogParser, LogParser]]:
    other: EvalArm = "rules" if arm == "ml" else "ml"
    methods: list[tuple[str, LogParser, LogParser]] = [
        (f"ours, {name}", _ours(name, whole_line=False), _ours(name, whole_line=True))
        for name in (arm, other)
    ]
    if peers.installed():
        methods.append(("Drain3", _drain3, _drain3))
    return methods


def _drain3(lines: Sequence[str]) -> list[str]:
    return peers.Drain3().templates(lines)


def _ours(arm: EvalArm, whole_line: bool) -> LogParser:
    def parse(lines: Sequence[str]) -> list[str]:
        miner = Miner(miner_config(arm))
        add = miner.add if whole_line else miner.add_content
        numbers = [add(line).template_id for line in lines]
        return [miner.resolve(number).text for number in numbers]

    return parse


def _row(log: AnnotatedLog, method: str, source: str, parse: LogParser) -> LogRow:
    lines = log.contents if source == "content" else log.raw
    started = time.perf_counter()
    predicted = parse(lines)
    speed = len(lines) / (time.perf_counter() - started)
    return LogRow(
        log.system, method, source, score(list(map(normalise, predicted)), log.truth), speed
    )


def _summary(rows: Sequence[LogRow]) -> dict[str, float]:
    first = rows[0].method
    ours = {s: _mean(rows, first, s) for s in ("content", "raw")}
    content, raw = ours["content"], ours["raw"]
    return {
        **{f"content.{name}": value for name, value in asdict(content).items()},
        "raw.ga": raw.ga,
        "raw.fga": raw.fga,
    }


def _mean(rows: Sequence[LogRow], method: str, source: str) -> LogScore:
    return mean([row.score for row in rows if (row.method, row.source) == (method, source)])


def _case(row: LogRow) -> dict[str, JsonValue]:
    return {
        "id": f"{row.system}/{row.source}/{row.method}",
        "system": row.system,
        "source": row.source,
        "method": row.method,
        **asdict(row.score),
    }


def _figures(found: LogScore) -> tuple[str, ...]:
    return tuple(number(value, 3) for value in (found.ga, found.fga, found.pa, found.fta))


def _table(rows: Sequence[LogRow], source: str) -> Table:
    given = "the message given" if source == "content" else "the raw line given"
    return Table(
        title=f"Log templates, {given} (measured)",
        columns=("system", "method", *_COLUMNS),
        rows=tuple(
            (row.system, row.method, *_figures(row.score), f"{row.lines_per_s:,.0f}")
            for row in rows
            if row.source == source
        ),
    )


def _means(rows: Sequence[LogRow]) -> Table:
    methods = tuple(dict.fromkeys(row.method for row in rows))
    shown = [
        (f"{method}, {source} (measured)", *_figures(_mean(rows, method, source)))
        for source in ("content", "raw")
        for method in methods
    ]
    return Table(
        title="Mean over systems, one configuration",
        columns=("method", *_COLUMNS[:4]),
        rows=(*shown, *_PUBLISHED),
    )
