"""Hold commits against what went wrong: exonerate by time, place and form, convict by form.

score(commit) = the strongest form that both its diff and the evidence show + half of each further
one + what it shares with the evidence in rare words. A commit is convicted at `CONVICTED` or more,
unless the evidence names a cause outside (`outside.OUTSIDE`) and no name of the commit's own stands
in it. The latest release is no evidence by itself.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from tools.change_inspector.diff import FileDiff, files_of, words
from tools.change_inspector.forms import Form, forms
from tools.change_inspector.outside import OutsideCause, external
from tools.change_inspector.table import file_kind, traced
from tools.types import Change, Commit, Text, Timestamp, Topology

FORM = CONVICTED = 1.0
"""One form that the diff and the evidence both show convicts; words in common alone do not."""

NAMED, MISSING = 1.5, 1.5
"""A stack trace that names the changed file, and an error about a name that the diff took away or
brought in, are the commit's own; more than any resemblance of form."""

SHARED = 0.6
"""Most that rare words in common are worth."""

_MISSING = re.compile(
    r"""(?:does not exist|not found|no such|unknown|undefined|missing|no mapping found|unexpected"""
    r"""|unrecognized|invalid (?:column|field|key)|has no attribute|cannot find|not defined)"""
    r"""[^"'\[`]{0,40}["'\[`](?P<quoted>[A-Za-z_][\w.\-]{2,60})["'\]`]"""
    r"""|["'\[`](?P<before>[A-Za-z_][\w.\-]{2,60})["'\]`][^"']{0,30}"""
    r"""(?:does not exist|not found|is not defined|is missing|undefined|unknown)"""
    r"""|(?:lookup|ENOTFOUND|could not resolve host:?) (?P<host>[\w.\-]{3,80})""",
    re.IGNORECASE,
)
"""A quoted name on either side of the complaint, or a host: bare words there are plain English."""
_PLAIN = frozenset(["service", "svc", "server", "api", "app", "srv", "backend", "worker"])


@dataclass(frozen=True)
class CommitCase:
    """What is known of an incident when its commits are judged.

    `reports` are what alerts, log lines and objects say, `readings` what was measured, each once;
    `suspects` are the components located, first first; `onset` is in Unix seconds.
    """

    commits: Sequence[Commit]
    changes: Sequence[Change]
    reports: Sequence[str]
    readings: Sequence[str]
    suspects: Sequence[str]
    topology: Topology
    onset: Timestamp

    @cached_property
    def on_the_way(self) -> frozenset[str]:
        """The suspects, what they call and what calls them: where a change could show as this."""
        near = set(self.suspects)
        for edge in self.topology.edges:
            if edge.caller in self.suspects or edge.callee in self.suspects:
                near |= {edge.caller, edge.callee}
        return frozenset(near)

    @cached_property
    def brought(self) -> dict[tuple[str, str], list[Change]]:
        """The changes that are known to have brought a commit, by its repository and name."""
        found: dict[tuple[str, str], list[Change]] = {}
        for change in self.changes:
            for commit in change.commits:
                found.setdefault((commit.repository, commit.sha), []).append(change)
        return found

    @cached_property
    def said(self) -> str:
        """Everything the evidence says, a line each."""
        return "\n".join((*self.reports, *self.readings))

    @cached_property
    def said_words(self) -> frozenset[str]:
        """The words of it."""
        return frozenset(words([self.said]))

    @cached_property
    def harms(self) -> tuple[Form, ...]:
        """Forms whose harm it says."""
        return tuple(form for form in forms() if form.says.search(self.said))

    @cached_property
    def frames(self) -> frozenset[str]:
        """Source files that its stack traces name."""
        return frozenset(traced().findall(self.said))

    @cached_property
    def missed(self) -> tuple[str, ...]:
        """Names that its errors do not find, in small letters."""
        groups = (match.groups() for match in _MISSING.finditer(self.said))
        return tuple(dict.fromkeys(name.lower() for found in groups for name in found if name))


@dataclass(frozen=True, slots=True)
class InnocentCommit:
    """A commit that was looked at, and why it is not held for the cause."""

    commit: Commit
    why: Text


@dataclass(frozen=True, slots=True)
class CommitVerdict:
    """The convicted commit, why, and in which file; or none, with the outside cause if one is said.

    `line` is its number in that file, 0 where the diff does not say; `innocent` are all others.
    """

    commit: Commit | None
    reason: Text
    file: str = ""
    line: int = 0
    outside: OutsideCause | None = None
    innocent: tuple[InnocentCommit, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitCharge:
    """One thing that speaks against a commit, and where; `own`: the evidence names it."""

    weight: float
    what: Text
    file: str
    line: int = 0
    own: bool = False


@dataclass(frozen=True, slots=True)
class _Accused:
    """A commit that neither time nor place cleared, with what speaks against it, most first."""

    commit: Commit
    charges: tuple[CommitCharge, ...]

    @property
    def score(self) -> float:
        """The strongest charge, and half of each further one."""
        first, *others = [one.weight for one in self.charges] or [0.0]
        return first + 0.5 * sum(others)


_UNSEEN = Text(en="nothing that it does is seen in the evidence", zh="证据中未见其所为")
_LATER = Text(en="it was made after the onset", zh="提交于故障开始之后")
_TOO_LATE = Text(
    en="it reached the component after what is wrong had begun", zh="到达该组件时故障已经开始"
)
_ELSEWHERE = Text(
    en="it had not reached any component on the way before the onset",
    zh="故障开始前未发布到相关组件",
)
_HARMLESS_FILES = Text(en="it touches documents, tests or style alone", zh="只涉及文档、测试或样式")
_NO_DIFF = Text(en="its diff is not known", zh="不知其改动内容")
_MOVED = Text(en="it moves code about and does nothing else", zh="只移动代码,行为不变")
_TRACE = Text(en="a stack trace names", zh="堆栈指向")
_ABOUT = Text(en="the error is about a name that it changes", zh="错误所指的名称由其改动")
_WORDS = Text(en="words in common with the evidence", zh="与证据有相同词语")


def judge(case: CommitCase) -> CommitVerdict:
    """Return the commit that the evidence convicts, or none with the reason."""
    outside = external(case.reports)
    rare = _rarity(case.commits)
    accused: list[_Accused] = []
    innocent: list[InnocentCommit] = []
    for commit in case.commits:
        why = _exonerated(commit, case)
        if why is not None:
            innocent.append(InnocentCommit(commit, why))
            continue
        charges = sorted(_charges(commit, case, rare), key=lambda one: -one.weight)
        accused.append(_Accused(commit, tuple(charges)))
    accused.sort(key=lambda one: (-one.score, -one.commit.at))
    first = accused[0] if accused else None
    guilty = first if first is not None and _convicts(first, outside) else None
    innocent += [
        InnocentCommit(one.commit, one.charges[0].what if one.charges else _UNSEEN)
        for one in accused
        if one is not guilty
    ]
    return CommitVerdict(
        commit=guilty.commit if guilty else None,
        reason=_joined(guilty.charges[:2]) if guilty else outside.title if outside else _UNSEEN,
        file=guilty.charges[0].file if guilty else "",
        line=guilty.charges[0].line if guilty else 0,
        outside=outside,
        innocent=tuple(innocent),
    )


def _convicts(accused: _Accused, outside: OutsideCause | None) -> bool:
    """Whether it is enough; beside an outside cause only what the evidence itself names is."""
    own = any(one.own for one in accused.charges)
    return accused.score >= CONVICTED and (outside is None or own)


def left_over(case: CommitCase) -> list[Commit]:
    """Commits that neither time nor place nor their files clear."""
    return [one for one in case.commits if _exonerated(one, case) is None]


def worded(title: Text, detail: str) -> Text:
    """A title with what of it is seen, cut."""
    return Text(en=f"{title.en}: {detail}"[:300], zh=f"{title.zh}:{detail}"[:300])


def _joined(charges: Sequence[CommitCharge]) -> Text:
    return Text(
        en="; ".join(one.what.en for one in charges)[:300],
        zh=";".join(one.what.zh for one in charges)[:300],
    )


def _exonerated(commit: Commit, case: CommitCase) -> Text | None:
    """Why time, place or form clear a commit before its lines are read; None where they do not."""
    if commit.at >= case.onset:
        return _LATER
    reached = _carried_at(commit, case)
    if reached is None:
        return _ELSEWHERE
    if reached >= case.onset:
        return _TOO_LATE
    if commit.files and all(file_kind(path) == "harmless" for path in commit.files):
        return _HARMLESS_FILES
    if not commit.diff:
        return _NO_DIFF
    files = files_of(commit.diff, commit.files)
    return _MOVED if files and all(one.moved for one in files) else None


def _carried_at(commit: Commit, case: CommitCase) -> Timestamp | None:
    """When a change took it to a component on the way; its own time where no change is recorded.

    A path that names another component belongs to that one; what names none is shared by all. Which
    commits a change brought is known of some; the others bring what was made before them.
    """
    named = owners(commit, case)
    places = (named & case.on_the_way) if named else case.on_the_way
    if not places:
        return None
    brought = case.brought.get((commit.repository, commit.sha))
    if brought:
        return min((one.at for one in brought if _concerns(one, places, case)), default=None)
    releases = [one for one in case.changes if one.kind in _RELEASES]
    if not releases:
        return commit.at
    after = [
        one.at
        for one in releases
        if (one.gap or all(known.repository != commit.repository for known in one.commits))
        and one.service in places
        and commit.at <= one.at + _CLOCK_S
        and one.at < case.onset
    ]
    return min(after, default=None)


_RELEASES = frozenset({"deploy", "canary", "config"})


def _concerns(change: Change, places: frozenset[str], case: CommitCase) -> bool:
    """Whether a change reached one of the places; a flag's project may be no component at all."""
    named = _stem(change.service)
    if any(one == change.service or (named and _stem(one) == named) for one in places):
        return True
    return change.kind not in ("deploy", "canary", "scale") and not any(
        _stem(one) == named for one in case.topology.nodes
    )


_CLOCK_S = 120.0
"""A pipeline's clock and a developer's differ: a release a moment before its commit carries it."""


def owners(commit: Commit, case: CommitCase) -> frozenset[str]:
    """Components whose name stands in a path of the commit."""
    known = {*case.topology.nodes, *case.on_the_way, *(one.service for one in case.changes)}
    parts = [set(_stem(part) for part in re.split(r"[/.]", path)) for path in commit.files]
    return frozenset(
        name for name in known if any(_stem(name) in folders for folders in parts) and _stem(name)
    )


def _stem(name: str) -> str:
    """A name without what says only that it is a service: `checkoutservice` and `checkout-svc`."""
    bare = re.sub(r"[-_]?(?:service|svc|server|srv|api|app)$", "", name.lower())
    return "" if bare in _PLAIN else bare


def _charges(commit: Commit, case: CommitCase, rare: dict[str, float]) -> Iterator[CommitCharge]:
    for file in files_of(commit.diff, commit.files):
        if file_kind(file.path) == "harmless":
            continue
        if not file_kind(file.path):
            yield from _named(file, case)
            yield from _forms(file, case)
        yield from _shared(file, case, rare)


def _named(file: FileDiff, case: CommitCase) -> Iterator[CommitCharge]:
    if file.name in case.frames:
        first = next((one.number for one in file.lines if one.mark != " "), 0)
        yield CommitCharge(NAMED, worded(_TRACE, file.name), file.path, first, own=True)
    name = next((name for name in case.missed if _only_on_one_side(name, file)), "")
    if name:
        where = file.line_of(name)
        yield CommitCharge(MISSING, worded(_ABOUT, repr(name)), file.path, where, own=True)


def _only_on_one_side(name: str, file: FileDiff) -> bool:
    """Whether the diff takes a name away or brings it in, rather than keeping it."""
    pattern = re.compile(rf"(?<![\w\-]){re.escape(name)}(?![\w\-])", re.IGNORECASE)
    before, now = (any(map(pattern.search, side)) for side in (file.removed, file.added))
    return before != now


def _forms(file: FileDiff, case: CommitCase) -> Iterator[CommitCharge]:
    for form in case.harms:
        for shown in islice(form.shows(file), 1):
            where = file.line_of(shown.text)
            yield CommitCharge(FORM, worded(form.title, shown.what), file.path, where)


def _shared(file: FileDiff, case: CommitCase, rare: dict[str, float]) -> Iterator[CommitCharge]:
    """Rare words of the changed lines that the evidence says, too."""
    changed = (set(file.gone) | set(file.new)) & case.said_words
    found = sorted((word for word in changed if len(word) > 3), key=lambda w: (-rare[w], w))
    if found:
        worth = sum(rare[word] for word in found[:4])
        weight = SHARED * (1.0 - math.exp(-worth))
        yield CommitCharge(weight, worded(_WORDS, ", ".join(found[:4])), file.path)


def _rarity(commits: Sequence[Commit]) -> dict[str, float]:
    """How rare a word is: 1 / number of commits that have it in their diff."""
    counts: Counter[str] = Counter()
    for commit in commits:
        counts.update(set(words([commit.diff])))
    return {word: 1.0 / count for word, count in counts.items()}
