"""Sabotage: how faults are brought about and taken away again; never reachable by an operator."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any

from evals.lab.blueprint import SERVICES, first_config
from evals.lab.places import write_json
from evals.lab.platform.operations import NotPossibleError, Operations
from evals.lab.processes import end, spawn
from evals.lab.shop.certificates import Authority

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
