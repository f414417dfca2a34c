"""Which route needs which right: one table, which the gate goes by and the documentation shows.

What is not in it needs an admin, if it changes anything; a test holds every route against it.
docs/decisions/rights.md.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from copilot.types.people import ROLES, Role, TokenScope
from tools.playbook_executor import one_person
from tools.types import FrozenModel

Need = Literal[
    "open",  # whoever reaches the service
    "form",  # a session and the form's own token; the handler checks both, and the right
    "alerts",  # deliver
    "read",  # look on
    "chat",  # ask
    "respond",  # reject, edit, take, note, silence, correct
    "admin",
]

RIGHTS: tuple[tuple[str, str, Need], ...] = (
    ("GET", "/healthz", "open"),
    ("GET", "/readyz", "open"),
    ("GET", "/-/healthy", "open"),
    ("GET", "/-/ready", "open"),
    ("GET", "/console/static/{name}", "open"),
    ("GET", "/console/sign-in", "open"),
    ("GET", "/console/sign-in/oidc", "open"),
    ("GET", "/console/sign-in/back", "open"),
    ("POST", "/console/sign-in", "form"),
    ("GET", "/", "read"),
    ("GET", "/console/{page}", "read"),
    ("GET", "/console/incidents/{id}", "read"),
    ("GET", "/console/incidents/{id}/series.svg", "read"),
    ("GET", "/console/evals/report", "read"),
    ("GET", "/console/knowledge/{id}", "read"),
    ("POST", "/console/knowledge", "form"),
    ("GET", "/console/drafts/{id}", "read"),
    ("GET", "/console/playbooks/{id}", "read"),
    ("POST", "/console/drafts/{id}", "form"),
    ("POST", "/console/ask", "form"),
    ("POST", "/console/sign-out", "form"),
    ("POST", "/login/device", "open"),
    ("POST", "/login/token", "open"),
    ("POST", "/console/device", "form"),
    ("POST", "/console/incidents/{id}/decision", "form"),
    ("POST", "/console/incidents/{id}/plan", "form"),
    ("POST", "/console/incidents/{id}/merge", "form"),
    ("POST", "/console/incidents/{id}/split", "form"),
    ("POST", "/console/incidents/{id}/on-call", "form"),
    ("POST", "/console/incidents/{id}/cause", "form"),
    ("POST", "/console/silences", "form"),
    ("GET", "/openapi.json", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/doctor", "read"),
    ("GET", "/events", "read"),
    ("GET", "/alerts", "read"),
    ("GET", "/on-call", "read"),
    ("GET", "/incidents", "read"),
    ("GET", "/incidents/{id}", "read"),
    ("GET", "/incidents/{id}/{part}", "read"),
    ("GET", "/terminal/{page}", "read"),
    ("POST", "/stop", "respond"),
    ("POST", "/resume", "respond"),
    ("POST", "/incidents/{id}/approval", "respond"),
    ("POST", "/incidents/{id}/plan", "respond"),
    ("POST", "/incidents/{id}/step", "respond"),
    ("POST", "/incidents/{id}/retry", "respond"),
    ("POST", "/incidents/{id}/cause", "respond"),
    ("DELETE", "/incidents/{id}/cause", "respond"),
    ("POST", "/incidents/{id}/on-call", "respond"),
    ("POST", "/incidents/{id}/merge", "respond"),
    ("POST", "/incidents/{id}/split", "respond"),
    ("POST", "/api/v2/alerts", "alerts"),
    ("GET", "/api/v2/alerts", "read"),
    ("GET", "/api/v2/alerts/groups", "read"),
    ("GET", "/api/v2/receivers", "read"),
    ("GET", "/api/v2/status", "read"),
    ("GET", "/api/v2/silences", "read"),
    ("POST", "/api/v2/silences", "respond"),
    ("GET", "/api/v2/silence/{id}", "read"),
    ("DELETE", "/api/v2/silence/{id}", "respond"),
    ("POST", "/webhooks/{sender}", "alerts"),
    ("PUT", "/webhooks/{sender}", "alerts"),
    ("POST", "/webhooks/mapped/{name}", "alerts"),
    ("POST", "/changes", "alerts"),
    ("POST", "/changes/{sender}", "alerts"),
    ("GET", "/hooks/{target}", "admin"),  # but for those that are signed
    ("POST", "/hooks/{target}", "admin"),
    ("POST", "/v1/traces", "alerts"),
    ("POST", "/v1/logs", "alerts"),
    ("POST", "/v1/metrics", "alerts"),
    ("POST", "/chat", "chat"),
    ("GET", "/chat/{id}", "read"),
    ("GET", "/v1/models", "chat"),
    ("GET", "/v1/models/{name}", "chat"),
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/v1/responses", "chat"),
    ("POST", "/mcp", "chat"),
    ("GET", "/mcp", "chat"),
    ("DELETE", "/mcp", "chat"),
)  # fmt: skip
"""Method, path, need; the first that fits decides. HEAD is as GET."""

LEAST: Mapping[Need, Role | None] = {
    "open": None,
    "form": None,
    "alerts": "responder",
    "read": "viewer",
    "chat": "viewer",
    "respond": "responder",
    "admin": "admin",
}
"""The least role of a person that a need takes."""


def need_of(method: str, path: str) -> Need:
    """What a request needs; where there is no route, looking is no more than looking."""
    asked = "GET" if method == "HEAD" else method
    fitting = (need for verb, one, need in _compiled() if verb == asked and one.fullmatch(path))
    return next(fitting, "read" if asked == "GET" else "admin")


@cache
def _compiled() -> tuple[tuple[str, re.Pattern[str], Need], ...]:
    return tuple(
        (method, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), need)
        for method, path, need in RIGHTS
    )


CALLER = "caller"
"""Where in the state of a request the gate leaves who asks."""


class Caller(FrozenModel):
    """Who asks, as far as a credential shows it.

    With `declared`, nobody has an account and a holder says who they are; else `name` is theirs.
    """

    name: str = ""
    role: Role | None = None
    scopes: frozenset[TokenScope] = frozenset()
    via: str = ""
    declared: bool = False
    looks_only: bool = False  # by a session, which any page of the browser sends along

    def may(self, need: Need) -> bool:
        """Whether what it needs is theirs."""
        if need in ("open", "form"):
            return True
        if self.looks_only and need != "read":
            return False
        return self.reaches(LEAST[need] or "viewer") or need in self.scopes

    def reaches(self, role: Role) -> bool:
        """Whether they are of the role, or of one above."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)

    def decider(self, said: str, field: str = "by") -> str:
        """Who decides: the caller; where nobody has an account, who a request says.

        Raises 403 where it says somebody else, 422 where it names nobody and has to.
        """
        if self.declared:
            if not said:
                raise HTTPException(422, f"{field}: who decides? no account tells, so name them")
            return said
        if said and one_person(said) != one_person(self.name):
            raise HTTPException(
                403,
                f"you are {self.name!r} here, by {self.via}, and cannot decide as {said[:80]!r}: "
                "leave the name out, or come with that person's token (`copilot login`)",
            )
        return self.name


def caller_of(request: Request) -> Caller:
    """Who asks, as the gate found; a dependency of handlers."""
    found: Caller = request.scope["state"][CALLER]
    return found


Calling = Annotated[Caller, Depends(caller_of)]
