"""Write a world as an incident bundle, `incident-bundle/1`: the same world gives the same bytes.

`incidents/<id>/` and `history/<name>/` are what the copilot may see; `truth/truth.jsonl` holds the
answer, and `worlds/<id>.json` the scenario from which the world can be built again.
"""

import gzip
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from evals.simulator.scenario import RIGHT_PLAYBOOK, InjectedFault, WorldScenario
from evals.simulator.tables import edge_rows, metric_rows, span_rows
from evals.simulator.world import World
from tools.types import Alert, Change, FrozenModel, LogLine, Timestamp, Window

SYSTEM = "simulated"


class RecordedWorld(FrozenModel):
    """`worlds/<id>.json`: the script of a recorded incident, and what part of it was recorded."""

    id: str
    scenario: WorldScenario
    window: Window

    @property
    def world(self) -> World:
        """The world as it stands at the end of the recording."""
        world = World(self.scenario)
        world.advance(self.window.end)
        return world


def write_bundle(world: World, folder: Path, name: str, window: Window, history: str = "") -> None:
    """Record `window` of a world under `folder` as incident `name`.

    `history` names what `write_history` wrote beside it. Raises ValueError where the window is not
    within what the world has lived through.
    """
    if not world.first <= window.start or not window.end <= world.now:
        raise ValueError(
            f"the world has lived from {world.first!r} to {world.now!r}, not through {window!r}"
        )
    place = folder / "incidents" / name
    _telemetry(world, window, place)
    _gzip(place / "alerts.ndjson.gz", _ndjson(_alert(a, window) for a in world.alerts(window)))
    _text(place / "changes.json", _json([_change(c) for c in world.changes(window)]))
    _text(place / "topology.json", _json(_topology(world)))
    _text(place / "incident.json", _json(_description(world, name, window, history)))
    _truth(world.scenario, folder / "truth" / "truth.jsonl", name)
    recorded = RecordedWorld(id=name, scenario=world.scenario, window=window)
    _text(folder / "worlds" / f"{name}.json", recorded.model_dump_json(indent=1) + "\n")


def write_history(world: World, folder: Path, name: str, window: Window) -> None:
    """Record a window of normal operation, to be shared by incidents of the same system."""
    place = folder / "history" / name
    metrics = metric_rows(world.series(window))
    _gzip(place / "metrics.csv.gz", metrics)
    _gzip(place / "edges.csv.gz", edge_rows(world, window))
    _gzip(place / "logs.ndjson.gz", _ndjson(_log(line) for line in world.logs(window)))
    described: dict[str, JsonValue] = {
        "columns": metrics.split("\n", 1)[0].count(","),
        "note": "normal operation, no injected fault; use as reference period",
        "rows": metrics.count("\n") - 1,
        "sampling_s": world.scenario.sampling_s,
        "system": SYSTEM,
    }
    _text(place / "history.json", _json(described))


def _telemetry(world: World, window: Window, place: Path) -> None:
    _gzip(place / "metrics.csv.gz", metric_rows(world.series(window)))
    _gzip(place / "edges.csv.gz", edge_rows(world, window))
    _gzip(place / "spans.csv.gz", span_rows(world.spans(window)))
    _gzip(place / "logs.ndjson.gz", _ndjson(_log(line) for line in world.logs(window)))


def _description(world: World, name: str, window: Window, history: str) -> dict[str, JsonValue]:
    return {
        "entry": world.graph.entry,
        "history": history or None,
        "id": name,
        "licence": "Apache-2.0",
        "modalities": ["metrics", "topology", "edges", "spans", "logs", "alerts", "changes"],
        "reference_excluded": [],
        "sampling_s": world.scenario.sampling_s,
        "schema": "incident-bundle/1",
        "services": [service.name for service in world.graph.visible],
        "source": "evals.simulator",
        "system": SYSTEM,
        "window": [window.start, window.end],
    }


def _topology(world: World) -> dict[str, JsonValue]:
    topology = world.topology()
    return {
        "edges": [[edge.caller, edge.callee] for edge in topology.edges],
        "nodes": list(topology.nodes),
        "source": "declared",
    }


def _truth(scenario: WorldScenario, path: Path, name: str) -> None:
    """One line for each incident, in order of their names, whatever was written first."""
    rows = {}
    if path.exists():
        rows = {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}
    fault = scenario.faults[0] if scenario.faults else None
    rows[name] = {
        "fault_type": fault.kind if fault else None,
        "id": name,
        "indicator": _indicator(fault) if fault else None,
        "inject_ts": fault.onset if fault else None,
        "instance": (fault.node or None) if fault else None,
        "playbook": RIGHT_PLAYBOOK[fault.kind] if fault else None,
        "root_cause": fault.target if fault else None,
        "source_case": f"simulator/seed-{scenario.seed}",
        "system": SYSTEM,
    }
    lines = (json.dumps(rows[key], sort_keys=True) for key in sorted(rows))
    _text(path, "".join(f"{line}\n" for line in lines))


def _indicator(fault: InjectedFault) -> dict[str, JsonValue]:
    edge = f"{fault.target}->{fault.dependency}"
    metric = {
        "cpu_saturation": f"{fault.target}|cpu_pct",
        "memory_pressure": f"{fault.target}|mem_pct",
        "slow_dependency": f"{edge}|latency_p90_ms",
        "errors": f"{fault.target}|error_pct",
        "bad_deploy": f"{fault.target}|error_pct",
        "pool_exhaustion": f"{fault.target}|pool_in_use_pct",
        "dependency_down": f"{edge}|error_pct",
        "traffic_surge": f"{fault.target}|request_rate",
        "disk_full": f"{fault.target}|disk_used_pct",
        "network_loss": f"{fault.target}|net_retransmit_pct",
    }[fault.kind]
    return {"kind": "metric", "metric": metric}


def _alert(alert: Alert, window: Window) -> dict[str, JsonValue]:
    over = alert.ends_at is not None and alert.ends_at <= window.end
    return {
        "ts": alert.starts_at,
        "service": alert.service,
        "name": alert.name,
        "severity": alert.severity,
        "status": "resolved" if over else "firing",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _rfc3339(alert.starts_at),
        "endsAt": _rfc3339(alert.ends_at) if alert.ends_at and over else "0001-01-01T00:00:00Z",
        "fingerprint": alert.fingerprint,
        "value": alert.value,
    }


def _rfc3339(at: Timestamp) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _change(change: Change) -> dict[str, JsonValue]:
    return {
        "from_version": change.from_version,
        "kind": change.kind,
        "service": change.service,
        "summary": change.summary,
        "to_version": change.to_version,
        "ts": change.at,
    }


def _log(line: LogLine) -> dict[str, JsonValue]:
    return {
        "ts": line.at,
        "service": line.service,
        "level": line.level,
        "msg": line.message,
        "trace": line.trace,
    }


def _ndjson(rows: Iterable[dict[str, JsonValue]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _json(value: JsonValue | list[dict[str, JsonValue]]) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _gzip(path: Path, text: str) -> None:
    """Compressed without a time or a name in the header, so that equal text gives equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
