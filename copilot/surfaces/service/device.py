"""Logging in on a command line: it shows a code, to which a person agrees on the console.

Source: RFC 8628, the device authorization grant.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field, JsonValue, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import from_validation
from copilot.alerts.formats.fields import CleanName
from copilot.surfaces.service.access import Access, digest_of, new_token
from copilot.surfaces.service.body import body
from copilot.surfaces.service.forms import Sent, meant
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.throttle import TooManyTriesError
from copilot.surfaces.service.visit import Visit, page, visits
from copilot.types.people import AccessToken, PersonSession
from tools.types import FrozenModel, Timestamp

CODE_S, POLL_S = 600.0, 3.0
"""How long a code may be agreed to, and how often a command line asks whether it was."""

LOGIN_S = 7 * 86_400.0
"""A week on call; then it is logged in anew, or when the account or its password changes."""

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word. Source: RFC 8628, 6.1."""


class DeviceLogin(FrozenModel):
    """Where somebody logs in: a name of the machine, for the journal and the list of tokens."""

    machine: CleanName = ""


class DeviceCode(FrozenModel):
    """The code that the command line was given."""

    device_code: Annotated[str, Field(max_length=200)]


def device(engine: ServiceEngine, access: Access) -> APIRouter:
    """The two routes of the command line, and the page."""
    router = APIRouter(tags=["people"])
    Visiting = Annotated[Visit, Depends(visits(access))]
    desk = DeviceDesk(engine, access)

    @router.post("/login/device", summary="Begin to log in on a command line")
    def begin(request: Request, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        try:
            wanted = DeviceLogin.model_validate(decoded(content))
        except ValidationError as problem:
            raise from_validation(problem) from problem
        try:
            return JSONResponse(desk.begun(wanted.machine, visits(access)(request)))
        except TooManyTriesError:
            return JSONResponse({"error": "slow_down"}, 429)

    @router.post("/login/token", summary="The token, once a person agreed")
    def token(content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        try:
            asked = DeviceCode.model_validate(decoded(content))
        except ValidationError as problem:
            raise from_validation(problem) from problem
        told, status = desk.given(asked.device_code)
        return JSONResponse(told, status)

    @router.get("/console/device", include_in_schema=False)
    def shown(visit: Visiting, code: str = "") -> Response:
        values = {"code": code[:20], "problem": "", "done": False}
        return page("device.html", visit, values)

    @router.post("/console/device", include_in_schema=False)
    def agree(request: Request, visit: Visiting, sent: Sent) -> Response:
        session = meant(request, visit, sent)
        problem = desk.agreed(sent.get("code", ""), session)
        values = {"code": "", "problem": problem, "done": not problem}
        return page("device.html", visit, values, 409 if problem else 200)

    return router


class DeviceDesk:
    """Codes on their way, kept as digests, and the tokens they become."""

    def __init__(self, engine: ServiceEngine, access: Access) -> None:
        self._engine, self._access, self._kept = engine, access, access.store.sessions

    def begun(self, machine: str, visit: Visit) -> dict[str, str | float]:
        """Two codes: a long one for the command line, a short one for the person.

        Anybody may ask, and each is kept a while. Raises `TooManyTriesError`.
        """
        self._access.throttle.check(f"code {visit.address}")
        self._access.throttle.failed(f"code {visit.address}")
        device_code = secrets.token_urlsafe(32)
        letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
        shown, now = f"{letters[:4]}-{letters[4:]}", self._access.clock()
        until = now + CODE_S
        told: dict[str, JsonValue] = {"machine": machine, "until": until, "account": ""}
        self._kept.begin(_device(device_code), told, until, now)
        self._kept.begin(_person(shown), {"device": _device(device_code)}, until, now)
        page_of = f"{visit.origin}/console/device"
        return {
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": page_of,
            "verification_uri_complete": f"{page_of}?code={shown}",
            "expires_in": CODE_S,
            "interval": POLL_S,
        }

    def agreed(self, shown: str, session: PersonSession) -> str:
        """What is wrong with it; empty: the command line may fetch its token."""
        now, account_id = self._access.clock(), session.account_id
        if not account_id:
            return "device account"
        try:
            self._access.throttle.check(f"device {account_id}")
        except TooManyTriesError:
            return "too many tries"
        found = self._kept.take(_person(shown), now)
        waiting = self._kept.look(str(found["device"]), now) if found else None
        if found is None or waiting is None:
            self._access.throttle.failed(f"device {account_id}")
            return "wrong code"
        until: Timestamp = float(str(waiting["until"]))
        told = {**waiting, "account": account_id, "generation": session.generation}
        self._kept.begin(str(found["device"]), told, until, now)
        return ""

    def given(self, device_code: str) -> tuple[dict[str, str], int]:
        """The token, once; else why not yet, in the words of the standard."""
        now = self._access.clock()
        found = self._kept.look(_device(device_code), now)
        if found is None:
            return {"error": "expired_token"}, 400
        if not found["account"]:
            return {"error": "authorization_pending"}, 400
        taken = self._kept.take(_device(device_code), now)
        # Agreed to before an upgrade it has none, and holds for who kept the first password.
        generation = int(str(found.get("generation", 0)))
        account = self._access.active(str(found["account"]), generation)
        if taken is None or account is None:
            return {"error": "access_denied"}, 400
        token, digest = new_token()
        made = AccessToken(
            id=digest[:12],
            digest=digest,
            name=str(found["machine"]) or "command line",
            account_id=account.id,
            generation=account.generation,
            created_at=now,
            ends_at=now + LOGIN_S,
        )
        self._access.store.access_tokens.add(made)
        detail = {"reason": f"on {made.name}", "token": made.id}
        self._engine.store.journal.append(
            "", "logged_in", account.name, {**detail}, self._engine.now()
        )
        return {"access_token": token, "token_type": "Bearer", "name": account.name}, 200


def _device(code: str) -> str:
    return digest_of(f"device {code}")


def _person(shown: str) -> str:
    letters = "".join(one for one in shown.upper() if one in _LETTERS)
    return digest_of(f"person {letters}")
