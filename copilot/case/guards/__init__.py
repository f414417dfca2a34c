"""Guards: why nothing is proposed, or nothing is run; one answer for graph, chat and commands.

A guard returns an `Objection` or None; the first objection of a tuple counts. What may be proposed
at all: docs/decisions/playbooks.md.
"""

from copilot.case.guards.objection import Objection
from copilot.case.guards.proposing import BEFORE_PROPOSING, PlanCase, objection_to_proposing
from copilot.case.guards.running import (
    BEFORE_RUNNING,
    ObjectionError,
    RunCase,
    incident_over,
    refuse_running,
)

__all__ = [
    "BEFORE_PROPOSING",
    "BEFORE_RUNNING",
    "Objection",
    "ObjectionError",
    "PlanCase",
    "RunCase",
    "incident_over",
    "objection_to_proposing",
    "refuse_running",
]
