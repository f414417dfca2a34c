"""Tempo as a store of traces: a TraceQL search for ids, then each trace by its id.

Sources: grafana.com/docs/tempo/latest/api_docs ("Search", "Query", "Query V2", "Search tag values
V2") and /docs/tempo/latest/traceql. Traces come in protobuf's JSON: ids in base64, enumerations by
name; the first version of the query calls `resourceSpans` by their old name, `batches`.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError, JsonApi, TooLargeError
from copilot.sources.otlp.records import spans
from copilot.sources.prometheus.matchers import quoted
from copilot.sources.traces.trace_store import StoredTrace, TraceQuestion, misdirected
from tools.types import Timestamp, Window

MOST_SERVICES = 1000
AROUND_S = 3600.0
"""A trace is looked for so long before and after the window it was found in: it may reach out."""

_HEX = re.compile(r"[0-9a-fA-F]{1,32}")
_HINT = (
    "is it Tempo's query frontend (http://tempo:3200), and not Grafana (3000) or the port that "
    "takes spans (4317, 4318)?"
)
_GONE = frozenset({400, 404, 413, 422})
"""No such trace any more, or one above `max_bytes_per_trace`: the others can still be read."""


class _TagValue(BaseModel):
    model_config = ConfigDict(extra="ignore")

    value: str


class _TagValues(BaseModel):
    values: list[_TagValue] = Field(default=[], alias="tagValues")


class _FoundTrace(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(alias="traceID")


class _SearchAnswer(BaseModel):
    traces: list[_FoundTrace] = []


class TempoStore:
    """One Tempo, 2.0 or later, and of its tenants the one whose header the API sends."""

    any_service = True
    counted = "in the last hour"

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self.source = api.source
        self._whole = "/api/v2/traces/"

    def services(self, window: Window) -> Sequence[str]:
        """Values of the resource attribute service.name in the window."""
        asked = {**_between(window), "limit": MOST_SERVICES}
        try:
            answer = self._api.get("/api/v2/search/tag/resource.service.name/values", asked)
            return sorted({one.value for one in _TagValues.model_validate(answer).values})
        except AnswerError as error:
            if error.status == 401 and "org id" in error.problem:
                problem = f"{error.problem}; it has tenants, so set COPILOT_TEMPO_TENANT"
                raise SourceError(self.source, problem, recoverable=False) from error
            raise misdirected(error, _HINT) from error
        except ValidationError as error:
            raise self._undocumented("tag values", error) from error

    def edges(self, window: Window) -> Sequence[tuple[str, str]]:
        """None: Tempo writes its service graph to a metrics store."""
        return ()

    def find(
        self, question: TraceQuestion, known: Collection[str], now: Timestamp
    ) -> Iterator[StoredTrace]:
        """Search, then read what is not known yet."""
        asked = {
            "q": _traceql(question),
            **_between(question.window),
            "limit": question.limit,
            "spss": 1,
        }
        try:
            answer = _SearchAnswer.model_validate(self._api.get("/api/search", asked))
        except ValidationError as error:
            raise self._undocumented("search", error) from error
        for found in answer.traces:
            # The id becomes a part of an address, so nothing but an id may be in it.
            if not _HEX.fullmatch(found.id):
                raise self._undocumented("search", ValueError(f"{found.id[:40]!r} is no trace id"))
            trace = found.id.lower().zfill(32)
            if trace not in known:
                yield self._read(trace, question.window, now)

    def _read(self, trace: str, window: Window, now: Timestamp) -> StoredTrace:
        around = Window(start=window.start - AROUND_S, end=window.end + AROUND_S)
        try:
            document, lacking = _resources(self._whole_trace(trace, around))
        except TooLargeError as error:
            return StoredTrace(trace, lacking=error.problem)
        except AnswerError as error:
            if error.status not in _GONE:
                raise
            return StoredTrace(trace, lacking=error.problem)
        read, peers = spans(document, now)
        lacking = lacking or read.reason
        return StoredTrace(trace, read.items, frozenset(peers), read.rejected, lacking)

    def _whole_trace(self, trace: str, around: Window) -> Any:
        """By the second version, which cuts a trace that is too large; by the first before 2.7."""
        try:
            return self._api.get(self._whole + trace, _between(around))
        except AnswerError as error:
            if error.status != 404 or self._whole == "/api/traces/":
                raise
        answer = self._api.get("/api/traces/" + trace, _between(around))
        self._whole = "/api/traces/"
        return answer

    def _undocumented(self, what: str, error: ValueError) -> SourceError:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        problem = f"{what} answered what the API does not document: {said}"
        return SourceError(self.source, problem, recoverable=False)


def _traceql(question: TraceQuestion) -> str:
    """The question as one span filter.

    >>> _traceql(TraceQuestion(Window(start=0, end=9), 5, 'a"b', failed=True, slower_s=0.25))
    '{ resource.service.name = "a\\\\"b" && status = error && duration > 250000us }'
    """
    filters = []
    if question.service:
        filters.append(f"resource.service.name = {quoted(question.service)}")
    if question.failed:
        filters.append("status = error")
    if question.slower_s:
        filters.append(f"duration > {round(question.slower_s * 1e6)}us")
    return f"{{ {' && '.join(filters)} }}" if filters else "{}"


def _between(window: Window) -> dict[str, int]:
    """Whole seconds that hold the window; Tempo reads no parts of a second."""
    start = math.floor(window.start)
    return {"start": start, "end": max(math.ceil(window.end), start + 1)}


def _resources(answer: Any) -> tuple[dict[str, Any], str]:
    """The OTLP document in an answer of either version, and what the answer says it lacks."""
    if not isinstance(answer, dict):
        return {}, "the trace is no JSON object"
    whole = answer.get("trace", answer)
    listed = whole.get("resourceSpans", whole.get("batches")) if isinstance(whole, dict) else None
    lacking = answer.get("message") if answer.get("status") == "PARTIAL" else ""
    return {"resourceSpans": listed}, str(lacking)[:200]
