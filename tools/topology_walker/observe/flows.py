"""Steps of its usual course that a component no longer takes, and steps it never took before.

A visit is what one component did within one trace: the operations of its spans and the templates
of its log lines. For two steps A before B of a component's visits, P(B | A) is compared before and
since the onset by a two-proportion z. A step that nearly always followed and no longer does is a
cut in the code between A and B; a step never seen before is a new path. (Comparing the event
orders of fault-free and faulty periods is the idea of Yu et al., "Nezha", ESEC/FSE 2023.)
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from tools.log_retriever.sanitize import sanitize
from tools.topology_walker.config import WalkerConfig
from tools.topology_walker.observe.metrics import strength_of
from tools.types import Finding, FloatArray, LogLine, Telemetry, Timestamp, Window

_CLOCK = re.compile(r"^\S*\d\d:\d\d:\d\d\S*\s*")
_WORD = re.compile(r"[^\s\[\](){},;=:\"']+")
_PLACE = re.compile(r"[\w.$]+[#:]\d+")
_VARIABLE = re.compile(r"\d{2}|\d[a-f]|[a-f]\d")
_DIGITS = re.compile(r"\d+")
_ERRORS = re.compile(r"error|exception|fatal|panic|traceback|severe", re.IGNORECASE)
_WORDS, _HEAD = 6, 300
_MAX_STEPS = 150
_MOST_WORDS = 4096  # source: as many as one page of words holds, some 200 KB
_START = "log (first line)"


def template(message: str) -> str:
    """The first words of a message that are not variables; source locations keep their line.

    >>> template("20:14:53.513 INFO  t.c.Travel#115 [query][order 4711 for 0b23bd3e]")
    'INFO t.c.Travel#115 query order for'
    """
    kept: list[str] = []
    for found in _WORD.finditer(_CLOCK.sub("", message[:_HEAD], count=1)):
        word = _constant(found[0])
        if word:
            kept.append(word)
        if len(kept) == _WORDS:
            break
    return " ".join(kept)


@lru_cache(maxsize=_MOST_WORDS)
def _constant(word: str) -> str:
    """A word of a message as it stands in a template, empty where it is a variable."""
    if _PLACE.fullmatch(word):
        return word
    return "" if _VARIABLE.search(word) else _DIGITS.sub("0", word)


@dataclass(slots=True)
class _Visit:
    at: Timestamp
    steps: dict[str, Timestamp] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, step: str, at: Timestamp) -> None:
        self.at = min(self.at, at)
        self.steps[step] = min(at, self.steps.get(step, at))
        self.counts[step] = self.counts.get(step, 0) + 1


def flow_findings(telemetry: Telemetry, onset: Timestamp, config: WalkerConfig) -> list[Finding]:
    """Return each component's most telling missing step and its most telling new step."""
    visits = _visits(telemetry)
    lines = [line.at for line in telemetry.recent_logs]
    logged = Window(start=min(lines), end=max(lines)) if lines else None
    window = Window(start=onset, end=max(telemetry.window.end, onset))
    found = []
    for service, here in visits.items():
        recent = [visit for visit in here if visit.at >= telemetry.window.start]
        older = [visit for visit in here if visit.at < telemetry.window.start]
        for past in ([v for v in recent if v.at < onset], older):
            now = [visit for visit in recent if visit.at >= onset]
            found += _compare(service, past, now, logged, window, cross=past is not older)
    best: dict[tuple[str, str], Finding] = {}
    for one in found:
        key = (one.subject, one.name)
        if key not in best or one.strength > best[key].strength:
            best[key] = one
    return [one for one in best.values() if one.figures["z"] >= config.min_strength / 1.5]


def _visits(telemetry: Telemetry) -> dict[str, list[_Visit]]:
    known: dict[tuple[str, str], _Visit] = {}
    for line in telemetry.logs:
        if line.trace:
            key = (line.service, line.trace)
            visit = known.setdefault(key, _Visit(line.at))
            visit.add(f"log {_level(line)}{template(line.message)}", line.at)
    for span in telemetry.spans:
        visit = known.setdefault((span.service, span.trace), _Visit(span.at))
        visit.add(f"span {_DIGITS.sub('0', span.operation)}", span.at)
    found: dict[str, list[_Visit]] = defaultdict(list)
    for (service, _), visit in known.items():
        found[service].append(visit)
    for visit in known.values():
        logged = [at for step, at in visit.steps.items() if step.startswith("log ")]
        if logged:
            visit.steps[_START] = min(logged) - 1e-6
    return found


def _level(line: LogLine) -> str:
    return "error " if line.level.upper() in ("ERROR", "FATAL", "CRITICAL", "SEVERE") else ""


def _compare(
    service: str,
    past: list[_Visit],
    now: list[_Visit],
    logged: Window | None,
    window: Window,
    *,
    cross: bool,
) -> list[Finding]:
    if len(past) < 4 or len(now) < 3:
        return []
    counts = Counter(step for visit in (*past, *now) for step in visit.steps)
    steps = sorted(counts, key=lambda step: (-counts[step], step))[:_MAX_STEPS]
    at = {step: i for i, step in enumerate(steps)}
    is_log = np.array([step.startswith("log ") for step in steps])
    was, n_was, before_was = _matrix(past, at, is_log, logged)
    is_now, n_now, before_now = _matrix(now, at, is_log, logged)
    follows = (before_was + before_now) >= 0
    np.fill_diagonal(follows, val=False)
    starts = np.array([step == _START for step in steps])
    follows &= (is_log[:, None] == is_log[None, :]) | (cross & ~starts[:, None] & ~starts[None, :])
    p, q = (was + 0.5) / (n_was + 1.0), (is_now + 0.5) / (n_now + 1.0)
    pooled = (was + is_now + 0.5) / (n_was + n_now + 1.0)
    n = 1.0 / (1.0 / np.maximum(n_was, 0.5) + 1.0 / np.maximum(n_now, 0.5))
    z = (q - p) / np.sqrt(pooled * (1.0 - pooled) / n)
    enough = follows & (n_was >= 4) & (n_now >= 3)
    bad = np.array([_ERRORS.search(step) is not None for step in steps])
    known = {step for visit in past for step in visit.steps}
    unseen = np.array([step not in known for step in steps])
    sound = ~bad[:, None] & ~bad[None, :]
    # A step that always followed is missed at once; one that mostly did must all but vanish, as
    # the mix of requests may have shifted.
    power = 2.0 - np.clip((p - 0.9) / 0.07, 0.0, 1.0)
    missing = np.where(enough & (p >= 0.5) & sound, -z * np.clip((p - q) / p, 0, 1) ** power, 0)
    new = np.where(enough & (bad | unseen)[None, :] & (p < 0.5), z * np.clip(q - p, 0, 1), 0)
    tables = (("missing_step", missing), ("new_step", new))
    return [
        _finding(service, name, steps, score, (was, n_was, is_now, n_now, z), window)
        for name, score in tables
        if score.size and score.max() > 0
    ]


def _matrix(
    visits: list[_Visit],
    at: dict[str, int],
    is_log: np.ndarray[tuple[int], np.dtype[np.bool_]],
    logged: Window | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of A's that had a B summed over visits, visits with A, and A-before-B balance.

    A step taken n times in a visit needs n of the other. Pairs of a log step and a span step
    count only visits of the time in which lines were kept.
    """
    width = len(at)
    both, with_a, order = (np.zeros((width, width)) for _ in range(3))
    mixed = is_log[:, None] != is_log[None, :]
    alike = Counter(
        (_course(visit, at), logged is not None and visit.at in logged) for visit in visits
    )
    for (course, kept), times in alike.items():
        where = np.array([place for place, _, _ in course], dtype=np.intp)
        count = np.array([taken for _, taken, _ in course], dtype=np.float64)
        rank = np.array([turn for _, _, turn in course])
        here = np.ix_(where, where)
        valid = times * (~mixed[here] | kept)
        both[here] += valid * np.minimum(count[:, None], count[None, :]) / count[:, None]
        with_a[where] += times * (~mixed[where] | kept)
        order[here] += times * np.sign(rank[None, :] - rank[:, None])
    return both, with_a, order


def _course(visit: _Visit, at: dict[str, int]) -> tuple[tuple[int, int, int], ...]:
    """The steps of a visit, how often each was taken, and in which order: most visits are alike."""
    steps = [
        (at[step], visit.counts.get(step, 1), when)
        for step, when in visit.steps.items()
        if step in at
    ]
    turn = {when: place for place, when in enumerate(sorted({when for _, _, when in steps}))}
    return tuple(sorted((place, count, turn[when]) for place, count, when in steps))


def _finding(
    service: str,
    name: str,
    steps: list[str],
    score: FloatArray,
    counted: tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray],
    window: Window,
) -> Finding:
    after, step = (int(i) for i in np.unravel_index(int(np.argmax(score)), score.shape))
    was, n_was, is_now, n_now, _ = (float(table[after, step]) for table in counted)
    wanted, since = steps[step], steps[after]
    verb = "no longer reaches" if name == "missing_step" else "now reaches"
    return Finding(
        kind="log" if wanted.startswith("log ") else "trace",
        subject=service,
        name=name,
        source="logs" if wanted.startswith("log ") else "traces",
        query=f"service={service}",
        window=window,
        value=is_now / n_now,
        baseline=was / n_was,
        direction="down" if name == "missing_step" else "up",
        strength=strength_of(2.0 * float(score.max())),
        figures={
            "z": float(score.max()),
            "before": was,
            "of_before": n_was,
            "after": is_now,
            "of_after": n_now,
            "error": float(_ERRORS.search(wanted) is not None),
        },
        excerpt=sanitize(f"{since} => {wanted}", 300),
        statement=(
            f"{service} {verb} a step after another: {is_now:.0f} of {n_now:.0f} visits, "
            f"before {was:.0f} of {n_was:.0f}."
        ),
    )
