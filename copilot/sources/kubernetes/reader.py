"""GET requests to one API server for one inspection: in pages, side by side, until a deadline."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import JsonValue
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from copilot.ports import Clock, SourceError
from copilot.sources.kubernetes.kinds import KubeKind
from tools.types import ListingGap, ListingGapReason

Json = Mapping[str, JsonValue]
AnswerT = TypeVar("AnswerT")

PAGE = 500
"""Objects of one answer: what kubectl asks for (`--chunk-size`)."""
MOST_OBJECTS = 10_000
"""Objects of a kind; Kubernetes is made for 3,000 pods in a namespace (sig-scalability)."""
MOST_BYTES = 64 * 2**20
"""Of one answer: 500 objects of 100 kB, ten times what a large pod takes; etcd allows 1.5 MB."""
SIDE_BY_SIDE = 8
"""Requests at a time; an API server takes 400 from all its clients by default."""
CONNECT_S = 3.0
RESTARTS = 2
"""How often a list is begun anew whose continuation has expired."""

_ASK_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_REASONS: Mapping[int, ListingGapReason] = {403: "forbidden", 404: "not-served"}


class ApiAnswer(NamedTuple):
    """What an API server answered."""

    status: int
    body: bytes
    problem: str

    def document(self) -> Json:
        """The object that the body holds; raises SourceError where it holds none."""
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise SourceError(
                "kubernetes", f"{self.problem}: no JSON: {error}", recoverable=True
            ) from (error)
        return found if isinstance(found, dict) else {}


class KindListing(NamedTuple):
    """The objects of a kind that were read, and why these are not all, if they are not."""

    items: Sequence[Json]
    gap: ListingGap | None = None


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How long one answer and the whole inspection may take, in seconds."""

    answer_s: float = 10.0
    inspection_s: float = 20.0


class ApiReader:
    """One API server, read for one inspection. `api` carries address and credentials.

    Errors are told under `name`.
    """

    def __init__(
        self, api: client.ApiClient, clock: Clock, limits: ReadingLimits, name: str = "kubernetes"
    ) -> None:
        self._name = name
        self._api = api
        self._clock = clock
        self._limits = limits
        self._until = clock.now() + limits.inspection_s

    def get(self, path: str, **query: str) -> ApiAnswer:
        """The answer to one GET, whatever its status; raises SourceError where none comes."""
        left = self._until - self._clock.now()
        if left <= 0:
            problem = f"the {self._limits.inspection_s:g} s of an inspection are over"
            raise SourceError(self._name, problem, recoverable=True)
        request = self._api.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Accept-Encoding": "gzip"},
            auth_settings=["BearerToken"],
        )
        waits = (min(CONNECT_S, left), min(self._limits.answer_s, left))
        try:
            response = self._api.call_api(*request, _request_timeout=waits)
            body = _read(response.response)
        except (ApiException, HTTPError) as error:
            problem = f"{self._api.configuration.host} does not answer: {_reason(error)}"
            raise SourceError(self._name, problem, recoverable=True) from error
        if len(body) > MOST_BYTES:
            problem = f"GET {path}: more than {MOST_BYTES} bytes"
            raise SourceError(self._name, problem, recoverable=False)
        return ApiAnswer(response.status, body, f"GET {path}: {response.status} {response.reason}")

    def object(self, path: str) -> Json:
        """One object; empty where there is none, or none that may be read."""
        answer = self.get(path)
        if answer.status in _REASONS:
            return {}
        self.require(answer)
        return answer.document()

    def require(self, answer: ApiAnswer) -> None:
        """Raise SourceError unless the answer is one of success."""
        if answer.status != 200:
            again = answer.status in _ASK_AGAIN
            raise SourceError(self._name, answer.problem, recoverable=again)

    def listing(self, kind: KubeKind, namespace: str = "", **query: str) -> KindListing:
        """All objects of a kind, page by page; what is missing is told and never raised."""
        found: list[Json] = []
        begun = 0
        mark = ""
        if kind.selector:
            query.setdefault("fieldSelector", kind.selector)
        while True:
            going = {"continue": mark} if mark else {}
            try:
                answer = self.get(kind.path(namespace), limit=str(PAGE), **query, **going)
                if answer.status == 410 and begun < RESTARTS:
                    begun, mark = begun + 1, ""
                    found.clear()
                    continue
                if answer.status != 200:
                    return KindListing(found, _gap(kind, answer))
                page = answer.document()
            except SourceError as error:
                reason: ListingGapReason = "truncated" if found else "failed"
                return KindListing(
                    found, ListingGap(kind=kind.name, reason=reason, detail=error.problem)
                )
            found += _items(page)
            mark = _continuation(page)
            if not mark:
                return KindListing(found)
            if len(found) >= MOST_OBJECTS:
                told = f"only the first {len(found)} were read"
                return KindListing(
                    found, ListingGap(kind=kind.name, reason="truncated", detail=told)
                )

    def side_by_side(self, questions: Iterable[Callable[[], AnswerT]]) -> list[AnswerT]:
        """The answers, in the order of the questions."""
        asked = list(questions)
        if len(asked) < 2:
            return [question() for question in asked]
        with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(asked))) as threads:
            return list(threads.map(lambda question: question(), asked))


def _read(response: BaseHTTPResponse) -> bytes:
    try:
        return response.read(MOST_BYTES + 1, decode_content=True)
    finally:
        response.release_conn()


def _reason(error: Exception) -> str:
    """The end of the chain of reasons: the client puts all of its calls before it."""
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(": ")[2]


def _gap(kind: KubeKind, answer: ApiAnswer) -> ListingGap:
    """Why a list ended; a list that no longer continues was read as far as it went."""
    reason = "truncated" if answer.status == 410 else _REASONS.get(answer.status, "failed")
    return ListingGap(kind=kind.name, reason=reason, detail=answer.problem)


def _items(page: Json) -> list[Json]:
    items = page.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _continuation(page: Json) -> str:
    meta = page.get("metadata")
    mark = meta.get("continue") if isinstance(meta, dict) else None
    return mark if isinstance(mark, str) else ""
