"""What a channel is told of one change of an incident, before it has the channel's own form."""

from typing import Literal

from pydantic import Field

from copilot.types.incident import IncidentStatus
from prompts import Language
from tools.types import FrozenModel, Severity, Timestamp

Moment = Literal[
    "opened",  # alerts opened it
    "reopened",  # it had ended, and fires again
    "located",  # the brief is out, with the cause or with what is not known
    "plan",  # a plan waits for a person
    "approved",
    "rejected",
    "edited",  # another plan waits in place of it
    "expired",  # nobody answered, which is a no
    "step",  # a step was run, shown or refused
    "recovered",  # verified: back to normal
    "not_recovered",  # the plan was run and did not help, or nobody can see whether it did
    "handed_over",  # a person has it from here
    "resolved",  # ended by its source, a person, or joined to another incident
    "failed",  # the run broke
    "taken",  # somebody works on it, or handed it to somebody
    "escalated",  # nobody has taken it for as long as its route waits
    "digest",  # what was of low importance since the last one, told together
    "storm",  # many incidents at once, told together
    "test",  # somebody asks whether this channel works
]

LAST_MOMENTS: frozenset[Moment] = frozenset({"recovered", "handed_over", "resolved", "failed"})
"""After these the copilot does no more by itself: a limit on messages never swallows them."""


PICTURED: frozenset[Moment] = frozenset(
    {"located", "plan", "edited", "recovered", "handed_over", "escalated", "resolved"}
)
"""Moments at which the series that decides tells something."""


class Notice(FrozenModel):
    """One change of one incident in words, of both languages; the same however often it is sent.

    `seq` is the row of the journal it tells of. `heads` is the first line and `lines` what stands
    under it. `digest` is that of a plan that waits, `links` where a person reads on; `onset` is
    when it was opened until that is known, `kind` (of fault) is there once it is located.
    `picture` (PNG) is put in when it is sent, and `pictured` where the target was shown one before.
    """

    incident_id: str
    seq: int
    at: Timestamp
    moment: Moment
    by: str
    status: IncidentStatus
    severity: Severity
    services: tuple[str, ...] = ()
    onset: Timestamp | None = None
    kind: str = ""
    heads: dict[Language, str]
    lines: dict[Language, tuple[str, ...]]
    plan_id: str = ""
    digest: str = ""
    links: dict[Language, str] = {}
    picture: bytes = Field(default=b"", exclude=True, repr=False)
    pictured: bool = Field(default=False, exclude=True)
