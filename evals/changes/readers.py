"""What a reader of diffs adds to the rules, or takes: by a model, by stand-ins, and by any at all.

Each incident is judged twice: as it is, and with the words that tell the rules of the harm hidden
from them ("unknown words"), which is how an incident looks whose logs our table cannot read. A
reader sees the evidence either way.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from copilot.case.commits import CommitQuestion, PointedReply, commit_case
from copilot.model import ask
from copilot.ports import Model
from copilot.sources.recorded import RecordedBundle
from copilot.testing.policies import CarefulReaderPolicy, HastyReaderPolicy, PolicyModel
from copilot.wiring import recorded_sources
from evals.localization.look import LocalizationResult
from evals.reasoning.suite import at
from evals.report import ModelOptions, Table, number
from tools.change_inspector import CommitCase, convicted, judge, readable

NONE = "none"
BEST, WORST = "any reader, at best", "any reader, at worst"


@dataclass(frozen=True, slots=True)
class CommitReading:
    """What one way says of one incident: right, and whether it blames a commit that is innocent."""

    words: str
    way: str
    right: bool
    blamed: bool


@contextmanager
def opened(options: ModelOptions) -> Iterator[Mapping[str, Model]]:
    """The model at hand, else two stand-ins that see the question and no answer key."""
    if options.model_url:
        with at(options.model_url, options.model or "qwen3:30b") as model:
            yield {model.name: model}
        return
    careful, hasty = CarefulReaderPolicy(), HastyReaderPolicy()
    yield {
        "scripted careful reader": PolicyModel(careful),
        "scripted hasty reader": PolicyModel(hasty),
    }


def reading(
    bundle: RecordedBundle, located: LocalizationResult, wanted: str, readers: Mapping[str, Model]
) -> tuple[CommitReading, ...]:
    """Every way on one incident, as it is and with unknown words."""
    sources = recorded_sources(bundle)
    given = located.evidence, located.ranking, sources.topology(), located.onset
    case = commit_case(sources, *given)
    found: list[CommitReading] = []
    for words, told in (
        ("as told", case),
        ("unknown words", replace(case, reports=(), readings=())),
    ):
        commit = judge(told).commit
        rules = commit.sha if commit else NONE
        said = {"rules": rules, **_bounds(told, rules, wanted)}
        for name, model in readers.items():
            said[name] = _by(model, told, located) or rules
        found += [
            CommitReading(words, way, sha == wanted, sha not in (NONE, wanted))
            for way, sha in said.items()
        ]
    return tuple(found)


def _bounds(case: CommitCase, rules: str, wanted: str) -> dict[str, str]:
    """The best and the worst that pointing at any line could make of it."""
    verdicts = (convicted(case, line) for line in readable(case))
    could = {one.commit.sha for one in verdicts if one is not None and one.commit is not None}
    wrong = next((sha for sha in sorted(could) if sha != wanted), rules)
    return {BEST: wanted if wanted in could else rules, WORST: wrong}


def _by(model: Model, case: CommitCase, located: LocalizationResult) -> str:
    """The commit that a model's pointing convicts; empty where none."""
    asked = CommitQuestion.of(case, located.evidence, located.ranking, model, "en", "5eed")
    if asked is None:
        return ""
    verdict = asked.verdict(ask(model, asked.request, PointedReply, asked.check).value)
    return verdict.commit.sha if verdict is not None and verdict.commit is not None else ""


def readers_figures(readings: Sequence[CommitReading]) -> dict[str, float]:
    """Right and innocents blamed, by words and way."""
    found: dict[str, float] = {}
    for words, way in dict.fromkeys((one.words, one.way) for one in readings):
        these = [one for one in readings if (one.words, one.way) == (words, way)]
        key = f"readers.{words}.{way}".replace(" ", "_").replace(",", "")
        found[f"{key}.right"] = sum(one.right for one in these) / len(these)
        found[f"{key}.innocent_blamed"] = float(sum(one.blamed for one in these))
    return found


def readers_table(readings: Sequence[CommitReading]) -> Table:
    """A row for each way, as told and with unknown words."""
    rows = []
    for way in dict.fromkeys(one.way for one in readings):
        figures = []
        for words in ("as told", "unknown words"):
            these = [one for one in readings if (one.words, one.way) == (words, way)]
            figures.append(number(sum(one.right for one in these) / len(these)))
            figures.append(str(sum(one.blamed for one in these)))
        rows.append((way, *figures))
    title = (
        "A reader points at a line, the rules convict where time, place and form agree: right, and "
        "innocents blamed; then with the words of harm unknown to the rules"
    )
    columns = ("way", "right", "blamed", "unknown: right", "blamed")
    return Table(title=title, columns=columns, rows=tuple(rows))
