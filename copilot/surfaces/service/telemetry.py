"""Where telemetry is posted: OTLP over HTTP. What is answered with 200 is in the cache only."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from copilot.sources.otlp import (
    DecodeResult,
    OtlpError,
    OtlpSignal,
    answered,
    decoded,
    lines,
    points,
    problem,
    spans,
)
from copilot.sources.received import DataPoint, ReceivedTelemetry
from copilot.surfaces.service.body import body
from copilot.surfaces.service.ports import ServiceEngine
from tools.types import LogLine, Span

PROTOBUF = "application/x-protobuf"


def otlp(engine: ServiceEngine, received: ReceivedTelemetry) -> APIRouter:
    """`/v1/traces`, `/v1/logs` and `/v1/metrics`, JSON or protobuf, as the exporter likes."""
    router = APIRouter(tags=["telemetry"])

    @router.post("/v1/traces", summary="Spans (OTLP)")
    def traces(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        def take(media: str) -> DecodeResult[Span]:
            read, peers = spans(decoded(content, "traces", media), engine.now())
            received.take_spans(read.items, peers)
            return read

        return _answer(request, "traces", take)

    @router.post("/v1/logs", summary="Log records (OTLP)")
    def logs(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        def take(media: str) -> DecodeResult[LogLine]:
            read = lines(decoded(content, "logs", media), engine.now())
            received.take_lines(read.items)
            return read

        return _answer(request, "logs", take)

    @router.post("/v1/metrics", summary="Data points (OTLP)")
    def metrics(request: Request, content: Annotated[bytes, Depends(body)]) -> Response:
        def take(media: str) -> DecodeResult[DataPoint]:
            read = points(decoded(content, "metrics", media), engine.now())
            received.take_points(read.items)
            return read

        return _answer(request, "metrics", take)

    return router


def _answer(
    request: Request, signal: OtlpSignal, take: Callable[[str], DecodeResult[Any]]
) -> Response:
    """Take what can be read; the answer is in the encoding of the request."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    media = PROTOBUF if media == PROTOBUF else "application/json"
    try:
        read = take(media)
    except OtlpError as error:
        return Response(problem(media, str(error)), 400, media_type=media)
    return Response(answered(signal, media, read.rejected, read.reason), media_type=media)
