"""A step that began and whose end nobody saw: a person says whether it ran; nothing repeats it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Literal

import pytest

from copilot import wiring
from copilot.case.answers import RESERVED, StepAnswer
from copilot.case.engine import Engine
from copilot.hands import ActionRunner, CommandRunner
from copilot.hands.credentials import HttpBase, SecretReader
from copilot.hands.http import HttpCaller
from copilot.hands.job_systems import JobParameter, job_system
from copilot.hands.jobs import JobHandle, JobProgress, JobRunner, JobTarget
from copilot.ports import Runner
from copilot.settings import load
from copilot.sources.clock import SystemClock
from copilot.store import NoRightError, PolicyRefusedError
from copilot.testing.job_servers import JOB_TOKEN, KEY_NAME, JobServer
from copilot.testing.strict_http import serving
from copilot.types.incident import Incident
from evals.simulator import scenario
from evals.torture.survival import DurableWorld
from tools.types import Approval, PlanStep, StepResult, Timestamp, Window

SCENARIO = scenario("pool_exhaustion", 3)
FAULT = SCENARIO.start + SCENARIO.quiet_s
ROOT = Path(__file__).parent.parent.parent
KEY = "inc-1:" + "a" * 64 + ":0"


JOB = """steps:
  - title: {en: "Have it resized from ${pool_size_before}", zh: "从 ${pool_size_before} 调整"}
    action: job
    arguments: {job: resize, parameters: {host: "${service}", count: "${pool_size}"}}
irreversible: {en: "The job of the platform team does it.", zh: "由平台团队的作业执行。"}
"""


class EndedError(BaseException):
    """The process ended here: nothing after this line is run."""


class FatalRunner:
    """Ends the process, once, before or after the step has acted on the world."""

    def __init__(self, world: DurableWorld, when: Literal["before", "after", "never"]) -> None:
        self._world, self._when = world, when

    def run(self, step: PlanStep, key: str) -> StepResult:
        if self._when == "before":
            raise EndedError
        result = self._world.run(step, key)
        if self._when == "after":
            raise EndedError
        return result

    def touches(self, step: PlanStep) -> bool:
        return True


class Life:
    """One life of a process over a folder, whose playbook does not say that it is idempotent."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        when: str = "never",
        hands: Callable[[DurableWorld], Runner] | None = None,
    ) -> None:
        own = folder / "playbooks"
        own.mkdir(exist_ok=True)
        text = (ROOT / "knowledge_base" / "playbooks" / "resize-pool.yaml").read_text(
            encoding="utf-8"
        )
        text = text.replace("    idempotent: true\n", "")
        if hands is not None:
            head, _, tail = text.partition("steps:\n")
            rest = tail.partition("verification:")[2].replace("within_s: 600", "within_s: 20")
            text = f"{head}{JOB}verification:{rest}"
        (own / "resize-pool.yaml").write_text(text, "utf-8")
        self.world = DurableWorld(SCENARIO, folder / "world.jsonl")
        runner = FatalRunner(self.world, when) if hands is None else hands(self.world)  # type: ignore[arg-type]
        self.engine: Engine = stack.enter_context(
            wiring.engine(
                load(data_dir=folder / "data", refresh_s=0, playbooks_dir=own),
                "test",
                sources=self.world.sources,
                clock=self.world,
                runner=runner,
            )
        )
        self.engine.recover()

    @property
    def incident(self) -> Incident:
        (only,) = self.engine.store.incidents.list()
        return only

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.engine.store.journal.events()]

    def approve(self) -> None:
        plan = self.incident.plan
        assert plan is not None
        answer = Approval(
            plan_id=plan.id,
            digest=plan.digest,
            decision="approve",
            approver="anna",
            decided_at=self.engine.now(),
        )
        self.engine.decide(answer)
        self.engine.drain()

    def say(self, ran: bool, by: str = "anna") -> None:
        answer = StepAnswer(incident_id=self.incident.id, ran=ran, by=by, reason="looked at it")
        self.engine.settle(answer)
        self.engine.drain()


def killed(folder: Path, when: str, hands: Callable[[DurableWorld], Runner] | None = None) -> None:
    """A life that is approved a plan and ends in the middle of its step."""
    with ExitStack() as stack:
        life = Life(folder, stack, when, hands)
        life.world.sleep(FAULT + 90 - life.world.now())
        alerts = life.world.source.alerts(Window(start=FAULT - 600, end=FAULT + 90))
        life.engine.accept(alerts, life.engine.now())
        life.engine.drain()
        with pytest.raises(EndedError):
            life.approve()


@pytest.fixture(params=["before", "after"])
def died(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Life, bool]]:
    """The next life, and whether the step had acted before the end of the one before."""
    killed(tmp_path, request.param)
    with ExitStack() as stack:
        life = Life(tmp_path, stack)
        life.engine.drain()
        yield life, request.param == "after"


def test_a_step_of_unknown_end_is_not_repeated_and_the_incident_says_so(
    died: tuple[Life, bool],
) -> None:
    life, acted = died
    assert len(life.world.actions()) == int(acted)
    asked = life.incident.unsettled
    assert asked is not None
    assert life.incident.status == "handed_over"
    assert "its end was not seen" in life.incident.brief["en"]
    assert f"copilot step {life.incident.id}" in life.incident.brief["zh"]
    assert life.kinds[-1] == "unsettled"
    life.engine.upkeep()
    life.engine.drain()
    assert (life.kinds[-1], len(life.world.actions())) == ("unsettled", int(acted))


def test_a_persons_word_decides_and_the_plan_goes_on(died: tuple[Life, bool]) -> None:
    life, acted = died
    life.say(ran=acted)
    assert len(life.world.actions()) == 1
    assert (life.incident.status, life.incident.unsettled) == ("recovered", None)
    assert life.kinds.count("settled") == life.kinds.count("acted") == 1
    assert life.engine.store.journal.verify().ok
    with pytest.raises(PolicyRefusedError, match="no step"):
        life.say(ran=True)


def test_who_has_no_right_to_approve_has_none_to_say_that_it_ran(died: tuple[Life, bool]) -> None:
    life, acted = died
    for name in RESERVED:
        with pytest.raises(NoRightError):
            life.say(ran=True, by=name)
    assert life.incident.unsettled is not None
    assert len(life.world.actions()) == int(acted)


def test_a_plan_that_expired_before_the_word_is_not_run_any_more(tmp_path: Path) -> None:
    killed(tmp_path, "before")
    with ExitStack() as stack:
        life = Life(tmp_path, stack)
        life.engine.drain()
        life.world.sleep(1200)
        life.say(ran=False)
        assert life.world.actions() == []
        assert "expired" in life.incident.results[0].error


# --- a job of another system


class FatalJobs(JobRunner):
    """Ends the process after the start was sent and before its id is known, or at a look."""

    when = "never"

    def run(self, step: PlanStep, key: str) -> StepResult:
        result = super().run(step, key)
        if self.when == "before its id is written":
            raise EndedError
        return result

    def look(
        self, step: PlanStep, key: str, handle: JobHandle, since: Timestamp, stop: str = ""
    ) -> JobProgress:
        if self.when == "while it runs":
            raise EndedError
        return super().look(step, key, handle, since, stop)


def by_jobs(server: JobServer, when: str) -> Callable[[DurableWorld], Runner]:
    """Hands that have the job done there, and end the process when they are told to."""
    which = {"awx": {"template": "7"}, "gitlab": {"project": "shop%2Fops", "ref": "main"}}
    base = HttpBase(url=server.url, token_env="T", token_as=job_system(server.system).token_as)
    target = JobTarget(
        system=server.system,
        base="it",
        of=which[server.system],
        parameters={
            "host": JobParameter(type="name"),
            "count": JobParameter(type="integer", minimum=1, maximum=500),
        },
        keyed=KEY_NAME if server.system == "awx" else None,
    )

    def hands(world: DurableWorld) -> Runner:
        reader = SecretReader(Path("runners.toml"), {"T": JOB_TOKEN})
        jobs = FatalJobs({"resize": target}, HttpCaller({"it": reader.base("it", base)}), world)
        jobs.when = when
        return ActionRunner({"job": jobs}, world)

    return hands


@pytest.mark.integration
@pytest.mark.parametrize("when", ["before its id is written", "while it runs"])
def test_a_job_is_found_again_after_the_process_was_killed_and_never_started_twice(
    when: str, tmp_path: Path
) -> None:
    with serving(JobServer("awx")) as server, ExitStack() as stack:
        killed(tmp_path, "", by_jobs(server, when))
        server.advance("succeeded")
        life = Life(tmp_path, stack, hands=by_jobs(server, "never"))
        life.engine.drain()
        assert len(server.jobs) == 1
        assert [result.ok for result in life.incident.results] == [True]
        assert "PLAY RECAP" in life.incident.results[0].output
        assert "followed" in life.kinds
        assert JOB_TOKEN not in str(life.engine.store.journal.events())


@pytest.mark.integration
def test_a_job_that_nobody_finds_again_is_for_a_person(tmp_path: Path) -> None:
    with serving(JobServer("gitlab")) as server, ExitStack() as stack:
        killed(tmp_path, "", by_jobs(server, "before its id is written"))
        life = Life(tmp_path, stack, hands=by_jobs(server, "never"))
        life.engine.drain()
        assert life.incident.unsettled is not None
        assert len(server.jobs) == 1


class Slow:
    """A step that takes until it is let go."""

    def __init__(self, world: DurableWorld) -> None:
        self.world, self.begun, self.go = world, Event(), Event()

    def run(self, step: PlanStep, key: str) -> StepResult:
        self.begun.set()
        assert self.go.wait(60)
        return self.world.run(step, key)

    def touches(self, step: PlanStep) -> bool:
        return True


def test_a_stop_lets_the_running_step_end_and_begins_no_other_node(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = DurableWorld(SCENARIO, tmp_path / "world.jsonl")
        world.sleep(FAULT + 90 - world.now())
        slow = Slow(world)
        engine = stack.enter_context(
            wiring.engine(
                load(data_dir=tmp_path / "data", settle_s=0),
                "test",
                sources=world.sources,
                clock=world,
                runner=slow,
            )
        )
        alerts = world.source.alerts(Window(start=FAULT - 600, end=FAULT + 90))
        engine.accept(alerts, engine.now())
        engine.drain()
        engine.start()
        (request,) = engine.store.approvals.pending()
        engine.decide(
            Approval(
                plan_id=request.plan.id,
                digest=request.plan.digest,
                decision="approve",
                approver="anna",
                decided_at=engine.now(),
            )
        )
        assert slow.begun.wait(60)
        stopping = Thread(target=engine.stop)
        stopping.start()
        slow.go.set()
        stopping.join(60)
        assert engine.store.outbox.unfinished() == ()
        kinds = [event.kind for event in engine.store.journal.events()]
        assert kinds[-1] == "acted"
        (run,) = engine.store.runs.of(request.plan.incident_id)
        assert (run.status, run.attempt, run.due_at) == ("accepted", 0, 0.0)


# The program of a command step


def program(folder: Path, script: str) -> tuple[CommandRunner, PlanStep]:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o700)
    step = PlanStep(index=0, title="t", action="command", arguments={"argv": ["tidy", "x"]})
    return CommandRunner({"tidy": path}, SystemClock()), step


def test_a_program_is_told_the_key_of_its_step(tmp_path: Path) -> None:
    runner, step = program(tmp_path, 'echo "$COPILOT_STEP_KEY"')
    assert runner.run(step, KEY).output == KEY


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text("ascii").split()[2] != "Z"
    return False


def test_a_program_and_what_it_started_end_with_a_copilot_that_is_killed(tmp_path: Path) -> None:
    program(tmp_path, f"sleep 300 & echo $! $$ > {tmp_path}/pids; wait")
    copilot = subprocess.Popen(
        [sys.executable, "-m", "tests.copilot.test_unsettled_steps", str(tmp_path)],
        cwd=ROOT,
    )
    pids = tmp_path / "pids"
    until = time.monotonic() + 60
    while not (pids.exists() and pids.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    started = [int(one) for one in pids.read_text().split()]
    assert len(started) == 2
    assert all(map(alive, started))
    copilot.send_signal(signal.SIGKILL)
    copilot.wait()
    while any(map(alive, started)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, started))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    step = PlanStep(index=0, title="t", action="command", arguments={"argv": ["tidy", "x"]})
    CommandRunner({"tidy": folder / "program"}, SystemClock()).run(step, os.environ.get("K", KEY))
