"""A job of a system that people own: started once, followed by its id, cancelled, read.

The id is written down before anything is awaited, by whoever carries the plan out (`following`).
A job whose start was not answered is found again by its key, or a person looks; none starts twice.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, JsonValue, TypeAdapter, field_validator, model_validator

from copilot.hands.http import HttpAnswer, HttpCaller, UnknownEndError
from copilot.hands.job_systems import (
    JobParameter,
    JobRequest,
    JobState,
    JobSystem,
    holes_of,
    job_system,
    searched,
)
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported, shown
from copilot.ports import Clock
from tools.playbook_executor.parameters import substitute, text
from tools.playbook_executor.vocabulary import JobArguments, ResourceName
from tools.types import FrozenModel, PlanStep, Scalar, StepResult, Timestamp

MOST = 4_194_304
"""Bytes of an answer that is read. source: 50 jobs of AWX with 64 kB of variables each."""
TIMEOUT_S = 15.0
"""One request; a job is asked again until its own time is up."""
TAIL = 20
"""Lines of the log that are kept. source: a third of what a step's result shows."""
CANCELLED_WITHIN_S = 60.0
"""How long a cancelled job is followed. source: AWX and Jenkins kill after 10 to 30 s."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEY = re.compile(r"[A-Za-z0-9:._-]{1,200}")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%/-]{0,199}")


class JobHandle(FrozenModel):
    """What a started job is known by: its id, or its place in a queue until it has one."""

    id: str = ""
    ticket: str = ""
    cancelled: str = ""
    """Why it is to end."""


class JobProgress(NamedTuple):
    """How far a job is, and its result once it has ended."""

    handle: JobHandle
    told: str
    result: StepResult | None = None


class JobTarget(FrozenModel):
    """A job of the runners file: the system, the base it is reached at, which job, its parameters.

    `keyed` names the job's own parameter that takes the step's key, by which it is found again.
    """

    system: str
    base: ResourceName
    of: dict[ResourceName, str] = Field(default_factory=dict)
    parameters: dict[str, JobParameter] = Field(default_factory=dict, max_length=20)
    keyed: ResourceName | None = None

    @field_validator("of")
    @classmethod
    def _plain(cls, given: dict[str, str]) -> dict[str, str]:
        for value in given.values():
            if not _VALUE.fullmatch(value) or ".." in value or "//" in value:
                raise ValueError(f"{value[:80]!r} is no plain part of an address")
        return given

    @model_validator(mode="after")
    def _which(self) -> "JobTarget":
        wanted = self.declared.of
        if set(self.of) != set(wanted):
            raise ValueError(f"`of` needs {', '.join(wanted)} for {self.system}")
        for name in self.declared.takes:
            if name not in self.parameters or self.parameters[name].type != "name":
                raise ValueError(f'`parameters.{name} = {{type = "name"}}` is lacking')
        if self.keyed and self.declared.find is None:
            raise ValueError(f"`keyed`: {self.system} finds no job by a parameter")
        return self

    @property
    def declared(self) -> JobSystem:
        """The system's declaration."""
        return job_system(self.system)

    def meaning(self, step: PlanStep) -> str:
        """The system and which job of it; a system of the operator's own with its file's hash."""
        which = ", ".join(f"{name} {value}" for name, value in sorted(self.of.items()))
        if not Path(self.system).is_absolute():
            return f"{self.declared.title.en}: {which}"
        read = hashlib.sha256(self.declared.model_dump_json().encode()).hexdigest()
        return f"{self.declared.title.en}: {which}; {self.system} sha256:{read}"

    @property
    def told(self) -> str:
        """For a person."""
        which = ", ".join(self.of.values())
        return f"{self.declared.title.en} {which}, by the http base {self.base}"

    @property
    def findable(self) -> bool:
        """Whether a job whose start was not answered is found again."""
        return self.declared.find is not None and (
            self.declared.keyed == "always" or self.keyed is not None
        )

    def values(self, given: Mapping[str, Scalar], key: str) -> dict[str, Scalar]:
        """The job's parameters; `StepFailedError` for one that is undeclared, missing or unfit."""
        for surplus in sorted(set(given) - set(self.parameters)):
            raise StepFailedError(f"the job declares no parameter {surplus[:80]!r}")
        found: dict[str, Scalar] = {}
        for name, parameter in self.parameters.items():
            try:
                found[name] = parameter.checked(given.get(name))
            except ValueError as error:
                raise StepFailedError(f"parameter {name!r}: {error}") from error
        return found | ({self.keyed: key} if self.keyed else {})


class JobRunner:
    """Runs `job` steps. Each verb sends what it must and returns at once; nothing waits here."""

    def __init__(self, targets: Mapping[str, JobTarget], caller: HttpCaller, clock: Clock) -> None:
        self._targets, self._caller, self._clock = dict(targets), caller, clock

    def touches(self, step: PlanStep) -> bool:
        """The job is really started."""
        return True

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Start the job; ok once it is accepted, with its handle as the output."""
        return reported(self._clock, key, lambda: self._start(step, key).model_dump_json())

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Ask for the job with its token; check its parameters. Nothing is started."""
        target, asked = self._target(step)
        values = target.values(asked.parameters, "rehearsal")
        if problem := self._refused(target, values):
            return Rehearsal("", problem)
        again = (
            ""
            if target.findable or target.declared.keyed == "idempotent"
            else ("; a start that is not answered is not found again, a person would look")
        )
        named = ", ".join(f"{name} {value}" for name, value in values.items())
        return Rehearsal(f"{target.told} is there; not started with {named or 'nothing'}{again}")

    def every_s(self, step: PlanStep) -> float:
        """Seconds between two looks."""
        return self._target(step)[0].declared.every_s

    def again(self, step: PlanStep) -> bool:
        """Whether starting it once more with the same key is the same start."""
        return self._target(step)[0].declared.keyed == "idempotent"

    def found(self, step: PlanStep, key: str) -> JobHandle | None:
        """The job that was started with this key; None where there is none or nobody can say."""
        target, _ = self._target(step)
        search = target.declared.find
        if search is None or not target.findable:
            return None
        values = {"key": _plain_key(key)}
        answer = self._send(target, search, values)
        found = searched(text(search.id, values), _document(answer, search))
        return None if found is None else JobHandle(id=_id(found))

    def look(
        self, step: PlanStep, key: str, handle: JobHandle, since: Timestamp, stop: str = ""
    ) -> JobProgress:
        """How far it is. One whose time is up, or with a reason to `stop`, is cancelled.

        A system that does not answer is asked again until the job's time is up, and a cancel that
        it does not take is sent again.
        """
        now = self._clock.now()
        until, told, refused = since + step.timeout_s, "", ""
        if now > until:
            stop = stop or f"it did not end within {step.timeout_s:g} s"
        try:
            target, _ = self._target(step)
            if stop and not handle.cancelled:
                try:
                    self._cancel(target, handle)
                    handle = handle.model_copy(update={"cancelled": stop})
                except StepFailedError as problem:  # told again at the next look
                    refused = str(problem)
            handle, state, told = self._state(target, handle)
            if state in ("succeeded", "failed"):
                error = "" if state == "succeeded" else _joined(told, handle.cancelled)
                said = told + self._log(target, handle)
                return JobProgress(handle, shown(told), _result(key, error, said, since, now))
        except StepFailedError as problem:
            told = str(problem)
        told = _joined(told, refused)
        if now > until + CANCELLED_WITHIN_S:
            taken = "was" if handle.cancelled else "could not be"
            error = f"{handle.cancelled or stop}; it {taken} told to end and may still run: {told}"
            return JobProgress(handle, shown(told), _result(key, error, "", since, now))
        return JobProgress(handle, shown(told))

    def _target(self, step: PlanStep) -> tuple[JobTarget, JobArguments]:
        asked = of_type(step, JobArguments)
        target = self._targets.get(asked.job)
        if target is None:
            raise StepFailedError(f"job {asked.job!r} is not declared")
        return target, asked

    def _refused(self, target: JobTarget, given: Mapping[str, Scalar]) -> str:
        """Why it cannot be started with these parameters; empty where nothing speaks against it."""
        probe = target.declared.probe
        answer = self._send(target, probe, {"key": "rehearsal"})
        if answer.status not in probe.expect:
            return f"{answer.address} answers {answer.status}"
        if given and probe.takes and not searched(probe.takes, _document(answer, probe)):
            return f"{target.told} would ignore its parameters: {probe.takes} is not so there"
        return ""

    def _start(self, step: PlanStep, key: str) -> JobHandle:
        target, asked = self._target(step)
        start = target.declared.start
        given = target.values(asked.parameters, _plain_key(key))
        if target.declared.probe.takes and (problem := self._refused(target, given)):
            raise StepFailedError(problem)
        values = {**given, **holes_of(given), "json": json.dumps(given, sort_keys=True), "key": key}
        values["uuid"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"incident-copilot:{key}"))
        try:
            answer = self._send(target, start, values)
        except UnknownEndError as error:
            return self._started_or_not(step, key, str(error))
        if answer.status >= 500 and answer.status not in start.expect:
            lost = f"{answer.address} answered {answer.status}"
            return self._started_or_not(step, key, lost, answer.body)
        if answer.status not in start.expect:
            raise StepFailedError(f"{answer.address} answered {answer.status}", answer.body)
        if start.named:
            return JobHandle(id=_id(given[start.named]))
        if start.location:
            found = re.search(start.location, answer.headers.get("location", "")[:2000])
            if found is not None:
                return JobHandle(ticket=_id(found[1]))
        elif (told := searched(start.id, _document(answer, start))) is not None:
            return JobHandle(id=_id(told))
        problem = f"{answer.address} answered {answer.status} without the job's id; look there"
        raise StepFailedError(problem, answer.body)

    def _started_or_not(
        self, step: PlanStep, key: str, problem: str, output: str = ""
    ) -> JobHandle:
        """The job of a start that was not answered, or whose answer leaves open what was done: a
        gateway that waited in vain says 502 or 504 (RFC 9110, 15.6).
        """
        try:
            known = self.found(step, key)
        except StepFailedError as error:
            known, problem = None, f"{problem}; it was looked for by its key, and {error}"
        if known is not None:
            return known
        problem = f"{problem}; it may have been started: look there before it is tried again"
        raise StepFailedError(problem, output)

    def _state(
        self, target: JobTarget, handle: JobHandle
    ) -> tuple[JobHandle, JobState | None, str]:
        system = target.declared
        if not handle.id and system.queue is not None:
            document = _document(
                self._send(target, system.queue, handle.model_dump()), system.queue
            )
            found, lost = searched(system.queue.id, document), searched(system.queue.lost, document)
            if lost:
                return handle, "failed", f"{system.title.en}: {lost}"
            if found is None:
                return handle, "queued", f"{system.title.en}: queued"
            # One that left the queue before it was told to end there is told again, by its id.
            handle = handle.model_copy(update={"id": _id(found), "cancelled": ""})
        answer = self._send(target, system.status, handle.model_dump())
        document = _document(answer, system.status)
        state_at = text(system.status.state, handle.model_dump())
        word = str(searched(state_at, document))[:80]
        state = system.status.meaning(word)
        reason = searched(system.status.reason, document)
        because = f": {str(reason)[:300]}" if reason else ""
        unknown = "" if state else " (a word that the declaration does not have)"
        return handle, state, f"{system.title.en} {handle.id}: {word}{unknown}{because}"

    def _cancel(self, target: JobTarget, handle: JobHandle) -> None:
        system = target.declared
        queued = system.cancel_queued if not handle.id else None
        request = queued or system.cancel
        answer = self._send(target, request, handle.model_dump())
        if answer.status not in request.expect:
            raise StepFailedError(f"{answer.address} answered {answer.status} to the cancel")

    def _log(self, target: JobTarget, handle: JobHandle) -> str:
        """The last lines of what it wrote; nothing where that cannot be read."""
        log = target.declared.log
        if log is None or not handle.id:
            return ""
        try:
            answer = self._send(target, log, handle.model_dump())
        except StepFailedError:
            return ""
        if answer.status not in log.expect:
            return ""
        found: object = answer.body
        if log.text is not None:
            found = searched(log.text, _document(answer, log))
        lines = found if isinstance(found, list) else str(found or "").splitlines()
        return "".join(f"\n{str(line).rstrip()[:300]}" for line in lines[-TAIL:])

    def _send(
        self, target: JobTarget, request: JobRequest, values: Mapping[str, JsonValue]
    ) -> HttpAnswer:
        known = {**values, **target.of}
        method, _, path = request.call.partition(" ")
        form = substitute(request.form, known)
        return self._caller.send(
            target.base,
            method,
            text(path, known),
            query=_mapping(substitute(dict(request.query), known)),
            body=substitute(request.body, known),
            form={name: _form(value) for name, value in _mapping(form).items()} or None,
            headers={"Accept": "application/json", **request.headers},
            timeout_s=TIMEOUT_S,
            most=MOST,
        )


_MAPPING: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return _MAPPING.validate_python(value or {})


def _form(value: JsonValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _document(answer: HttpAnswer, request: JobRequest) -> object:
    if answer.status not in request.expect:
        raise StepFailedError(f"{answer.address} answered {answer.status}", answer.body)
    try:
        document: object = json.loads(answer.body)
    except ValueError as error:
        raise StepFailedError(f"{answer.address} answered no JSON", answer.body) from error
    return document


def _id(found: object) -> str:
    """An id as it may stand in an address; what a system answers is as foreign as any text."""
    told = str(found)
    if isinstance(found, bool) or not _ID.fullmatch(told) or ".." in told:
        raise StepFailedError(f"{told[:80]!r} is no id of a job; look there")
    return told


def _plain_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise StepFailedError(f"the step's key {key[:80]!r} has characters that no request takes")
    return key


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _result(key: str, error: str, output: str, started: Timestamp, now: Timestamp) -> StepResult:
    return StepResult(
        key=key,
        ok=not error,
        output=shown(output),
        error=shown(error),
        started_at=min(started, now),
        ended_at=now,
    )
