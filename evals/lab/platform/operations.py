"""Operations: what an operator can ask of the platform, one verb each."""

import time
from dataclasses import dataclass, field
from typing import Any

from evals.lab.blueprint import ENTRY, MAX_REPLICAS, NODES, OURS, OUTSIDE, SERVICES
from evals.lab.places import WatchedFile, write_json
from evals.lab.platform.changes import ChangeLog
from evals.lab.platform.fleet import Fleet
from evals.lab.shop.certificates import Authority

_ROTATED = "*.log.[0-9]*"


class NotPossibleError(Exception):
    """The platform does not do this; the message says why."""


@dataclass(frozen=True, slots=True)
class _Undo:
    """How to go back to before a change."""

    version: str = ""
    key: str = ""
    value: object = None


@dataclass(slots=True)
class Operations:
    """Acts on the fleet; the caller holds its lock."""

    fleet: Fleet
    changes: ChangeLog
    history: dict[str, list[_Undo]] = field(default_factory=dict)

    async def restart(self, service: str, _: dict[str, Any]) -> str:
        """New processes for every instance."""
        await self.fleet.replace(service)
        return f"restarted {len(self.fleet.desired[service].running)} instances of {service}"

    async def deploy(self, service: str, body: dict[str, Any]) -> str:
        """Another release, instance by instance."""
        desired, version = self.fleet.desired[service], str(body["version"])
        before = desired.version
        self.history.setdefault(service, []).append(_Undo(version=before))
        await self._release(service, version)
        return f"{service} runs {version}, before {before}"

    async def rollback(self, service: str, _: dict[str, Any]) -> str:
        """Undo the last deploy or configuration change of a service."""
        if not self.history.get(service):
            raise NotPossibleError(f"{service} was not changed; there is nothing to go back to")
        undo = self.history[service].pop()
        if undo.version:
            await self._release(service, undo.version)
            return f"{service} is back on {undo.version}"
        self._configure(service, undo.key, undo.value)
        return f"{undo.key} of {service} is {undo.value!r} again"

    async def scale(self, service: str, body: dict[str, Any]) -> str:
        """So many instances."""
        replicas, desired = int(body["replicas"]), self.fleet.desired[service]
        if not 1 <= replicas <= MAX_REPLICAS:
            raise NotPossibleError(f"replicas {replicas!r}: 1 to {MAX_REPLICAS}")
        before, desired.replicas = desired.replicas, replicas
        await self.fleet.fill(service)
        self.changes.add(service, "scale", before, replicas, f"scaled to {replicas} instances")
        return f"{service} has {replicas} instances, before {before}"

    async def relocate(self, service: str, _: dict[str, Any]) -> str:
        """Drain the nodes under a service: its instances start elsewhere, the old ones end."""
        await self.fleet.replace(service)
        return f"instances of {service} run on other nodes"

    async def configure(self, service: str, body: dict[str, Any]) -> str:
        """One configuration value; `flags.x`, `upstream.x` and `circuit_breaker.x` go inside."""
        key = str(body["key"])
        before = self._configure(service, key, body.get("value"))
        self.history.setdefault(service, []).append(_Undo(key=key, value=before))
        return f"{key} of {service} is {body.get('value')!r}, before {before!r}"

    async def clean(self, service: str, _: dict[str, Any]) -> str:
        """Delete rotated files from a volume."""
        folder = self.fleet.places.volume(service)
        found = [*folder.glob(_ROTATED)] if folder.is_dir() else []
        freed = sum(path.stat().st_size for path in found)
        for path in found:
            path.unlink()
        # Whoever wrote it was told to stop writing by the same clean-up.
        self.condition(service, "fill_mb_s", None)
        return f"deleted {len(found)} files, {freed} bytes"

    async def flush(self, service: str, _: dict[str, Any]) -> str:
        """Empty the cache of a service and begin with fresh expiry times."""
        self.condition(service, "worthless_cache", None)
        self.condition(service, "flushed_at", {"value": time.time()})
        return f"flushed the cache of {service}"

    async def renew(self, service: str, _: dict[str, Any]) -> str:
        """A new certificate for a service that presents one."""
        if not SERVICES[service].tls:
            raise NotPossibleError(f"{service} presents no certificate")
        Authority(self.fleet.places.root / "certificates").issue(service, 30)
        return f"{service} presents a certificate for the next 30 days"

    async def end_sessions(self, service: str, _: dict[str, Any]) -> str:
        """End database sessions that block others."""
        self.condition(service, "locked", None)
        return f"ended the blocking sessions of {service}"

    async def sync_clock(self, service: str, _: dict[str, Any]) -> str:
        """Set the clock of a service by the reference."""
        self.condition(service, "clock_offset", None)
        return f"the clock of {service} follows the reference"

    async def switch_volume(self, service: str, _: dict[str, Any]) -> str:
        """Move a volume to its replica on another device."""
        self.condition(service, "disk_delay_s", None)
        return f"{service} writes to the replica of its volume"

    def condition(self, service: str, name: str, value: dict[str, Any] | None) -> None:
        """Set or end one condition of a service."""
        path = self.fleet.places.conditions(service)
        seen = WatchedFile(path)
        seen.refresh()
        left = {key: one for key, one in seen.content.items() if key != name}
        write_json(path, left if value is None else {**left, name: value})

    def facts(self) -> dict[str, str | float]:
        """What is configured, under the keys of the copilot's facts."""
        found: dict[str, str | float] = {}
        for name in OURS:
            service, desired = SERVICES[name], self.fleet.desired[name]
            past = [undo.version for undo in self.history.get(name, []) if undo.version]
            known: dict[str, str | float] = {
                "kind": _kind(name),
                "replicas": float(desired.replicas),
                "pool_size": float(str(desired.config["pool_size"])),
                "retries": float(str(desired.config["retries"])),
                "version": desired.version,
                "ready_nodes": float(len(NODES)),
            }
            known |= {"previous_version": past[-1]} if past else {}
            known |= {"flag": service.flags[0]} if len(service.flags) == 1 else {}
            known |= {"node": desired.running[0].node} if len(desired.running) == 1 else {}
            outside = [callee for callee in service.callees if callee in OUTSIDE]
            known |= {"dependency": outside[0]} if len(outside) == 1 else {}
            found |= {f"{fact}:{name}": value for fact, value in known.items()}
        for name in OUTSIDE:
            callers = [s.name for s in SERVICES.values() if name in s.callees]
            found |= {f"kind:{name}": "external", f"caller:{name}": callers[0]}
        return found

    async def _release(self, service: str, version: str) -> None:
        desired = self.fleet.desired[service]
        before, desired.version = desired.version, version
        self.changes.add(service, "deploy", before, version, f"rolled out {version}")
        await self.fleet.replace(service)

    def _configure(self, service: str, key: str, value: object) -> object:
        config = self.fleet.desired[service].config
        head, _, inner = key.partition(".")
        if head not in config:
            raise NotPossibleError(f"{service} has no configuration value {key!r}")
        if inner:
            held = config[head]
            assert isinstance(held, dict)
            before = held.get(inner)
            config[head] = {**held, inner: value}
        else:
            before, config[head] = config[head], value
        write_json(self.fleet.places.config(service), config)
        kind: Any = "flag" if head == "flags" else "config"
        self.changes.add(service, kind, before, value, f"{key} from {before!r} to {value!r}")
        return before


def _kind(name: str) -> str:
    if name == ENTRY:
        return "gateway"
    return {"store": "database", "worker": "queue"}.get(name, "service")
