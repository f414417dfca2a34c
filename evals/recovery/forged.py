"""Plans edited, approvals forged, replayed or moved in time, steps outside of the vocabulary."""

from collections.abc import Callable, Iterator
from functools import cache

from evals.recovery.attack import NOW, Attack, Recorder
from evals.recovery.hostile import by_id
from tools.playbook_executor import (
    ApprovalError,
    DigestError,
    PlanExpiredError,
    PreconditionError,
    StepError,
    StepRefusedError,
    digest,
    fill,
    run_step,
)
from tools.types import Approval, Plan, StepResult

FACTS = {"replicas:cart": 3.0}


@cache
def scale_out(incident_id: str = "inc-1", now: float = NOW) -> Plan:
    values = {"service": "cart", "replicas": 5, "replicas_before": 3}
    return fill(by_id()["scale-out"], values, incident_id, "cart", (), now, 900.0)


def approval(plan: Plan, **changes: object) -> Approval:
    fields = {
        "plan_id": plan.id,
        "digest": plan.digest,
        "decision": "approve",
        "approver": "ann",
        "decided_at": NOW + 10,
    }
    return Approval.model_validate({**fields, **changes})


def edited(**changes: object) -> Plan:
    """The plan with some fields changed after it was approved, its digest kept."""
    return Plan.model_validate({**scale_out().model_dump(), **changes})


def with_step(**changes: object) -> Plan:
    step = {**scale_out().steps[0].model_dump(), **changes}
    return edited(steps=[step])


def signed_again(plan: Plan) -> Plan:
    """The attacker recomputes the digest; the approval is still for the old one."""
    signature = digest(plan)
    return plan.model_copy(update={"digest": signature, "id": f"scale-out-{signature[:12]}"})


SHELL = {"argv": ["sh", "-c", "reboot"]}
ForgedRun = Callable[[Recorder], object]


def run(
    plan: Plan | None = None,
    given: Approval | None = None,
    index: int = 0,
    now: float = NOW + 20,
    facts: dict[str, float] | None = None,
    results: list[StepResult] | None = None,
) -> ForgedRun:
    known = FACTS if facts is None else facts
    asked, allowed = plan or scale_out(), given or approval(scale_out())
    return lambda runner: run_step(asked, index, allowed, runner, now, facts=known, results=results)


def result(key: str, ok: bool = True) -> StepResult:
    return StepResult(key=key, ok=ok, started_at=NOW, ended_at=NOW)


ForgedTable = dict[str, tuple[ForgedRun, type[StepRefusedError]]]


def _edited() -> ForgedTable:
    """The plan changed after it was approved."""
    good, other = scale_out(), scale_out("inc-2")
    return {
        "more replicas than approved": (
            run(with_step(arguments={**good.steps[0].arguments, "replicas": 500})),
            DigestError,
        ),
        "another service than approved": (
            run(with_step(arguments={**good.steps[0].arguments, "name": "payment"})),
            DigestError,
        ),
        "another action than approved": (
            run(with_step(action="command", arguments=SHELL)),
            DigestError,
        ),
        "another title over the same step": (run(with_step(title="Harmless")), DigestError),
        "a longer timeout": (run(with_step(timeout_s=600)), DigestError),
        "a step added": (run(edited(steps=[*good.steps, *good.rollback])), DigestError),
        "the steps removed": (run(edited(steps=[])), DigestError),
        "another rollback": (run(edited(rollback=good.steps)), DigestError),
        "the rollback removed": (run(edited(rollback=[])), DigestError),
        "the verification weakened": (run(edited(verification={"hold_s": 0})), DigestError),
        "the preconditions removed": (run(edited(preconditions=[])), DigestError),
        "a lower risk class": (run(edited(risk="A")), DigestError),
        "parameters edited": (run(edited(parameters={"replicas": 500})), DigestError),
        "moved to another incident": (run(edited(incident_id="inc-2")), DigestError),
        "moved to another component": (run(edited(component="payment")), DigestError),
        "expiry put off": (run(edited(expires_at=NOW + 10**6), now=NOW + 10**5), DigestError),
        "another end of a failed step": (run(edited(on_failure="roll_back")), DigestError),
        "lock removed": (run(edited(lock="")), DigestError),
        "plan id exchanged": (
            run(edited(id=other.id), approval(good, plan_id=other.id)),
            DigestError,
        ),
    }


def _approvals() -> ForgedTable:
    """The plan as it was, its approval forged or missing."""
    good, other = scale_out(), scale_out("inc-2")
    return {
        "edited and signed again": (
            run(signed_again(edited(risk="A")), approval(good)),
            ApprovalError,
        ),
        "signed again, approval renamed": (
            run(
                signed_again(edited(risk="A")),
                approval(good, plan_id=signed_again(edited(risk="A")).id),
            ),
            DigestError,
        ),
        "digest of another incident": (run(good, approval(other, plan_id=good.id)), DigestError),
        "approval of another incident": (run(good, approval(other)), ApprovalError),
        "approval of an earlier proposal": (
            run(good, approval(scale_out(now=NOW - 60))),
            ApprovalError,
        ),
        "digest in capitals": (run(good, approval(good, digest=good.digest.upper())), DigestError),
        "digest cut short": (run(good, approval(good, digest=good.digest[:12])), DigestError),
        "digest empty": (run(good, approval(good, digest="")), DigestError),
        "a rejection": (run(good, approval(good, decision="reject", reason="no")), ApprovalError),
        "nobody approved": (run(good, approval(good, approver="")), ApprovalError),
        "white space approved": (run(good, approval(good, approver=" \t")), ApprovalError),
        "no approval at all": (
            lambda runner: run_step(good, 0, [], runner, NOW + 20, facts=FACTS),
            ApprovalError,
        ),
    }


def _moved() -> ForgedTable:
    """Another time, another step, other facts."""
    good = scale_out()
    return {
        "plan expired": (run(now=NOW + 901), PlanExpiredError),
        "approved after it expired": (
            run(good, approval(good, decided_at=NOW + 950), now=NOW + 960),
            PlanExpiredError,
        ),
        "clock moved back": (run(now=NOW - 3600), PlanExpiredError),
        "clock moved forward": (run(now=NOW + 10**9), PlanExpiredError),
        "clock is not a number": (run(now=float("nan")), PlanExpiredError),
        "clock is infinite": (run(now=float("-inf")), PlanExpiredError),
        "approval from the future": (
            run(good, approval(good, decided_at=NOW + 600)),
            PlanExpiredError,
        ),
        "approval older than the plan": (
            run(good, approval(good, decided_at=NOW - 600)),
            PlanExpiredError,
        ),
        "approval at no time": (
            run(good, approval(good, decided_at=float("nan"))),
            PlanExpiredError,
        ),
        "a step past the end": (run(index=1), StepError),
        "a step before the start": (run(index=-1), StepError),
        "a step run before": (run(results=[result(f"inc-1:{good.digest}:0")]), StepError),
        "a failed step run again": (
            run(results=[result(f"inc-1:{good.digest}:0", ok=False)]),
            StepError,
        ),
        "precondition no longer holds": (run(facts={"replicas:cart": 20.0}), PreconditionError),
        "precondition not known": (run(facts={}), PreconditionError),
        "precondition of another component": (
            run(facts={"replicas:payment": 3.0}),
            PreconditionError,
        ),
        "precondition not a number": (
            run(facts={"replicas:cart": float("nan")}),
            PreconditionError,
        ),
    }


VOCABULARY: dict[str, tuple[str, dict[str, object]]] = {
    "a command line as one word": ("command", {"argv": ["sh -c reboot"]}),
    "a path as a command": ("command", {"argv": ["/bin/sh"]}),
    "text for an argument vector": ("command", {"argv": "reboot"}),
    "no command": ("command", {"argv": []}),
    "a line break in an argument": ("command", {"argv": ["ls", "a\nb"]}),
    "a shell asked for": ("command", {"argv": ["ls"], "shell": True}),
    "an environment": ("command", {"argv": ["ls"], "env": {"LD_PRELOAD": "x"}}),
    "other host": ("http", {"base": "ops", "method": "GET", "path": "//evil.example/"}),
    "dot segments": ("http", {"base": "ops", "method": "GET", "path": "/a/../admin"}),
    "encoded dots": ("http", {"base": "ops", "method": "GET", "path": "/%2e%2e/admin"}),
    "user trick": ("http", {"base": "ops", "method": "GET", "path": "@evil.example"}),
    "backslash": ("http", {"base": "ops", "method": "GET", "path": "/\\evil.example"}),
    "query in the path": ("http", {"base": "ops", "method": "GET", "path": "/a?x=1"}),
    "header split": ("http", {"base": "ops", "method": "GET", "path": "/a\r\nHost: b"}),
    "an address as a base": ("http", {"base": "http://evil.example", "method": "GET", "path": "/"}),
    "method not allowed": ("http", {"base": "ops", "method": "CONNECT", "path": "/"}),
    "verb outside of the vocabulary": (
        "kubernetes",
        {"verb": "exec", "kind": "pod", "name": "cart"},
    ),
    "scaled to nothing": (
        "kubernetes",
        {"verb": "scale", "kind": "deployment", "name": "cart", "replicas": 0},
    ),
    "verb on the wrong kind": (
        "kubernetes",
        {"verb": "scale", "kind": "node", "name": "cart", "replicas": 2},
    ),
    "a configuration key with a command": (
        "config",
        {"service": "cart", "key": "pool_size; drop", "value": 3},
    ),
    "a path as a service": ("config", {"service": "../etc", "key": "pool_size", "value": 3}),
    "text for off": ("feature_flag", {"service": "cart", "flag": "f", "value": "false"}),
    "a proxy's command in a name": (
        "traffic",
        {"verb": "drain", "proxy": "edge", "pool": "web", "server": "a1; disable frontend web"},
    ),
    "a proxy's line end in a name": (
        "traffic",
        {"verb": "drain", "proxy": "edge", "pool": "web\nshutdown frontend web", "server": "a1"},
    ),
    "a path for a pool": (
        "traffic",
        {"verb": "ready", "proxy": "edge", "pool": "web/a1", "server": "b1"},
    ),
    "a proxy's verb outside of the vocabulary": (
        "traffic",
        {"verb": "maint", "proxy": "edge", "pool": "web", "server": "a1"},
    ),
    "a share of nothing": (
        "traffic",
        {"verb": "weigh", "proxy": "edge", "pool": "web", "server": "a1", "share": 0},
    ),
    "more than the whole share": (
        "traffic",
        {"verb": "weigh", "proxy": "edge", "pool": "web", "server": "a1", "share": 10_000},
    ),
    "a look that passes whatever it sees": (
        "traffic",
        {
            "verb": "look",
            "proxy": "edge",
            "pool": "web",
            "server": "a1",
            "over_s": 5,
            "failed_share": 1.0,
        },
    ),
    "a statement for a session": (
        "database",
        {"verb": "end_session", "database": "d", "session": "1 OR true", "blocks": 1, "for_s": 5},
    ),
    "sessions that nobody waits for, at once": (
        "database",
        {"verb": "end_session", "database": "d", "session": "1-1-a", "blocks": 0, "for_s": 0},
    ),
    "a database's address": (
        "database",
        {"verb": "end_session", "database": "db:5432/x", "session": "1-1-a", "blocks": 1},
    ),
    "SQL for a verb": ("database", {"verb": "drop", "database": "d", "session": "1-1-a"}),
    "every key of a cache": ("cache", {"verb": "flush", "cache": "c", "keys": "*", "most": 9}),
    "a flush without a bound": ("cache", {"verb": "flush", "cache": "c", "keys": "carts"}),
    "a flush of all there is": (
        "cache",
        {"verb": "flush", "cache": "c", "keys": "carts", "most": 10**9},
    ),
    "a cache's command in a name": (
        "cache",
        {"verb": "pause", "cache": "c", "queue": "q\r\nFLUSHALL\r\n"},
    ),
    "a state by its value": (
        "switch",
        {"switch": "s", "before": "blue", "after": "10.6.6.6\n* IN NS evil.example."},
    ),
    "a switch to wherever it is": ("switch", {"switch": "s", "after": "green"}),
    "a pause for ever": ("cache", {"verb": "pause", "cache": "c", "queue": "q", "for_s": 10**9}),
    "a cache's verb outside of the vocabulary": ("cache", {"verb": "flushall", "cache": "c"}),
    "waiting for ever": ("wait", {"seconds": 1000000000}),
    "waiting backwards": ("wait", {"seconds": -1}),
}
"""Steps that are signed and approved, but that no runner may ever see."""


def forged_attacks() -> Iterator[Attack]:
    """One for each row of both tables."""
    for name, (act, refusal) in {**_edited(), **_approvals(), **_moved()}.items():
        yield Attack(name, act, refusal)
    for name, (action, arguments) in VOCABULARY.items():
        plan = signed_again(with_step(action=action, arguments=arguments))
        yield Attack(name, run(plan, approval(plan)), StepError)
