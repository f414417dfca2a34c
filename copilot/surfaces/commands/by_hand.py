"""`copilot playbook run`: a plan a person fills in, shown, asked for, run step by step, journalled.

The same gates as for a proposed plan: digest, approvers, preconditions, the emergency stop. What
runs for real is what the runners file turns on; without one every step is a dry run.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.prompt import Confirm as Ask
from rich.text import Text

from copilot import wiring
from copilot.case.following import JobWatch, job_runner
from copilot.case.guards import RunCase, refuse_running
from copilot.case.nodes.act import longest_s
from copilot.case.terms import terms
from copilot.hands import ConfirmationPrompt
from copilot.ports import Clock, Runner
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import PolicyRefusedError as NotAllowedError
from copilot.store import Store
from copilot.surfaces.commands import screen
from copilot.surfaces.commands.halting import named
from copilot.surfaces.commands.playbook import fact, filled, pairs
from tools.log_retriever import sanitize
from tools.playbook_executor import Policy, StepRefusedError, pause_s, run_step, step_key, undoes
from tools.types import Approval, Fact, Plan, PlanStep, StepResult


def playbook_run(
    settings: Settings,
    *,
    playbook: str,
    component: str,
    given: Sequence[str],
    known: Sequence[str],
    by: Sequence[str],
    yes: bool,
) -> int:
    """Fill, show, ask, run; exit code 1 where it was not approved or a step did not succeed."""
    console, clock = Console(), SystemClock()
    with wiring.store(settings) as store:
        people = [named(store, settings, one) for one in filter(str.strip, by)]
        people = people or [named(store, settings, "")]
    plan = filled(settings, playbook, component, given, f"by-hand-{secrets.token_hex(4)}")
    sources = wiring.configured_sources(settings)
    runner = wiring.configured_runner(settings, sources, clock, clock, _asked(console, people[0]))
    agreed = terms(plan, (), runner, Policy())
    screen.plan(console, plan, settings.language, agreed)
    if not yes and not Ask.ask("Approve and run this?", default=False):
        console.print("Not approved; nothing was run.")
        return 1
    facts = sources.facts(clock.now())
    facts |= {f"{name}:{component}": fact(text) for name, text in pairs(known, "--fact").items()}
    approvers = people[1:] if settings.four_eyes else people
    if not approvers:
        raise SettingsError(f"four_eyes is set: {people[0]!r} needs another; name both with --by")
    approvals = [_yes(plan, person, clock) for person in approvers]
    with wiring.store(settings) as store:
        for one in approvals:
            _note(store, plan, clock, "approved", one.approver, "filled in and approved by hand")
        policy = wiring.policy(settings, store)
        hand = HandRun(store, clock, runner, policy, facts, lambda t: console.print(Text(t, "dim")))
        results = hand.run(plan, approvals)
    for result in results:
        if result.key == step_key(plan, 0, rollback=True):
            console.print("A later step failed, so the plan is rolled back:")
        _show(console, result)
    return 0 if len(results) == len(plan.steps) and all(one.ok for one in results) else 1


class HandRun:
    """What carries a plan out without a run of the graph."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runner: Runner,
        policy: Policy,
        facts: Mapping[str, Fact],
        tell: Callable[[str], None] = lambda _told: None,
    ) -> None:
        self._store, self._clock, self._runner, self._tell = store, clock, runner, tell
        self._policy, self._facts = policy, facts

    def run(self, plan: Plan, approvals: Sequence[Approval]) -> list[StepResult]:
        """Step by step until one does not succeed; each is in the outbox and in the journal."""
        try:
            return self._steps(plan, approvals)
        finally:
            self._store.locks.release(plan.id)

    def _steps(self, plan: Plan, approvals: Sequence[Approval]) -> list[StepResult]:
        results: list[StepResult] = []
        for step in plan.steps:
            results.append(self._recorded(plan, step, approvals, results, rollback=False))
            if not results[-1].ok:
                break
        if undoes(plan, results):
            for step in plan.rollback:
                results.append(self._recorded(plan, step, approvals, results, rollback=True))
                if not results[-1].ok:
                    break
        return results

    def _recorded(
        self,
        plan: Plan,
        step: PlanStep,
        approvals: Sequence[Approval],
        results: list[StepResult],
        *,
        rollback: bool,
    ) -> StepResult:
        key = step_key(plan, step.index, rollback=rollback)
        payload = {"plan": plan.id, "digest": plan.digest}
        self._store.outbox.begin(key, "step", {**payload}, self._clock.now())
        result = self._step(plan, step, approvals, results, rollback=rollback)
        result = self._followed(plan, step, approvals[0].approver, result)
        recorded = self._store.outbox.finish(key, result, self._clock.now())
        said = recorded.error or recorded.output or "done"
        _note(self._store, plan, self._clock, "acted", approvals[0].approver, said)
        return recorded

    def _followed(self, plan: Plan, step: PlanStep, by: str, result: StepResult) -> StepResult:
        """The result of the job that the step has started, if it is one; it is waited for here."""
        job, outbox = job_runner(self._runner, step), self._store.outbox

        def note(told: str) -> None:
            _note(self._store, plan, self._clock, "followed", by, told)
            self._tell(told)

        if job is None:
            return result
        watch = JobWatch(self._store, self._clock, job, step, result.key, note)
        ended = watch.started(result)
        while ended is None and (begun := outbox.get(result.key)) is not None:
            self._clock.sleep(watch.every_s)
            ended = watch.look(begun)
        return ended or result

    def _step(
        self,
        plan: Plan,
        step: PlanStep,
        approvals: Sequence[Approval],
        results: list[StepResult],
        *,
        rollback: bool,
    ) -> StepResult:
        now = self._clock.now()
        try:
            refuse_running(RunCase(self._store, plan, now, first=step.index == 0 and not rollback))
            self._store.locks.take(plan.lock, plan.id, now, longest_s(plan))
            if self._runner.touches(step):
                self._clock.sleep(pause_s(step))
            return run_step(
                plan,
                step.index,
                approvals,
                self._runner,
                now,
                facts=self._facts,
                results=results,
                rollback=rollback,
                policy=self._policy,
            )
        except (StepRefusedError, NotAllowedError) as refusal:
            key = step_key(plan, step.index, rollback=rollback)
            error = f"refused: {refusal}"
            return StepResult(key=key, ok=False, error=error, started_at=now, ended_at=now)


def _asked(console: Console, person: str) -> ConfirmationPrompt:
    """Whoever sits at the keyboard says that a step was done by hand."""

    def ask(instruction: str, _key: str) -> str:
        console.print(Text(f"By hand: {instruction}", style="bold"))
        return person if Ask.ask("Done?", default=False, console=console) else ""

    return ask


def _yes(plan: Plan, person: str, clock: Clock) -> Approval:
    return Approval(
        plan_id=plan.id,
        digest=plan.digest,
        decision="approve",
        approver=person,
        decided_at=clock.now(),
    )


def _note(store: Store, plan: Plan, clock: Clock, kind: str, by: str, reason: str) -> None:
    detail = {"reason": reason, "plan": plan.id, "digest": plan.digest, "title": plan.title}
    store.journal.append(plan.incident_id, kind, by, {**detail}, clock.now())


def _show(console: Console, result: StepResult) -> None:
    mark = ("✔ ", "green") if result.ok else ("✘ ", "red")
    said = sanitize(result.error or result.output or "done", 600)
    dry = " (dry run)" if result.dry_run else ""
    console.print(Text.assemble(mark, said, (dry, "dim")))
