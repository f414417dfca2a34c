"""The answer as a model writes it: claims that cite, each checked against what it cites."""

import re
from collections.abc import Sequence

from pydantic import Field

from copilot.chat.ledger import Ledger
from copilot.chat.report import Part
from copilot.chat.session import Session
from copilot.chat.showing import asked_of
from copilot.chat.understand import language_of
from copilot.model import ask
from prompts import Language, load
from tools.evidence import check, cited
from tools.log_retriever import sanitize
from tools.types import Evidence, Frozen

MOST_CLAIMS = 10

_ORDERS = re.compile(
    r"\b(approve|approving|execute|run) (the |this |that )?(plan|playbook|command|step)|\bhttps?://"
    r"|\bcopilot (approve|reject|resume|playbook)\b|\bkubectl\b|\bcurl\b|\bsudo\b|!\[|\]\(|<[a-z/]"
    r"|批准(该|此|这个)?(方案|计划)|执行(该|此|这个)?(方案|计划|命令)",
    re.IGNORECASE,
)
"""What a claim never holds: orders, commands, links. What can be done is rendered by code."""


class Claim(Frozen):
    """One sentence of the answer and the numbers of the evidence it rests on."""

    text: str = Field(min_length=1, max_length=500)
    evidence: tuple[str, ...] = Field(min_length=1, max_length=8)


class Reply(Frozen):
    """The answer, most important claim first."""

    claims: tuple[Claim, ...] = Field(min_length=1, max_length=MOST_CLAIMS)


def write(
    session: Session, question: str, language: Language, parts: Sequence[Part], ledger: Ledger
) -> tuple[str, str]:
    """The text of a reply that held, or nothing and why."""
    model = session.model
    assert model is not None
    system = load("chat_write", language).render(most=MOST_CLAIMS, nonce=session.nonce)
    request = asked_of(session, question, parts, ledger, language, system)
    known = quotable(parts, ledger)
    names = session.scope.services()
    asked = ask(
        model,
        request,
        Reply,
        lambda reply: problems(reply, known, names, language),
        language,
    )
    if asked.value is None:
        return "", asked.reason
    return spoken(asked.value), ""


def spoken(reply: Reply) -> str:
    """The claims as text, the first as the answer and the others under it."""
    first, *others = (
        f"{sanitize(claim.text, 500)} {''.join(f'[{n}]' for n in dict.fromkeys(claim.evidence))}"
        for claim in reply.claims
    )
    return "\n".join([first, *([""] if others else []), *(f"- {line}" for line in others)])


def quotable(parts: Sequence[Part], ledger: Ledger) -> tuple[Evidence, ...]:
    """What was shown, each item with the sentences it was shown in: those may be quoted, too."""
    sentences: dict[str, list[str]] = {}
    for part in parts:
        for said in part.said:
            for number in said.ids:
                sentences.setdefault(number, []).extend((said.en, said.zh))
    return tuple(
        item.model_copy(update={"excerpt": f"{item.excerpt} {' '.join(sentences[item.id])}"})
        for item in ledger.items
        if item.id in sentences
    )


def problems(
    reply: Reply, known: Sequence[Evidence], names: Sequence[str], language: Language
) -> list[str]:
    """Everything that is wrong with a reply, in words that help to mend it."""
    found: list[str] = []
    for number, claim in enumerate(reply.claims, start=1):
        where = f"claim {number}"
        found += [f"{where}: {flaw.reason}" for flaw in check(claim.text, known, claim.evidence)]
        if inline := set(cited(claim.text)) - {*claim.evidence}:
            found.append(f"{where}: {', '.join(sorted(inline))} belongs into `evidence`")
        if order := _ORDERS.search(claim.text):
            found.append(f"{where}: {order[0]!r}: a claim states what was found, nothing to do")
        found += _strangers(where, claim, known, names)
    text = " ".join(claim.text for claim in reply.claims)
    if language_of(text, language) != language:
        found.append(f"the reply has to be in {'Chinese' if language == 'zh' else 'English'}")
    return found


def _strangers(
    where: str, claim: Claim, known: Sequence[Evidence], names: Sequence[str]
) -> list[str]:
    """A service may be named where the cited evidence names it."""
    said = " ".join(
        f"{item.subject} {item.statement} {item.excerpt}"
        for item in known
        if item.id in claim.evidence
    ).lower()
    return [
        f"{where}: {name!r} is not in the cited evidence"
        for name in names
        if len(name) > 2 and _names(claim.text.lower(), name.lower()) and name.lower() not in said
    ]


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![a-z0-9_-]){re.escape(name)}(?![a-z0-9_-])", text) is not None
