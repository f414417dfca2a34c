"""Number what was found, and check that claims cite it and quote it right."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from tools.types import Evidence, Finding, FrozenModel

_CITED = re.compile(r"(?<![\w.])E([1-9][0-9]{0,4})(?![\w.]?\w)", re.ASCII)
_CLOCK = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?)?|\d{1,2}:\d\d(?::\d\d)?"
)
_FIGURE = re.compile(
    r"(?<![\w.\-/@:#])(?P<sign>[-−+]?)(?P<digits>\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"\s?(?P<unit>%|x\b|×|ms\b|s\b|seconds?\b|min\b|minutes?\b|h\b|hours?\b|us\b|µs\b"
    r"|[kKMG]i?B\b|bytes\b)?(?![\w]|[\-@:/#]\w)",
    re.ASCII,  # a figure may stand between Chinese characters
)
_SCALE = {
    "ms": 1e-3,
    "s": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "us": 1e-6,
    "µs": 1e-6,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "bytes": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "kiB": 1024.0,
    "KiB": 1024.0,
    "MiB": 1024.0**2,
    "GiB": 1024.0**3,
    "%": 1e-2,
}
RELATIVE_TOLERANCE = 0.01
"""A quoted figure may differ by 1 % of the measured one, or by half its own last digit."""


class Flaw(FrozenModel):
    """What is wrong with a claim: an id that does not exist, or a figure nobody measured."""

    kind: Literal["unknown_id", "unsupported_figure"]
    quoted: str
    reason: str


def number(findings: Iterable[Finding]) -> tuple[Evidence, ...]:
    """Give findings the numbers E1…En, strongest first.

    Equal strength is ordered by content (kind, subject, name, window), so the same findings get
    the same numbers in whatever order they arrive; exact repetitions are numbered once.

    >>> number([])
    ()
    """
    ordered = sorted(dict.fromkeys(map(_Key, findings)), key=lambda key: key.order)
    return tuple(
        Evidence(id=f"E{position}", **dict(key.finding))
        for position, key in enumerate(ordered, start=1)
    )


def renumber(findings: Iterable[Finding], known: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Number findings beside numbered ones: what is known keeps its number, what is new goes on.

    A number never changes its meaning, so that what was cited before can still be looked up. In the
    order of `number`; what is known and was not found again is left out.

    >>> renumber([], ())
    ()
    """
    numbers = {_Key(item): item.id for item in known}
    last = max((int(item.id[1:]) for item in known), default=0)
    numbered = []
    for key in sorted(dict.fromkeys(map(_Key, findings)), key=lambda key: key.order):
        if key not in numbers:
            last += 1
            numbers[key] = f"E{last}"
        numbered.append(Evidence(**(dict(key.finding) | {"id": numbers[key]})))
    return tuple(numbered)


class _Key:
    """A finding under its place in the order; equal keys are one fact."""

    __slots__ = ("finding", "order")

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        window = finding.window
        self.order = (
            -finding.strength,
            finding.kind,
            finding.subject,
            finding.name,
            window.start,
            window.end,
            finding.source,
            finding.statement,
        )

    def __hash__(self) -> int:
        return hash(self.order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.order == other.order


def cited(text: str) -> tuple[str, ...]:
    """The evidence ids a text names, in order, each once.

    >>> cited("slow since 10:02 [E3], see E1 and E3")
    ('E3', 'E1')
    """
    return tuple(dict.fromkeys(f"E{digits}" for digits in _CITED.findall(text)))


def check(text: str, evidence: Sequence[Evidence], also: Iterable[str] = ()) -> tuple[Flaw, ...]:
    """Flaws of a claim: cited ids must exist, and its figures occur in the cited evidence.

    The evidence that counts is what the text cites and the ids in `also`. A figure is supported
    by a value, a baseline, their ratio or difference, a named figure, or a number in the
    statement or excerpt, within `RELATIVE_TOLERANCE` or half of the last digit written; units of
    time and size are converted. Dates, clock times and numbers inside names are not figures.
    """
    known = {item.id: item for item in evidence}
    wanted = tuple(dict.fromkeys((*cited(text), *also)))
    flaws = [
        Flaw(kind="unknown_id", quoted=name, reason=f"there is no evidence {name!r}; cite E1…En")
        for name in wanted
        if name not in known
    ]
    measured = [value for name in wanted if name in known for value in _figures(known[name])]
    named = ", ".join(wanted) or "nothing"
    flaws.extend(
        Flaw(
            kind="unsupported_figure",
            quoted=match[0].strip(),
            reason=f"{match[0].strip()!r} is not in the cited evidence ({named})",
        )
        for match in _FIGURE.finditer(_CLOCK.sub(" ", _CITED.sub(" ", text)))
        if not _supported(match, measured)
    )
    return tuple(flaws)


def _figures(item: Evidence) -> list[float]:
    """Everything measured that this evidence shows, in base units (seconds, bytes, ratio)."""
    scale = _SCALE.get(item.unit, 1.0)
    raw = [value for value in (item.value, item.baseline) if value is not None]
    found = [*raw, *(value * scale for value in raw), *item.figures.values()]
    if item.value is not None and item.baseline is not None:
        difference = item.value - item.baseline
        found += [difference, difference * scale]
        if item.baseline:
            found += [item.value / item.baseline, difference / item.baseline]
    for match in _FIGURE.finditer(f"{item.statement} {item.excerpt}"):
        figure = float(match["digits"].replace(",", ""))
        found += [figure, figure * _SCALE.get(match["unit"] or "", 1.0)]
    return found


def _supported(match: re.Match[str], measured: Sequence[float]) -> bool:
    digits = match["digits"].replace(",", "")
    quoted = float(digits)
    decimals = len(digits.partition(".")[2]) if "e" not in digits else 0
    half = 0.5 * 10.0**-decimals if "." in digits or quoted < 10 else 0.5
    scale = _SCALE.get(match["unit"] or "", 1.0)
    return any(
        abs(abs(value) - quoted * factor) <= max(RELATIVE_TOLERANCE * abs(value), half * factor)
        for value in measured
        for factor in {1.0, scale}
    )
