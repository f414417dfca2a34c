"""Loki as a source of log lines, by its HTTP API (`/loki/api/v1/query_range`).

The query is a selector of typed, escaped matchers and nothing else: what lines mean is for the
instruments to find out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from copilot.ports import Clock, SourceError
from copilot.settings import SettingsError
from copilot.sources.json_api import AnswerError, JsonApi
from copilot.sources.log_slices import DEFAULT_BOUNDS, Bounds, LogPage, history, sliced
from copilot.sources.prometheus.matchers import quoted
from tools.log_retriever import with_exception
from tools.types import LogLine, LogReading, Timestamp, Window

PAGE = 5000
"""Lines per request; Loki's default `max_entries_limit_per_query`."""

LEAST_PAGE = 100
_ROUNDING_NS = 1000
"""More than the 256 ns by which Unix seconds times 1e9 are rounded in binary64."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,199}")
_LEVELS = ("level", "detected_level", "severity", "severity_text")
_STREAM_OF = ("k8s_pod_name", "k8s_container_name", "log_file_path", "log_iostream")
"""Structured metadata that tells what wrote a line, where the labels of its stream do not."""

_EXCEPTION = ("type", "message", "stacktrace")
_PASSING = frozenset({*_LEVELS, "logtag"})
"""Labels that tell lines of one writer apart: a trace has lines of several."""

_TRACES = ("trace_id", "traceid", "traceID", "traceId")


class _Stream(BaseModel):
    model_config = ConfigDict(extra="ignore")

    stream: dict[str, str]
    # Nanoseconds, the line, and (where the server has it) its structured metadata.
    values: list[tuple[str, str] | tuple[str, str, dict[str, Any]]]


class _Streams(BaseModel):
    result_type: str = Field(alias="resultType")
    result: list[_Stream] = []


class _Answer(BaseModel):
    status: str
    data: _Streams


@dataclass(frozen=True, slots=True)
class Selector:
    """Which streams: those that name a service, and whose labels have these values."""

    service_label: str = "service_name"
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.service_label, *self.labels):
            if not _LABEL.fullmatch(name):
                raise SettingsError(f"{name!r} is no label name of Loki")

    def render(self) -> str:
        """The stream selector in LogQL.

        >>> Selector("app", {"namespace": 'a"b'}).render()
        '{app=~".+", namespace="a\\\\"b"}'
        """
        exact = (f"{name}={quoted(value)}" for name, value in sorted(self.labels.items()))
        return "{" + ", ".join((f'{self.service_label}=~".+"', *exact)) + "}"


class LokiSource:
    """Asks one Loki; safe to share between threads. Nothing later than the clock is told."""

    def __init__(
        self,
        api: JsonApi,
        selector: Selector,
        clock: Clock,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self._api = api
        self._selector = selector
        self._clock = clock
        self._history_s = bounds.history_s
        self._most = bounds.most_lines
        self._page = PAGE
        self._left_out = ""

    def lines(self, window: Window) -> LogReading:
        """Log lines inside the window, in order of time."""
        now = self._clock.now()
        if window.start > now:
            return LogReading()
        asked = Window(start=window.start, end=min(window.end, now))
        found, self._left_out = sliced(self._slice, asked, self._most)
        return found

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """The history that ends before `before`."""
        return sliced(self._slice, history(before, self._history_s), self._most)[0]

    def describe(self) -> str:
        """Where it is, and how many lines of how many services the last minutes have."""
        now = self._clock.now()
        found = self.lines(Window(start=now - 300, end=now))
        services = len({line.service for line in found})
        return f"{self._api.source}: {len(found)} lines of {services} services in 5 minutes"

    def problems(self) -> Sequence[str]:
        """What the last look left out."""
        return (self._left_out,) if self._left_out else ()

    def _slice(self, window: Window, most: int) -> LogPage:
        """Page after page, forward; a page begins where the last one ended."""
        found: list[LogLine] = []
        complete = False
        seen: set[tuple[str, str, str]] = set()
        # Seconds are not exact to the nanosecond: which slice a line belongs to, its own `at` says.
        start = _nanoseconds(window.start) - _ROUNDING_NS
        end = _nanoseconds(window.end) + _ROUNDING_NS
        while len(found) < most and start < end:
            page = self._ask(start, end, min(self._page, most))
            fresh = [entry for entry in page if entry.key not in seen]
            found += [entry.line for entry in fresh]
            seen |= {entry.key for entry in fresh}
            if len(page) < min(self._page, most):
                complete = True
                break
            # Lines of the last moment may be cut apart: it is asked for again, and known ones
            # are passed over. A moment that fills a page by itself is left behind.
            last = max(entry.at for entry in page)
            start = last if last > start else last + 1
            complete = start >= end
        return LogPage(found[:most], complete and len(found) <= most)

    def _ask(self, start: int, end: int, limit: int) -> list["_Entry"]:
        asked = {
            "query": self._selector.render(),
            "start": str(start),
            "end": str(end),
            "limit": str(limit),
            "direction": "forward",
        }
        try:
            document = self._api.get("/loki/api/v1/query_range", asked)
        except AnswerError as error:
            if "max entries limit" not in error.problem or self._page <= LEAST_PAGE:
                raise
            self._page = max(LEAST_PAGE, min(self._page, limit) // 2)
            return self._ask(start, end, min(limit, self._page))
        return self._read(document)

    def _read(self, document: object) -> list["_Entry"]:
        try:
            answer = _Answer.model_validate(document)
            if answer.status != "success" or answer.data.result_type != "streams":
                raise ValueError(f"it is {answer.status} of {answer.data.result_type}")
            return [
                self._entry(one.stream, name, *value)
                for one in answer.data.result
                for name in [repr(sorted(one.stream.items()))]
                for value in one.values
            ]
        except (ValidationError, ValueError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            problem = f"query_range answered what the API does not document: {said}"
            raise SourceError(self._api.source, problem, recoverable=False) from error

    def _entry(
        self,
        stream: Mapping[str, str],
        name: str,
        at: str,
        text: str,
        more: Mapping[str, Any] | None = None,
    ) -> "_Entry":
        inner = (more or {}).get("structuredMetadata", more or {})
        labels = {**stream, **(inner if isinstance(inner, dict) else {})}
        raised = (_first(labels, (f"exception_{part}",)) for part in _EXCEPTION)
        line = LogLine(
            at=int(at) / 1e9,
            service=stream.get(self._selector.service_label, ""),
            level=_first(labels, _LEVELS),
            message=with_exception(text, *raised),
            trace=_first(labels, _TRACES),
            stream=_writer(stream, labels),
            cut=labels.get("logtag") == "P",
        )
        return _Entry(int(at), (at, name, text), line)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line, its moment in full precision, and what tells it from others."""

    at: int
    key: tuple[str, str, str]
    line: LogLine


def _first(labels: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(labels[name]) for name in names if labels.get(name)), "")


def _writer(stream: Mapping[str, str], labels: Mapping[str, Any]) -> str:
    """What wrote a line: its stream, without labels that lines of one writer may differ in."""
    own = [f"{name}={stream[name]}" for name in sorted(stream.keys() - _PASSING)]
    more = [
        f"{name}={labels[name]}" for name in _STREAM_OF if name in labels.keys() - stream.keys()
    ]
    return " ".join((*own, *more))


def _nanoseconds(moment: Timestamp) -> int:
    return round(moment * 1e9)
