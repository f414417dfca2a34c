"""Sets of queries: those that ship, and an operator's own file.

A set is what one exporter, library or mesh tells, with the page its names were read from. A row of
`requests` becomes rate, errors and duration; a row of `query` is one query.
"""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from copilot.sources.prometheus.matchers import QueryMatcher
from copilot.sources.prometheus.promql import Query, QueryError
from tools.types import FrozenModel

ModelT = TypeVar("ModelT", bound=FrozenModel)

MOST_QUERIES = 500

SHIPPED = ("services", "meshes", "kubernetes", "stores", "runtimes", "machines")
"""Files of `sets/`; of two queries with one name for one owner the first is taken."""


def queries(path: Path | None = None) -> tuple[Query, ...]:
    """What is asked: the operator's file (TOML or YAML) alone, or else the sets that ship.

    `extends = true` in the file puts its queries before those that ship: of two with one name for
    one owner, the first is taken.
    """
    if path is None:
        return _shipped()
    document = _document(path)
    extends = document.pop("extends", False)
    theirs = tuple(_read(document, str(path)))
    if not 1 <= len(theirs) <= MOST_QUERIES:
        raise QueryError(f"{path}: has {len(theirs)} queries; 1 to {MOST_QUERIES} are asked")
    return (*theirs, *_shipped()) if extends else theirs


def _shipped() -> tuple[Query, ...]:
    folder = files("copilot.sources.prometheus").joinpath("sets")
    documents = {
        f"{name}.toml": tomllib.loads(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
        for name in SHIPPED
    }
    return tuple(one for name, document in documents.items() for one in _read(document, name))


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        read = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise QueryError(f"prometheus_queries {str(path)!r} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise QueryError(f"prometheus_queries {str(path)!r} is a list of [[query]] tables")
    return read


class QuerySet(FrozenModel):
    """Queries that come from one place; `defaults` hold for each of them that says nothing else."""

    name: str = Field(min_length=1, max_length=80)
    source: str = Field(pattern=r"^https://\S+$", description="Where its names are documented.")
    defaults: dict[str, Any] = Field(default_factory=dict)
    requests: tuple[dict[str, Any], ...] = ()
    query: tuple[dict[str, Any], ...] = ()


class RequestRow(FrozenModel):
    """Requests that a histogram measures, or that a counter only counts.

    `failed` tells by labels which of them failed; `to_ms` is the factor from the histogram's unit
    to milliseconds. The other fields are those of a query.
    """

    histogram: str = ""
    counter: str = ""
    failed: tuple[QueryMatcher, ...] = ()
    to_ms: float = 1000.0

    @model_validator(mode="after")
    def _of_one(self) -> "RequestRow":
        if bool(self.histogram) == bool(self.counter):
            raise ValueError("requests have a `histogram` or a `counter`, and not both")
        return self

    def queries(self, about: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Rate, errors and duration; `about` says whose they are."""
        edge = about.get("owner") == "edge"
        rate, unit = ("calls", "calls/s") if edge else ("request_rate", "req/s")
        counted = f"{self.histogram}_count" if self.histogram else self.counter
        yield {"metric": rate, "unit": unit, "shape": "rate", "of": counted}
        if self.failed:
            share = {"metric": "error_pct", "unit": "%", "shape": "share", "scale": 100}
            yield share | {"of": counted, "part": self.failed}
        if self.histogram:
            timed = {"unit": "ms", "of": self.histogram, "scale": self.to_ms}
            for name, share_of in (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95)):
                yield timed | {"metric": name, "shape": "quantile", "quantile": share_of}
            yield timed | {"metric": "latency_avg_ms", "shape": "mean"}


def _read(document: dict[str, Any], name: str) -> Iterator[Query]:
    listed, sets = document.get("query", []), document.get("set", [])
    if not isinstance(listed, list) or not isinstance(sets, list):
        raise QueryError(f"{name}: `query` and `set` are a list of [[query]] or [[set]] tables")
    if set(document) - {"query", "set"}:
        raise QueryError(
            f"{name}: holds `extends` and a list of [[query]] or [[set]] tables, and no more"
        )
    for number, one in enumerate(listed, start=1):
        yield _valid(Query, one, f"{name}: query {number}")
    for number, one in enumerate(sets, start=1):
        held = _valid(QuerySet, one, f"{name}: set {number}")
        yield from _queries_of(held, f"{name}: set {held.name!r}")


def _queries_of(held: QuerySet, name: str) -> Iterator[Query]:
    for number, row in enumerate(held.requests, start=1):
        where = f"{name}, requests {number}"
        own = {key: value for key, value in row.items() if key in RequestRow.model_fields}
        about = (
            held.defaults | {key: row[key] for key in row if key not in own} | {"set": held.name}
        )
        for query in _valid(RequestRow, own, where).queries(about):
            yield _valid(Query, about | query, where)
    for number, row in enumerate(held.query, start=1):
        yield _valid(Query, held.defaults | row | {"set": held.name}, f"{name}, query {number}")


def _valid(kind: type[ModelT], given: object, where: str) -> ModelT:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise QueryError(
            f"{where}, {field or 'as a whole'} = {first['input']!r}: {first['msg']}"
        ) from error
