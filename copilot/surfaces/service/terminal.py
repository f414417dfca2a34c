"""What the command line shows, laid out by the service, and its emergency stop.

A command that cannot wait for its own imports prints this as it came; the same functions lay it out
where no service runs. docs/decisions/start.md.
"""

from io import StringIO
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from rich.console import Console
from starlette.responses import JSONResponse, PlainTextResponse

from copilot.alerts.formats.fields import CleanName, CleanText
from copilot.case.halting import halt, lift
from copilot.store import UnknownPlanError
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.incidents import show_all, show_one, waiting
from copilot.surfaces.console import answer
from copilot.surfaces.console.answer import Audience
from copilot.surfaces.service.body import body
from copilot.surfaces.service.plans import document_of
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.rights import Calling
from prompts import Language
from tools.types import FrozenModel


class TerminalScreen(FrozenModel):
    """The terminal that it is laid out for."""

    lang: Language = "en"
    width: int = Field(default=80, ge=20, le=500)
    color: bool = False

    def console(self) -> Console:
        """A console that writes for it."""
        return Console(
            file=StringIO(),
            width=self.width,
            force_terminal=self.color,
            color_system="truecolor" if self.color else None,
        )


def _written(console: Console) -> str:
    file = console.file
    return file.getvalue() if isinstance(file, StringIO) else ""


class ListedScreen(TerminalScreen):
    """Which incidents, and how."""

    incident: str = ""
    as_json: bool = False
    limit: int = Field(default=20, ge=1, le=1000)
    report: bool = False


class UpdateScreen(TerminalScreen):
    """Of which incident, and for whom."""

    incident: str = ""
    audience: Audience = "engineers"


class PlanScreen(TerminalScreen):
    """Which plan, by its id or its incident's."""

    plan: str


def terminal(engine: ServiceEngine) -> APIRouter:
    """Lists, briefs and plans as a terminal shows them."""
    store = engine.store
    router = APIRouter(include_in_schema=False)

    @router.get("/terminal/incidents")
    def incidents(laid: Annotated[ListedScreen, Query()]) -> PlainTextResponse:
        console = laid.console()
        if not laid.incident:
            show_all(console, store, laid.lang, as_json=laid.as_json, limit=laid.limit)
        else:
            found = store.incidents.require(laid.incident)
            request = waiting(store, found)
            agreed = engine.terms(request.plan) if request else None
            show_one(
                console, found, request, agreed, laid.lang, as_json=laid.as_json, report=laid.report
            )
        return PlainTextResponse(_written(console))

    @router.get("/terminal/status-update")
    def status_update(laid: Annotated[UpdateScreen, Query()]) -> PlainTextResponse:
        found = store.incidents.list(limit=1) if not laid.incident else ()
        shown = found[0] if found else store.incidents.require(laid.incident)
        return PlainTextResponse(answer.status_update(shown, laid.lang, laid.audience))

    @router.get("/terminal/plan")
    def plan(laid: Annotated[PlanScreen, Query()]) -> JSONResponse:
        request = store.approvals.get(laid.plan)
        request = request or next(reversed(store.approvals.pending(laid.plan)), None)
        if request is None:
            raise UnknownPlanError(
                f"no plan {laid.plan!r} waits for approval; see: copilot incidents"
            )
        agreed, console = engine.terms(request.plan), laid.console()
        screen.plan(console, request.plan, laid.lang, agreed)
        return JSONResponse(
            {
                "text": _written(console),
                "plan_id": request.plan.id,
                "incident_id": request.plan.incident_id,
                "digest": request.plan.digest,
                "dry_run": agreed.dry_run,
            }
        )

    return router


class StopOrder(FrozenModel):
    """Why everything stops; `by` as an `approver`."""

    reason: Annotated[CleanText, Field(min_length=1)]
    by: CleanName = ""


class ResumeOrder(FrozenModel):
    """Who lifts the stop."""

    by: CleanName = ""


class HaltOutcome(FrozenModel):
    """Whether it changed anything, and the sentence for whoever asked."""

    done: bool
    said: str


def stopping(engine: ServiceEngine) -> APIRouter:
    """`POST /stop`: no step of any plan is run until `POST /resume`."""
    router = APIRouter(tags=["approvals"])

    @router.post("/stop", summary="Emergency stop: no step is run until resumed")
    def stop(caller: Calling, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        order = document_of(content, StopOrder)
        said = halt(engine.store, caller.decider(order.by), order.reason, engine.now())
        return JSONResponse({"done": True, "said": said})

    @router.post("/resume", summary="Lift the emergency stop")
    def resume(caller: Calling, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
        order = document_of(content, ResumeOrder)
        said = lift(engine.store, engine.policy, caller.decider(order.by), engine.now())
        return JSONResponse({"done": bool(said), "said": said or "Nothing was stopped."})

    return router
