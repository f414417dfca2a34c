"""Behind the engine: a world that outlives its process, and what ends a process at one instant."""

import functools
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from copilot.case.graph import NodeFunction
from copilot.ports import Runner
from copilot.sources.deployment import Sources
from copilot.store import Outbox, OutboxEntry
from evals.simulator import SimulatedRunner, SimulatedSource, World, WorldScenario
from tools.types import PlanStep, StepResult, Timestamp


class DurableWorld:
    """A simulated system whose every action is a line in a file, so that it outlives its process.

    Opened again, it replays the file and stands where it stood: what was done to it stays done,
    as with a real system. Satisfies the telemetry ports, `Clock` and `Runner`.
    """

    def __init__(self, scenario: WorldScenario, ledger: Path) -> None:
        self._ledger = ledger
        world = World(scenario)
        self.source = SimulatedSource(world)
        self._runner = SimulatedRunner(world)
        for line in ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []:
            self._replay(json.loads(line))

    @property
    def sources(self) -> Sources:
        """This world as every source."""
        source = self.source
        return Sources(source, source, source, source, source, source)

    def now(self) -> Timestamp:
        """The world's time."""
        return self.source.now()

    def sleep(self, seconds: float) -> None:
        """Let the world run on, and remember how far it came."""
        self.source.sleep(seconds)
        self._note({"now": self.source.now()})

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Act on the world; the same key a second time is noted, and does not act again."""
        self._note({"now": self.now(), "key": key, "step": step.model_dump(mode="json")})
        return self._runner.run(step, key)

    def touches(self, step: PlanStep) -> bool:
        """The simulated world is what there is."""
        return True

    def actions(self) -> list[str]:
        """The keys of the steps that were run, in order, repetitions included."""
        lines = self._ledger.read_text(encoding="utf-8").splitlines()
        return [entry["key"] for entry in map(json.loads, lines) if "key" in entry]

    def _note(self, entry: Mapping[str, JsonValue]) -> None:
        with self._ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _replay(self, entry: dict[str, Any]) -> None:
        self.source.sleep(entry["now"] - self.source.now())
        if "key" in entry:
            self._runner.run(PlanStep.model_validate(entry["step"]), entry["key"])


def killed_once(
    nodes: Mapping[str, NodeFunction], victim: str, when: str, marker: Path
) -> dict[str, NodeFunction]:
    """The nodes, one of which ends its process by SIGKILL `before` or `after` its body, once."""

    def deadly(node: NodeFunction) -> NodeFunction:
        @functools.wraps(node)
        def run(*arguments: Any, **named: Any) -> Any:
            die_once(when == "before", marker)
            result = node(*arguments, **named)
            die_once(when == "after", marker)
            return result

        return run

    return {name: deadly(node) if name == victim else node for name, node in nodes.items()}


KillPoint = Literal[
    "before outbox",  # nothing was written down, nothing was done
    "after outbox",  # the intent is written down, nothing was done
    "during the action",  # done, and nobody heard of it
    "before the result",  # done, heard of, and not written down
]


class MortalOutbox(Outbox):
    """An outbox in which the process ends by SIGKILL, once, at one instant of a step."""

    def __init__(self, outbox: Outbox, at: KillPoint, marker: Path) -> None:
        self._outbox, self._at, self._marker = outbox, at, marker

    def begin(
        self, key: str, kind: str, payload: dict[str, JsonValue], now: Timestamp
    ) -> StepResult | None:
        """Write the intent, unless the process ends before; or end after."""
        die_once(self._at == "before outbox", self._marker)
        done = self._outbox.begin(key, kind, payload, now)
        die_once(self._at == "after outbox", self._marker)
        return done

    def get(self, key: str) -> OutboxEntry | None:
        """What is recorded; looking is safe."""
        return self._outbox.get(key)

    def since(self, moment: Timestamp) -> tuple[OutboxEntry, ...]:
        """What was begun since; looking is safe."""
        return self._outbox.since(moment)

    def finish(self, key: str, result: StepResult, now: Timestamp) -> StepResult:
        """Write the result, unless the process ends before."""
        die_once(self._at == "before the result", self._marker)
        return self._outbox.finish(key, result, now)


class MortalRunner:
    """A runner in which the process ends by SIGKILL, once, when the step is done."""

    def __init__(self, runner: Runner, at: KillPoint, marker: Path) -> None:
        self._runner, self._at, self._marker = runner, at, marker

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Act; whether the caller hears of it is another matter."""
        result = self._runner.run(step, key)
        die_once(self._at == "during the action", self._marker)
        return result

    def touches(self, step: PlanStep) -> bool:
        """As the runner inside."""
        return self._runner.touches(step)


def die_once(wanted: bool, marker: Path) -> None:
    """End this process as kill -9 does, if wanted and if it did not happen before."""
    if wanted and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
