"""Approver: a scripted person who says yes to every plan that could be meant, and nothing more.

It does not know the answer: it approves class A and B for a component that exists. What it let
through is scored afterwards.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evals.lab.blueprint import SERVICES
from evals.lab.trial.service import CopilotClient, CopilotServiceError
from tools.types import Owner

NAME = "lab-approver"
_OVER = frozenset({"recovered", "resolved", "handed_over", "failed"})


@dataclass(slots=True)
class IncidentObservation:
    """What an incident showed from outside, and when, on the wall clock."""

    id: str
    accepted: tuple[float, ...] = ()  # when its alerts were
    briefed: list[float] = field(default_factory=list)  # when a new text was seen
    brief: str = ""
    ranked: list[tuple[float, str, str]] = field(default_factory=list)  # when, component, kind
    approved: list[tuple[float, str, str]] = field(
        default_factory=list
    )  # when, playbook, component
    refused: list[str] = field(default_factory=list)
    status: str = ""
    verdict: str = ""
    over_at: float | None = None
    abstained: str = ""


class Approver:
    """Looks at all incidents again and again, answers plans, and writes down what it saw."""

    def __init__(self, door: CopilotClient) -> None:
        self._door = door
        self._answered: set[str] = set()
        self.seen: dict[str, IncidentObservation] = {}

    def look(self) -> None:
        """One look; what the copilot does not answer is asked again at the next one."""
        try:
            incidents = self._door.incidents()
        except CopilotServiceError:
            return
        for incident in incidents:
            self._note(incident)

    @property
    def over(self) -> bool:
        """Whether there are incidents, and all of them have come to their end."""
        return bool(self.seen) and all(one.over_at is not None for one in self.seen.values())

    @property
    def acting(self) -> bool:
        """Whether an approved plan is being run or verified."""
        return any(one.status == "acting" for one in self.seen.values())

    @property
    def mended(self) -> bool:
        """Whether an incident was verified to be over."""
        return any(one.status == "recovered" for one in self.seen.values())

    def _note(self, incident: dict[str, Any]) -> None:
        now, name = time.time(), incident["id"]
        one = self.seen.setdefault(name, IncidentObservation(name))
        times = (datetime.fromisoformat(alert["accepted_at"]) for alert in incident["alerts"])
        one.accepted = tuple(sorted(moment.timestamp() for moment in times))
        if incident["brief"] != one.brief:
            one.brief = incident["brief"]
            one.briefed.append(now)
        ranking = incident["ranking"]
        first = next(iter(ranking["candidates"]), None)
        decided = ranking["certainty"] in ("proven", "likely")
        if first is not None and decided:
            found = (first["component"], first.get("fault_kind") or "")
            if not one.ranked or one.ranked[-1][1:] != found:
                one.ranked.append((now, *found))
        one.abstained = "" if decided else ranking["reason"]
        one.verdict = incident["outcome"] or one.verdict
        one.status = incident["status"]
        one.over_at = (one.over_at or now) if one.status in _OVER else None
        self._answer(incident, one, now)

    def _answer(self, incident: dict[str, Any], one: IncidentObservation, now: float) -> None:
        plan, approval = incident["plan"], incident["approval"]
        waiting = approval is not None and approval["status"] == "pending"
        if plan is None or not waiting or plan["id"] in self._answered:
            return
        self._answered.add(plan["id"])
        if plan["risk"] not in ("A", "B") or Owner.parse(plan["component"]).service not in SERVICES:
            one.refused.append(f"{plan['playbook_id']} on {plan['component']} ({plan['risk']})")
            return
        said = self._door.approve(one.id, plan, NAME)
        if said.startswith("2"):
            one.approved.append((now, plan["playbook_id"], plan["component"]))
        else:
            one.refused.append(f"{plan['playbook_id']}: {said}")
