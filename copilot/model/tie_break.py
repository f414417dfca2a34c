"""What a model thinks of uncertain pairs of alerts: asked after the brief, kept as a suggestion.

The judge's seat is inside the intake, where alerts wait. So this one answers nothing there: it
keeps the doubt, the rules decide at once, and the model is asked when the incident is diagnosed.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from copilot.model.claims import ClaimScope, style
from copilot.model.fence import Fence
from copilot.model.replies import REPLY_TOKENS, PairReply, pair_schema
from copilot.ports import Model
from copilot.types.model_io import Message, ModelRequest
from copilot.types.time_format import duration
from prompts import Language, Prompt, load
from tools.clusterer import PairDecision, UncertainPair
from tools.topology_walker import downstream, upstream
from tools.types import Topology

PER_INCIDENT = 2
INCIDENTS = 500


class RecordingTieBreaker:
    """A judge that leaves every pair to the rules and remembers it, a few per incident."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, list[UncertainPair]] = OrderedDict()

    def judge(self, doubt: UncertainPair) -> PairDecision | None:
        """Nothing, at once."""
        with self._lock:
            kept = self._kept.setdefault(doubt.group.id, [])
            if len(kept) < PER_INCIDENT:
                kept.append(doubt)
            while len(self._kept) > INCIDENTS:
                self._kept.popitem(last=False)
        return None

    def take(self, incident_id: str) -> tuple[UncertainPair, ...]:
        """The doubts about this incident, each handed out once."""
        with self._lock:
            return tuple(self._kept.pop(incident_id, ()))


SAME_SECOND_S = 1.0


def open_question(doubt: UncertainPair, topology: Topology) -> bool:
    """Whether only time still connects the pair; a critical alert of that very second is no doubt.

    When it was kept nobody had looked at who calls whom.
    """
    if doubt.alert.severity == "critical" and doubt.gap <= SAME_SECOND_S:
        return False
    service = doubt.alert.service
    near = {service, *upstream(topology, service), *downstream(topology, service)}
    return not service or not near & set(doubt.group.services)


def question(
    doubt: UncertainPair, language: Language, fence: Fence
) -> tuple[ModelRequest, tuple[Prompt, Prompt]]:
    """Whether the pair belongs together."""
    system, user = load("triage", language), load("triage_case", language)
    alert, group = doubt.alert, doubt.group
    services = ", ".join(fence.line(one, 80) for one in group.services[:12])
    told = f"{fence.line(alert.name, 120)} | {fence.line(alert.service or '?', 80)}"
    text = user.render(
        alert=fence.enclose("alerts", [f"{told} | {alert.severity}"]),
        group=fence.enclose(
            "alerts", [f"{fence.line(group.title, 160)} | {services} | {group.severity}"]
        ),
        gap=duration(doubt.gap),
        rules=doubt.rules,
        reason=fence.enclose("rules", [fence.line(doubt.reason, 200)]),
    )
    request = ModelRequest(
        messages=(
            Message(role="system", content=system.render()),
            Message(role="user", content=text),
        ),
        reply_schema=pair_schema(),
        max_tokens=REPLY_TOKENS["triage"],
        kind="triage",
    )
    return request, (system, user)


def problems(reply: PairReply, language: Language) -> Sequence[str]:
    """What is wrong with a verdict."""
    found = []
    if reply.verdict not in ("merge", "split"):
        found.append("verdict is merge or split")
    if reply.noise not in ("yes", "no"):
        found.append("noise is yes or no")
    return [*found, *style(reply.reason, ClaimScope((), frozenset(), language))]


def pair_summary(doubt: UncertainPair, reply: PairReply, model: Model) -> str:
    """The suggestion as the journal has it: who, what, and what the rules did."""
    verb = {"merge": "belongs to", "split": "is apart from"}[reply.verdict]
    noise = "; looks like noise" if reply.noise == "yes" else ""
    return (
        f"{model.name} holds that {doubt.alert.name!r} {verb} this incident{noise}; "
        f"the rules: {doubt.rules}, which stands"
    )
