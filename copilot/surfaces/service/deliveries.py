"""Where alerts come in. The answer is 202 only when they are on disk."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import JSONResponse

from copilot.alerts.formats import ALIASES, KINDS, PayloadKind, parse, parse_mapped
from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError
from copilot.alerts.formats.mapped import MappingsFile
from copilot.alerts.formats.sns import Subscription, subscription
from copilot.alerts.vocabulary import NOTE
from copilot.store import AcceptedAlerts
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine, ServiceSettings
from copilot.surfaces.service.subscriptions import SubscriptionDesk
from tools.types import Alert

_API = "alertmanager_v2"
_BY_PUT = frozenset({"grafana"})
_ASKING: Mapping[str, tuple[Literal["sns", "huawei"], ...]] = {
    "sns": ("sns",),
    "huawei": ("huawei",),
    "auto": ("sns", "huawei"),
}
"""Routes at which a topic may first ask whether it may send."""


def deliveries(
    engine: ServiceEngine,
    settings: ServiceSettings,
    mappings: MappingsFile,
    desk: SubscriptionDesk,
) -> APIRouter:
    """One webhook per sender and mapping; what Prometheus posts to is in `alertmanager`."""
    router = APIRouter(tags=["alerts"])

    def add(path: str, kind: PayloadKind, method: str = "POST") -> None:
        def deliver(request: Request, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
            asked = _asked(content, kind)
            if asked is not None:
                return JSONResponse(desk.answer(asked), status_code=202)
            now = engine.now()
            alerts = parse(content, kind, request.headers, now, limit=settings.max_alerts)
            return _receipt(alerts, engine.accept(alerts, now))

        router.add_api_route(
            path,
            deliver,
            methods=[method],
            status_code=202,
            summary=f"Deliver alerts ({kind})",
            name=f"deliver {kind}",
        )

    for kind in KINDS:
        if kind != _API:
            add(f"/webhooks/{kind}", kind)
        if kind in _BY_PUT:
            add(f"/webhooks/{kind}", kind, "PUT")
    for alias, kind in ALIASES.items():
        add(f"/webhooks/{alias}", kind)

    @router.post(
        "/webhooks/mapped/{name}", status_code=202, summary="Deliver alerts (by a mapping)"
    )
    def deliver_mapped(
        name: str, request: Request, content: Annotated[bytes, Depends(body)]
    ) -> JSONResponse:
        mapping = mappings.named(name)
        if mapping is None:
            known = ", ".join(one.name for one in mappings.mapping) or "none"
            detail = f"there is no mapping {name[:64]!r} in alert_mappings_file; declared: {known}"
            raise HTTPException(404, detail)
        now = engine.now()
        alerts = parse_mapped(content, mapping, request.headers, now, limit=settings.max_alerts)
        return _receipt(alerts, engine.accept(alerts, now))

    return router


def _asked(content: bytes, kind: PayloadKind) -> Subscription | None:
    """The question of a topic whether it may send; what is not JSON is for the parser to refuse."""
    if kind not in _ASKING or b"SubscriptionConfirmation" not in content:
        return None
    try:
        document = decoded(content)
    except MalformedError:
        return None
    found = (subscription(document, sender) for sender in _ASKING[kind])
    return next((one for one in found if one is not None), None)


def _receipt(alerts: tuple[Alert, ...], accepted: AcceptedAlerts) -> JSONResponse:
    """What became of a delivery; `noted` are alerts of which something was not understood."""
    return JSONResponse(
        {
            "status": "success",
            "delivered": len(alerts),
            "new": len(accepted.new),
            "repeated": accepted.repeated,
            "resolved": len(accepted.resolved),
            "noted": sum(NOTE in alert.annotations for alert in alerts),
        },
        status_code=202,
    )
