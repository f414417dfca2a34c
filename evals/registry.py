"""What can be run, by its published name: suites, benchmarks and trainings.

A new suite is a file of its subject's folder and a line here; an option that it alone knows is a
field of its own options, and becomes a flag of the command line by that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic.fields import FieldInfo
from rich.progress import Progress

from evals import viewers
from evals.alerts import bench as clusterer
from evals.alerts import fleet, ingest, storm
from evals.alerts import suite as alerts
from evals.changes import suite as changes
from evals.chat import suite as chat
from evals.database import suite as database
from evals.detection import kpi, metrics, mts, watch_bench
from evals.detection import suite as detection
from evals.detection.folds import FoldOptions
from evals.forecast import suite as forecast
from evals.knowledge import suite as knowledge
from evals.kubernetes import objects
from evals.kubernetes import suite as cloud_opsbench
from evals.localization import ablate, fitting, site, train
from evals.localization import bench as locate
from evals.localization import suite as incidents
from evals.logs import bench as log_mining
from evals.logs import redaction
from evals.logs import suite as logs
from evals.reasoning import suite as reasoning
from evals.recovery import suite as recovery
from evals.report import EvalArm, ModelOptions, Options, Result
from evals.slices import suite as slices

OptionsT = TypeVar("OptionsT", bound=Options)
NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class RegistryEntry(Generic[OptionsT]):
    """What a name stands for: what is run, the options it knows, and what it measures."""

    run: Callable[[OptionsT, Progress], Result]
    options: type[OptionsT]
    measures: str


@dataclass(frozen=True, slots=True)
class Suite(RegistryEntry[OptionsT]):
    """A suite, and how it takes part in a run of everything.

    `place` finds its `--data` in a data set (a path, None where it needs none, or what is missing);
    `limit` is how many cases are enough there, where nobody said so.
    """

    arms: tuple[EvalArm, ...]
    place: Callable[[Path | None], Path | str | None]
    limit: int | None = None


def _no_place(data: Path | None) -> None:
    """Of a suite that ships with all it needs, and takes nothing else."""


def _bundles(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    for place in (data / "incidents", data):
        if (place / "truth" / "truth.jsonl").is_file():
            return place
    return "no incidents/truth/truth.jsonl in --data"


def _commits(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    place = data / "changes" if (data / "changes").is_dir() else data
    found = next((place / "incidents").glob("*/commits.json"), None)
    return place if found else "no changes/incidents/*/commits.json in --data"


def _bundles_or_shipped(data: Path | None) -> Path | str | None:
    return None if data is None else _bundles(data)


def _archive(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    place = data / "cloud-opsbench"
    if not place.is_dir():
        return "no cloud-opsbench/ in --data"
    return next(iter(sorted(place.glob("*.tar*"))), place)


def _objects(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    place = data / "objects"
    return place if (place / "analyzers.json").is_file() else "no objects/analyzers.json in --data"


def _chat(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    for place in (data / "chat", data):
        if (place / "questions.jsonl").is_file():
            return place
    return "no chat/questions.jsonl in --data"


def _slices(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    for place in (data / "slices", data):
        if (place / "truth.jsonl").is_file() and next(place.glob("*.csv*"), None):
            return place
    return "no slices/truth.jsonl in --data"


def _database(data: Path | None) -> Path | str:
    if data is None:
        return NO_DATA
    for place in (data / "database", data):
        if (place / "truth.jsonl").is_file() and next(place.glob("*.npz"), None):
            return place
    return "no database/truth.jsonl in --data"


def _whole_with(part: str) -> Callable[[Path | None], Path | str]:
    """The data set itself, where it has this folder."""

    def place(data: Path | None) -> Path | str:
        if data is None:
            return NO_DATA
        return data if (data / part).is_dir() else f"no {part}/ in --data"

    return place


_TWO: tuple[EvalArm, ...] = ("rules", "ml")

SUITES: Mapping[str, Suite[Any]] = {
    "detection": Suite(
        detection.run,
        Options,
        "the copilot's own watch: how soon it raises an alarm, and how often for nothing",
        _TWO,
        # What ships ends a minute after its fault: too soon to say when the watch would see it.
        _bundles,
    ),
    "metrics": Suite(
        metrics.run, FoldOptions, "single series, by NAB's score", _TWO, _whole_with("metrics/nab")
    ),
    "kpi": Suite(
        kpi.run,
        FoldOptions,
        "single series, by the KPI contest's delay-adjusted F1",
        _TWO,
        _whole_with("metrics/kpi"),
    ),
    "mts": Suite(
        mts.run,
        FoldOptions,
        "many dimensions at once: SMD and ASD, by event F1 and AUC-PR",
        _TWO,
        _whole_with("metrics/mts"),
    ),
    "alerts": Suite(
        alerts.run, Options, "alert clustering on recorded streams", _TWO, _whole_with("alerts")
    ),
    "logs": Suite(logs.run, Options, "templates of annotated logs", _TWO, _whole_with("logs")),
    "demo": Suite(
        incidents.demo,
        incidents.IncidentOptions,
        "root cause on the recordings that ship",
        _TWO,
        _no_place,
    ),
    "incidents": Suite(
        incidents.run,
        incidents.IncidentOptions,
        "root cause on recorded incidents: AC@k, fault kind, seconds to the brief",
        _TWO,
        _bundles,
    ),
    "changes": Suite(
        changes.run,
        ModelOptions,
        "which commit did it, or none: frozen incidents with their commits and diffs",
        ("rules",),
        _commits,
    ),
    "cloud-opsbench": Suite(
        cloud_opsbench.run,
        Options,
        "recorded Kubernetes faults: object and root cause",
        ("rules",),
        _archive,
    ),
    "objects": Suite(
        objects.run,
        Options,
        "Kubernetes objects of every kind: faulty ones named for their reason, healthy ones not",
        ("rules",),
        _objects,
    ),
    "reasoning": Suite(
        reasoning.run,
        reasoning.ReasoningOptions,
        "the model's way beside the rules, and hostile texts",
        ("llm",),
        _bundles_or_shipped,
    ),
    "recovery": Suite(
        recovery.run,
        ModelOptions,
        "simulated incidents from their alerts to a verified end, and attacks",
        ("rules", "ml", "llm"),
        _no_place,
        limit=12,  # minutes instead of a quarter of an hour or more
    ),
    "knowledge": Suite(
        knowledge.run,
        knowledge.KnowledgeOptions,
        "search of the knowledge base by words and by meaning",
        ("rules",),
        _no_place,
    ),
    "chat": Suite(
        chat.run,
        ModelOptions,
        "questions of on-call engineers in two languages, against a key of patterns",
        ("rules", "ml", "llm"),
        _chat,
    ),
    "forecast": Suite(
        forecast.run,
        Options,
        "what is coming: the next day of a series, and when a resource is full",
        _TWO,
        _whole_with("metrics/nab"),
    ),
    "slices": Suite(
        slices.run,
        Options,
        "which slice of a business metric is to blame, by exact attribute combinations",
        ("rules",),
        _slices,
    ),
    "database": Suite(
        database.run,
        Options,
        "what ails one database server, from its metrics' names and values",
        ("rules",),
        _database,
    ),
}
"""In the order of the stages."""

BENCHMARKS: Mapping[str, RegistryEntry[Any]] = {
    "detector": RegistryEntry(detection.run_bench, Options, "points per second, bytes per series"),
    "clusterer": RegistryEntry(clusterer.run, Options, "alerts per second as a storm grows"),
    "logs": RegistryEntry(log_mining.run, Options, "lines mined and searched per second"),
    "redaction": RegistryEntry(redaction.run, Options, "secrets found, ordinary lines left"),
    "locate": RegistryEntry(locate.run, Options, "seconds per incident as the system grows"),
    "ingest": RegistryEntry(ingest.run, Options, "alerts accepted per second, written to disk"),
    "storm": RegistryEntry(storm.run, Options, "seconds from opened to the brief in a storm"),
    "fleet": RegistryEntry(fleet.run, Options, "incidents finished by one and two workers"),
    "site": RegistryEntry(site.run, Options, "what a site's own confirmed incidents teach it"),
    "viewers": RegistryEntry(viewers.run, Options, "the first page, and 200 live pages"),
    "watch": RegistryEntry(watch_bench.run, Options, "series scanned per core and interval"),
    "brief": RegistryEntry(locate.run_brief, Options, "seconds from the alert to the brief"),
}

TRAININGS: Mapping[str, RegistryEntry[Any]] = {
    "ranker": RegistryEntry(train.run, Options, "weights of the ranking's arm `ml`"),
    "calibration": RegistryEntry(fitting.run, Options, "how sure a ranking is, of both arms"),
}

ABLATION = RegistryEntry(ablate.run, Options, "what is lost without each fault signature")


def own_options() -> dict[str, tuple[FieldInfo, list[str]]]:
    """The options that not every suite knows, each with the suites that do."""
    found: dict[str, tuple[FieldInfo, list[str]]] = {}
    for suite, entry in SUITES.items():
        for name, field in entry.options.model_fields.items():
            if name not in Options.model_fields:
                found.setdefault(name, (field, []))[1].append(suite)
    return found
