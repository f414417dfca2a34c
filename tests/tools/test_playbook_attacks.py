"""What must be refused before anything is touched, one named row each."""

from collections.abc import Callable

import pytest

from knowledge_base import playbooks
from tools.playbook_executor import (
    ApprovalError,
    DigestError,
    ExpiredError,
    ParameterError,
    PreconditionError,
    RefusedError,
    StepError,
    digest,
    fill,
    run_step,
)
from tools.types import Approval, Plan, PlanStep, StepResult

BY_ID = {playbook.id: playbook for playbook in playbooks()}
NOW = 1_772_546_400.0
FACTS = {"replicas:cart": 3.0}

HOSTILE = {
    "second command": "cart; rm -rf /",
    "and command": "cart && reboot",
    "pipe": "cart|sh",
    "command substitution": "$(reboot)",
    "backticks": "`reboot`",
    "newline": "cart\nreboot",
    "trailing newline": "cart\n",
    "carriage return": "cart\rreboot",
    "null byte": "cart\x00",
    "option": "--all",
    "short option": "-A",
    "parent folder": "../../etc/passwd",
    "absolute path": "/etc/passwd",
    "hidden parent": "cart..prod",
    "URL": "http://evil.example/x",
    "user in a URL": "cart@evil.example",
    "encoded slash": "cart%2f..%2fadmin",
    "Jinja": "{{ 7*7 }}",
    "Jinja code": "{% import os %}",
    "our own hole": "${service}",
    "format string": "{0.__class__}",
    "percent format": "%(password)s",
    "wildcard": "*",
    "label selector": "app=cart",
    "JSON": '{"verb": "drain"}',
    "white space": " cart",
    "escape sequence": "cart\x1b[2J",
    "direction override": "cart\u202egpj",
    "zero width": "cart\u200b",
    "look-alike letter": "сart",
    "full-width letter": "ｃart",
    "empty": "",
    "very long": "a" * 4096,
}
"""What an attacker would write where a name is expected."""

NAMES = [
    pytest.param(playbook.id, parameter.name, id=f"{playbook.id}/{parameter.name}")
    for playbook in BY_ID.values()
    for parameter in playbook.parameters
    if parameter.type == "name"
]
NUMBERS = [
    pytest.param(playbook.id, parameter.name, id=f"{playbook.id}/{parameter.name}")
    for playbook in BY_ID.values()
    for parameter in playbook.parameters
    if parameter.type == "integer"
]


def good_values(playbook_id: str) -> dict[str, object]:
    playbook = BY_ID[playbook_id]
    return {
        parameter.name: 8 if parameter.type == "integer" else "cart"
        for parameter in playbook.parameters
    }


def filled(playbook_id: str, values: dict[str, object], component: str = "cart") -> Plan:
    return fill(BY_ID[playbook_id], values, "inc-1", component, (), NOW, 900.0)


@pytest.mark.parametrize("playbook_id", sorted(BY_ID))
def test_the_values_the_attacks_start_from_are_good(playbook_id: str) -> None:
    assert filled(playbook_id, good_values(playbook_id)).steps


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize(("playbook_id", "name"), NAMES)
def test_hostile_text_in_a_name(playbook_id: str, name: str, attack: str) -> None:
    values = {**good_values(playbook_id), name: HOSTILE[attack]}
    with pytest.raises(ParameterError):
        filled(playbook_id, values)


@pytest.mark.parametrize("attack", sorted(set(HOSTILE) - {"user in a URL"}))  # also an owner
def test_hostile_text_as_the_component(attack: str) -> None:
    with pytest.raises(ParameterError):
        filled("drain-node", good_values("drain-node"), HOSTILE[attack])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("8", id="text"),
        pytest.param("8; reboot", id="text with a command"),
        pytest.param(8.0, id="fraction"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(True, id="boolean"),
        pytest.param(-1, id="negative"),
        pytest.param(0, id="zero"),
        pytest.param(10**9, id="far too many"),
        pytest.param(10**400, id="beyond any float"),
        pytest.param(None, id="nothing"),
        pytest.param([8], id="list"),
        pytest.param({"$gt": 0}, id="operator object"),
    ],
)
@pytest.mark.parametrize(("playbook_id", "name"), NUMBERS)
def test_an_unfit_number(playbook_id: str, name: str, value: object) -> None:
    values = {**good_values(playbook_id), name: value}
    with pytest.raises(ParameterError):
        filled(playbook_id, values)


@pytest.mark.parametrize(
    ("surplus", "value"),
    [("namespace", "kube-system"), ("argv", ["sh"]), ("__class__", "x"), ("steps", [])],
)
def test_a_parameter_nobody_declared(surplus: str, value: object) -> None:
    with pytest.raises(ParameterError, match="not declared"):
        filled("restart", {"service": "cart", surplus: value})


def test_the_component_of_another_incident() -> None:
    with pytest.raises(ParameterError, match="not the component of the plan"):
        filled("restart", {"service": "payment"})


class Recorder:
    """Remembers what got through."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(self, step: PlanStep, key: str) -> StepResult:
        self.ran.append(key)
        return StepResult(key=key, ok=True, started_at=NOW, ended_at=NOW)


def scale_out(incident_id: str = "inc-1", now: float = NOW) -> Plan:
    values = {"service": "cart", "replicas": 5, "replicas_before": 3}
    return fill(BY_ID["scale-out"], values, incident_id, "cart", (), now, 900.0)


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


GOOD = scale_out()
OTHER = scale_out("inc-2")
SHELL = {"argv": ["sh", "-c", "reboot"]}
Run = Callable[[Recorder], object]


def run(
    plan: Plan = GOOD,
    given: Approval | None = None,
    index: int = 0,
    now: float = NOW + 20,
    facts: dict[str, float] | None = None,
    results: list[StepResult] | None = None,
) -> Run:
    known = FACTS if facts is None else facts
    allowed = given or approval(GOOD)
    return lambda runner: run_step(plan, index, allowed, runner, now, facts=known, results=results)


def result(key: str, ok: bool = True) -> StepResult:
    return StepResult(key=key, ok=ok, started_at=NOW, ended_at=NOW)


ATTACKS: dict[str, tuple[Run, type[RefusedError]]] = {
    "more replicas than approved": (
        run(with_step(arguments={**GOOD.steps[0].arguments, "replicas": 500})),
        DigestError,
    ),
    "another service than approved": (
        run(with_step(arguments={**GOOD.steps[0].arguments, "name": "payment"})),
        DigestError,
    ),
    "another action than approved": (
        run(with_step(action="command", arguments=SHELL)),
        DigestError,
    ),
    "another title over the same step": (run(with_step(title="Harmless")), DigestError),
    "a longer timeout": (run(with_step(timeout_s=600)), DigestError),
    "a step added": (run(edited(steps=[*GOOD.steps, *GOOD.rollback])), DigestError),
    "the steps removed": (run(edited(steps=[])), DigestError),
    "another rollback": (run(edited(rollback=GOOD.steps)), DigestError),
    "the rollback removed": (run(edited(rollback=[])), DigestError),
    "the verification weakened": (run(edited(verification={"hold_s": 0})), DigestError),
    "the preconditions removed": (run(edited(preconditions=[])), DigestError),
    "a lower risk class": (run(edited(risk="A")), DigestError),
    "parameters edited": (run(edited(parameters={"replicas": 500})), DigestError),
    "moved to another incident": (run(edited(incident_id="inc-2")), DigestError),
    "moved to another component": (run(edited(component="payment")), DigestError),
    "expiry put off": (run(edited(expires_at=NOW + 10**6), now=NOW + 10**5), DigestError),
    "lock removed": (run(edited(lock="")), DigestError),
    "plan id exchanged": (run(edited(id=OTHER.id), approval(GOOD, plan_id=OTHER.id)), DigestError),
    "edited and signed again": (
        run(signed_again(edited(risk="A")), approval(GOOD)),
        ApprovalError,
    ),
    "signed again, approval renamed": (
        run(
            signed_again(edited(risk="A")),
            approval(GOOD, plan_id=signed_again(edited(risk="A")).id),
        ),
        DigestError,
    ),
    "digest of another incident": (run(GOOD, approval(OTHER, plan_id=GOOD.id)), DigestError),
    "approval of another incident": (run(GOOD, approval(OTHER)), ApprovalError),
    "approval of an earlier proposal": (
        run(GOOD, approval(scale_out(now=NOW - 60))),
        ApprovalError,
    ),
    "digest in capitals": (run(GOOD, approval(GOOD, digest=GOOD.digest.upper())), DigestError),
    "digest cut short": (run(GOOD, approval(GOOD, digest=GOOD.digest[:12])), DigestError),
    "digest empty": (run(GOOD, approval(GOOD, digest="")), DigestError),
    "a rejection": (run(GOOD, approval(GOOD, decision="reject", reason="no")), ApprovalError),
    "nobody approved": (run(GOOD, approval(GOOD, approver="")), ApprovalError),
    "white space approved": (run(GOOD, approval(GOOD, approver=" \t")), ApprovalError),
    "no approval at all": (
        lambda runner: run_step(GOOD, 0, [], runner, NOW + 20, facts=FACTS),
        ApprovalError,
    ),
    "plan expired": (run(now=NOW + 901), ExpiredError),
    "approved after it expired": (
        run(GOOD, approval(GOOD, decided_at=NOW + 950), now=NOW + 960),
        ExpiredError,
    ),
    "clock moved back": (run(now=NOW - 3600), ExpiredError),
    "clock moved forward": (run(now=NOW + 10**9), ExpiredError),
    "clock is not a number": (run(now=float("nan")), ExpiredError),
    "clock is infinite": (run(now=float("-inf")), ExpiredError),
    "approval from the future": (run(GOOD, approval(GOOD, decided_at=NOW + 600)), ExpiredError),
    "approval older than the plan": (
        run(GOOD, approval(GOOD, decided_at=NOW - 600)),
        ExpiredError,
    ),
    "approval at no time": (run(GOOD, approval(GOOD, decided_at=float("nan"))), ExpiredError),
    "a step past the end": (run(index=1), StepError),
    "a step before the start": (run(index=-1), StepError),
    "a step run before": (run(results=[result(f"inc-1:{GOOD.digest}:0")]), StepError),
    "a failed step run again": (
        run(results=[result(f"inc-1:{GOOD.digest}:0", ok=False)]),
        StepError,
    ),
    "precondition no longer holds": (run(facts={"replicas:cart": 20.0}), PreconditionError),
    "precondition not known": (run(facts={}), PreconditionError),
    "precondition of another component": (
        run(facts={"replicas:payment": 3.0}),
        PreconditionError,
    ),
    "precondition not a number": (run(facts={"replicas:cart": float("nan")}), PreconditionError),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_execution(attack: str) -> None:
    act, refusal = ATTACKS[attack]
    runner = Recorder()
    with pytest.raises(refusal):
        act(runner)
    assert runner.ran == []


def test_without_an_attack_the_step_runs() -> None:
    runner = Recorder()
    run()(runner)
    assert len(runner.ran) == 1


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        pytest.param("command", {"argv": ["sh -c reboot"]}, id="a command line as one word"),
        pytest.param("command", {"argv": ["/bin/sh"]}, id="a path as a command"),
        pytest.param("command", {"argv": "reboot"}, id="text for an argument vector"),
        pytest.param("command", {"argv": []}, id="no command"),
        pytest.param("command", {"argv": ["ls", "a\nb"]}, id="a line break in an argument"),
        pytest.param("command", {"argv": ["ls"], "shell": True}, id="a shell asked for"),
        pytest.param("command", {"argv": ["ls"], "env": {"LD_PRELOAD": "x"}}, id="an environment"),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "//evil.example/"}, id="other host"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "/a/../admin"}, id="dot segments"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "/%2e%2e/admin"}, id="encoded dots"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "@evil.example"}, id="user trick"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "/\\evil.example"}, id="backslash"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "/a?x=1"}, id="query in the path"
        ),
        pytest.param(
            "http", {"base": "ops", "method": "GET", "path": "/a\r\nHost: b"}, id="header split"
        ),
        pytest.param(
            "http",
            {"base": "http://evil.example", "method": "GET", "path": "/"},
            id="an address as a base",
        ),
        pytest.param(
            "http", {"base": "ops", "method": "CONNECT", "path": "/"}, id="method not allowed"
        ),
        pytest.param(
            "kubernetes",
            {"verb": "exec", "kind": "pod", "name": "cart"},
            id="verb outside of the vocabulary",
        ),
        pytest.param(
            "kubernetes",
            {"verb": "scale", "kind": "deployment", "name": "cart", "replicas": 0},
            id="scaled to nothing",
        ),
        pytest.param(
            "kubernetes",
            {"verb": "scale", "kind": "node", "name": "cart", "replicas": 2},
            id="verb on the wrong kind",
        ),
        pytest.param(
            "config",
            {"service": "cart", "key": "pool_size; drop", "value": 3},
            id="a configuration key with a command",
        ),
        pytest.param(
            "config",
            {"service": "../etc", "key": "pool_size", "value": 3},
            id="a path as a service",
        ),
        pytest.param(
            "feature_flag", {"service": "cart", "flag": "f", "value": "false"}, id="text for off"
        ),
        pytest.param("wait", {"seconds": 10**9}, id="waiting for ever"),
        pytest.param("wait", {"seconds": -1}, id="waiting backwards"),
    ],
)
def test_a_signed_and_approved_step_outside_of_the_vocabulary(
    action: str, arguments: dict[str, object]
) -> None:
    plan = signed_again(with_step(action=action, arguments=arguments))
    runner = Recorder()
    with pytest.raises(StepError):
        run(plan, approval(plan))(runner)
    assert runner.ran == []


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_text_never_reaches_a_filled_step(attack: str) -> None:
    texts = {**good_values("rate-limit"), "service": HOSTILE[attack]}
    with pytest.raises(ParameterError) as refused:
        filled("rate-limit", texts, "cart")
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
