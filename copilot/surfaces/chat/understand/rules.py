"""The rules' way: phrases of both languages say what is wanted, and each intent has its looks."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml
from pydantic import JsonValue

from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.understand.entities import entities, without_names
from copilot.surfaces.chat.understand.remedy import asks_how, fault_to_mend
from copilot.surfaces.chat.understand.scene import ChatScene, Entities, Understood, language_of
from tools.types import FrozenModel

MOST_INTENTS = 3
MOST_SERVICES = 3
"""Services that one question is answered for."""


class IntentRule(FrozenModel):
    """How an intent is said in each language, and which others it says more precisely.

    `direct`: it is asked of the incident itself, never of a fault that is described.
    """

    en: tuple[str, ...]
    zh: tuple[str, ...]
    hides: frozenset[str] = frozenset()
    direct: bool = False


@dataclass(frozen=True, slots=True)
class IntentPhrases:
    """An intent rule with its phrases compiled into one pattern."""

    pattern: re.Pattern[str]
    hides: frozenset[str]
    direct: bool


@cache
def rules() -> dict[str, IntentPhrases]:
    """The rules that ship, in the order of the file; it names the intents of `CALLS` and no other.

    >>> set(rules()) == set(CALLS)
    True
    """
    path = resources.files("copilot.surfaces.chat.understand") / "intents.yaml"
    read = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    words: dict[str, str] = {}
    for name, pattern in read["words"].items():
        words[name] = _spelled(pattern, words)
    found = {}
    for intent, given in read["intents"].items():
        rule = IntentRule.model_validate(given)
        said = "|".join(f"(?:{_spelled(one, words)})" for one in (*rule.en, *rule.zh))
        found[intent] = IntentPhrases(re.compile(said, re.IGNORECASE), rule.hides, rule.direct)
    return found


def _spelled(pattern: str, words: dict[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda name: words[name[1]], pattern)


def intents(question: str) -> tuple[str, ...]:
    """What the question wants, in the order of the rules, three at most; empty: not understood.

    >>> intents("what changed before 14:02?")
    ('changes',)
    >>> intents("和上次有什么不同?")
    ('compare',)
    >>> intents("lorem ipsum")
    ()
    """
    found = [intent for intent, rule in rules().items() if rule.pattern.search(question)]
    hidden = frozenset(other for one in found for other in rules()[one].hides)
    return tuple(one for one in found if one not in hidden)[:MOST_INTENTS]


class RuleUnderstanding:
    """Understands what its phrases know; everything else is not understood."""

    def understand(self, question: str, scene: ChatScene) -> Understood | None:
        """Return intents, what is named, and the calls that answer, each once."""
        named, wanted = entities(question, scene), intents(question)
        fault = "" if _of_the_incident(wanted, question) else fault_to_mend(question, named, scene)
        if fault:
            call = request("knowledge", question=fault[:500], fix=True)
            return _understood(question, scene, ("knowledge",), named, (call,))
        wanted = about_its_subject(wanted, named) or _gone_on_with(question, named, scene)
        if not wanted and not named.evidence:
            return None
        return understood_as(wanted, question, named, scene)


def _of_the_incident(wanted: tuple[str, ...], question: str) -> bool:
    """Whether it is asked of the incident, so that no fault is described that documents know."""
    if {"help", "compare"} & {*wanted}:
        return True
    orders = any(rules()[one].direct or one == "approve" for one in wanted)
    return orders and not asks_how(question)


def about_its_subject(wanted: Sequence[str], named: Entities) -> tuple[str, ...]:
    """How things are, of a service, is its health."""
    if named.services and not named.incident:
        wanted = ["health" if one == "status" else one for one in wanted]
    return tuple(dict.fromkeys(wanted))


_FILLING = re.compile(
    r"\b(and|so|what|how|about|the|for|same|question|thing|of|then|now|ok|okay|please|too|also|is|"
    r"it|service|again|but|check|look|see|into|at|on|in|good|fine|well|still|alive|standing|there|"
    r"right|doing|shape|trouble|problems?|issues?|with|does|do|if|confirm|any|all|s)\b|"
    r"那么?|这边|那边|呢|怎么样|怎样|咋样|如何|现在|也|同样|一样|的|服务|再|还有|问题?|"
    r"查|看|瞧|一下|下|确认|是否|还|好|着|吗|么|没|有|事|吧|啊|状态|情况|顶得住|扛得住|撑得住",
    re.IGNORECASE,
)
"""What may stand around a name in a question that goes on with the one before."""


def _gone_on_with(question: str, named: Entities, scene: ChatScene) -> tuple[str, ...]:
    """A name and nothing else asks of it what was asked before, or how it is."""
    if not named.services or re.search(
        r"\w", _FILLING.sub(" ", without_names(question, scene.services))
    ):
        return ()
    earlier = (about_its_subject(intents(one), named) for one in scene.before)
    asked = next(filter(None, earlier), ())
    return tuple(one for one in asked if one in OF_A_SERVICE) or ("health",)


def understood_as(
    wanted: Iterable[str], question: str, named: Entities, scene: ChatScene
) -> Understood:
    """What answers these intents, whoever found them."""
    wanted = tuple(wanted)
    calls = [call for intent in wanted for call in CALLS[intent](question, named, scene)]
    if named.evidence:
        calls.insert(0, request("evidence", ids=[*named.evidence]))
    return _understood(question, scene, wanted, named, tuple(calls))


def _understood(
    question: str,
    scene: ChatScene,
    wanted: tuple[str, ...],
    named: Entities,
    calls: tuple[ToolRequest, ...],
) -> Understood:
    once = {call.key: call for call in calls}
    language = language_of(question, scene.language)
    return Understood(language, wanted, named, tuple(once.values()))


LookPlan = Callable[[str, Entities, ChatScene], list[ToolRequest]]


def request(tool: str, **arguments: JsonValue) -> ToolRequest:
    """A call without the arguments that say nothing."""
    return ToolRequest(
        tool=tool, arguments={k: v for k, v in arguments.items() if v not in ("", None)}
    )


def _each(tool: str) -> LookPlan:
    """The tool once for each service named, or once for none."""
    return lambda _question, named, _scene: [
        request(tool, service=one) for one in named.services[:MOST_SERVICES] or ("",)
    ]


def _plain(*tools: str) -> LookPlan:
    return lambda _question, _named, _scene: [request(one) for one in tools]


def _suspected(_question: str, named: Entities, scene: ChatScene) -> list[ToolRequest]:
    suspects = [one for one in named.services if one != scene.leading] or [*named.services]
    suspects = suspects[:MOST_SERVICES] or ([named.asked_for] if named.asked_for else [])
    return [request("why_not", component=one) for one in suspects] or [request("cause")]


def _said(question: str, named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    component = named.services[0] if named.services else ""
    return [request("confirmation", component=component, words=question[:500])]


def _changed(_question: str, named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    services = named.services[:MOST_SERVICES] or ("",)
    return [
        request("changes", before=named.before, service=one, within_s=named.within_s)
        for one in services
    ]


def _authored(question: str, named: Entities, scene: ChatScene) -> list[ToolRequest]:
    return [request("commit"), *_changed(question, named, scene)]


def _logged(question: str, named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    lower = question.lower()
    new = any(word in lower for word in ("new", "first seen", "unusual", "新", "没见过"))
    wrong = any(word in lower for word in ("error", "trace", "exception", "报错", "错", "堆栈"))
    level = named.level or ("error" if wrong and not named.quoted else "")
    services = named.services[:MOST_SERVICES] or ("",)
    if new and not named.quoted:
        return [request("logs", service=one, new_only=True) for one in services]
    return [request("logs", service=one, query=named.quoted, level=level) for one in services]


def _looked_up(question: str, named: Entities, scene: ChatScene) -> list[ToolRequest]:
    by_cause = bool(scene.incident_id) and len(question) < 40 and not named.quoted
    return [request("knowledge", question="" if by_cause else named.quoted or question[:500])]


def _depends(_question: str, named: Entities, scene: ChatScene) -> list[ToolRequest]:
    about = named.services[:MOST_SERVICES] or ((scene.leading,) if scene.leading else ())
    return [request("topology", service=one) for one in about]


def _earlier(_question: str, named: Entities, scene: ChatScene) -> list[ToolRequest]:
    other = named.incident if named.incident != scene.incident_id else ""
    return [request("compare", incident=other)]


_FAMILIES = (
    ("latency", r"latenc|slow|response time|p[59]\d|延迟|时延|延时|耗时|响应|慢"),
    ("traffic", r"traffic|load|rps|qps|throughput|requests?\b|流量|请求|访问量|负载"),
    ("cpu", r"\bcpu"),
    ("memory", r"memory|\bram\b|内存"),
    ("disk", r"\bdisk|磁盘"),
)
"""Families of metrics as `tools.topology_walker.signals` names them, and how people say them."""


def _family(question: str) -> str:
    found = (name for name, said in _FAMILIES if re.search(said, question, re.IGNORECASE))
    return next(found, "")


_YESTERDAY = re.compile(
    r"yesterday|24 ?h|day before|this time of|same time|昨天|昨日|前一天|同一时间|同期|同比|环比"
)


def _moved(question: str, named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    return [
        request(
            "trend",
            service=named.services[0] if named.services else "",
            family=_family(question) or "errors",
            yesterday=bool(_YESTERDAY.search(question.lower())) or None,
        )
    ]


def _measured(question: str, named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    services = named.services[:MOST_SERVICES] or ("",)
    return [request("metrics", service=one, family=_family(question)) for one in services]


def _updated(question: str, _named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    customers = re.search(
        r"customer|user|public|status ?page|客户|用户|对外|公告", question, re.IGNORECASE
    )
    return [request("update", customers=bool(customers))]


def _of_a_remedy(question: str, _named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    restarts = re.search(r"restart|boot|bounc|重启|重拉", question, re.IGNORECASE)
    scales = re.search(r"scal|扩容|缩容", question, re.IGNORECASE)
    return [request("advice", remedy="restart" if restarts else "scale" if scales else "rollback")]


def _planned(_question: str, _named: Entities, _scene: ChatScene) -> list[ToolRequest]:
    return [request("plan")]


CALLS: dict[str, LookPlan] = {
    "approve": _planned,
    "help": _plain(),
    "smalltalk": _plain("smalltalk"),
    "advise": _of_a_remedy,
    "paging": _each("paging"),
    "update": _updated,
    "owners": _each("owners"),
    "decisions": _plain("decisions"),
    "gaps": _plain("gaps"),
    "sureness": _plain("sureness"),
    "brief": _plain("one_line"),
    "forecasts": _each("forecasts"),
    "outlook": _plain("outlook"),
    "impact": _plain("impact"),
    "network": _each("network"),
    "trend": _moved,
    "postmortem": _plain("postmortem"),
    "confirm": _said,
    "why_not": _suspected,
    "cause": _plain("cause"),
    "commit": _authored,
    "changes": _changed,
    "restarts": _each("restarts"),
    "origin": _each("origin"),
    "health": _each("health"),
    "logs": _logged,
    "timeline": _plain("timeline"),
    "alerts": _each("alerts"),
    "compare": _earlier,
    "plan": _planned,
    "knowledge": _looked_up,
    "clocks": _plain("clocks"),
    "incidents": lambda question, _named, _scene: [
        request("incidents", open_only=re.search(r"open|active|还有|其他|else", question) and True)
    ],
    "topology": _depends,
    "metrics": _measured,
    "cluster": _each("cluster"),
    "status": _plain("incident_summary"),
}
"""Every intent with the looks that answer it: the one list of them."""

OF_A_SERVICE = frozenset(
    {
        "paging",
        "forecasts",
        "owners",
        "network",
        "trend",
        "why_not",
        "changes",
        "restarts",
        "origin",
        "health",
        "logs",
        "alerts",
        "topology",
        "metrics",
        "cluster",
    }
)
"""Intents that can be asked of one service, and so of the next one by its name alone."""
