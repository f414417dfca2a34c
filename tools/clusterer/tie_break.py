"""The uncertain pairs: an alert and a group that only time speaks for, put before a judge."""

from collections import OrderedDict
from typing import Literal, NamedTuple, Protocol

from tools.clusterer.group import Group
from tools.log_retriever.sanitize import sanitize
from tools.types import Alert, AlertGroup, FrozenModel, Timestamp

_MOST_ANSWERS = 5_000
_REASON_LENGTH = 200
_LATELY_S = 130.0
"""Alerts that began so near each other share the limit of questions. Source: `unrelated_gap`."""


class UncertainPair(FrozenModel):
    """An alert and an open group that no call path and no shared place connects.

    `rules` is what the rules do if nobody answers: `merge` where the alert started close enough to
    the group, `split` where it did not but an alert with a call path would still join.
    """

    alert: Alert
    group: AlertGroup
    gap: float
    """Seconds between the alert's start and the span of the group's starts."""
    rules: Literal["merge", "split"]
    reason: str
    """Why the rules do so."""


class PairDecision(NamedTuple):
    """What a judge says of a pair, and why; the reason is shown to people beside the decision."""

    verdict: Literal["merge", "split"]
    reason: str


class TieBreaker(Protocol):
    """Decides the uncertain pairs only; the seam a language model may stand behind.

    It is asked inside `Clusterer.update`, which alerts wait for: it answers within its own time
    limit, returns None if it cannot tell, and does not raise. Alert text is untrusted.
    """

    def judge(self, doubt: UncertainPair) -> PairDecision | None:
        """Merge or split, with the reason; None leaves the pair to the rules."""
        ...


class LimitedTieBreaker:
    """Puts doubts before the judge: once per group and kind of alert, at most `limit` per group."""

    def __init__(self, judge: TieBreaker, limit: int) -> None:
        self._judge = judge
        self._limit = limit
        self._asked: list[Timestamp] = []
        self._answers: OrderedDict[str, dict[tuple[str, str], PairDecision | None]] = OrderedDict()

    def _may_ask(self, at: Timestamp) -> bool:
        """Whether fewer than `limit` questions were asked of alerts that began about then."""
        lately = [then for then in self._asked if abs(at - then) <= _LATELY_S]
        self._asked = [*lately, at] if len(lately) < self._limit else lately
        return len(lately) < self._limit

    def ask(
        self, alert: Alert, group: Group, gap: float, rules: PairDecision
    ) -> PairDecision | None:
        """The judge's verdict, None where the rules decide."""
        answers = self._answers.setdefault(group.id, {})
        while len(self._answers) > _MOST_ANSWERS:
            self._answers.popitem(last=False)
        kind = (alert.name, alert.service)
        if kind not in answers and len(answers) < self._limit and self._may_ask(alert.starts_at):
            summary = group.summary(())
            doubt = UncertainPair(
                alert=alert, group=summary, gap=gap, rules=rules.verdict, reason=rules.reason
            )
            answers[kind] = _readable(self._judge.judge(doubt))
        return answers.get(kind)


def _readable(verdict: PairDecision | None) -> PairDecision | None:
    """A verdict whose reason is fit for a screen: a model may have written it."""
    if verdict is None:
        return None
    reason = sanitize(verdict.reason, _REASON_LENGTH) or "no reason given"
    return verdict._replace(reason=f"judged: {reason}")
