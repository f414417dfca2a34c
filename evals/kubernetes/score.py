"""Score predictions as Cloud-OpsBench's authors do: exact equality of names, case aside."""

import json
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from tools.types import FrozenModel


class Label(NamedTuple):
    """Taxonomy, object and root cause of one prediction or answer."""

    taxonomy: str
    object: str
    cause: str

    def folded(self) -> "Label":
        """Without case and outer space, for comparison."""
        return Label(*(part.strip().casefold() for part in self))


class OpsBenchScore(FrozenModel):
    """Which parts of the answer one case's predictions hold."""

    a1: bool
    a3: bool
    object_cause1: bool
    object1: bool


def answer(text: bytes) -> Label:
    """The answer in a case's sealed answer file."""
    written = json.loads(text)
    return Label(
        str(written["fault_taxonomy"]), str(written["fault_object"]), str(written["root_cause"])
    )


def score(predictions: Sequence[Label], truth: Label) -> OpsBenchScore:
    """A@1 and A@3 of one case, with object and cause, and object alone, of the first prediction.

    >>> truth = Label("Runtime_Fault", "app/web", "oom_killed")
    >>> score([Label("runtime_fault", "App/web", "OOM_killed")], truth).a1
    True
    """
    wanted = truth.folded()
    said = [prediction.folded() for prediction in predictions[:3]]
    first = said[0] if said else Label("", "", "")
    return OpsBenchScore(
        a1=first == wanted,
        a3=wanted in said,
        object_cause1=(first.object, first.cause) == (wanted.object, wanted.cause),
        object1=first.object == wanted.object,
    )


def means(scores: Iterable[OpsBenchScore]) -> dict[str, float]:
    """The share of cases for each figure; nothing for no case."""
    taken = list(scores)
    if not taken:
        return {}
    return {name: fmean(getattr(one, name) for one in taken) for name in OpsBenchScore.model_fields}
