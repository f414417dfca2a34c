"""API: the platform over HTTP: a token per role, one verb per path, each key done once.

An operator's token opens the verbs of `Operations`; the saboteur's opens the others as well.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evals.lab.blueprint import SERVICES, topology
from evals.lab.platform.fleet import StartError
from evals.lab.platform.operations import NotPossibleError, Operations
from evals.lab.platform.sabotage import Sabotage
from evals.lab.wire import Request, Response, answer

TOKEN_HEADER = "authorization"
_KEPT_KEYS = 1000

Verb = Callable[[str, dict[str, Any]], Awaitable[str]]


class Api:
    """Routes requests to verbs; verbs run one at a time."""

    def __init__(self, operations: Operations, operator: str, saboteur: str) -> None:
        self._operations = operations
        self._saboteur = saboteur
        self._tokens = {operator, saboteur}
        self._done: dict[str, Response] = {}
        self._verbs = _operators(operations)
        self._faults = _saboteurs(Sabotage(operations))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        token = request.headers.get(TOKEN_HEADER, "").removeprefix("Bearer ")
        if token not in self._tokens:
            return answer({"error": "the Bearer token is missing or wrong"}, 401)
        url = urlsplit(request.path)
        if request.method == "GET":
            return self._look(url.path, parse_qs(url.query))
        key = request.headers.get("idempotency-key", "")
        async with self._operations.fleet.lock:
            if key and key in self._done:
                return self._done[key]
            response = await self._act(url.path, request, token == self._saboteur)
            if key:
                self._done[key] = response
                while len(self._done) > _KEPT_KEYS:
                    del self._done[next(iter(self._done))]
        return response

    def _look(self, path: str, query: dict[str, list[str]]) -> Response:
        if path == "/facts":
            return answer(self._operations.facts())
        if path == "/changes":
            since = float(query.get("since", ["0"])[0])
            return answer(self._operations.changes.since(since))
        if path == "/topology":
            return answer(topology())
        if path == "/instances":
            return answer(_instances(self._operations))
        if path == "/healthz":
            return answer({"at": time.time()})
        return answer({"error": f"no such page {path!r}"}, 404)

    async def _act(self, path: str, request: Request, saboteur: bool) -> Response:
        root, _, rest = path.strip("/").partition("/")
        service, _, verb = rest.partition("/")
        verbs = {"services": self._verbs, "faults": self._faults if saboteur else {}}.get(root, {})
        found = verbs.get(verb)
        if found is None or (service not in SERVICES and service != "shop"):
            return answer({"error": f"no such verb {path!r}"}, 404)
        try:
            said = await found(service, request.json())
        except (NotPossibleError, StartError) as error:
            return answer({"error": str(error)}, 409)
        except (KeyError, ValueError, TypeError) as error:
            return answer({"error": f"body not understood: {error!r}"}, 400)
        return answer({"done": said})


def _operators(operations: Operations) -> dict[str, Verb]:
    return {
        "restart": operations.restart,
        "deploy": operations.deploy,
        "rollback": operations.rollback,
        "scale": operations.scale,
        "relocate": operations.relocate,
        "config": operations.configure,
        "disk/clean": operations.clean,
        "cache/flush": operations.flush,
        "certificate/renew": operations.renew,
        "sessions/end": operations.end_sessions,
        "clock/sync": operations.sync_clock,
        "volume/switch": operations.switch_volume,
    }


def _saboteurs(sabotage: Sabotage) -> dict[str, Verb]:
    return {
        "condition": sabotage.condition,
        "condition/end": sabotage.end_condition,
        "signal": sabotage.signal,
        "detour": sabotage.detour,
        "names": sabotage.names,
        "certificate": sabotage.certificate,
        "scraped": sabotage.scraped,
        "neighbour": sabotage.neighbour,
        "crowd": sabotage.crowd,
        "heal": sabotage.heal,
    }


def _instances(operations: Operations) -> list[dict[str, object]]:
    return [
        {
            "service": one.service,
            "instance": one.name,
            "version": one.version,
            "node": one.node,
            "port": one.port,
            "pid": one.process.pid,
            "running": one.process.poll() is None,
        }
        for desired in operations.fleet.desired.values()
        for one in desired.running
    ]


async def supervise(operations: Operations, every_s: float = 0.5) -> None:
    """Start again what crashed, for ever."""
    while True:
        await asyncio.sleep(every_s)
        async with operations.fleet.lock:
            await operations.fleet.revive()
