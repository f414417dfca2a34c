"""API: the platform over HTTP: a token per role, one verb per path, each key done once.

An operator's token opens the verbs of `Operations`; the saboteur's opens those of `Sabotage`, by
which faults are brought about and taken away again, as well.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evals.lab.blueprint import SERVICES, first_config, topology
from evals.lab.places import write_json
from evals.lab.platform.fleet import StartError
from evals.lab.platform.operations import NotPossibleError, Operations
from evals.lab.processes import end, spawn
from evals.lab.shop.certificates import Authority
from evals.lab.wire import Request, Response, answer

_HOG = "while True: pass"
_VICTIM_NICE, _HOG_NICE, _HOGS = 19, 2, 12
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}


@dataclass(slots=True)
class Sabotage:
    """Acts on the fleet; the caller holds its lock."""

    operations: Operations
    hogs: list[Popen[bytes]] = field(default_factory=list)
    downed: set[str] = field(default_factory=set)

    async def condition(self, service: str, body: dict[str, Any]) -> str:
        """Set a condition; `life: "process"` binds it to the processes that run now."""
        value: dict[str, Any] = {"value": float(body["value"])}
        if body.get("life") == "process":
            value["only"] = self.operations.fleet.incarnations(service)
        if body.get("version"):
            value["version"] = str(body["version"])
        self.operations.condition(service, str(body["name"]), value)
        return "set"

    async def end_condition(self, service: str, body: dict[str, Any]) -> str:
        """Take a condition away."""
        self.operations.condition(service, str(body["name"]), None)
        return "ended"

    async def signal(self, service: str, body: dict[str, Any]) -> str:
        """Kill or stop every process of a service."""
        for one in self.operations.fleet.desired[service].running:
            if one.process.poll() is None:
                one.process.send_signal(_SIGNALS[str(body["signal"])])
        return f"sent {body['signal']}"

    async def detour(self, service: str, body: dict[str, Any]) -> str:
        """Lead every way to a service through a bad stretch of network."""
        fleet = self.operations.fleet
        for one in fleet.desired[service].running:
            figures = [str(one.port), str(float(body["delay_s"])), str(float(body["loss"]))]
            process = spawn([sys.executable, "-m", "evals.lab.proxy", *figures], pipe=True)
            assert process.stdout is not None
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 20.0)
            fleet.detours[one.incarnation] = (process, int(line))
        fleet.publish()
        return f"detours to {service}"

    async def names(self, service: str, body: dict[str, Any]) -> str:
        """Let the resolver of a service forget one name."""
        self.operations.fleet.broken_names.add((service, str(body["name"])))
        self.operations.fleet.publish()
        return f"{service} cannot resolve {body['name']}"

    async def certificate(self, service: str, body: dict[str, Any]) -> str:
        """Put a certificate with other dates in place."""
        folder = self.operations.fleet.places.root / "certificates"
        Authority(folder).issue(service, int(body["days"]))
        return f"certificate of {service} for {body['days']} days"

    async def scraped(self, service: str, body: dict[str, Any]) -> str:
        """Let Prometheus see a service, or not."""
        hidden = self.operations.fleet.hidden
        (hidden.discard if body["scraped"] else hidden.add)(service)
        self.operations.fleet.publish()
        return f"{service} scraped: {bool(body['scraped'])}"

    async def neighbour(self, service: str, _body: dict[str, Any]) -> str:
        """A batch job of many processes on the one core that a service may use."""
        core = max(os.sched_getaffinity(0))
        for _ in range(_HOGS):
            self.hogs.append(spawn(["nice", "-n", str(_HOG_NICE), sys.executable, "-c", _HOG]))
            os.sched_setaffinity(self.hogs[-1].pid, {core})
        for one in self.operations.fleet.desired[service].running:
            os.sched_setaffinity(one.process.pid, {core})
            os.setpriority(os.PRIO_PROCESS, one.process.pid, _VICTIM_NICE)
        return f"{service} shares core {core} with a batch job"

    async def heal(self, _service: str, _body: dict[str, Any]) -> str:
        """Everything as it was declared: conditions, configuration, releases, names, processes."""
        fleet, touched = self.operations.fleet, set[str]()
        await asyncio.gather(*(asyncio.to_thread(end, hog, 1.0) for hog in self.hogs))
        self.hogs.clear()
        fleet.broken_names.clear()
        fleet.hidden.clear()
        for service in SERVICES.values():
            if await self._declared_again(service.name):
                touched.add(service.name)
        write_json(fleet.places.load, {})
        self.operations.history.clear()
        for name in sorted(touched):
            await fleet.replace(name)
        fleet.publish()
        return f"healed; restarted {', '.join(sorted(touched)) or 'nothing'}"

    async def _declared_again(self, name: str) -> bool:
        """Put one service back as declared; True where its processes have to be new."""
        fleet, service = self.operations.fleet, SERVICES[name]
        desired, seen = fleet.desired[name], fleet.places.conditions(name)
        dirty = seen.exists() and "only" in seen.read_text(encoding="utf-8")
        write_json(seen, {})
        desired.config = first_config(service)
        write_json(fleet.places.config(name), desired.config)
        if service.tls:
            Authority(fleet.places.root / "certificates").issue(name, 30)
        if service.volume_mb:
            await self.operations.clean(name, {})
        for one in desired.running:
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
            bad = one.process.poll() is not None or one.incarnation in fleet.detours
            bad = bad or os.getpriority(os.PRIO_PROCESS, one.process.pid) >= _VICTIM_NICE
            dirty = dirty or bad or one.version != service.version
        desired.version, desired.replicas = service.version, service.replicas
        await fleet.fill(name)
        return dirty

    async def crowd(self, _: str, body: dict[str, Any]) -> str:
        """What users do: a factor on the rate of journeys; `all` for every one."""
        wrong = [name for name, factor in body.items() if float(factor) <= 0]
        if wrong:
            raise NotPossibleError(f"factors of {wrong!r} must be above 0")
        write_json(self.operations.fleet.places.load, body)
        return "users told"


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
