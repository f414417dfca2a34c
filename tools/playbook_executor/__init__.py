"""Playbooks: parse and validate, choose or abstain, fill, digest, run one approved step, verify."""

from tools.playbook_executor.choose import choose
from tools.playbook_executor.draft import draft
from tools.playbook_executor.errors import (
    ApprovalError,
    DigestError,
    ParameterError,
    PlanExpiredError,
    PlaybookError,
    PreconditionError,
    StepError,
    StepRefusedError,
)
from tools.playbook_executor.fill import digest, fill
from tools.playbook_executor.offers import Offer, derived, offers_for
from tools.playbook_executor.parse import parse, schema
from tools.playbook_executor.proposal import ProposalContext
from tools.playbook_executor.run import (
    AUTOMATON,
    ApprovalScope,
    Policy,
    StepRunner,
    Wish,
    check_approval,
    one_person,
    run_step,
    step_key,
    touched_services,
    undoes,
)
from tools.playbook_executor.subject import PlaybookSubject, known
from tools.playbook_executor.verify import verify
from tools.playbook_executor.vocabulary import ArgumentsError, arguments, pause_s, repeatable

__all__ = [
    "AUTOMATON",
    "ApprovalError",
    "ArgumentsError",
    "ProposalContext",
    "DigestError",
    "PlanExpiredError",
    "Offer",
    "ParameterError",
    "PlaybookError",
    "ApprovalScope",
    "Policy",
    "Wish",
    "touched_services",
    "PreconditionError",
    "StepRefusedError",
    "StepError",
    "StepRunner",
    "PlaybookSubject",
    "arguments",
    "check_approval",
    "choose",
    "derived",
    "digest",
    "draft",
    "fill",
    "known",
    "offers_for",
    "parse",
    "pause_s",
    "repeatable",
    "run_step",
    "schema",
    "one_person",
    "step_key",
    "undoes",
    "verify",
]
