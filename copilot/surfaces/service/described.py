"""What each route takes and answers, for its OpenAPI document: one table of models and examples.

Handlers read and write their documents themselves, since a wrong one is told in our words; so the
framework cannot know their shapes. A test holds the table against every route and real answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import ConfigDict, JsonValue, TypeAdapter

from copilot.alerts.formats.alertmanager import PostedAlert
from copilot.surfaces.service.alertmanager.silences import PostedSilence
from copilot.surfaces.service.chat import ChatQuestion
from copilot.surfaces.service.device import DeviceCode, DeviceLogin
from copilot.surfaces.service.incidents import AlertView, IncidentLine, IncidentView
from copilot.surfaces.service.openai.shapes import CompletionRequest, ResponseRequest
from copilot.surfaces.service.plans import (
    ApprovalDecision,
    CauseWord,
    MergeOrder,
    OnCallListing,
    OnCallOrder,
    PlanEdit,
    RetryOrder,
    SplitOrder,
    StepWord,
)
from copilot.surfaces.service.terminal import HaltOutcome, ResumeOrder, StopOrder
from copilot.types.checks import CheckReport
from copilot.types.conversation import Conversation, Turn
from copilot.types.incident import ApprovalCount, ConfirmedCause, IncidentStatus
from tools.types import FrozenModel

Json = dict[str, JsonValue]


class RecordedAnswer(FrozenModel):
    """An answer to a plan that counts; `plan_status` pending: another person is needed."""

    status: Literal["recorded"]
    said: str
    plan_id: str
    by: str
    decision: Literal["approve", "reject"]
    plan_status: str
    dry_run: bool
    approvals: ApprovalCount


class ReplacedPlan(FrozenModel):
    """The plan that an edit made: it has to be approved anew, by this digest."""

    status: Literal["edited"]
    replaces: str
    plan_id: str
    digest: str
    dry_run: bool
    approvals: ApprovalCount


class RecordedWord(FrozenModel):
    """What was written down, and how the incident stands then."""

    status: Literal["recorded"]
    incident_status: IncidentStatus


class RecordedCause(FrozenModel):
    """The cause as people say it, and beside it what the copilot had said."""

    status: Literal["confirmed", "withdrawn"]
    cause: ConfirmedCause | None
    copilot_said: dict[str, str | None]


class RegroupedIncident(RecordedWord):
    """The incident that the alerts are of now."""

    incident: str


class RecordedShift(RecordedWord):
    """Who said it, and whose the incident is now."""

    by: str
    taken_by: str


class DeliveryReceipt(FrozenModel):
    """What became of a delivery; of `noted` alerts something was not understood."""

    status: Literal["success"]
    delivered: int
    new: int
    repeated: int
    resolved: int
    noted: int


class ChangeReceipt(FrozenModel):
    """What became of a delivery of changes; `ignored` says why something was none."""

    status: Literal["success"]
    recorded: int
    repeated: int
    commits: int = 0
    ignored: tuple[str, ...] = ()


class Readiness(FrozenModel):
    """Whether alerts can be taken, and what each part of the service says."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str]


class Liveness(FrozenModel):
    """The process answers."""

    status: Literal["ok"]


class ToldConversation(Conversation):
    """A conversation with its turns."""

    turns: tuple[Turn, ...]


class DeclaredSilence(FrozenModel):
    """The id of a silence."""

    silenceID: str


class ListedReceiver(FrozenModel):
    """Who is told."""

    name: str


class AlertState(FrozenModel):
    """Whether an alert is told, and what mutes it."""

    state: Literal["active", "suppressed", "unprocessed"]
    inhibitedBy: tuple[str, ...]
    mutedBy: tuple[str, ...]
    silencedBy: tuple[str, ...]


class GettableAlert(FrozenModel):
    """An alert as Alertmanager's API shows it; its names are kept."""

    annotations: dict[str, str]
    labels: dict[str, str]
    fingerprint: str
    receivers: tuple[ListedReceiver, ...]
    status: AlertState
    startsAt: str
    endsAt: str
    updatedAt: str
    generatorURL: str = ""


class GettableGroup(FrozenModel):
    """Alerts of one incident, as Alertmanager's API shows a group."""

    alerts: tuple[GettableAlert, ...]
    labels: dict[str, str]
    receiver: ListedReceiver


class SilenceStanding(FrozenModel):
    """Whether a silence is in force."""

    state: Literal["active", "pending", "expired"]


class GettableMatcher(FrozenModel):
    """Which alerts a silence is about."""

    name: str
    value: str
    isRegex: bool
    isEqual: bool


class GettableSilence(FrozenModel):
    """A silence as Alertmanager's API shows it."""

    id: str
    status: SilenceStanding
    matchers: tuple[GettableMatcher, ...]
    startsAt: str
    endsAt: str
    updatedAt: str
    createdBy: str
    comment: str


class ListedModel(FrozenModel):
    """A model as OpenAI lists it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelListing(FrozenModel):
    """What may be asked here."""

    object: Literal["list"]
    data: tuple[ListedModel, ...]


@dataclass(frozen=True, slots=True)
class RouteShape:
    """What is sent and answered: a type, or the words for what is no JSON document of ours.

    `sent` None: nothing is read. `answered` None: the answer has no body.
    """

    sent: Any = None
    answered: Any = None
    status: int = 200
    media: str = "application/json"
    example: JsonValue = None


ALERT: JsonValue = {
    "labels": {"alertname": "HighErrorRate", "service": "till", "severity": "critical"},
    "annotations": {"summary": "12 % of requests fail"},
    "startsAt": "2026-11-30T02:00:00Z",
}
DECISION: JsonValue = {
    "plan_id": "rollback-5ef13ad64dc5", "digest": "5ef13ad6…", "decision": "approve",
}  # fmt: skip
EDIT: JsonValue = {
    "plan_id": "scale-out-5ef13ad6", "digest": "5ef13ad6…", "parameters": {"replicas": 4},
    "reason": "five do not fit on the nodes",
}  # fmt: skip
CHANGE: JsonValue = {"kind": "deploy", "service": "till", "to": "v4.2.8", "by": "ann"}
QUESTION: JsonValue = {"text": "what changed just before?", "incident_id": "inc-3bc59ac6"}
SILENCE: JsonValue = {
    "matchers": [{"name": "service", "value": "till", "isRegex": False, "isEqual": True}],
    "startsAt": "2026-11-30T02:00:00Z", "endsAt": "2026-11-30T04:00:00Z",
    "createdBy": "ann", "comment": "a release runs",
}  # fmt: skip

TEXT, STREAM, MARKDOWN = "text/plain", "text/event-stream", "text/markdown"
DELIVERY = RouteShape(Json | list[Json], DeliveryReceipt, 202)
TELEMETRY = RouteShape(Json, Json)

SHAPES: Mapping[str, RouteShape] = {
    "POST /api/v2/alerts": RouteShape(list[PostedAlert], None, example=[ALERT]),
    "GET /api/v2/alerts": RouteShape(None, list[GettableAlert]),
    "GET /api/v2/alerts/groups": RouteShape(None, list[GettableGroup]),
    "GET /api/v2/receivers": RouteShape(None, list[ListedReceiver]),
    "POST /api/v2/silences": RouteShape(PostedSilence, DeclaredSilence, example=SILENCE),
    "GET /api/v2/silences": RouteShape(None, list[GettableSilence]),
    "GET /api/v2/silence/{silence_id}": RouteShape(None, GettableSilence),
    "DELETE /api/v2/silence/{silence_id}": RouteShape(),
    "GET /api/v2/status": RouteShape(None, Json),
    "GET /-/healthy": RouteShape(None, str, media=TEXT),
    "GET /-/ready": RouteShape(None, str, media=TEXT),
    "POST /changes": RouteShape(Json | list[Json], ChangeReceipt, 202, example=CHANGE),
    "POST /changes/{sender}": RouteShape(Json | list[Json], ChangeReceipt, 202),
    "POST /v1/traces": TELEMETRY,
    "POST /v1/logs": TELEMETRY,
    "POST /v1/metrics": TELEMETRY,
    "GET /incidents": RouteShape(None, list[IncidentLine]),
    "GET /incidents/{incident_id}": RouteShape(None, IncidentView),
    "GET /incidents/{incident_id}/alerts": RouteShape(None, list[AlertView]),
    "GET /incidents/{incident_id}/postmortem": RouteShape(None, str, media=MARKDOWN),
    "GET /incidents/{incident_id}/events": RouteShape(None, str, media=STREAM),
    "GET /events": RouteShape(None, str, media=STREAM),
    "GET /alerts": RouteShape(None, list[AlertView]),
    "POST /incidents/{incident_id}/approval": RouteShape(
        ApprovalDecision, RecordedAnswer, example=DECISION
    ),
    "POST /incidents/{incident_id}/plan": RouteShape(PlanEdit, ReplacedPlan, example=EDIT),
    "POST /incidents/{incident_id}/step": RouteShape(
        StepWord, RecordedWord, example={"ran": True, "reason": "its revision is 7"}
    ),
    "POST /incidents/{incident_id}/retry": RouteShape(
        RetryOrder, RecordedWord, example={"reason": "Prometheus is back"}
    ),
    "POST /stop": RouteShape(StopOrder, HaltOutcome, example={"reason": "peak sale"}),
    "POST /resume": RouteShape(ResumeOrder, HaltOutcome, example={}),
    "POST /incidents/{incident_id}/cause": RouteShape(
        CauseWord, RecordedCause, example={"component": "dns", "fault_kind": "dns_failure"}
    ),
    "DELETE /incidents/{incident_id}/cause": RouteShape(None, RecordedCause),
    "POST /incidents/{incident_id}/on-call": RouteShape(
        OnCallOrder, RecordedShift, example={"action": "hand_over", "to": "ben"}
    ),
    "POST /incidents/{incident_id}/merge": RouteShape(
        MergeOrder,
        RegroupedIncident,
        example={"into": "inc-3bc59ac6", "reason": "the same shard"},
    ),
    "POST /incidents/{incident_id}/split": RouteShape(
        SplitOrder, RegroupedIncident, example={"alerts": [41, 43], "reason": "another rack"}
    ),
    "GET /on-call": RouteShape(None, OnCallListing),
    "GET /healthz": RouteShape(None, Liveness),
    "GET /readyz": RouteShape(None, Readiness),
    "GET /metrics": RouteShape(None, str, media=TEXT),
    "GET /doctor": RouteShape(None, CheckReport),
    "POST /chat": RouteShape(ChatQuestion, Turn, example=QUESTION),
    "GET /chat/{conversation_id}": RouteShape(None, ToldConversation),
    "GET /v1/models": RouteShape(None, ModelListing),
    "GET /v1/models/{name}": RouteShape(None, ListedModel),
    "POST /v1/chat/completions": RouteShape(CompletionRequest, Json),
    "POST /v1/responses": RouteShape(ResponseRequest, Json),
    "POST /login/device": RouteShape(DeviceLogin, Json, example={"machine": "ann's laptop"}),
    "POST /login/token": RouteShape(DeviceCode, Json),
}


def shape_of(method: str, path: str) -> RouteShape | None:
    """What a route takes and answers; of a webhook or a channel's hook the document is the
    sender's own.
    """
    if path.startswith("/webhooks/"):
        return DELIVERY
    if path.startswith("/hooks/"):
        return RouteShape(Json, Json)
    return SHAPES.get(f"{method.upper()} {path}")


class DescribedApp(FastAPI):
    """An app whose OpenAPI document tells shapes by the table."""

    def openapi(self) -> dict[str, Any]:
        """The document: made once, as the framework's is."""
        if self.openapi_schema is None:
            described(super().openapi())
        return self.openapi_schema or {}


def described(document: dict[str, Any]) -> None:
    """Write into an OpenAPI document what its routes take and answer."""
    asked: dict[tuple[str, str], RouteShape] = {}
    for path, verbs in document["paths"].items():
        asked |= {(path, verb): shape for verb in verbs if (shape := shape_of(verb, path))}
    adapters: list[tuple[Any, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for key, shape in asked.items():
        if shape.sent is not None:
            adapters.append(((key, "sent"), "validation", TypeAdapter(shape.sent)))
        if shape.answered is not None:
            adapters.append(((key, "answered"), "serialization", TypeAdapter(shape.answered)))
    found, shared = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known |= shared.get("$defs", {})
    for (path, verb), shape in asked.items():
        route, key = document["paths"][path][verb], (path, verb)
        if shape.sent is not None:
            content: Json = {"schema": found[(key, "sent"), "validation"]}
            content |= {"example": shape.example} if shape.example is not None else {}
            route["requestBody"] = {"required": True, "content": {"application/json": content}}
        answer = route["responses"].setdefault(str(shape.status), {"description": "Done"})
        if shape.answered is None:
            answer |= {"description": "Done; the answer has no body"}
            answer.pop("content", None)
        else:
            told = answer.get("content", {}).get(shape.media, {})
            schema = found[(key, "answered"), "serialization"]
            answer["content"] = {shape.media: {**told, "schema": schema}}
