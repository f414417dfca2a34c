"""The card of a playbook: what a person wants to know before it is needed, and before a yes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from copilot.knowledge import Library, Memory
from prompts import Language, word
from tools.playbook_executor import Policy
from tools.playbook_executor.parameters import HOLE, MOST_NAMES
from tools.types import (
    Applicability,
    FaultKind,
    Parameter,
    Playbook,
    PlaybookEffect,
    PlaybookStep,
    Precondition,
)
from tools.types import Text as Said

_LABELS: dict[str, dict[Language, str]] = {
    "when": {"en": "when", "zh": "何时"},
    "needs": {"en": "only if", "zh": "前提"},
    "risk": {"en": "risk", "zh": "风险"},
    "agree": {"en": "who agrees", "zh": "谁批准"},
    "touches": {"en": "touches", "zh": "波及"},
    "takes": {"en": "takes", "zh": "耗时"},
    "does": {"en": "does", "zh": "做什么"},
    "expected": {"en": "then", "zh": "预期"},
    "verified": {"en": "verified", "zh": "如何验证"},
    "undone": {"en": "undone", "zh": "如何撤销"},
    "watch": {"en": "watch", "zh": "注意查看"},
    "values": {"en": "values", "zh": "参数"},
    "again": {"en": "again", "zh": "再次执行"},
    "here": {"en": "here", "zh": "在此"},
}


@dataclass(frozen=True, slots=True)
class PlaybookCard:
    """What the card needs besides the playbook: who decides, and what runs it here."""

    playbook: Playbook
    policy: Policy
    runs: Said
    language: Language

    @property
    def title(self) -> str:
        """What it does, in one line."""
        return self._said(self.playbook.title)

    def rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        """The whole card: each label with its lines."""
        return ((_LABELS[label][self.language], lines) for label, lines in self._rows())

    def _rows(self) -> Iterator[tuple[str, Sequence[str]]]:
        one, zh = self.playbook, self.language == "zh"
        yield "when", [self._when(case) for case in one.applies]
        if one.preconditions:
            holds = [_condition(c) for c in one.preconditions]
            yield "needs", ["；".join(holds) if zh else "; ".join(holds)]
        kept = f"{one.risk}（不可撤销）" if zh else f"{one.risk} (cannot be undone)"
        undone = one.irreversible is None or bool(one.rollback)
        yield "risk", [word("risk", one.risk, self.language) if undone else kept]
        yield "agree", [self._agreement()]
        most = one.blast_radius.instances
        count = f"同时最多 {most} 个实例" if zh else f"at most {most} instances at once"
        yield "touches", [self._said(one.blast_radius.notice), *([count] if most else [])]
        yield "takes", [self._duration()]
        yield "does", self._numbered(one.steps)
        yield "expected", [self._said(one.expected_effect)]
        yield "verified", self._verification()
        yield "undone", self._undoing()
        yield "watch", [self._said(one.check)]
        yield "values", [self._value(parameter) for parameter in one.parameters]
        pause = f"{one.cooldown_s / 60:g}"
        yield "again", [f"{pause} 分钟之后" if zh else f"after {pause} min"]
        yield "here", [self._said(self.runs)]

    def _said(self, text: Said) -> str:
        """In the reader's language, with the holes as names: `${service}` is ‹service›."""
        said: str = getattr(text, self.language)
        return HOLE.sub(lambda hole: f"‹{hole[1]}›", said)

    def _when(self, case: Applicability) -> str:
        comma = "、" if self.language == "zh" else ", "
        faults = comma.join(word("fault_kind", kind, self.language) for kind in case.faults)
        where = list(case.components)
        if_ = [_condition(c) for c in case.when]
        more = [comma.join(where)] if where and len(where) < 6 else []
        more += [comma.join(if_)] if if_ else []
        return f"{faults}{''.join(f' [{part}]' for part in more)}"

    def _agreement(self) -> str:
        needed, zh = self.policy.needed[self.playbook.risk], self.language == "zh"
        if self.policy.approves(self.playbook.risk):
            return "只读，策略自动批准" if zh else "nobody: it only reads, and the policy says yes"
        if needed > 1:
            return f"{needed} 位不同的批准人" if zh else f"{needed} different approvers"
        return "一位批准人" if zh else "one approver"

    def _duration(self) -> str:
        one, zh = self.playbook, self.language == "zh"
        waits = sum(_pause(step) for step in one.steps)
        most, judged = sum(map(_longest, one.steps)), one.verification.within_s
        if zh:
            least = f"至少 {waits:g} 秒，" if waits else ""
            return f"{least}步骤最长 {most:g} 秒；其后 {judged / 60:g} 分钟内判断效果"
        least = f"at least {waits:g} s, " if waits else ""
        return f"{least}steps at most {most:g} s; judged within {judged / 60:g} min after"

    def _numbered(self, steps: Iterable[PlaybookStep]) -> list[str]:
        by_hand = "（人工）" if self.language == "zh" else " (by hand)"
        lines = []
        for number, step in enumerate(steps, 1):
            said = f"{self._said(step.title)}{by_hand if step.action == 'manual' else ''}"
            lines.append(f"{number}. {said}{self._canary(step)}")
        return lines

    def _canary(self, step: PlaybookStep) -> str:
        """That a step is done for many names in turn, and what is looked at after the first."""
        if not step.each:
            return ""
        looks = "; ".join(self._said(look.title) for look in step.canary)
        if self.language == "zh":
            return (
                f"（逐个 ‹{step.each}›{f'；先做一个，再：{looks}；成功后做其余' if looks else ''}）"
            )
        rest = f"; the first alone, then: {looks}; the rest where that succeeds" if looks else ""
        return f" (for each of ‹{step.each}›{rest})"

    def _verification(self) -> list[str]:
        found, zh = self.playbook.verification, self.language == "zh"
        names = {
            "component": ("该组件", "the component's series"),
            "entry": ("入口", "the front door's"),
            "others": ("其他组件", "the others' series"),
            "all": ("所有异常指标", "every series that departed"),
        }
        watched = [names[one][0 if zh else 1] for one in found.watch]
        left_out = ", ".join((*found.ignore, *found.stays))
        if zh:
            said = f"{'、'.join(watched)}恢复正常并保持 {found.hold_s:g} 秒"
            return [said, *([f"不计入：{left_out}"] if left_out else [])]
        said = f"{' and '.join(watched)} are normal again for {found.hold_s:g} s"
        return [said, *([f"left out, may stay high: {left_out}"] if left_out else [])]

    def _undoing(self) -> list[str]:
        one, zh = self.playbook, self.language == "zh"
        if one.irreversible is not None and not one.rollback:
            return [f"{'不可撤销：' if zh else 'not: '}{self._said(one.irreversible)}"]
        if not one.rollback:
            return ["只读，无需撤销" if zh else "it only reads"]
        worse = "若情况变差则自动" if zh else "by itself where it made things worse"
        fails = "，或后续步骤失败时自动" if zh else ", or where a later step fails"
        return [
            worse + (fails if one.on_failure == "roll_back" else ""),
            *self._numbered(one.rollback),
        ]

    def _value(self, parameter: Parameter) -> str:
        bounds = ""
        if parameter.minimum is not None and parameter.maximum is not None:
            bounds = f" [{parameter.minimum:g} … {parameter.maximum:g}]"
        if parameter.allowed:
            bounds = f" [{', '.join(map(str, parameter.allowed))}]"
        zh = self.language == "zh"
        source = {
            "component": "取自组件" if zh else "the component",
            "fact": f"{'取自事实' if zh else 'from the fact'} {parameter.fact}",
            "default": f"{'默认' if zh else 'default'} {parameter.default}",
        }[parameter.source]
        return (
            f"{parameter.name}{bounds}: {self._said(parameter.title)}（{source}）"
            if zh
            else (f"{parameter.name}{bounds}: {self._said(parameter.title)} ({source})")
        )


@dataclass(frozen=True, slots=True)
class Bookshelf:
    """What there is to read before it is needed: documents, and playbooks by id.

    `runs` says of each playbook what a yes would do here.
    """

    library: Library
    memory: Memory
    playbooks: Mapping[str, Playbook]
    runs: Mapping[str, Said]

    def card(self, playbook_id: str, policy: Policy, language: Language) -> PlaybookCard | None:
        """The card of a playbook; None where there is none of this id."""
        found = self.playbooks.get(playbook_id)
        return PlaybookCard(found, policy, self.runs[found.id], language) if found else None

    def cards_for(
        self, kind: FaultKind, policy: Policy, language: Language
    ) -> Sequence[tuple[PlaybookCard, PlaybookEffect]]:
        """The cards of those that are for a kind of fault, the preferred first; what each does."""
        found = [
            (-case.preference, one.id, case.effect)
            for one in self.playbooks.values()
            for case in one.applies
            if kind in case.faults
        ]
        best = {name: effect for _, name, effect in sorted(found, reverse=True)}
        order = dict.fromkeys(name for _, name, _ in sorted(found))
        return [
            (PlaybookCard(self.playbooks[name], policy, self.runs[name], language), best[name])
            for name in order
        ]


def _condition(condition: Precondition) -> str:
    value = condition.value
    shown = value if isinstance(value, str) else f"{value:g}"
    return f"{condition.fact} {condition.comparison} {shown}"


def _longest(step: PlaybookStep) -> float:
    """Seconds a step may take at most: for as many names as it may be given, and its looks."""
    many = MOST_NAMES if step.each else 1
    return many * step.timeout_s + sum(look.timeout_s for look in step.canary)


def _pause(step: PlaybookStep) -> float:
    """Seconds that a step takes by what it says itself: a wait, or a look of so long."""
    given = step.arguments.get("seconds") or step.arguments.get("over_s")
    return float(given) if isinstance(given, int | float) else 0.0
