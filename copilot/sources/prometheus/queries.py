"""The queries that ship, and an operator's own file of the same form."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from copilot.sources.prometheus.promql import Query, QueryError

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
