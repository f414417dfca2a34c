"""A server that speaks the part of Loki's HTTP API that reading logs needs, strictly.

Source: grafana.com/docs/loki, "Loki HTTP API". Lines come grouped by stream, at most `limit` of
them all together, in the direction asked for; `start` is included and `end` is not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

_KNOWN = frozenset({"query", "start", "end", "limit", "direction", "step", "interval", "since"})
_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\.)*)"\s*(,|$)')
_ESCAPE = re.compile(r'\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|([n"\\]))')


@dataclass(frozen=True, slots=True)
class PushedLine:
    """One line that was pushed."""

    nanoseconds: int
    text: str
    stream: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)


class LokiServer(StrictServer):
    """Holds what was written; `most` is `max_entries_limit_per_query`."""

    def __init__(self, written: list[PushedLine], most: int = 5000) -> None:
        super().__init__()
        self.most = most
        self.hold(written)

    def hold(self, written: list[PushedLine]) -> None:
        """Hold these lines instead."""
        self.written = sorted(written, key=lambda one: one.nanoseconds)

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.method != "GET" or asked.path != "/loki/api/v1/query_range":
            return HttpReply(404, "404 page not found")
        problem = self._problem(asked)
        if problem:
            return HttpReply(400, problem)
        start, end = int(asked.one("start")), int(asked.one("end"))
        wanted = _matchers(asked.one("query"))
        found = [
            one
            for one in self.written
            if start <= one.nanoseconds < end and _matches(wanted, one.stream)
        ]
        if asked.one("direction") != "forward":
            found.reverse()
        return HttpReply(200, _document(found[: int(asked.one("limit") or 100)]))

    def _problem(self, asked: ReceivedRequest) -> str:
        if unknown := set(asked.query) - _KNOWN:
            return f"unknown parameters {sorted(unknown)}"
        for name in ("start", "end", "limit"):
            if not asked.one(name).isdecimal():
                return f"invalid {name}: {asked.one(name)!r}"
        if int(asked.one("end")) <= int(asked.one("start")):
            return "end timestamp must not be before or equal to start time"
        if asked.one("direction") not in ("forward", "backward"):
            return f"invalid direction {asked.one('direction')!r}"
        if int(asked.one("limit")) > self.most:
            told = f"{asked.one('limit')} > {self.most}"
            return f"max entries limit per query exceeded, limit > max_entries_limit ({told})"
        matchers = _matchers(asked.one("query"))
        if not matchers:
            return "parse error : syntax error: unexpected $end"
        if all(operator == "=~" and value == ".*" for _, operator, value in matchers):
            return "queries require at least one regexp or equality matcher that is not empty"
        return ""


def _matchers(query: str) -> list[tuple[str, str, str]]:
    """The matchers of a stream selector; none where it is no selector."""
    if not (query.startswith("{") and query.endswith("}")):
        return []
    inside, found, place = query[1:-1], [], 0
    while place < len(inside):
        match = _MATCHER.match(inside, place)
        if match is None:
            return []
        found.append((match[1], match[2], _ESCAPE.sub(_plain, match[3])))
        place = match.end()
    return found


def _plain(escape: re.Match[str]) -> str:
    if escape[3]:
        return "\n" if escape[3] == "n" else escape[3]
    return chr(int(escape[1] or escape[2], 16))


def _matches(matchers: list[tuple[str, str, str]], stream: Mapping[str, str]) -> bool:
    for name, operator, value in matchers:
        told = stream.get(name, "")
        hit = re.fullmatch(value, told, re.DOTALL) is not None if "~" in operator else told == value
        if hit == operator.startswith("!"):
            return False
    return True


def _document(found: list[PushedLine]) -> dict[str, object]:
    streams: dict[str, dict[str, object]] = {}
    for one in found:
        stream = streams.setdefault(
            repr(sorted(one.stream.items())), {"stream": dict(one.stream), "values": []}
        )
        entry: list[object] = [str(one.nanoseconds), one.text]
        if one.metadata:
            entry.append({"structuredMetadata": dict(one.metadata)})
        values = stream["values"]
        assert isinstance(values, list)
        values.append(entry)
    data = {"resultType": "streams", "result": list(streams.values()), "stats": {}}
    return {"status": "success", "data": data}
