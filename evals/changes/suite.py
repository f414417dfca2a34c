"""Which commit did it, or none: frozen incidents with commits and diffs, beside simple guesses."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict
from rich.progress import Progress

import copilot
from copilot.ports import Model
from copilot.sources.recorded import RecordedBundle
from evals.changes.readers import CommitReading, opened, readers_figures, readers_table, reading
from evals.localization.calibration import calibration_keys, calibration_table, claims
from evals.localization.cases import BundleCase, CaseSetError, read
from evals.localization.look import LocalizationResult, locate_bundle
from evals.localization.peers import PEERS as COMPONENT_PEERS
from evals.localization.score import place
from evals.report import ModelOptions, Result, Table, number
from tools.types import Change, Commit

NONE = "none"

CommitGuess = Callable[[Sequence[Commit], Sequence[Change], str], str]
"""A simple peer: commits, changes and the service of the alert, to a sha or `NONE`."""


class CommitTruth(BaseModel):
    """What a line of `truth/truth.jsonl` says of the commit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    root_cause_commit: str


@dataclass(frozen=True, slots=True)
class CommitScore:
    """One case: what was right, what was said, and what the peers said."""

    case: BundleCase
    located: LocalizationResult
    wanted: str
    said: str
    ac1: float
    peers: Mapping[str, str]
    component_peers: Mapping[str, float]
    readings: tuple[CommitReading, ...]


def always_none(_commits: Sequence[Commit], _changes: Sequence[Change], _service: str) -> str:
    """No commit did it, whatever happened."""
    return NONE


def newest_commit(commits: Sequence[Commit], _changes: Sequence[Change], _service: str) -> str:
    """The last commit before the alert."""
    return commits[-1].sha if commits else NONE


def last_of_alerted(commits: Sequence[Commit], changes: Sequence[Change], service: str) -> str:
    """The last commit before the last release of the service that the alert is about."""
    releases = [one.at for one in changes if one.service == service and one.kind == "deploy"]
    before = [one for one in commits if releases and one.at <= releases[-1]]
    return before[-1].sha if before else NONE


PEERS: Mapping[str, CommitGuess] = {
    "always none": always_none,
    "newest commit": newest_commit,
    "last commit of the alerted service": last_of_alerted,
}


def run(options: ModelOptions, progress: Progress) -> Result:
    """Judge the commits of every bundle under --data that has some, and score the answers."""
    if options.data is None:
        raise SystemExit("changes needs --data DIR with incidents/*/commits.json and truth/")
    started = time.perf_counter()
    try:
        cases = [one for one in read(options.data, options.limit) if _has_commits(one)]
        wanted = _truth(options.data)
    except CaseSetError as error:
        raise SystemExit(str(error)) from error
    if not cases:
        raise SystemExit(f"{str(options.data)!r}: no bundle of it has a commits.json")
    task = progress.add_task("changes", total=len(cases))
    scored = []
    with opened(options) as readers:
        for case in cases:
            scored.append(_score(case, wanted[case.answer.id], readers))
            progress.advance(task)
    read_by = [one for score in scored for one in score.readings]
    return Result(
        suite="changes",
        arm="rules",
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.perf_counter() - started,
        cases=tuple(_row(one) for one in scored),
        summary=_summary(scored),
        more=readers_figures(read_by),
        tables=(
            _table(scored),
            _peer_table(scored),
            readers_table(read_by),
            _component_table(scored),
            _said_table(scored),
        ),
    )


def _has_commits(case: BundleCase) -> bool:
    return (case.folder / "commits.json").is_file()


def _truth(data: Path) -> dict[str, str]:
    lines = (data / "truth" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    rows = (CommitTruth.model_validate(row) for row in map(json.loads, lines) if _names(row))
    return {row.id: row.root_cause_commit for row in rows}


def _names(row: Mapping[str, object]) -> bool:
    return isinstance(row.get("root_cause_commit"), str)


def _score(case: BundleCase, wanted: str, readers: Mapping[str, Model]) -> CommitScore:
    bundle = RecordedBundle(case.folder)
    # The page is minutes late; our own onset is what a running copilot would judge by.
    located = locate_bundle(bundle, case.answer, mode="detected")
    pages = bundle.alerts(bundle.window)
    commits, changes = bundle.commits(bundle.window), bundle.changes(bundle.window)
    before = [one for one in commits if one.at < located.onset]
    service = pages[0].service if pages else ""
    names = [(one.component, one.score) for one in located.ranking.candidates]
    return CommitScore(
        case,
        located,
        wanted,
        (located.commit.sha if located.commit else "") or NONE,
        place(names, *case.answer.right).within(1),
        {name: peer(before, changes, service) for name, peer in PEERS.items()},
        {
            name: place(
                [*peer(located.telemetry, located.onset).items()], *case.answer.right
            ).within(1)
            for name, peer in COMPONENT_PEERS.items()
        },
        reading(bundle, located, wanted, readers),
    )


def _summary(scored: Sequence[CommitScore]) -> dict[str, float]:
    said = claims([(one.located.ranking, one.ac1) for one in scored])
    return {
        "commit.right": fmean(float(one.said == one.wanted) for one in scored),
        "commit.innocent_blamed": float(
            sum(one.wanted == NONE and one.said != NONE for one in scored)
        ),
        "component.ac1": fmean(one.ac1 for one in scored),
        **calibration_keys(said, len(scored)),
    }


def _said_table(scored: Sequence[CommitScore]) -> Table:
    said = claims([(one.located.ranking, one.ac1) for one in scored])
    return calibration_table({"changes": (said, len(scored))})


def _row(one: CommitScore) -> dict[str, object]:
    answer = one.located.commit
    return {
        "id": one.case.answer.id,
        "wanted": one.wanted,
        "said": one.said,
        "right": one.said == one.wanted,
        "reason": answer.reason.en if answer and answer.reason else "",
        "outside": answer.outside.en if answer and answer.outside else "",
        "component": one.case.answer.root_cause,
        "ac1": one.ac1,
        "certainty": one.located.ranking.certainty,
        "probability": max((c.probability for c in one.located.ranking.candidates), default=0.0),
    }


def _table(scored: Sequence[CommitScore]) -> Table:
    rows = []
    for one in scored:
        answer = one.located.commit
        why = answer.outside or answer.reason if answer else None
        rows.append(
            (
                one.case.answer.id,
                one.wanted[:10],
                one.said[:10],
                "right" if one.said == one.wanted else "WRONG",
                number(one.ac1),
                why.en[:70] if why else "nothing seen in the evidence",
            )
        )
    columns = ("incident", "commit", "said", "", "component", "why")
    return Table(title="Which commit, or none", columns=columns, rows=tuple(rows))


def _peer_table(scored: Sequence[CommitScore]) -> Table:
    ours = fmean(float(one.said == one.wanted) for one in scored)
    rows = [("ours, no model", number(ours))]
    for name in PEERS:
        right = fmean(float(one.peers[name] == one.wanted) for one in scored)
        rows.append((f"{name}, measured", number(right)))
    return Table(title="Beside simple guesses", columns=("method", "right"), rows=tuple(rows))


def _component_table(scored: Sequence[CommitScore]) -> Table:
    rows = [("ours", number(fmean(one.ac1 for one in scored)))]
    for name in COMPONENT_PEERS:
        right = fmean(one.component_peers[name] for one in scored)
        rows.append((f"{name}, measured", number(right)))
    return Table(title="Which component", columns=("method", "AC@1"), rows=tuple(rows))
