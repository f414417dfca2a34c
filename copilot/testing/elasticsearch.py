"""A server that speaks the part of Elasticsearch's `_search` that reading logs needs, strictly.

Source: elastic.co and opensearch.org, "Search API": both refuse the same things in the same words.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

MOST = 10_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Between(_Strict):
    gte: int
    lt: int
    format: Literal["epoch_millis"]


class _Value(_Strict):
    value: str


class _Filter(_Strict):
    range: dict[str, _Between] | None = None
    term: dict[str, _Value] | None = None


class _Bool(_Strict):
    filter: list[_Filter]


class _Query(_Strict):
    bool: _Bool


class _Order(_Strict):
    order: Literal["asc", "desc"]


class _Search(_Strict):
    size: int = Field(ge=0)
    sort: list[dict[str, _Order]]
    query: _Query
    track_total_hits: bool


class ElasticsearchServer(StrictServer):
    """Holds documents of one index; `failed` shards and `late` make its answers partial."""

    def __init__(self, index: str, documents: list[dict[str, Any]]) -> None:
        super().__init__()
        self.index = index
        self.failed = 0
        self.late = False
        self.hold(documents)

    def hold(self, documents: list[dict[str, Any]]) -> None:
        """Hold these documents instead."""
        self._dated = sorted(((_at(one), one) for one in documents), key=lambda dated: dated[0])

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.method != "POST" or asked.path != f"/{self.index}/_search":
            return _error(404, "index_not_found_exception", f"no such index [{asked.path}]")
        if not asked.headers.get("content-type", "").startswith("application/json"):
            return _error(406, "media_type_header_exception", "Content-Type is not supported")
        try:
            search = _Search.model_validate_json(asked.body)
        except ValidationError as error:
            return _error(400, "parsing_exception", str(error))
        if search.size > MOST:
            reason = f"Result window is too large, must be less than or equal to: [{MOST}]"
            return _error(400, "illegal_argument_exception", reason)
        filters = search.query.bool.filter
        hits = [dated for dated in self._dated if _matches(filters, *dated)]
        return HttpReply(200, self._found(hits[: search.size]))

    def _found(self, hits: list[tuple[float, dict[str, Any]]]) -> dict[str, Any]:
        return {
            "took": 1,
            "timed_out": self.late,
            "_shards": {
                "total": 5,
                "successful": 5 - self.failed,
                "skipped": 0,
                "failed": self.failed,
            },
            "hits": {
                "max_score": None,
                "hits": [
                    {"_index": self.index, "_id": f"{n}", "_source": hit, "sort": [at]}
                    for n, (at, hit) in enumerate(hits)
                ],
            },
        }


def _at(document: Mapping[str, Any]) -> float:
    """Milliseconds, with what is finer."""
    told = datetime.fromisoformat(document["@timestamp"])
    return told.astimezone(UTC).timestamp() * 1000


def _matches(filters: list[_Filter], at: float, document: Mapping[str, Any]) -> bool:
    for one in filters:
        for name, between in (one.range or {}).items():
            if name != "@timestamp" or not between.gte <= at < between.lt:
                return False
        for name, term in (one.term or {}).items():
            if document.get(name) != term.value:
                return False
    return True


def _error(status: int, kind: str, reason: str) -> HttpReply:
    error = {"type": kind, "reason": reason, "root_cause": [{"type": kind, "reason": reason}]}
    return HttpReply(status, {"error": error, "status": status})
