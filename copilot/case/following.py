"""A step that starts a job of another system: its id is written down before anything is awaited.

A process that is killed in the middle finds the job again by that id, or by the key it was started
with. One of which nobody knows whether it was started is for a person (`waiting`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from copilot.hands import ActionRunner
from copilot.hands.jobs import JobHandle, JobProgress, JobRunner
from copilot.hands.report import StepFailedError
from copilot.ports import Clock, Runner
from copilot.store import OutboxEntry, Store
from tools.playbook_executor import repeatable
from tools.types import PlanStep, StepResult


def job_runner(runner: Runner, step: PlanStep) -> JobRunner | None:
    """What starts and follows the job of a step; None for every other step."""
    found = runner.runner_of(step) if isinstance(runner, ActionRunner) else None
    return found if isinstance(found, JobRunner) else None


@dataclass(frozen=True)
class JobWatch:
    """The job of one step whose start the outbox has; `note` is told what became of it."""

    store: Store
    clock: Clock
    job: JobRunner
    step: PlanStep
    key: str
    note: Callable[[str], None]

    @property
    def every_s(self) -> float:
        """Seconds until the next look."""
        return self.job.every_s(self.step)

    def started(self, result: StepResult) -> StepResult | None:
        """Write down what the start answered: its failure is the step's result."""
        if not result.ok:
            return result
        self._know(JobHandle.model_validate_json(result.output), "started")
        return None

    def known(self, begun: OutboxEntry) -> bool:
        """Whether the job is known: by its id, or found again by its key."""
        if "job" in begun.payload:
            return True
        try:
            found = self.job.found(self.step, self.key)
        except StepFailedError:
            return False
        if found is not None:
            self._know(found, "found again by its key")
        return found is not None

    def may_start_again(self) -> bool:
        """Whether starting it once more does no harm: the system or the playbook says so."""
        return repeatable(self.step) or self.job.again(self.step)

    def look(self, begun: OutboxEntry) -> StepResult | None:
        """The step's result where the job has ended; a halt cancels the job."""
        halt = self.store.halt.get()
        stop = f"{halt.by!r} stopped all executions: {halt.reason}" if halt else ""
        payload = begun.payload
        handle = JobHandle.model_validate(payload["job"])
        seen: JobProgress = self.job.look(self.step, self.key, handle, begun.started_at, stop)
        if seen.handle != handle or seen.told != payload.get("told"):
            self._know(seen.handle, seen.told)
        return seen.result

    def _know(self, handle: JobHandle, told: str) -> None:
        self.store.outbox.amend(self.key, {"job": handle.model_dump(), "told": told})
        self.note(f"job {handle.id or handle.ticket}: {told}")
