"""Fleet: the running instances of every service, where they are reached, and who scrapes them."""

import asyncio
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from signal import SIGKILL
from subprocess import Popen

from evals.lab.blueprint import NODES, OURS, SERVICES, STANDBY, ServiceBlueprint, first_config
from evals.lab.places import LabFolder, write_json
from evals.lab.processes import end, spawn
from evals.lab.shop.certificates import Authority

_STARTS_S = 30.0
_BACKOFF_S = (0.5, 2.0, 4.0, 8.0)
USERS = "users"


class StartError(Exception):
    """An instance did not come up."""


@dataclass(slots=True)
class RunningInstance:
    """One instance and its process."""

    service: str
    name: str
    incarnation: str
    version: str
    node: str
    process: Popen[bytes]
    port: int
    crashes: int = 0
    due: float = 0.0  # when a crashed one is started again


@dataclass(slots=True)
class DesiredState:
    """What should run of one service."""

    version: str
    replicas: int
    config: dict[str, object]
    running: list[RunningInstance] = field(default_factory=list)


class Fleet:
    """Starts, replaces and stops instances; publishes names and scrape targets after each change.

    A process that ends by its own error is started again, later each time. One that was killed
    stays down: the supervisor takes a kill for an order.
    """

    def __init__(self, places: LabFolder, collector: str) -> None:
        self.places = places
        self._collector = collector
        self._numbers = count(1)
        self.desired = {
            s.name: DesiredState(s.version, s.replicas, first_config(s)) for s in SERVICES.values()
        }
        self.detours: dict[str, tuple[Popen[bytes], int]] = {}  # by incarnation
        self.broken_names: set[tuple[str, str]] = set()
        self.hidden: set[str] = set()  # services that nobody scrapes
        self.standbys: dict[str, RunningInstance] = {}
        self.lock = asyncio.Lock()

    async def up(self) -> None:
        """Start everything."""
        self.places.make()
        authority = Authority(self.places.root / "certificates")
        for service in SERVICES.values():
            write_json(self.places.config(service.name), self.desired[service.name].config)
            if service.tls:
                authority.issue(service.name, 30)
        externals = [s for s in SERVICES.values() if s.external]
        for service in externals:
            self.standbys[service.name] = await self._start(service, f"{service.name}-{STANDBY}")
        for service in SERVICES.values():
            await self.fill(service.name)
        self.publish()

    async def down(self) -> None:
        """Stop everything."""
        everyone = [r for d in self.desired.values() for r in d.running]
        processes = [r.process for r in (*everyone, *self.standbys.values())]
        processes += [process for process, _ in self.detours.values()]
        await asyncio.gather(*(asyncio.to_thread(end, process, 2.0) for process in processes))

    async def fill(self, name: str) -> None:
        """Start what is missing of a service, end what is too much."""
        desired, service = self.desired[name], SERVICES[name]
        taken = {r.name for r in desired.running}
        free = [f"{name}-{i}" for i in range(desired.replicas) if f"{name}-{i}" not in taken]
        for instance in free[: desired.replicas - len(desired.running)]:
            desired.running.append(await self._start(service, instance))
        surplus = desired.running[desired.replicas :]
        del desired.running[desired.replicas :]
        self.publish()
        await self._end(surplus)

    async def replace(self, name: str) -> None:
        """A new process for each instance, one after another; each new one before its old ends.

        Raises StartError where a new one does not come up; the old one of its place is gone then,
        and the supervisor goes on trying.
        """
        desired, service = self.desired[name], SERVICES[name]
        write_json(self.places.config(name), desired.config)
        for old in tuple(desired.running):
            place = desired.running.index(old)
            try:
                desired.running[place] = await self._start(service, old.name)
            except StartError:
                old.crashes, old.due = 1, time.monotonic() + _BACKOFF_S[0]
                old.version = desired.version
                await self._end([old])
                self.publish()
                raise
            self.publish()
            await self._end([old])

    async def revive(self) -> None:
        """Start again what crashed, when its time has come."""
        now = time.monotonic()
        for desired in self.desired.values():
            for place, one in enumerate(desired.running):
                code = one.process.poll()
                if code is None or code == -SIGKILL and not one.crashes:
                    continue
                if not one.due:
                    one.crashes += 1
                    one.due = now + _BACKOFF_S[min(one.crashes, len(_BACKOFF_S)) - 1]
                elif now >= one.due:
                    await self._again(desired, place, one)

    async def _again(self, desired: DesiredState, place: int, one: RunningInstance) -> None:
        one.due = 0.0
        with suppress(StartError):
            fresh = await self._start(SERVICES[one.service], one.name)
            fresh.crashes = one.crashes
            desired.running[place] = fresh
            self.publish()

    def publish(self) -> None:
        """Tell the resolvers where everybody is, and Prometheus whom to scrape."""
        right: dict[str, list[int]] = {}
        for name, desired in self.desired.items():
            alive = [r for r in desired.running if r.process.poll() is None] or desired.running
            right[name] = [self._reached(r) for r in alive]
        for name, standby in self.standbys.items():
            right[f"{name}.{STANDBY}"] = [standby.port]
        for client in (*SERVICES, USERS):
            broken = {name for who, name in self.broken_names if who == client}
            known = {name: ports for name, ports in right.items() if name not in broken}
            write_json(self.places.names("primary", client), known)
            write_json(self.places.names(STANDBY, client), right)
        write_json(self.places.targets, [*self._targets()])

    def incarnations(self, name: str) -> list[str]:
        """The lives that run of a service."""
        return [r.incarnation for r in self.desired[name].running]

    async def _start(self, service: ServiceBlueprint, instance: str) -> RunningInstance:
        number = next(self._numbers)
        incarnation = f"{instance}#{number}"
        version = self.desired[service.name].version
        given = {
            "root": str(self.places.root),
            "service": service.name,
            "instance": instance,
            "incarnation": incarnation,
            "version": version,
            "collector": "" if service.external else self._collector,
        }
        arguments = [part for name, value in given.items() for part in (f"--{name}", value)]
        process = spawn(
            [sys.executable, "-m", "evals.lab.shop.instance", *arguments],
            output=self.places.root / "logs" / f"{instance}.stderr",
            pipe=True,
        )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), _STARTS_S)
        except TimeoutError:
            line = b""
        if not line.strip().isdigit():
            await asyncio.to_thread(end, process)
            raise StartError(f"{instance} {version} ended before it listened")
        node = NODES[number % len(NODES)]
        return RunningInstance(
            service.name, instance, incarnation, version, node, process, int(line)
        )

    async def _end(self, ones: Iterable[RunningInstance]) -> None:
        for one in ones:
            await asyncio.to_thread(end, one.process, 2.0)
            detour = self.detours.pop(one.incarnation, None)
            if detour is not None:
                await asyncio.to_thread(end, detour[0], 1.0)

    def _reached(self, one: RunningInstance) -> int:
        detour = self.detours.get(one.incarnation)
        return one.port if detour is None else detour[1]

    def _targets(self) -> Iterable[dict[str, object]]:
        for name in OURS:
            for one in self.desired[name].running:
                if name not in self.hidden:
                    scheme = "https" if SERVICES[name].tls else "http"
                    labels = {"service": name, "instance": one.name, "__scheme__": scheme}
                    yield {"targets": [f"127.0.0.1:{one.port}"], "labels": labels}
