"""The HTTP API of Prometheus, version 1, as documented under "HTTP API" at prometheus.io.

A range is asked for in as many requests as it takes to stay below what the server allows per
request, and in smaller ones where an answer grows too large.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from copilot.ports import SourceError
from copilot.sources.json_api import AnswerError, JsonApi, TooLargeError
from tools.types import FloatArray, Timestamp

MOST_POINTS = 10_000
"""Points per series in one request; the server refuses more than 11,000."""

LEAST_POINTS = 30
"""A range of no more points is not cut in two: it is the number of series that is too large."""


class _Sample(BaseModel):
    model_config = ConfigDict(extra="ignore")

    metric: dict[str, str] = Field(default_factory=dict)
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = Field(default_factory=list)


_SAMPLES = TypeAdapter(list[_Sample])
_NAMES = TypeAdapter(list[str])
_LABEL_SETS = TypeAdapter(list[dict[str, str]])


class Target(BaseModel):
    """A target that is scraped, and how often."""

    model_config = ConfigDict(extra="ignore")

    labels: dict[str, str] = Field(default_factory=dict)
    health: str = ""
    interval: str = Field(default="", alias="scrapeInterval")


class PrometheusRule(BaseModel):
    """A rule as the server evaluates it."""

    model_config = ConfigDict(extra="ignore")

    name: str
    type: str = ""
    query: str = ""
    state: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class PrometheusAlert(BaseModel):
    """An alert as the server's own rules hold it: pending or firing."""

    model_config = ConfigDict(extra="ignore")

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    state: str = ""
    active_at: str = Field(default="", alias="activeAt")
    value: str = ""


class _Targets(BaseModel):
    active: list[Target] = Field(default_factory=list, alias="activeTargets")


class _Rules(BaseModel):
    rules: list[PrometheusRule] = Field(default_factory=list)


class _Groups(BaseModel):
    groups: list[_Rules] = Field(default_factory=list)


class _Alerts(BaseModel):
    alerts: list[PrometheusAlert] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Vector:
    """One element of an answer: its labels, and its points in order of time."""

    labels: Mapping[str, str]
    times: FloatArray
    values: FloatArray


class PrometheusClient:
    """Asks one server; safe to share between threads."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self.source = api.source

    def instant(self, expression: str, at: Timestamp) -> tuple[Vector, ...]:
        """An expression at one moment; a scalar is no answer here."""
        found = self._data("/api/v1/query", {"query": expression, "time": f"{at:.3f}"})
        samples = self._valid(_SAMPLES, found.get("result"), "query")
        return tuple(
            Vector(one.metric, np.array([one.value[0]]), np.array([_number(one.value[1])]))
            for one in samples
            if one.value is not None
        )

    def range(
        self, expression: str, start: Timestamp, end: Timestamp, step: float
    ) -> tuple[Vector, ...]:
        """An expression at `start`, `start + step`, … up to `end`."""
        count = int((end - start) / step + 1e-6) + 1
        parts: dict[tuple[tuple[str, str], ...], list[Vector]] = {}
        for first in range(0, count, MOST_POINTS):
            last = min(first + MOST_POINTS, count) - 1
            for one in self._cut(expression, (start, first, last), step):
                parts.setdefault(tuple(sorted(one.labels.items())), []).append(one)
        return tuple(map(_joined, parts.values()))

    def names(self, since: Timestamp, until: Timestamp) -> frozenset[str]:
        """All metric names that had a series in this time."""
        between = {"start": f"{since:.3f}", "end": f"{until:.3f}"}
        found = self._asked("/api/v1/label/__name__/values", between)
        return frozenset(self._valid(_NAMES, found, "label values"))

    def labels(self, metric: str, since: Timestamp, until: Timestamp) -> frozenset[str]:
        """The label names that a metric's series have; `metric` is a checked name."""
        asked = {"match[]": metric, "start": f"{since:.3f}", "end": f"{until:.3f}"}
        return frozenset(self._valid(_NAMES, self._asked("/api/v1/labels", asked), "labels"))

    def series(
        self, selector: str, since: Timestamp, until: Timestamp
    ) -> tuple[dict[str, str], ...]:
        """The label sets that a rendered selector matches."""
        asked = {"match[]": selector, "start": f"{since:.3f}", "end": f"{until:.3f}"}
        return tuple(self._valid(_LABEL_SETS, self._asked("/api/v1/series", asked), "series"))

    def targets(self) -> tuple[Target, ...]:
        """What is scraped now."""
        found = self._asked("/api/v1/targets", {"state": "active"})
        return tuple(self._valid(TypeAdapter(_Targets), found, "targets").active)

    def rules(self) -> tuple[PrometheusRule, ...]:
        """All rules, group after group."""
        found = self._valid(TypeAdapter(_Groups), self._asked("/api/v1/rules", {}), "rules")
        return tuple(rule for group in found.groups for rule in group.rules)

    def alerts(self) -> tuple[PrometheusAlert, ...]:
        """The alerts of the server's own rules that are pending or firing."""
        found = self._valid(TypeAdapter(_Alerts), self._asked("/api/v1/alerts", {}), "alerts")
        return tuple(found.alerts)

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    def _cut(
        self, expression: str, part: tuple[Timestamp, int, int], step: float
    ) -> Iterator[Vector]:
        """The steps of a range, in halves where the answer to the whole is too large."""
        start, first, last = part
        try:
            yield from self._range(expression, start + first * step, start + last * step, step)
            return
        except (TooLargeError, AnswerError) as error:
            if last - first < LEAST_POINTS or not _too_large(error):
                raise
        middle = (first + last) // 2
        yield from self._cut(expression, (start, first, middle), step)
        yield from self._cut(expression, (start, middle + 1, last), step)

    def _range(
        self, expression: str, start: Timestamp, end: Timestamp, step: float
    ) -> tuple[Vector, ...]:
        asked = {
            "query": expression,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
        }
        body = self._api.post_unread("/api/v1/query_range", asked)
        try:
            return tuple(_matrix(body))
        except ValueError:
            return self._read(self._unwrapped("query_range", self._api.json_of(body)))

    def _read(self, found: Any) -> tuple[Vector, ...]:
        """An answer that is not laid out as Prometheus lays it out."""
        result = found.get("result") if isinstance(found, dict) else None
        if not isinstance(result, list) or found.get("resultType") != "matrix":
            kind = found.get("resultType") if isinstance(found, dict) else type(found).__name__
            raise self._strange("query_range", f"result type {kind!r}")
        return tuple(self._vector(one) for one in result)

    def _vector(self, one: Any) -> Vector:
        try:
            points = np.array([(float(at), float(value)) for at, value in one["values"]])
            labels = {str(name): str(value) for name, value in one["metric"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._strange("query_range", repr(error)) from error
        return Vector(labels, *points.reshape(-1, 2).T)

    def _data(self, path: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        found = self._unwrapped(path, self._api.post(path, asked, form=True))
        if not isinstance(found, dict):
            raise self._strange(path, f"data is {type(found).__name__}")
        return found

    def _asked(self, path: str, asked: Mapping[str, str]) -> Any:
        return self._unwrapped(path, self._api.get(path, asked))

    def _unwrapped(self, path: str, document: Any) -> Any:
        if not isinstance(document, dict) or document.get("status") != "success":
            raise self._strange(path, "no envelope with status `success`")
        return document.get("data")

    def _valid(self, kind: TypeAdapter[Any], found: Any, what: str) -> Any:
        try:
            return kind.validate_python(found)
        except ValidationError as error:
            raise self._strange(what, str(error.errors()[0]["msg"])) from error

    def _strange(self, what: str, problem: str) -> SourceError:
        said = f"{what} answered what the API does not document: {problem}"
        return SourceError(self.source, said, recoverable=False)


def _too_large(error: SourceError) -> bool:
    """Whether fewer points might be answered; a wrong expression never is."""
    if isinstance(error, TooLargeError):
        return True
    return isinstance(error, AnswerError) and error.status == 422 and "too many" in error.problem


def _joined(parts: Sequence[Vector]) -> Vector:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([one.times for one in parts])
    values = np.concatenate([one.values for one in parts])
    return Vector(parts[0].labels, times, values)


_MATRIX = b'{"status":"success","data":{"resultType":"matrix","result":['


def _matrix(body: bytes) -> Iterator[Vector]:
    """The series of an answer to a range, read without an object for each of its points.

    What parts the series and their points cannot stand in a label, whose quotes are escaped.
    Raises ValueError where the answer is laid out otherwise.
    """
    if not body.startswith(_MATRIX):
        raise ValueError("not laid out as Prometheus does")
    ahead, *told = body[len(_MATRIX) :].split(b'{"metric":')
    if ahead.lstrip(b"]}"):
        raise ValueError("not laid out as Prometheus does")
    for series in told:
        labels, parted, rest = series.partition(b',"values":[[')
        points, ended, _ = rest.partition(b"]]")
        if not parted or not ended:
            raise ValueError("not laid out as Prometheus does")
        numbers = np.fromstring(points.translate(None, b'[]"'), sep=",")
        if numbers.size != 2 * (points.count(b"[") + 1):
            raise ValueError("holds points that are no numbers")
        yield Vector(json.loads(labels), *numbers.reshape(-1, 2).T)


def _number(text: str) -> float:
    """A sample value; `+Inf` and `-Inf` read as Python reads them."""
    return float(text)
