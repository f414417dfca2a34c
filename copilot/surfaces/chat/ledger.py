"""Numbers for what a conversation finds: the incident's E1…En stay, new facts go on from there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from copilot.case.briefing import evidence_line
from copilot.surfaces.chat.tool_result import CitedItem, Statement
from copilot.types.conversation import Turn
from copilot.types.incident import Incident
from prompts import Language
from tools.types import Evidence


@dataclass(frozen=True, slots=True)
class CitedStatement:
    """A statement whose evidence has numbers; `own`: it says what the first of them says."""

    en: str
    zh: str
    ids: tuple[str, ...]
    own: bool = False

    def spoken(self, language: Language) -> str:
        """The sentence in one language, without its citations."""
        return self.zh if language == "zh" else self.en

    def cited(self, language: Language) -> str:
        """The sentence with its citations."""
        return f"{self.spoken(language)} {''.join(f'[{number}]' for number in self.ids)}".strip()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every evidence item that may be cited, and the number the next new one gets."""

    items: tuple[Evidence, ...] = ()
    after: int = 0
    fixed: frozenset[str] = frozenset()  # the incident's own, which only it reads again

    def find(self, number: str) -> Evidence | None:
        """The item of that number."""
        return next((item for item in self.items if item.id == number), None)

    def written(
        self, statements: Iterable[Statement]
    ) -> "tuple[Ledger, tuple[CitedStatement, ...]]":
        """Number what is new in these statements; the same fact keeps its number.

        So does what is read again: the newest reading of a series stands for those before it.
        """
        known = {_fact(item): item for item in self.items}
        read = {_series(item): item.id for item in self.items if item.id not in self.fixed}
        after, said = self.after, []
        for statement in statements:
            ids = []
            for cited in statement.cites:
                item = known.get(_fact(cited))
                if item is None:
                    number = read.get(_series(cited)) if _series(cited) else None
                    after += number is None
                    item = Evidence(**{**dict(cited), "id": number or f"E{after}"})
                    known = {k: old for k, old in known.items() if old.id != item.id}
                    known[_fact(item)] = item
                    read[_series(item)] = item.id
                ids.append(item.id)
            numbers = tuple(dict.fromkeys(ids))
            said.append(_cited_statement(statement, numbers, known))
        return replace(self, items=tuple(known.values()), after=after), tuple(said)


def opened(incident: Incident | None, turns: Sequence[Turn] = ()) -> Ledger:
    """The incident's evidence, and what earlier answers found beside it.

    An incident that is looked at again numbers its evidence anew; a number that an earlier answer
    gave to something else is then not citable any more: that answer keeps its own copy.
    """
    own = incident.evidence if incident is not None else ()
    items = {item.id: item for item in (*cited_in(turns), *own)}
    highest = max((int(number[1:]) for number in items), default=0)
    return Ledger(tuple(items.values()), highest, frozenset(item.id for item in own))


def cited_in(turns: Iterable[Turn]) -> tuple[Evidence, ...]:
    """What answers rest on, each number once, as it was read last."""
    answers = (turn.answer for turn in turns if turn.answer is not None)
    items = {item.id: item for answer in answers for item in answer.evidence}
    return tuple(items.values())


def _series(item: CitedItem) -> tuple[str, ...]:
    """Which series a reading is of; empty for what is no reading."""
    if item.kind not in ("metric", "edge"):
        return ()
    return (item.kind, item.subject, item.name, item.source, item.query)


def _fact(item: CitedItem) -> tuple[object, ...]:
    window = item.window
    return (
        item.kind,
        item.subject,
        item.name,
        item.source,
        item.query,
        window.start,
        window.end,
        item.statement,
    )


def _cited_statement(
    statement: Statement, numbers: tuple[str, ...], known: dict[tuple[object, ...], Evidence]
) -> CitedStatement:
    if statement.en or not statement.cites:
        return CitedStatement(statement.en, statement.zh, numbers, own=statement.states)
    item = known[_fact(statement.cites[0])]
    en, zh = (evidence_line(item, language) for language in ("en", "zh"))
    quoted = f" “{en.excerpt}”" if en.excerpt and en.excerpt not in en.statement else ""
    return CitedStatement(f"{en.statement}{quoted}", f"{zh.statement}{quoted}", numbers, own=True)
