"""Elasticsearch or OpenSearch as a source of log lines, by `_search`; only what both of them know.

The query is a typed document, filters and a range of time; nothing of it is text to be parsed.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from copilot.alerts.formats.fields import moment
from copilot.ports import Clock, SourceError
from copilot.settings import SettingsError
from copilot.sources.json_api import JsonApi
from copilot.sources.log_slices import DEFAULT_BOUNDS, Bounds, LogPage, history, sliced
from tools.log_retriever import with_exception
from tools.types import LogLine, LogReading, Timestamp, Window

PAGE = 10_000
"""Documents per request; the default `index.max_result_window`."""

_INDEX = re.compile(r"[a-z0-9_*][a-z0-9_.*,\-]{0,250}")
_MESSAGES = ("message", "log", "body", "body.text", "event.original", "msg")
_OBJECTS = ("body.structured", "body", "message", "log")
_SERVICES = (
    "service.name",
    "resource.attributes.service.name",
    "kubernetes.labels.app",
    "kubernetes.container.name",
    "container.name",
    "service",
    "app",
)
_LEVELS = ("log.level", "severity_text", "level", "severity")
_STREAM_OF = (
    "kubernetes.pod.name",
    "kubernetes.pod_name",
    "kubernetes.container.name",
    "container.id",
    "resource.attributes.k8s.pod.name",
    "log.file.path",
    "host.name",
    "stream",
)
"""What wrote a line, as far as a shipper says; lines of one writer are joined to records."""

_OFFSET = ("log.offset", "offset")
_EXCEPTION = (
    ("error.type", "exception.type", "attributes.exception.type"),
    ("error.message", "exception.message", "attributes.exception.message"),
    ("error.stack_trace", "stack_trace", "attributes.exception.stacktrace"),
)
_TRACES = ("trace.id", "trace_id", "traceId")


class _Hit(BaseModel):
    model_config = ConfigDict(extra="ignore")

    source: dict[str, Any] = Field(default_factory=dict, alias="_source")


class _Hits(BaseModel):
    hits: list[_Hit]


class _Shards(BaseModel):
    total: int = 0
    failed: int = 0


class _Found(BaseModel):
    timed_out: bool = False
    shards: _Shards = Field(default=_Shards(), alias="_shards")
    hits: _Hits


@dataclass(frozen=True, slots=True)
class Documents:
    """Where the log is: indices, the field of time, and values that fields must have."""

    index: str = "logs-*"
    time: str = "@timestamp"
    terms: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _INDEX.fullmatch(self.index) or ".." in self.index:
            raise SettingsError(
                f"elasticsearch_index {self.index!r} is no index; it reads like logs-* or a,b"
            )

    def search(self, window: Window, size: int) -> dict[str, Any]:
        """The body of the search for the first documents of a time, its end excluded.

        An index keeps milliseconds, rounded down: a document may be found that is a little early.
        """
        span = {
            "gte": math.floor(window.start * 1000),
            "lt": math.ceil(window.end * 1000),
            "format": "epoch_millis",
        }
        terms = [{"term": {name: {"value": value}}} for name, value in sorted(self.terms.items())]
        return {
            "size": size,
            "sort": [{self.time: {"order": "asc"}}],
            "query": {"bool": {"filter": [{"range": {self.time: span}}, *terms]}},
            "track_total_hits": False,
        }


class ElasticsearchSource:
    """Asks one cluster; safe to share between threads. Nothing later than the clock is told."""

    def __init__(
        self,
        api: JsonApi,
        documents: Documents,
        clock: Clock,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self._api = api
        self._documents = documents
        self._clock = clock
        self._history_s = bounds.history_s
        self._most = bounds.most_lines
        self._problems: tuple[str, ...] = ()

    def lines(self, window: Window) -> LogReading:
        """Log lines inside the window, in order of time."""
        now = self._clock.now()
        if window.start > now:
            return LogReading()
        found, self._problems = self._sliced(Window(start=window.start, end=min(window.end, now)))
        return found

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """The history that ends before `before`."""
        return self._sliced(history(before, self._history_s))[0]

    def describe(self) -> str:
        """Where it is, and how many lines of how many services the last minutes have."""
        now = self._clock.now()
        found = self.lines(Window(start=now - 300, end=now))
        services = len({line.service for line in found})
        return f"{self._api.source}: {len(found)} lines of {services} services in 5 minutes"

    def problems(self) -> Sequence[str]:
        """What the last look left out, and which parts of the cluster were silent."""
        return self._problems

    def _sliced(self, window: Window) -> tuple[LogReading, tuple[str, ...]]:
        partial: dict[str, None] = {}

        def ask(slice_: Window, most: int) -> LogPage:
            size = min(most, PAGE)
            body = self._documents.search(slice_, size)
            path = f"/{self._documents.index}/_search"
            found = self._valid(self._api.post(path, body))
            partial.update(dict.fromkeys(_partial(found)))
            hits = found.hits.hits
            dated = [
                (line.at, _offset(hit), line)
                for hit in hits
                if (line := self._line(hit)) is not None
            ]
            # Lines of one millisecond come in no order; a file's offset has it.
            dated.sort(key=lambda one: one[:2])
            return LogPage([line for *_, line in dated], complete=len(hits) < size)

        read, left_out = sliced(ask, window, self._most)
        return read, (*partial, *([left_out] if left_out else []))

    def _valid(self, document: object) -> _Found:
        try:
            return _Found.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            problem = f"_search answered what the API does not document: {first['msg']}"
            raise SourceError(self._api.source, problem, recoverable=False) from error

    def _line(self, hit: _Hit) -> LogLine | None:
        """A document as a line; None where it has no time that could be read."""
        try:
            at = moment(_inside(hit.source, self._documents.time))
        except ValueError:
            return None
        if at is None:
            return None
        return LogLine(
            at=at,
            service=_first(hit.source, _SERVICES),
            level=_first(hit.source, _LEVELS),
            message=with_exception(
                _first(hit.source, _MESSAGES) or _object(hit.source),
                *(_first(hit.source, one) for one in _EXCEPTION),
            ),
            trace=_first(hit.source, _TRACES),
            stream=" ".join(filter(None, (_first(hit.source, (n,)) for n in _STREAM_OF))),
            cut=_is_part(hit.source),
        )


def _object(source: Mapping[str, Any]) -> str:
    """A message that is an object, as JSON."""
    found = (_inside(source, name) for name in _OBJECTS)
    told = next((one for one in found if isinstance(one, dict | list) and one), None)
    return "" if told is None else json.dumps(told, ensure_ascii=False, default=str)


def _offset(hit: _Hit) -> float:
    told = _first(hit.source, _OFFSET)
    return float(told) if told.isdecimal() else 0.0


def _is_part(source: Mapping[str, Any]) -> bool:
    """Whether a runtime cut the line and the shipper kept its mark: of CRI, or of Docker."""
    parted = _first(source, ("partial_message",)).lower() == "true"
    return _first(source, ("logtag",)) == "P" or (
        parted and _first(source, ("partial_last",)).lower() != "true"
    )


def _partial(found: _Found) -> Sequence[str]:
    said = []
    if found.timed_out:
        said.append("the cluster ran out of time and answered with a part")
    if found.shards.failed:
        said.append(f"{found.shards.failed} of {found.shards.total} shards failed")
    return said


def _first(source: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = _inside(source, name)
        if isinstance(value, str | int | float) and value != "":
            return str(value)
    return ""


def _inside(source: Mapping[str, Any], name: str) -> Any:
    """A field by its path, whether the document nests it or writes the dots into the name."""
    if name in source:
        return source[name]
    head, dot, rest = name.partition(".")
    while dot:
        inner = source.get(head)
        if isinstance(inner, dict) and (found := _inside(inner, rest)) is not None:
            return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
