"""A set of recorded incidents and, apart from it, its answers."""

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tools.types import Timestamp

RECORDINGS = Path(__file__).parent.parent / "incidents"
"""The recordings of the lab that ship with the project."""


class CaseSetError(Exception):
    """The folder given by --data is not a set of incident bundles."""


class TruthRecord(BaseModel):
    """One line of `truth/truth.jsonl`; fields that no score needs are left alone.

    `also_right` names further components, `also_right_kinds` further kinds, that whoever injected
    the fault counts as right too: the caller of what lies outside the system, for one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    system: str
    root_cause: str
    fault_type: str = ""
    also_right: tuple[str, ...] = ()
    also_right_kinds: tuple[str, ...] = ()
    inject_ts: Timestamp | None = None
    alert_ts: Timestamp | None = None

    @property
    def right(self) -> tuple[str, ...]:
        """Every component that counts as right, the cause first."""
        return (self.root_cause, *self.also_right)


class BundleCase(BaseModel):
    """One bundle and its answer, which only scorers may open."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    answer: TruthRecord


def read(data: Path, limit: int | None = None) -> tuple[BundleCase, ...]:
    """All cases that have an answer, by id; with a limit, spread evenly over the systems."""
    answers = data / "truth" / "truth.jsonl"
    bundles = data / "incidents"
    if not answers.is_file() or not bundles.is_dir():
        raise CaseSetError(
            f"{str(data)!r} is no bundle set: it needs incidents/<id>/ and truth/truth.jsonl"
        )
    found = []
    for line in answers.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            if row.get("root_cause") is None:
                continue  # nothing is wrong in it, so there is nothing to locate
            answer = TruthRecord.model_validate(row)
        except (json.JSONDecodeError, ValidationError) as error:
            raise CaseSetError(f"{str(answers)!r}: {error}; one JSON object a line") from error
        if (bundles / answer.id).is_dir():
            found.append(BundleCase(folder=bundles / answer.id, answer=answer))
    if not found:
        raise CaseSetError(f"{str(bundles)!r} holds no bundle named in {str(answers)!r}")
    return tuple(found) if limit is None else _spread(found)[:limit]


def _spread(cases: Sequence[BundleCase]) -> tuple[BundleCase, ...]:
    by_system: dict[str, list[BundleCase]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.answer.id):
        by_system[case.answer.system].append(case)
    rounds = chain.from_iterable(zip_longest(*by_system.values()))
    return tuple(case for case in rounds if case is not None)
