"""Where alerts come in. The answer is 202 only when they are on disk."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse

from copilot.alerts.formats import PayloadKind, parse
from copilot.store import AcceptedAlerts
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine, ServiceSettings

_WEBHOOKS: tuple[PayloadKind, ...] = ("alertmanager", "pagerduty", "cloudevents", "generic")


def deliveries(engine: ServiceEngine, settings: ServiceSettings) -> APIRouter:
    """One webhook per format; what Prometheus posts to is in `alertmanager`."""
    router = APIRouter(tags=["alerts"])

    def add(path: str, kind: PayloadKind, method: str = "POST") -> None:
        def deliver(request: Request, content: Annotated[bytes, Depends(body)]) -> JSONResponse:
            now = engine.now()
            alerts = parse(content, kind, request.headers, now, limit=settings.max_alerts)
            accepted = engine.accept(alerts, now)
            return JSONResponse(_receipt(len(alerts), accepted), status_code=202)

        router.add_api_route(
            path,
            deliver,
            methods=[method],
            status_code=202,
            summary=f"Deliver alerts ({kind})",
            name=f"deliver {kind}",
        )

    for kind in _WEBHOOKS:
        add(f"/webhooks/{kind}", kind)
    for method in ("POST", "PUT"):
        add("/webhooks/grafana", "grafana", method)
    return router


def _receipt(delivered: int, accepted: AcceptedAlerts) -> dict[str, int | str]:
    return {
        "status": "success",
        "delivered": delivered,
        "new": len(accepted.new),
        "repeated": accepted.repeated,
        "resolved": len(accepted.resolved),
    }
