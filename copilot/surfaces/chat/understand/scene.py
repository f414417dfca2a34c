"""What a question is asked about, and what was made of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.scope import ToolContext
from copilot.types.conversation import Turn
from prompts import Language
from tools.types import Timestamp

HAN_PER_WORD = 0.7
"""Chinese text keeps service names and units in Latin letters: fewer characters than this per
Latin word are names within English."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]{2,}")


def language_of(text: str, default: Language) -> Language:
    """Chinese where Han characters outweigh Latin words; the default where there is neither.

    >>> language_of("payment 现在正常吗?", "en")
    'zh'
    >>> language_of("is 支付 healthy now, or is it not?", "zh")
    'en'
    >>> language_of("E7?", "zh")
    'zh'
    """
    han, latin = len(_HAN.findall(text)), len(_LATIN.findall(text))
    if not han and not latin:
        return default
    return "zh" if han > HAN_PER_WORD * latin else "en"


@dataclass(frozen=True, slots=True)
class Entities:
    """`asked_for` is a kind of component that was named and that nothing here is."""

    services: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    incident: str = ""
    before: str = ""  # ISO 8601
    within_s: float | None = None
    quoted: str = ""
    level: str = ""
    asked_for: str = ""


FOLLOWED = 4
"""Questions before this one whose intent it may go on with: `and cart?`, `那 cart 呢`."""


@dataclass(frozen=True, slots=True)
class ChatScene:
    """What there is to be named, and what was said before.

    `involved` are the services of the incident and its located component, `leading` that one;
    `recent` is the subject of the turn before, `before` the last questions, the newest first.
    `databases` tells which services act as one by what they measure; it is asked only where a
    question names the kind.
    """

    now: Timestamp
    services: tuple[str, ...] = ()
    onset: Timestamp | None = None
    incident_id: str = ""
    involved: tuple[str, ...] = ()
    leading: str = ""
    language: Language = "en"
    recent: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    databases: Callable[[], tuple[str, ...]] = field(default=tuple, compare=False)

    @classmethod
    def of(cls, scope: ToolContext, language: Language, turns: Sequence[Turn] = ()) -> "ChatScene":
        """The scene of a conversation so far."""
        incident = scope.incident
        first = incident.ranking.candidates[:1] if incident is not None else ()
        leading = first[0].component if first else ""
        subjects = (turn.answer.services for turn in reversed(turns) if turn.answer)
        return cls(
            now=scope.now,
            services=scope.services(),
            onset=scope.onset,
            incident_id=incident.id if incident is not None else "",
            involved=(*incident.services, leading) if incident is not None else (),
            leading=leading,
            language=language,
            recent=next(filter(None, subjects), ()),
            before=tuple(turn.question for turn in reversed(turns))[:FOLLOWED],
            databases=scope.databases,
        )


UnderstandingArm = Literal["rules", "ml", "llm"]


@dataclass(frozen=True, slots=True)
class Understood:
    """What was made of a question; `near` are questions like it, where it was not understood."""

    language: Language
    intents: tuple[str, ...]
    named: Entities
    calls: tuple[ToolRequest, ...]
    arm: UnderstandingArm = "rules"
    near: tuple[str, ...] = ()
