"""Which commit did it, or none: the change inspector asked about one located incident."""

from collections.abc import Sequence

from copilot.sources.deployment import Sources
from copilot.types.incident import CommitAnswer, CommitLooked
from tools.change_inspector import CommitCase, CommitVerdict, judge
from tools.log_retriever import sanitize
from tools.log_retriever.redact import Vault, excerpt
from tools.types import Change, Commit, Evidence, EvidenceKind, Ranking, Text, Timestamp, Topology

REPORTS: frozenset[EvidenceKind] = frozenset({"alert", "log", "cluster"})
READINGS: frozenset[EvidenceKind] = frozenset({"metric", "edge"})
"""Evidence whose words a commit is held against; a change says nothing of what went wrong."""

MOST = 500
"""The newest commits that are judged: a day of a large team, and seconds of work."""

MOST_DIFFS = 2 * 1024 * 1024
"""Characters of diffs that are judged, the newest first: some 50,000 lines, 2 s on one core."""

SUSPECTS = 2
"""Candidates whose surroundings are looked at: the first may be the victim of the second."""

NAMED = 5
"""So many innocent commits are kept for a person; the newest are asked about first."""


def commit_answer(
    sources: Sources,
    evidence: Sequence[Evidence],
    ranking: Ranking,
    topology: Topology,
    onset: Timestamp,
) -> CommitAnswer | None:
    """Judge the commits of the day before the onset; None where nobody told of any."""
    commits = _bounded(sources.commits(onset)[-MOST:])
    changes = sources.recent_changes(onset)
    gap = _gap(changes)
    if not commits:
        return CommitAnswer(looked_at=0, gap=gap) if gap else None
    # What is no longer logged says nothing of what went wrong.
    said = [one for one in evidence if one.kind != "log" or one.direction == "up"]
    case = CommitCase(
        commits,
        changes,
        [_words(one) for one in said if one.kind in REPORTS],
        [_words(one) for one in said if one.kind in READINGS],
        [one.component for one in ranking.candidates[:SUSPECTS]],
        topology,
        onset,
    )
    return _answer(judge(case), len(commits)).model_copy(update={"gap": gap})


def without_blame(ranking: Ranking, answer: CommitAnswer | None) -> Ranking:
    """Take back "bad deployment" where no commit is convicted and a cause outside is said."""
    kind = answer.outside_kind if answer is not None else None
    if kind is None:
        return ranking
    candidates = tuple(
        one.model_copy(update={"fault_kind": kind}) if one.fault_kind == "bad_deploy" else one
        for one in ranking.candidates
    )
    return ranking.model_copy(update={"candidates": candidates})


def _bounded(commits: Sequence[Commit]) -> list[Commit]:
    """The commits, those too far back without their lines: then nothing convicts them."""
    left = MOST_DIFFS
    kept: list[Commit] = []
    for one in reversed(commits):
        left -= len(one.diff)
        kept.append(one if left >= 0 else one.model_copy(update={"diff": ""}))
    return kept[::-1]


def _gap(changes: Sequence[Change]) -> str:
    """What of the changes' commits is not known: the newest by its words, the others counted."""
    unknown = [one for one in reversed(changes) if one.gap]
    if not unknown:
        return ""
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    return sanitize(f"{unknown[0].service}: {unknown[0].gap}", 200) + more


def _words(one: Evidence) -> str:
    return f"{one.name} {one.excerpt or one.statement}"


def _answer(verdict: CommitVerdict, looked_at: int) -> CommitAnswer:
    newest = sorted(verdict.innocent, key=lambda one: -one.commit.at)[:NAMED]
    guilty, outside = verdict.commit, verdict.outside if verdict.commit is None else None
    return CommitAnswer(
        sha=guilty.sha if guilty else "",
        author=sanitize(guilty.author, 80) if guilty else "",
        message=excerpt(guilty.message, Vault(), 160) if guilty else "",
        file=sanitize(verdict.file, 160),
        line=verdict.line,
        url=sanitize(guilty.url, 300) if guilty else "",
        reason=_redacted(verdict.reason) if guilty else None,
        looked_at=looked_at,
        outside=outside.title if outside else None,
        outside_kind=outside.kind if outside else None,
        innocent=tuple(
            CommitLooked(
                sha=one.commit.sha,
                message=excerpt(one.commit.message, Vault(), 120),
                why=_redacted(one.why),
            )
            for one in newest
        ),
    )


def _redacted(said: Text) -> Text:
    """Cut and redact both languages: a line of a diff may hold a secret."""
    vault = Vault()
    return Text(en=excerpt(said.en, vault, 240), zh=excerpt(said.zh, vault, 240))
