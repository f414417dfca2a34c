"""Understanding a question without a model: its intents, what it names, and the tools it needs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import JsonValue

from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.understand.entities import Entities, entities
from copilot.surfaces.chat.understand.remedy import asks_how, fault_to_mend
from prompts import Language
from tools.types import FrozenModel

__all__ = [
    "Entities",
    "Intent",
    "Understanding",
    "entities",
    "intents",
    "language_of",
    "understood",
]


_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]{2,}")

HAN_PER_WORD = 0.7
"""Chinese text keeps service names and units in Latin letters: fewer characters than this per
Latin word are names within English."""


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


Intent = Literal[
    "approve",  # wants something decided or run: not here
    "help",
    "thanks",
    "advise",  # whether a remedy is right, or what it would do
    "update",
    "owners",
    "decisions",
    "sureness",
    "brief",
    "impact",
    "trend",
    "postmortem",
    "confirm",  # says what the cause was: confirmed elsewhere
    "why_not",
    "cause",
    "changes",
    "commit",
    "health",
    "logs",
    "timeline",
    "alerts",
    "compare",
    "plan",
    "knowledge",
    "clocks",
    "incidents",
    "topology",
    "metrics",
    "cluster",
    "status",
]

MOST_INTENTS = 3

_DIRECT: frozenset[Intent] = frozenset(
    {
        "thanks",
        "update",
        "owners",
        "decisions",
        "sureness",
        "brief",
        "impact",
        "trend",
        "postmortem",
    }
)
"""What is asked of the incident itself, never of a fault that is described."""


class IntentRule(FrozenModel):
    """How an intent is said in each language, and which others it says more precisely."""

    en: tuple[str, ...]
    zh: tuple[str, ...]
    hides: frozenset[Intent] = frozenset()

    @property
    def pattern(self) -> re.Pattern[str]:
        """Any of the phrases."""
        return re.compile("|".join((*self.en, *self.zh)), re.IGNORECASE)


@cache
def rules() -> dict[Intent, tuple[re.Pattern[str], frozenset[Intent]]]:
    """The rules that ship, in the order of the file."""
    path = resources.files("copilot.surfaces.chat.understand") / "intents.yaml"
    read: dict[Intent, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    parsed = {intent: IntentRule.model_validate(rule) for intent, rule in read.items()}
    return {intent: (rule.pattern, rule.hides) for intent, rule in parsed.items()}


def intents(question: str) -> tuple[Intent, ...]:
    """What the question wants, in the order of the rules, three at most; empty: not understood.

    >>> intents("what changed before 14:02?")
    ('changes',)
    >>> intents("和上次有什么不同?")
    ('compare',)
    >>> intents("lorem ipsum")
    ()
    """
    found = [intent for intent, (pattern, _) in rules().items() if pattern.search(question)]
    hidden = frozenset(other for one in found for other in rules()[one][1])
    return tuple(one for one in found if one not in hidden)[:MOST_INTENTS]


MOST_SERVICES = 3
"""Services that one question is answered for."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What was made of a question; no intent: it was not understood."""

    language: Language
    intents: tuple[Intent, ...]
    named: Entities
    calls: tuple[ToolRequest, ...]


def understood(
    question: str, scope: ToolContext, default: Language, recent: Sequence[str] = ()
) -> Understanding:
    """Intents, entities and the calls that answer them, each once."""
    named = entities(question, scope, recent)
    wanted = intents(question)
    orders = bool({"approve", "advise", *_DIRECT} & {*wanted}) and not asks_how(question)
    fault = "" if orders or "help" in wanted else fault_to_mend(question, named, scope)
    if fault:
        language = language_of(question, default)
        call = _call("knowledge", question=fault[:500], fix=True)
        return Understanding(language, ("knowledge",), named, (call,))
    calls = [call for intent in wanted for call in _CALLS[intent](question, named, scope)]
    if named.evidence:
        calls.insert(0, ToolRequest(tool="evidence", arguments={"ids": [*named.evidence]}))
    if not calls and "help" not in wanted:
        calls = _about_names(question, named)
    once = {call.key: call for call in calls}
    return Understanding(language_of(question, default), wanted, named, tuple(once.values()))


def _about_names(question: str, named: Entities) -> list[ToolRequest]:
    """No intent: a service by itself asks how it is; else the documents may know the words."""
    if named.services:
        first = named.services[0]
        return [_call("health", service=first), _call("evidence", service=first)]
    return [_call("knowledge", question=question[:500])]


def _call(tool: str, **arguments: JsonValue) -> ToolRequest:
    return ToolRequest(
        tool=tool, arguments={k: v for k, v in arguments.items() if v not in ("", None)}
    )


def _each(
    tool: str, key: str = "service"
) -> Callable[[str, Entities, ToolContext], list[ToolRequest]]:
    """The tool once for each service named, or once for none."""

    def calls(_question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
        return [_call(tool, **{key: one}) for one in named.services[:MOST_SERVICES] or ("",)]

    return calls


def _plain(tool: str) -> Callable[[str, Entities, ToolContext], list[ToolRequest]]:
    return lambda _question, _named, _scope: [_call(tool)]


def _suspected(_question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    suspects = named.services[:MOST_SERVICES] or ((named.asked_for,) if named.asked_for else ())
    if not suspects:
        return [_call("cause")]
    return [_call("why_not", component=one) for one in suspects]


def _said(question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    component = named.services[0] if named.services else ""
    return [_call("confirmation", component=component, words=question[:500])]


def _changed(_question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    services = named.services[:MOST_SERVICES] or ("",)
    return [
        _call("changes", before=named.before, service=one, within_s=named.within_s)
        for one in services
    ]


def _logged(question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    lower = question.lower()
    new = any(word in lower for word in ("new", "first seen", "unusual", "新", "没见过"))
    level = named.level or ("error" if "报错" in question or "错误" in question else "")
    services = named.services[:MOST_SERVICES] or ("",)
    if new and not named.quoted:
        return [_call("logs", service=one, new_only=True) for one in services]
    return [_call("logs", service=one, query=named.quoted, level=level) for one in services]


def _looked_up(question: str, named: Entities, scope: ToolContext) -> list[ToolRequest]:
    by_cause = scope.incident is not None and len(question) < 40 and not named.quoted
    return [_call("knowledge", question="" if by_cause else named.quoted or question[:500])]


def _depends(_question: str, named: Entities, scope: ToolContext) -> list[ToolRequest]:
    about = named.services[:MOST_SERVICES] or _leading(scope)
    return [_call("topology", service=one) for one in about]


def _leading(scope: ToolContext) -> tuple[str, ...]:
    incident = scope.incident
    candidates = incident.ranking.candidates if incident is not None else ()
    return (candidates[0].component,) if candidates else ()


def _planned(_question: str, _named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    return [_call("plan")]


def _earlier(_question: str, named: Entities, scope: ToolContext) -> list[ToolRequest]:
    this = scope.incident.id if scope.incident is not None else ""
    return [_call("compare", incident=named.incident if named.incident != this else "")]


_FAMILIES = (
    ("latency", r"latenc|slow|延迟|时延|耗时|慢"),
    ("traffic", r"traffic|load|rps|qps|throughput|流量|请求量|访问量"),
)


def _moved(question: str, named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    family = next(
        (name for name, said in _FAMILIES if re.search(said, question, re.IGNORECASE)), "errors"
    )
    return [_call("trend", service=named.services[0] if named.services else "", family=family)]


def _updated(question: str, _named: Entities, _scope: ToolContext) -> list[ToolRequest]:
    customers = re.search(r"customer|user|public|客户|用户|对外", question, re.IGNORECASE)
    return [_call("update", customers=bool(customers))]


_CALLS: dict[Intent, Callable[[str, Entities, ToolContext], list[ToolRequest]]] = {
    "approve": _planned,
    "help": lambda _question, _named, _scope: [],
    "thanks": _plain("thanks"),
    "advise": _planned,
    "update": _updated,
    "owners": _each("owners"),
    "decisions": _plain("decisions"),
    "sureness": lambda _question, _named, _scope: [_call("sureness"), _call("cluster")],
    "brief": _plain("one_line"),
    "impact": _plain("impact"),
    "trend": _moved,
    "postmortem": _plain("postmortem"),
    "confirm": _said,
    "why_not": _suspected,
    "cause": _plain("cause"),
    "changes": _changed,
    "commit": _plain("commit"),
    "health": _each("health"),
    "logs": _logged,
    "timeline": _plain("timeline"),
    "alerts": _each("alerts"),
    "compare": _earlier,
    "plan": _planned,
    "knowledge": _looked_up,
    "clocks": _plain("clocks"),
    "incidents": _plain("incidents"),
    "topology": _depends,
    "metrics": _each("metrics"),
    "cluster": _each("cluster"),
    "status": _plain("incident_summary"),
}
