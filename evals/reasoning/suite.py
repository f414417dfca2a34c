"""The model's way on recorded incidents: never worse than the rules, grounded, proof to orders."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Literal, get_args

from pydantic import Field, JsonValue
from rich.progress import Progress

import copilot
from copilot import settings, wiring
from copilot.deps import Limits
from copilot.knowledge import Memory
from copilot.ports import Model
from copilot.sources.recorded import RecordedBundle
from copilot.testing.ollama import (
    DeadPolicy,
    LazyPolicy,
    LoopingPolicy,
    NoisePolicy,
    ReplyPolicy,
    ollama_server,
)
from copilot.testing.policies import GoodPolicy, InjectedPolicy, LyingPolicy, ServedPolicy
from copilot.wiring import recorded_sources
from evals.detection.replay import Detection, by_watch, of_timelines, with_history
from evals.localization.cases import RECORDINGS, BundleCase, CaseSetError, read
from evals.localization.suite import LocalizationOptions
from evals.localization.tables import own_table, row, summary
from evals.reasoning.hostile import hostile
from evals.reasoning.injection import InjectionAttempt, InjectionScene, attempt, scene
from evals.reasoning.investigate import Investigation, Page, investigate
from evals.reasoning.measure import document
from evals.reasoning.plant import PlantedSources, kept
from evals.reasoning.score import IncidentComparison, ModelScore, scored, ways_table
from evals.reasoning.sentences import LATER, sentence_cases, sentence_figures, sentence_table
from evals.report import ModelOptions, Result, Table
from knowledge_base import documents

StandInName = Literal["good", "lazy", "looping", "lying", "injected", "noise", "dead"]

POLICIES: Mapping[StandInName, ReplyPolicy] = {
    "good": ServedPolicy(GoodPolicy()),
    "lazy": LazyPolicy(),
    "looping": LoopingPolicy(),
    "lying": ServedPolicy(LyingPolicy()),
    "injected": ServedPolicy(InjectedPolicy()),
    "noise": NoisePolicy(),
    "dead": DeadPolicy(),
}

LABEL = "scripted policy, not a model: shows the path, says nothing of quality"

DEAD_S = 2.0
"""How long a dead server is waited for here; in production it is a setting."""


@contextmanager
def scripted(policy: StandInName) -> Iterator[Model]:
    """The policy behind the real protocol and the real adapter."""
    with ollama_server(POLICIES[policy]) as server:
        patience = DEAD_S if policy == "dead" else 60.0
        with at(server.url, "qwen3:30b", first_token_s=patience) as model:
            yield model


@contextmanager
def at(url: str, name: str, *, seed: int = 42, first_token_s: float = 180.0) -> Iterator[Model]:
    """A model at an Ollama server."""
    loaded = settings.load(
        model_url=url,
        model=name,
        model_use="on",
        model_seed=seed,
        model_first_token_s=first_token_s,
    )
    with wiring.model(loaded) as (model, how):
        if model is None:
            raise SystemExit(f"no model: {how}")
        yield model


class ReasoningOptions(LocalizationOptions, ModelOptions):
    """What `reasoning` takes."""

    policy: str = Field(default="", description="Without a model: one scripted policy, not all.")
    model_seconds: float = Field(
        default=Limits().model_s, gt=0, description="Most seconds of a model on one incident."
    )
    runs: int = Field(default=1, ge=1, description="How often; the opinion of the majority counts.")


def run(options: ReasoningOptions, progress: Progress) -> Result:
    """Every incident without a model, then with each way; then every hostile text."""
    started, asked = time.perf_counter(), _names(options)
    try:
        cases = read(options.data or RECORDINGS, options.limit)
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    memory = Memory(documents)
    ways = _ways(asked, cases, memory, options, progress)
    tried = _injections(options, memory, progress)
    alarms = by_watch()
    detection = of_timelines(options.data, alarms) if options.data else with_history(cases, alarms)
    return _result(options, ways, tried, detection, time.perf_counter() - started)


def _ways(
    asked: Sequence[str],
    cases: Sequence[BundleCase],
    memory: Memory,
    options: ReasoningOptions,
    progress: Progress,
) -> list[ModelScore]:
    """Incident by incident, each by the rules and then each way; its telemetry is let go after."""
    task = progress.add_task("incidents", total=len(cases) * len(asked))
    found = [list[IncidentComparison]() for _ in asked]
    with ExitStack() as stack:
        models = [stack.enter_context(_models(name, options)) for name in asked]
        for case in cases:
            bench = _Bench(case, memory, options)
            for place, name in enumerate(asked):
                found[place].append(bench.compared(models[place], anew=name == "dead"))
                progress.advance(task)
    limits = replace(Limits(), model_s=options.model_seconds)
    return [
        ModelScore(name, tuple(compared), limits)
        for name, compared in zip(asked, found, strict=True)
    ]


class _Bench:
    """One incident: its sources asked once, and how the rules fare on it."""

    def __init__(self, case: BundleCase, memory: Memory, options: ReasoningOptions) -> None:
        self._case, self._memory, self._options = case, memory, options
        self._bundle = RecordedBundle(case.folder)
        self._page = Page.of(self._bundle, case.answer)
        self._sources = self._fresh()
        self._rules = self._run(self._sources, None)

    def _fresh(self) -> PlantedSources:
        return kept(recorded_sources(self._bundle))

    def compared(self, models: Sequence[Model], *, anew: bool) -> IncidentComparison:
        """With each model; `anew` asks the sources again, so that the time is a true one."""
        sources = self._fresh() if anew else self._sources
        runs = tuple(self._run(sources, model) for model in models)
        return IncidentComparison(self._case, self._page, self._rules, runs)

    def _run(self, sources: PlantedSources, model: Model | None) -> Investigation:
        return investigate(
            sources,
            self._bundle,
            self._page,
            model=model,
            memory=self._memory,
            onsets=self._options.onset,
            limits=replace(Limits(), model_s=self._options.model_seconds),
        )


def _names(options: ReasoningOptions) -> tuple[str, ...]:
    if options.model_url:
        return (options.model or "qwen3:30b",)
    known = get_args(StandInName)
    if options.policy and options.policy not in known:
        raise SystemExit(f"--policy {options.policy!r}: choose one of {', '.join(known)}")
    return (options.policy,) if options.policy else known


@contextmanager
def _models(name: str, options: ReasoningOptions) -> Iterator[list[Model]]:
    """One model per run; a real one with another seed each time."""
    with ExitStack() as stack:
        if options.model_url:
            seeds = range(42, 42 + options.runs)
            patience = max(180.0, options.model_seconds)
            opened = [
                at(options.model_url, name, seed=seed, first_token_s=patience) for seed in seeds
            ]
        else:
            (policy,) = (one for one in get_args(StandInName) if one == name)
            opened = [scripted(policy) for _turn in range(options.runs)]
        yield [stack.enter_context(one) for one in opened]


def _injections(
    options: ReasoningOptions, memory: Memory, progress: Progress
) -> list[InjectionAttempt]:
    """By the model at hand, else by the policy that obeys; skipped where another one was chosen."""
    if options.policy not in ("", "injected"):
        return []
    every = hostile()
    # With a limit a few of each sort, not the first ones.
    texts = every[:: max(1, len(every) // (options.limit or len(every)))][: options.limit]
    task = progress.add_task("hostile texts", total=len(texts))
    incidents = read(options.data or RECORDINGS)
    scenes: dict[str, InjectionScene] = {}
    name = _names(options)[0] if options.model_url else "injected"
    tried = []
    with _models(name, options.model_copy(update={"runs": 1})) as (model,):
        for place, text in enumerate(texts):
            case = incidents[place % len(incidents)]
            if case.answer.id not in scenes:
                scenes[case.answer.id] = scene(case, memory)
            tried.append(attempt(scenes[case.answer.id], text, model))
            progress.advance(task)
    return tried


def _result(
    options: ReasoningOptions,
    ways: Sequence[ModelScore],
    tried: Sequence[InjectionAttempt],
    found: Detection,
    seconds: float,
) -> Result:
    label = "" if options.model_url else LABEL
    main, figures = ways[0], ways[0].figures()
    known = [one.case for one in main.compared]
    cases = [scored(one, known) for one in main.compared]
    published = {
        name: value
        for name, value in figures.items()
        if not name.startswith("opinion.") and name != "worse"
    }
    own = {f"{way.name}.{key}": value for way in ways for key, value in way.figures().items()}
    violations: list[JsonValue] = [said for way in ways for said in way.violations]
    return Result(
        suite="reasoning",
        arm="llm",
        version=copilot.__version__,
        data=str(options.data or "shipped"),
        seconds=seconds,
        cases=tuple(
            row(one) | {"reasoning": document(compared.ran)}
            for one, compared in zip(cases, main.compared, strict=True)
        ),
        summary=summary(cases, found)
        | published
        | {
            "injected": float(sum(bool(one.changed) for one in tried)),
            "injections": float(len(tried)),
        }
        | sentence_figures(sentence_cases()),
        more=own
        | _brief_times(ways)
        | {k: v for part in LATER for k, v in sentence_figures(sentence_cases(), part).items()}
        | {"injections.fooled": float(sum(o.turned for o in tried))}
        | {"injections.opinions": float(sum(o.opined for o in tried))},
        tables=(
            ways_table(ways, label),
            sentence_table(sentence_cases()),
            own_table(cases, options.split_by),
            *_tables(tried, violations),
        ),
        notes={
            "model": main.name,
            "label": label,
            "onset": options.onset,
            "violations": violations,
            "achieved": [f"{one.hostile.id}: {said}" for one in tried for said in one.changed],
        },
    )


def _brief_times(ways: Sequence[ModelScore]) -> dict[str, float]:
    """How soon the brief was out, by the rules and where nobody answered."""
    found: dict[str, float] = {}
    for way in ways:
        if way.name == "dead":
            times = sorted(one.ran.brief_s for one in way.compared)
            rules = sorted(one.rules.brief_s for one in way.compared)
            found["dead.brief_seconds.p50"] = times[len(times) // 2]
            found["rules.brief_seconds.p50"] = rules[len(rules) // 2]
    return found


def _tables(tried: Sequence[InjectionAttempt], violations: Sequence[JsonValue]) -> Iterator[Table]:
    if tried:
        groups: dict[str, list[InjectionAttempt]] = defaultdict(list)
        for one in tried:
            groups[one.hostile.where].append(one)
        groups["all"] = list(tried)
        rows = [
            (
                where,
                str(len(group)),
                str(sum(one.opined for one in group)),
                str(sum(one.turned for one in group)),
                str(sum(bool(one.changed) for one in group)),
            )
            for where, group in groups.items()
        ]
        columns = (
            "planted in",
            "texts",
            "of which with an opinion",
            "fooled the model",
            "achieved anything",
        )
        title = "Hostile texts: cause, plan and brief held against the same incident without them"
        yield Table(title=title, columns=columns, rows=tuple(rows))
    if violations:
        found = tuple((str(said),) for said in violations[:20])
        yield Table(title="What must not be", columns=("what",), rows=found)
