"""`copilot approve`, `reject`, `edit`, `step`, `retry`, `stop`, `resume`: what people decide."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue
from rich.console import Console
from rich.prompt import Confirm

from copilot import wiring
from copilot.case.answers import RetryWish, StepAnswer
from copilot.case.editing import Edit
from copilot.case.engine import Engine
from copilot.case.halting import lift
from copilot.case.merging import MergeWish, SplitWish
from copilot.case.terms import outcome_line
from copilot.ports import Runner
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.store import ApprovalRequest, Store, UnknownPlanError
from copilot.surfaces.commands import demo, screen
from copilot.surfaces.commands.consent import terms_here
from copilot.surfaces.commands.halting import named
from copilot.surfaces.commands.playbook import find, pairs
from copilot.surfaces.remote import posted, service
from copilot.types.incident import Incident
from tools.playbook_executor.parameters import read_values
from tools.types import Approval, Plan


def approve(settings: Settings, *, plan: str, by: str, digest: str, yes: bool) -> int:
    """Show the plan, ask, and approve exactly what was shown."""
    console = Console()
    incident, request = _asked(settings, plan)
    found = request.plan
    agreed = terms_here(settings, incident, request)
    screen.plan(console, found, settings.language, agreed)
    if digest and digest != found.digest:
        raise SettingsError(f"--digest {digest!r} is not the digest of plan {found.id!r}")
    question = "Approve this dry run?" if agreed.dry_run else "Approve and run this?"
    if not yes and not digest and not Confirm.ask(question, default=False):
        console.print("Not approved; nothing was run.")
        return 1
    return _answer(settings, found, "approve", by, "")


def reject(settings: Settings, *, plan: str, by: str, reason: str) -> int:
    """Reject with a reason; the next plan heeds it."""
    return _answer(settings, waiting_plan(settings, plan), "reject", by, reason)


def waiting_plan(settings: Settings, name: str) -> Plan:
    """The plan of that id, or the one that waits in the incident of that id."""
    return _asked(settings, name)[1].plan


def _asked(settings: Settings, name: str) -> tuple[Incident, ApprovalRequest]:
    with wiring.store(settings) as store:
        request = store.approvals.get(name) or _waiting(store, name)
        if request is None:
            raise UnknownPlanError(f"no plan {name!r} waits for approval; see: copilot incidents")
        return store.incidents.require(request.plan.incident_id), request


def _waiting(store: Store, incident_id: str) -> ApprovalRequest | None:
    pending = store.approvals.pending(incident_id)
    return pending[-1] if pending else None


def _answer(settings: Settings, plan: Plan, decision: str, by: str, reason: str) -> int:
    return _here(settings, plan, decision, _named_here(settings, by), reason)


def _named_here(settings: Settings, by: str) -> str:
    with wiring.store(settings) as store:
        return named(store, settings, by)


def _here(settings: Settings, plan: Plan, decision: str, by: str, reason: str) -> int:
    def answer(engine: Engine) -> None:
        engine.decide(
            Approval(
                plan_id=plan.id,
                digest=plan.digest,
                decision="approve" if decision == "approve" else "reject",
                approver=by,
                reason=reason,
                decided_at=engine.deps.clock.now(),
            )
        )
        if decision == "approve":
            said = outcome_line(by, engine.terms(plan), "copilot", settings.language)
            Console(markup=False).print(said, soft_wrap=True)

    return _worked_on(settings, plan.incident_id, decision, answer)


def _worked_on(
    settings: Settings, incident_id: str, purpose: str, say: Callable[[Engine], object]
) -> int:
    """Say it to an engine of this process, work on, and show what came of it."""
    console = Console()
    with wiring.store(settings) as store:
        incident = store.incidents.require(incident_id)
    sources, clock = wiring.recorded_in(incident) or (None, None)
    # What is over is shown again from its recording: nothing real may be touched for it.
    runner: Runner | None = wiring.dry_runner(clock) if clock else None
    replay = demo.replay_of(settings)
    if replay is not None:  # a demo that was kept goes on where it stopped
        sources, clock, runner = demo.replayed(replay), replay, replay
    with wiring.engine(settings, purpose, sources=sources, clock=clock, runner=runner) as engine:
        seen = engine.store.journal.events(incident_id, limit=10_000)
        say(engine)
        engine.drain()
        after = seen[-1].seq if seen else 0
        for event in engine.store.journal.events(incident_id, after=after):
            screen.event(console, event, settings.language)
        screen.clocks(console, engine.store.incidents.require(incident_id), settings.language)
    if replay is not None:
        demo.keep(settings, replay.recording, replay)
    return 0


def step(settings: Settings, *, incident: str, ran: bool, by: str, reason: str) -> int:
    """Say whether a step ran whose end nobody saw; its plan then goes on."""
    content: dict[str, JsonValue] = {"ran": ran, "by": by, "reason": reason}

    def say(engine: Engine, who: str) -> object:
        return engine.settle(StepAnswer(incident_id=incident, ran=ran, by=who, reason=reason))

    return _said(settings, incident, "step", content, say)


def retry(settings: Settings, *, incident: str, by: str, reason: str) -> int:
    """Work again on an incident whose run was set aside, from where it stood."""
    content: dict[str, JsonValue] = {"by": by, "reason": reason}

    def say(engine: Engine, who: str) -> object:
        return engine.retry(RetryWish(incident_id=incident, by=who, reason=reason))

    return _said(settings, incident, "retry", content, say)


def merge(settings: Settings, *, incident: str, into: str, by: str, reason: str) -> int:
    """Close an incident into another one."""
    content: dict[str, JsonValue] = {"into": into, "by": by, "reason": reason}

    def say(engine: Engine, who: str) -> object:
        wish = MergeWish(incident_id=incident, into=into, by=who, reason=reason)
        return engine.merge(wish)

    return _said(settings, incident, "merge", content, say)


def split(settings: Settings, *, incident: str, alerts: Sequence[int], by: str, reason: str) -> int:
    """Open an incident with some alerts of another one."""
    content: dict[str, JsonValue] = {"alerts": [*alerts], "by": by, "reason": reason}

    def say(engine: Engine, who: str) -> object:
        wish = SplitWish(incident_id=incident, alerts=tuple(alerts), by=who, reason=reason)
        return engine.split(wish)

    return _said(settings, incident, "split", content, say)


def _said(
    settings: Settings,
    incident: str,
    verb: str,
    content: Mapping[str, JsonValue],
    say: Callable[[Engine, str], object],
) -> int:
    address = service(settings)
    if not address:
        who = _named_here(settings, str(content["by"]))
        return _worked_on(settings, incident, verb, lambda engine: say(engine, who))
    told = posted(settings, address, f"/incidents/{incident}/{verb}", content)
    about = told.get("incident", incident)
    status = f"recorded; incident {about} is {told.get('incident_status', 'worked on')}"
    Console(markup=False).print(status, soft_wrap=True)
    return 0


def edit(
    settings: Settings, *, plan: str, given: Sequence[str], playbook: str, by: str, reason: str
) -> int:
    """Change declared values or the playbook; prints the new plan with its new digest."""
    found, address = waiting_plan(settings, plan), service(settings)
    if not given and not playbook:
        raise SettingsError("nothing to change: give --set name=value, or --playbook NAME")
    book = find(settings, playbook or found.playbook_id)
    wanted = Edit(
        plan_id=found.id,
        digest=found.digest,
        parameters=read_values(book, pairs(given, "--set")),
        playbook_id=playbook,
        editor=by.strip() or "?" if address else _named_here(settings, by),
        reason=reason,
    )
    if address:
        path = f"/incidents/{found.incident_id}/plan"
        content = wanted.model_dump(mode="json") | {"editor": by.strip()}
        told = posted(settings, address, path, content)
        dry = " (a dry run)" if told.get("dry_run") else ""
        said = f"edited; to be approved{dry}: copilot approve {found.incident_id}"
        Console(markup=False).print(said, soft_wrap=True)
        return 0
    with wiring.store(settings) as store:
        incident = store.incidents.require(found.incident_id)
    sources, clock = wiring.recorded_in(incident) or (None, None)
    runner = wiring.dry_runner(clock) if clock else None
    with wiring.engine(settings, "edit", sources=sources, clock=clock, runner=runner) as engine:
        request = engine.edit(wanted)
        engine.drain()
        screen.plan(Console(), request.plan, settings.language, engine.terms(request.plan))
        if not engine.store.approvals.pending(request.plan.incident_id):
            Console().print("It does not wait any longer; see: copilot incidents")
    return 0


def resume(settings: Settings, *, by: str) -> int:
    """Let executions go on; what was refused meanwhile needs a new plan and a new approval."""
    with wiring.store(settings) as store:
        name = named(store, settings, by)
        said = lift(store, wiring.policy(settings, store), name, SystemClock().now())
    Console(markup=False).print(said or "Nothing was stopped.")
    return 0 if said else 1
