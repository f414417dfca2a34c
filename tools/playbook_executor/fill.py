"""Fill a playbook into a plan a person can approve, and give it the digest they approve."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from tools.playbook_executor.errors import ParameterError
from tools.playbook_executor.parameters import names, substitute, text, validated
from tools.playbook_executor.vocabulary import ArgumentsError, arguments, owner
from tools.types import (
    AnotherWay,
    MetricCheck,
    Plan,
    PlanStep,
    Playbook,
    PlaybookStep,
    Scalar,
    Timestamp,
    Verification,
)

_UNSIGNED = "0" * 64


def fill(
    playbook: Playbook,
    parameters: Mapping[str, object],
    incident_id: str,
    component: str,
    evidence: Sequence[str],
    now: Timestamp,
    ttl_s: float,
    stands_for: Callable[[PlanStep], str] = lambda _step: "",
    stays: Sequence[str] = (),
    another: AnotherWay | None = None,
) -> Plan:
    """The plan of a playbook for one component of one incident, valid for `ttl_s` seconds.

    `stands_for` says what the names in a step mean here; the digest covers it. `stays` are more
    readings for those of the verification, `another` a way that is shown beside it.

    Raises `ParameterError` if a value is unknown, missing, of another type, out of bounds, or
    would make a step that is not in the vocabulary, and `ValueError` for times that are not.
    """
    if not (math.isfinite(now) and math.isfinite(ttl_s) and ttl_s > 0):
        raise ValueError(f"a plan needs a time and a positive validity, got {now!r} and {ttl_s!r}")
    try:
        owner(component)
    except ValueError as error:
        raise ParameterError(playbook.id, "component", str(error)) from error
    values = validated(playbook, parameters, component)
    draft = Plan(
        id="",
        incident_id=incident_id,
        playbook_id=playbook.id,
        title=text(playbook.title.en, values),
        title_zh=text(playbook.title.zh, values),
        risk=playbook.risk,
        component=component,
        parameters=dict(values),
        steps=_meant(filled_steps(playbook, playbook.steps, values), stands_for),
        rollback=_meant(filled_steps(playbook, playbook.rollback, values), stands_for),
        preconditions=playbook.preconditions,
        verification=_verification(playbook.verification, values, stays),
        lock=text(playbook.lock, values),
        cooldown_s=playbook.cooldown_s,
        evidence=tuple(evidence),
        expected_effect=text(playbook.expected_effect.en, values),
        expected_effect_zh=text(playbook.expected_effect.zh, values),
        blast_radius=_blast_radius(playbook, values),
        blast_radius_zh=_blast_radius_zh(playbook, values),
        on_failure=playbook.on_failure,
        another=another,
        created_at=now,
        expires_at=now + ttl_s,
        digest=_UNSIGNED,
    )
    signature = digest(draft)
    return draft.model_copy(update={"digest": signature, "id": plan_id(draft, signature)})


def _meant(
    steps: Sequence[PlanStep], stands_for: Callable[[PlanStep], str]
) -> tuple[PlanStep, ...]:
    return tuple(one.model_copy(update={"stands_for": stands_for(one)}) for one in steps)


def digest(plan: Plan) -> str:
    """SHA-256, in hex, over the canonical JSON of every field but `id` and `digest`.

    `another` counts where there is one, so that a plan asked before there was such a field holds.

    Canonical: keys sorted, no spaces, UTF-8, a whole number written without a fraction; so a plan
    that went through JSON or a checkpoint and came back has the digest it left with.
    """
    unsigned = {"id", "digest"} | (set() if plan.another else {"another"})
    fields = plan.model_dump(mode="json", exclude=unsigned)
    document = json.dumps(
        _canonical(fields),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return hashlib.sha256(document.encode("utf-8")).hexdigest()


def plan_id(plan: Plan, signature: str) -> str:
    """`<playbook>-<first 12 of the digest>`: another plan never has the same one."""
    return f"{plan.playbook_id}-{signature[:12]}"


def _canonical(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def filled_steps(
    playbook: Playbook, steps: Sequence[PlaybookStep], values: Mapping[str, Scalar]
) -> tuple[PlanStep, ...]:
    """The steps with every hole filled, each of the shape its action asks for.

    One with `each` becomes a step for every name, with those of its canary after the first.
    """
    unfolded = (found for step in steps for found in _unfolded(step, values))
    return tuple(_step(playbook, index, *found) for index, found in enumerate(unfolded))


def _unfolded(
    step: PlaybookStep, values: Mapping[str, Scalar]
) -> Iterator[tuple[PlaybookStep, Mapping[str, Scalar]]]:
    if not step.each:
        yield step, values
        return
    for place, one in enumerate(names(str(values[step.each]))):
        now = {**values, step.each: one}
        yield step, now
        if place == 0:
            yield from ((look, now) for look in step.canary)


def _step(
    playbook: Playbook, index: int, step: PlaybookStep, values: Mapping[str, Scalar]
) -> PlanStep:
    filled = PlanStep(
        index=index,
        title=text(step.title.en, values),
        title_zh=text(step.title.zh, values),
        action=step.action,
        target=text(step.target, values),
        arguments=_arguments(step, values),
        timeout_s=step.timeout_s,
        idempotent=step.idempotent,
    )
    try:
        arguments(filled)
    except ArgumentsError as error:
        raise ParameterError(playbook.id, f"step {index + 1}", str(error)) from error
    return filled


def _arguments(step: PlaybookStep, values: Mapping[str, Scalar]) -> dict[str, JsonValue]:
    if step.action == "command":  # an argument vector holds characters only
        values = {name: str(value) for name, value in values.items()}
    return {key: substitute(item, values) for key, item in step.arguments.items()}


def _verification(
    verification: Verification, values: Mapping[str, Scalar], stays: Sequence[str]
) -> Verification:
    checks = tuple(
        MetricCheck(
            owner=text(check.owner, values),
            metric=check.metric,
            comparison=check.comparison,
            value=check.value,
        )
        for check in verification.checks
    )
    stay = tuple(dict.fromkeys((*verification.stays, *stays)))
    return verification.model_copy(update={"checks": checks, "stays": stay})


def _blast_radius(playbook: Playbook, values: Mapping[str, Scalar]) -> str:
    radius = playbook.blast_radius
    count = f"at most {radius.instances} at once" if radius.instances else "no instance"
    return f"{text(radius.notice.en, values)} ({count})"


def _blast_radius_zh(playbook: Playbook, values: Mapping[str, Scalar]) -> str:
    radius = playbook.blast_radius
    count = f"同时最多 {radius.instances} 个实例" if radius.instances else "不涉及实例"
    return f"{text(radius.notice.zh, values)}（{count}）"
