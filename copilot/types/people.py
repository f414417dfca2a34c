"""People and programs that the service knows, and what they may do. docs/decisions/rights.md."""

from typing import Literal, get_args

from tools.playbook_executor import ApprovalScope
from tools.types import FrozenModel, Timestamp

Role = Literal[
    "viewer",  # looks on, asks
    "responder",  # takes, notes, silences, rejects, corrects the cause
    "approver",  # approves the plans of its scope, too
    "admin",  # everything, and everywhere
]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

TokenScope = Literal[
    "alerts",  # deliver alerts, telemetry, changes
    "read",  # look on
    "chat",  # ask; it reads for its answer
]
SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)
"""What a token of a program may be for; none decides."""


class Account(FrozenModel):
    """A person. The name is theirs alone and stays: it stands in approvals and in the journal.

    `identity` is how an OIDC provider or a proxy knows them, `password` an argon2id hash; a higher
    `generation` ends the sessions and tokens of the ones before.
    """

    id: str
    name: str
    role: Role
    scope: ApprovalScope = ApprovalScope()
    password: str = ""
    identity: str = ""
    disabled: bool = False
    generation: int = 0
    created_at: Timestamp


class AccessToken(FrozenModel):
    """What a program shows, by its digest: `account_id` where it acts for a person, by login."""

    id: str
    digest: str
    name: str
    scopes: frozenset[TokenScope] = frozenset()
    account_id: str = ""
    generation: int = 0
    created_at: Timestamp
    ends_at: Timestamp | None = None
    revoked_at: Timestamp | None = None
    used_at: Timestamp | None = None


class PersonSession(FrozenModel):
    """Somebody in a browser, by the digest of their cookie; without an account the name they gave.

    Times are Unix seconds of the wall clock.
    """

    digest: str
    name: str
    account_id: str = ""
    generation: int = 0
    via: str
    began_at: Timestamp
    seen_at: Timestamp
