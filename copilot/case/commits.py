"""Which commit did it, or none: the change inspector asked about one located incident.

Where the rules convict none, a model may point at one line; it counts where the rules agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from copilot.case.reasoning.consult import consult
from copilot.case.state import IncidentState
from copilot.deps import Deps
from copilot.model import ReplyCheck
from copilot.model.fence import Fence
from copilot.model.replies import REPLY_TOKENS, ModelReply
from copilot.model.table import fitted
from copilot.ports import Model
from copilot.sources.deployment import Sources
from copilot.types.incident import CommitAnswer, CommitLooked, PointedCommit
from copilot.types.model_io import Message, ModelRequest
from prompts import Language, Prompt, load
from tools.change_inspector import (
    CommitCase,
    CommitVerdict,
    ReadableLine,
    convicted,
    judge,
    readable,
)
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

READ = 40
"""Changed lines that are laid before a model: what a person reads in a minute."""

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
    case = commit_case(sources, evidence, ranking, topology, onset)
    gap = _gap(case.changes)
    if not case.commits:
        return CommitAnswer(looked_at=0, gap=gap) if gap else None
    return _answer(judge(case), len(case.commits)).model_copy(update={"gap": gap})


def commit_case(
    sources: Sources,
    evidence: Sequence[Evidence],
    ranking: Ranking,
    topology: Topology,
    onset: Timestamp,
) -> CommitCase:
    """What the inspector is asked about one located incident."""
    # What is no longer logged says nothing of what went wrong.
    said = [one for one in evidence if one.kind != "log" or one.direction == "up"]
    return CommitCase(
        _bounded(sources.commits(onset)[-MOST:]),
        sources.recent_changes(onset),
        [_words(one) for one in said if one.kind in REPORTS],
        [_words(one) for one in said if one.kind in READINGS],
        [one.component for one in ranking.candidates[:SUSPECTS]],
        topology,
        onset,
    )


class PointedReply(ModelReply):
    """The changed line a model holds for the cause, by its number; empty for none of them."""

    because: str = Field(max_length=300)
    line: str


@dataclass(frozen=True, slots=True)
class CommitQuestion:
    """Which changed line explains the evidence: the request, and the lines by their numbers."""

    case: CommitCase
    lines: Mapping[str, ReadableLine]
    request: ModelRequest
    prompt: Prompt

    @classmethod
    def of(
        cls,
        case: CommitCase,
        evidence: Sequence[Evidence],
        ranking: Ranking,
        model: Model,
        language: Language,
        nonce: str,
    ) -> "CommitQuestion | None":
        """The question; None where the rules leave nothing to be read."""
        lines = {f"L{place}": one for place, one in enumerate(readable(case)[:READ], 1)}
        if not lines:
            return None
        fence, prompt = Fence(nonce), load("read_commits", language)
        table = fitted(evidence, ranking, fence, model.tokens, prompt.budget["evidence"])
        text = prompt.render(
            component=fence.enclose("instruments", [fence.line(case.suspects[0], 80)]),
            table=fence.enclose("telemetry", table.rows),
            lines=fence.enclose("commits", _rows(lines, fence)),
        )
        schema = PointedReply.model_json_schema()
        schema["properties"]["line"] = {"enum": ["", *lines]}
        messages = (Message(role="user", content=text),)
        request = ModelRequest(
            messages=messages, reply_schema=schema, max_tokens=REPLY_TOKENS["change"], kind="change"
        )
        return cls(case, lines, request, prompt)

    def check(self, reply: PointedReply) -> ReplyCheck[PointedReply]:
        """Keep a reply that points at a line of the question, or at none."""
        known = reply.line == "" or reply.line in self.lines
        problem = f"there is no line {reply.line[:9]!r}"
        return ReplyCheck(reply) if known else ReplyCheck(None, (problem,))

    def verdict(self, reply: PointedReply | None) -> CommitVerdict | None:
        """What the rules make of a reply; None where they do not agree with it."""
        line = self.lines.get(reply.line) if reply is not None else None
        return convicted(self.case, line) if line is not None else None


def pointed_commit(deps: Deps, state: IncidentState) -> PointedCommit | None:
    """Ask the model which changed line explains the evidence; None where the rules do not agree."""
    model, ranking = deps.model, state["ranking"]
    if model is None:
        return None
    measured = [one for one in state["evidence"] if one.kind != "note"]
    topology = deps.sources.topology()
    case = commit_case(deps.sources, measured, ranking, topology, state["onset"].at)
    asked = CommitQuestion.of(case, measured, ranking, model, deps.language, deps.nonce())
    if asked is None:
        return None
    told = consult(
        deps,
        model,
        state["incident_id"],
        asked.request,
        PointedReply,
        asked.check,
        (asked.prompt,),
    )
    verdict = asked.verdict(told.value)
    return _pointed(verdict, model.name) if verdict is not None else None


def _rows(lines: Mapping[str, ReadableLine], fence: Fence) -> list[str]:
    """Each line with its number, commit, file and mark; a secret in it is cut out."""
    vault = Vault()
    return [
        f"{number} | {fence.line(one.commit.sha, 10)} | {fence.line(one.file.path, 120)} | "
        f"{one.line.mark} {fence.line(excerpt(one.line.text.strip(), vault, 160))}"
        for number, one in lines.items()
    ]


def _pointed(verdict: CommitVerdict, by: str) -> PointedCommit | None:
    if verdict.commit is None:
        return None
    return PointedCommit(
        sha=verdict.commit.sha,
        message=excerpt(verdict.commit.message, Vault(), 160),
        file=sanitize(verdict.file, 160),
        line=verdict.line,
        form=_redacted(verdict.reason),
        by=by,
    )


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
