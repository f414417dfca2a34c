"""True and false sentences over cited evidence: how many of each a reader would see."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import fmean
from typing import Any

import yaml

from copilot.model.claims import ClaimScope, problems_of
from evals.report import Table, number
from prompts import LANGUAGES, Language, load
from tools.types import Evidence, Window

START = 1_774_268_400.0
TRUE = "true"
"""What stands in the place of a flaw where there is none."""

LATER = ("adversarial", "fresh")
"""Parts that were written after the checks, by somebody who had read them."""

PROMPTS = ("report_narrative", "plan")
"""The prompts that a reply may echo."""


@dataclass(frozen=True, slots=True)
class SentenceCase:
    """One sentence of the corpus: its scene, part, flaw, and what the checks say of it."""

    scene: str
    part: str
    flaw: str
    text: str
    problems: tuple[str, ...]
    language: Language

    @property
    def shown(self) -> bool:
        """Whether a reader would see it."""
        return not self.problems


@cache
def sentence_cases() -> tuple[SentenceCase, ...]:
    """The corpus, judged by the checks that every reply passes."""
    file = resources.files("evals.reasoning") / "sentences.yaml"
    scenes = yaml.safe_load(file.read_text(encoding="utf-8"))
    return tuple(one for scene in scenes for one in _cases(scene))


def _cases(scene: dict[str, object]) -> Iterator[SentenceCase]:
    for language in LANGUAGES:
        known = _scope(scene, language)
        first = "held out" if scene.get("held_out") else ""
        told = [(first, TRUE, line) for line in _lines(scene, TRUE, language)]
        told += [(first, *row) for row in _lines(scene, "false", language)]
        told += [(part, *row) for part in LATER for row in _lines(scene, part, language)]
        for part, flaw, line in told:
            text, _, cites = line.rpartition("|")
            found = problems_of(text.strip(), cites.split(), known)
            yield SentenceCase(
                str(scene["scene"]), part, flaw, text.strip(), tuple(found), language
            )


def _lines(scene: dict[str, object], part: str, language: Language) -> list[Any]:
    found = _part(scene, part)[language] if part in scene else []
    assert isinstance(found, list)
    return found


def _scope(scene: dict[str, object], language: Language) -> ClaimScope:
    asked = str(_part(scene, "question")[language])
    before = [str(_part(scene, "earlier")[language])] if "earlier" in scene else []
    prompts = [load(name, language).render() for name in PROMPTS]
    components = scene["components"]
    assert isinstance(components, list)
    items = [_item(name, list(row)) for name, row in _part(scene, "items").items()]  # type: ignore[call-overload]
    return ClaimScope(
        tuple(items), frozenset(components), language, said=(asked, *before, *prompts)
    )


def _part(scene: dict[str, object], name: str) -> dict[str, object]:
    part = scene[name]
    assert isinstance(part, dict)
    return part


def _item(name: str, row: Sequence[object]) -> Evidence:
    fields = ("kind", "subject", "name", "direction", "value", "baseline", "unit", "statement")
    began = row[8] if len(row) > 8 else None
    return Evidence.model_validate(
        dict(zip(fields, row, strict=False))
        | {
            "id": name,
            "source": "corpus",
            "query": str(row[1]),
            "window": Window(start=START - 3600, end=START + 300),
            "onset": START + float(str(began)) if began is not None else None,
        }
    )


def sentence_figures(cases: Sequence[SentenceCase], part: str = "") -> dict[str, float]:
    """Share of false sentences that no reader sees, and of true ones that one does, of a part."""
    found = [one for one in cases if _later(one) == part]
    said = f"sentences.{part}." if part else "sentences."
    return {
        f"{said}false_refused": fmean(not one.shown for one in found if one.flaw != TRUE),
        f"{said}true_shown": fmean(one.shown for one in found if one.flaw == TRUE),
    }


def _later(case: SentenceCase) -> str:
    return case.part if case.part in LATER else ""


def sentence_table(cases: Sequence[SentenceCase]) -> Table:
    """Per flaw: how many were judged right, by language and of the scenes held out."""
    groups: dict[tuple[str, str], list[SentenceCase]] = defaultdict(list)
    for one in cases:
        groups[_later(one), one.flaw].append(one)
    rows = []
    for (part, flaw), group in groups.items():
        said = flaw if flaw == TRUE else f"false: {flaw}"
        row = [f"{part}, {said}" if part else said]
        for some in (
            [one for one in group if one.language == "en"],
            [one for one in group if one.language == "zh"],
            [one for one in group if one.part == "held out"],
        ):
            right = sum(one.shown == (flaw == TRUE) for one in some)
            row.append(f"{right} of {len(some)}" if some else "–")
        row.append(number(fmean(one.shown == (flaw == TRUE) for one in group)))
        rows.append(tuple(row))
    title = "Sentences: true ones shown and false ones refused, by flaw"
    return Table(
        title=title, columns=("sentences", "en", "zh", "held out", "share"), rows=tuple(rows)
    )
