"""Alert clustering on recorded streams: three labelled weeks, security storms, composed events."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import JsonValue
from rich.progress import Progress

import copilot
from evals.alerts import peers, subjects
from evals.alerts.feed import MethodOutcome, ours
from evals.alerts.score import NOISE, Clustering, StreamScore, adjusted_rand, score, v_measure
from evals.alerts.streams import AlertStream, composed, event_labels, storms, weeks
from evals.alerts.unrelated import merged_wrongly, unrelated
from evals.page import pictures
from evals.report import Options, Result, Table, number
from tools.clusterer import ClustererConfig

AlertArm = Literal["rules", "ml"]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One method on one stream."""

    stream: str
    method: str
    score: StreamScore
    notifications: int
    never_sent: int


@dataclass(frozen=True, slots=True)
class Storm:
    """One method on one security storm: V by attack phase, V by labelled event, clusters."""

    stream: str
    method: str
    phase_v: float
    event_v: float
    clusters: int
    told: int


@dataclass(frozen=True, slots=True)
class ComposedRow:
    """One method on one composed stream of anomaly events."""

    stream: str
    method: str
    ari: float
    v: float
    clusters: int


Method = tuple[str, Callable[[AlertStream], MethodOutcome]]


def run(options: Options, progress: Progress) -> Result:
    """Read whom labelled alerts are about; cluster every stream of --data, and score all alike.

    Without --data only our own table of alerts is read, which takes a second.
    """
    started = time.perf_counter()
    alerts, incidents = _folders(options)
    arm = _arm(options)
    labelled = _first(weeks(alerts), options.limit) if alerts else []
    attacks = _first(storms(alerts), options.limit) if alerts else []
    events = _first(_composed(incidents), options.limit) if incidents else []
    named = _subjects(options.data)
    task = progress.add_task("alerts", total=len(labelled) + len(attacks) + len(events))
    rows: list[AlertRow] = []
    storm_rows: list[Storm] = []
    event_rows: list[ComposedRow] = []
    for stream in labelled:
        rows += [_row(stream, method) for method in _methods()]
        progress.advance(task)
    for stream in attacks:
        second = event_labels(alerts, stream.name) if alerts else []
        storm_rows += [_storm(stream, second, method) for method in _storm_methods()]
        progress.advance(task)
    for stream in events:
        event_rows += [_events(stream, method) for method in _event_methods()]
        progress.advance(task)
    apart = unrelated(options.seed)
    mixed = [(name, _merged(apart, cluster)) for name, cluster in _methods()]
    if options.plot is not None:
        _plot(options.plot, rows)
    return Result(
        suite="alerts",
        arm=arm,
        version=copilot.__version__,
        data=str(options.data or ""),
        seconds=time.perf_counter() - started,
        cases=(
            *map(_case, rows),
            *map(_case, storm_rows),
            *map(_case, event_rows),
            *({"id": f"unrelated/{name}", "merged_wrongly_pct": pct} for name, pct in mixed),
            *(subjects.case(title, one) for title, some in named.items() for one in some),
        ),
        summary={
            **_summary(rows, storm_rows, f"ours, {arm}"),
            "subjects.right": subjects.share_right(named[_GIVEN]),
            "subjects.rules": subjects.share_right(named[_OWN]),
            "unrelated.merged_pct": dict(mixed)[f"ours, {arm}"],
        },
        tables=(
            *_tables(rows, storm_rows, event_rows),
            _unrelated_table(apart, mixed),
            *subjects.tables(named),
        ),
    )


def _arm(options: Options) -> AlertArm:
    if options.best_arm or options.arm == "ml":
        return "ml"
    if options.arm == "llm":
        raise SystemExit(
            "alerts has no llm arm to run: it needs a PairJudge for the uncertain pairs; "
            "choose --arm rules or --arm ml"
        )
    return "rules"


_GIVEN, _OWN = "of --data", "our table of rules"


def _subjects(data: Path | None) -> dict[str, tuple[subjects.SubjectAnswer, ...]]:
    """The labelled alerts of --data, where it has some, and our own."""
    given = None if data is None else data / "subjects" / "alerts.jsonl"
    return {
        _GIVEN: subjects.answers(given) if given is not None and given.exists() else (),
        _OWN: subjects.answers(subjects.RULES),
    }


def _folders(options: Options) -> tuple[Path | None, Path | None]:
    """The folder with the streams, and the one with composed streams (it may be missing)."""
    if options.data is None:
        return None, None
    alerts = options.data / "alerts" if (options.data / "alerts").is_dir() else options.data
    if not any((*alerts.glob("nezha_*.jsonl.gz"), *alerts.glob("ait_*.csv.gz"))):
        raise SystemExit(
            f"--data {str(options.data)!r} has neither alerts/nezha_*.jsonl.gz nor "
            "alerts/ait_*.csv.gz; give the folder that holds alerts/"
        )
    return alerts, options.data / "incidents"


def _first(streams: Iterator[AlertStream], limit: int | None) -> list[AlertStream]:
    found = list(streams)
    return found[:limit] if limit is not None else found


def _composed(incidents: Path) -> Iterator[AlertStream]:
    truth = incidents / "truth" / "alert_streams.json"
    if truth.exists():
        yield from composed(incidents / "alert_streams", truth)


def _ours(arm: AlertArm) -> Method:
    return f"ours, {arm}", lambda stream: ours(stream, ClustererConfig(arm=arm))


def _methods() -> list[Method]:
    return [
        _ours("ml"),
        _ours("rules"),
        ("Alertmanager by cluster", lambda stream: peers.alertmanager(stream, ["cluster"])),
        ("Alertmanager, no group_by", lambda stream: peers.alertmanager(stream, [])),
        (
            "Alertmanager, docs example",
            lambda stream: peers.alertmanager(stream, ["alertname", "cluster"]),
        ),
        ("Keep by cluster, 10 min", lambda stream: peers.keep_rule(stream, ["cluster"])),
        ("time + call graph, 1 hop", peers.call_graph),
    ]


def _storm_methods() -> list[Method]:
    return [
        _ours("ml"),
        _ours("rules"),
        ("Keep by host, 10 min", lambda stream: peers.keep_rule(stream, ["host"])),
        ("time gap 5 s", lambda stream: peers.keep_rule(stream, [], 5.0)),
    ]


def _event_methods() -> list[Method]:
    return [
        _ours("ml"),
        _ours("rules"),
        ("time gap 60 s", lambda stream: peers.keep_rule(stream, [], 60.0)),
        ("by service, gap 300 s", lambda stream: peers.keep_rule(stream, ["service"], 300.0)),
    ]


def _merged(stream: AlertStream, cluster: Callable[[AlertStream], MethodOutcome]) -> float:
    return merged_wrongly(stream.truth, cluster(stream).clusters)


def _unrelated_table(stream: AlertStream, rows: Sequence[tuple[str, float]]) -> Table:
    return Table(
        title=f"{len(stream.alerts)} alerts of unrelated subjects, in handfuls",
        columns=("method (measured)", "merged wrongly %"),
        rows=tuple((name, number(merged, 1)) for name, merged in rows),
    )


def _row(stream: AlertStream, method: Method) -> AlertRow:
    name, cluster = method
    outcome = cluster(stream)
    figures = score(
        Clustering(
            truth=stream.truth,
            clusters=outcome.clusters,
            starts=[alert.starts_at for alert in stream.alerts],
            rank=outcome.rank,
            told=outcome.told,
        )
    )
    return AlertRow(stream.name, name, figures, outcome.notifications, outcome.never_sent)


def _storm(stream: AlertStream, second: Sequence[str], method: Method) -> Storm:
    name, cluster = method
    outcome = cluster(stream)
    return Storm(
        stream=stream.name,
        method=name,
        phase_v=_v(stream.truth, outcome.clusters),
        event_v=_v(second, outcome.clusters),
        clusters=len(set(outcome.clusters)),
        told=len(outcome.told),
    )


def _v(truth: Sequence[str], clusters: Sequence[str]) -> float:
    real = [i for i, label in enumerate(truth) if label != NOISE]
    return v_measure([truth[i] for i in real], [clusters[i] for i in real])[2]


def _events(stream: AlertStream, method: Method) -> ComposedRow:
    name, cluster = method
    found = cluster(stream).clusters
    ari, v = adjusted_rand(stream.truth, found), v_measure(stream.truth, found)[2]
    return ComposedRow(stream.name, name, ari, v, len(set(found)))


def _case(row: AlertRow | Storm | ComposedRow) -> dict[str, JsonValue]:
    figures = asdict(row)
    nested = figures.pop("score", {})
    return {"id": f"{row.stream}/{row.method}", **figures, **nested}


def _summary(
    rows: Sequence[AlertRow], storm_rows: Sequence[Storm], method: str
) -> dict[str, float]:
    summary: dict[str, float] = {}
    for row in (row for row in rows if row.method == method):
        figures = {
            "ari": row.score.ari,
            "v": row.score.v,
            "ap": row.score.ap,
            "merged_pct": row.score.merged_pct,
            "surfaced_per_week": row.score.surfaced_per_week,
            "incident_recall": row.score.incident_recall,
            "added_delay_s": row.score.delay_mean,
        }
        summary |= {f"{row.stream}.{name}": value for name, value in figures.items()}
    own = [row for row in storm_rows if row.method == method]
    summary["ait.v"] = fmean(row.phase_v for row in own) if own else nan
    summary["ait.clusters"] = fmean(row.clusters for row in own) if own else nan
    return summary


def _tables(
    rows: Sequence[AlertRow], storm_rows: Sequence[Storm], event_rows: Sequence[ComposedRow]
) -> tuple[Table, ...]:
    tables = [
        _week_table(stream, [row for row in rows if row.stream == stream])
        for stream in dict.fromkeys(row.stream for row in rows)
    ]
    if storm_rows:
        tables.append(_storm_table(storm_rows))
    if event_rows:
        tables.append(_event_table(event_rows))
    return tuple(tables)


def _week_table(stream: str, rows: Sequence[AlertRow]) -> Table:
    columns = (
        *("method (measured)", "groups", "told/wk", "ARI", "merged%", "noise", "AP"),
        *("AP/inc", "recall", "delay s", "max", "unsent"),
    )
    return Table(
        title=f"Alert stream {stream}",
        columns=columns,
        rows=tuple(_week_row(row) for row in rows),
    )


def _week_row(row: AlertRow) -> tuple[str, ...]:
    figures = row.score
    return (
        row.method,
        str(figures.clusters),
        number(figures.surfaced_per_week, 0),
        number(figures.ari, 3),
        number(figures.merged_pct, 1),
        number(figures.noise_share),
        number(figures.ap, 3),
        number(figures.ap_per_incident, 3),
        number(figures.incident_recall, 3),
        number(figures.delay_mean, 0),
        number(figures.delay_max, 0),
        str(row.never_sent),
    )


def _storm_table(rows: Sequence[Storm]) -> Table:
    return Table(
        title="Security storms (V over attack alerts)",
        columns=("storm", "method (measured)", "V by phase", "V by event", "clusters", "told"),
        rows=tuple(
            (
                row.stream,
                row.method,
                number(row.phase_v, 3),
                number(row.event_v, 3),
                str(row.clusters),
                str(row.told),
            )
            for row in rows
        ),
    )


def _event_table(rows: Sequence[ComposedRow]) -> Table:
    methods = tuple(dict.fromkeys(row.method for row in rows))
    streams = tuple(dict.fromkeys(row.stream for row in rows))
    ari = {(row.stream, row.method): row.ari for row in rows}
    lines = [
        (stream, *(number(ari[stream, method], 3) for method in methods)) for stream in streams
    ]
    means = (number(fmean(ari[s, method] for s in streams), 3) for method in methods)
    return Table(
        title="Composed anomaly events: ARI over all events (measured)",
        columns=("stream", *methods),
        rows=(*lines, ("mean", *means)),
    )


def _plot(folder: Path, rows: Sequence[AlertRow]) -> None:
    figures: dict[str, dict[str, float]] = {}
    for row in rows:
        figures.setdefault(row.stream, {})[row.method] = row.score.ari
    pictures.save_bars("alerts", figures, "ARI", folder, "Agreement with the answer, by stream")
