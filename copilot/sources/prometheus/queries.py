"""The queries that ship, an operator's own file, and which of them a server can answer."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from pydantic import ValidationError

from copilot.ports import SourceError
from copilot.sources.prometheus.client import PrometheusClient
from copilot.sources.prometheus.promql import Query, QueryError
from tools.types import FrozenModel, Timestamp

MOST_QUERIES = 500


def queries(path: Path | None = None) -> tuple[Query, ...]:
    """What is asked: the operator's file (TOML or YAML) alone, or else the set that ships.

    `extends = true` in the file puts its queries before those that ship: of two with one name for
    one owner, the first is taken.
    """
    shipped = files("copilot.sources.prometheus").joinpath("queries.toml")
    ours = _read(tomllib.loads(shipped.read_text(encoding="utf-8")), "queries.toml")
    if path is None:
        return ours
    document = _document(path)
    extends = document.pop("extends", False)
    theirs = _read(document, str(path))
    return (*theirs, *ours) if extends else theirs


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        read = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise QueryError(f"prometheus_queries {str(path)!r} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise QueryError(f"prometheus_queries {str(path)!r} is a list of [[query]] tables")
    return read


def _read(document: dict[str, Any], name: str) -> tuple[Query, ...]:
    listed = document.get("query")
    if not isinstance(listed, list) or set(document) != {"query"}:
        raise QueryError(f"{name}: holds `extends` and a list of [[query]] tables, and no more")
    if not 1 <= len(listed) <= MOST_QUERIES:
        raise QueryError(f"{name}: has {len(listed)} queries; 1 to {MOST_QUERIES} are asked")
    found = []
    for number, one in enumerate(listed, start=1):
        try:
            found.append(Query.model_validate(one))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise QueryError(
                f"{name}: query {number}, {where or 'as a whole'} = {first['input']!r}: "
                f"{first['msg']}"
            ) from error
    return tuple(found)


RECENT_S = 3600.0
"""A metric that nobody exported within this time is not asked for."""

SCRAPES = 4.0
"""Scrapes in the range of a rate: it survives a lost one, and says a change within a few."""

DEFAULT_SCRAPE_S = 15.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class PlannedQuery(FrozenModel):
    """A query this server can answer: its text, and the labels that name the owner."""

    query: Query
    labels: tuple[str, ...]
    owners: tuple[str, ...]
    expression: str


class QueryPlan(FrozenModel):
    """What is asked of one server; `unknown` counts the queries whose metric it does not have."""

    asked: tuple[PlannedQuery, ...]
    unknown: int
    step_s: float


def plan(
    client: PrometheusClient, queries: Sequence[Query], now: Timestamp, step_s: float
) -> QueryPlan:
    """Look at the server; `step_s` 0 means: as often as it scrapes."""
    since = now - RECENT_S
    known = client.names(since, now)
    askable = [query for query in queries if known.issuperset(query.needs)]
    labels = {
        name: client.labels(name, since, now)
        for name in dict.fromkeys(query.needs[0] for query in askable)
    }
    step = step_s or _scraped_every(client)
    asked = [
        found
        for query in askable
        if (found := _asked(query, labels[query.needs[0]], SCRAPES * step)) is not None
    ]
    return QueryPlan(asked=tuple(asked), unknown=len(queries) - len(asked), step_s=step)


def _asked(query: Query, labels: frozenset[str], range_s: float) -> PlannedQuery | None:
    owners, expression = query.owners(labels), query.render(labels, range_s)
    if owners is None or expression is None:
        return None
    return PlannedQuery(
        query=query, labels=tuple(sorted(labels)), owners=owners, expression=expression
    )


def _scraped_every(client: PrometheusClient) -> float:
    """The usual interval of the targets; the default where a server does not tell of targets."""
    try:
        intervals = [seconds(target.interval) for target in client.targets()]
    except SourceError:
        return DEFAULT_SCRAPE_S
    return _usual(one for one in intervals if one > 0)


def _usual(intervals: Iterable[float]) -> float:
    found = list(intervals)
    return median(found) if found else DEFAULT_SCRAPE_S


def seconds(duration: str) -> float:
    """Seconds of a Prometheus duration; 0 where it is none.

    >>> seconds("1m30s")
    90.0
    """
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        return 0.0
    return sum(float(number) * _UNIT[unit] for number, unit in parts)
