"""Scores of log parsing: GA, FGA, PA and FTA as Loghub-2.0 defines them.

Both sides' templates are first brought to one notation (rules DS, DG, WV, DV, CV), because two
annotators who agree on what varies still write `<*>.<*>`, `(<*>)` or `blk_<*>` differently.

Source: Khan et al., "Guidelines for Assessing the Accuracy of Log Message Template Identification
Techniques", ICSE 2022; Jiang et al., "A Large-Scale Evaluation for Log Parsing Techniques", ISSTA
2024 (Loghub-2.0).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

_DELIMITER = re.compile(r"([\s,!;:=|\"'\[\](){}.\-+@#$%&])")
_DIGITS = re.compile(r"\d+")
_WORD_WITH_VARIABLE = re.compile(r"[^\s/]*<\*>[^\s/]*|<\*>.*<\*>")
_DOUBLE_SPACE = re.compile(r"\s+")
_JOINED = (
    (" #<*># ", " <*> "),
    (" #<*> ", " <*> "),
    ("<*>:<*>", "<*>"),
    ("<*>#<*>", "<*>"),
    ("<*>/<*>", "<*>"),
    ("<*>@<*>", "<*>"),
    ("<*>.<*>", "<*>"),
    (' "<*>" ', " <*> "),
    (" '<*>' ", " <*> "),
    ("<*><*>", "<*>"),
)


@dataclass(frozen=True, slots=True)
class LogScore:
    """Four scores in [0, 1]: by line (GA, PA) and by template (FGA, FTA)."""

    ga: float
    fga: float
    pa: float
    fta: float


def _token(token: str) -> str:
    if _DIGITS.fullmatch(token):
        return "<*>"
    if token != "<*>/<*>" and _WORD_WITH_VARIABLE.fullmatch(token):
        return "<*>"
    return token


def normalise(template: str) -> str:
    """A template in the common notation.

    >>> normalise("block  blk_<*> of 3 at <*>.<*>:<*>")
    'block <*> of <*> at <*>'
    """
    template = _DOUBLE_SPACE.sub(" ", template.strip())
    template = "".join(_token(token) for token in _DELIMITER.split(template))
    for written, common in _JOINED:
        while written in template:
            template = template.replace(written, common)
    return template


def score(predicted: Sequence[str], truth: Sequence[str]) -> LogScore:
    """Score one template per line against the annotated one, both already normalised.

    GA: share of lines whose predicted group holds exactly the lines of their true group. FGA: F1 of
    such groups. PA: share of lines whose template is the true one. FTA: F1 of templates all of
    whose lines truly have that template.
    """
    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)!r} predictions for {len(truth)!r} lines")
    if not truth:
        raise ValueError("no lines to score")
    exact_groups, exact_lines = _exact_groups(predicted, truth)
    sizes = len(set(predicted)), len(set(truth))
    origins: dict[str, set[str]] = defaultdict(set)
    for guess, answer in zip(predicted, truth, strict=True):
        origins[guess].add(answer)
    right = sum(answers == {guess} for guess, answers in origins.items())
    return LogScore(
        ga=exact_lines / len(truth),
        fga=_f1(exact_groups, *sizes),
        pa=sum(g == t for g, t in zip(predicted, truth, strict=True)) / len(truth),
        fta=_f1(right, *sizes),
    )


def _exact_groups(predicted: Sequence[Hashable], truth: Sequence[Hashable]) -> tuple[int, int]:
    guessed, true = Counter(predicted), Counter(truth)
    together = Counter(zip(predicted, truth, strict=True))
    exact = [n for (g, t), n in together.items() if n == guessed[g] == true[t]]
    return len(exact), sum(exact)


def _f1(right: int, predicted: int, true: int) -> float:
    return 2 * right / (predicted + true)


def mean(scores: Sequence[LogScore]) -> LogScore:
    """The unweighted mean over systems."""
    n = len(scores)
    return LogScore(
        sum(s.ga for s in scores) / n,
        sum(s.fga for s in scores) / n,
        sum(s.pa for s in scores) / n,
        sum(s.fta for s in scores) / n,
    )
