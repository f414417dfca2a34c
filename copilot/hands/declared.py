"""What an operator lets the copilot run for real: one strict TOML file, and the runners it makes.

`runners.toml` beside this file has every key.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, TypeVar

from pydantic import AfterValidator, Field, JsonValue, SecretStr

from copilot.hands.cache import CacheRunner, RedisTarget
from copilot.hands.command import CommandRunner
from copilot.hands.credentials import (
    HttpBase,
    RunnersFileError,
    SecretReader,
    VaultServer,
    WithPassword,
)
from copilot.hands.database import DatabaseRunner, DatabaseTarget
from copilot.hands.http import HttpCaller, HttpRunner
from copilot.hands.jobs import JobRunner, JobTarget
from copilot.hands.kubernetes import Cluster, KubernetesRunner, ObjectSwitch
from copilot.hands.plain import CheckRunner, ConfirmationPrompt, ManualRunner, WaitRunner
from copilot.hands.report import StepFailedError
from copilot.hands.rest_switch import ApiSwitch, declarations
from copilot.hands.settings_file import SettingsFileRunner
from copilot.hands.switch import DnsRecord, Switchable, SwitchRunner, SwitchTarget
from copilot.hands.traffic import ProxyTarget, TrafficRunner
from copilot.ports import Clock, MetricSource, Runner
from copilot.types import strict_toml
from tools.playbook_executor.vocabulary import ResourceName, binary
from tools.types import FrozenModel, PlanStep, Playbook, PlaybookStep, StepAction

Binary = Annotated[str, AfterValidator(binary)]
DryRunOption = Annotated[str, Field(pattern=r"^--?[a-z][a-z0-9-]{0,40}$")]
TargetT = TypeVar("TargetT", bound=WithPassword)


class SettingsFolder(FrozenModel):
    """Where the settings files of the services lie."""

    folder: Path


class KubernetesTarget(FrozenModel):
    """The namespace that steps act on."""

    namespace: str = Field(min_length=1)
    context: str = ""
    dry_run: bool = False


class NamedTarget(Protocol):
    """What a step names by a word of the file."""

    @property
    def told(self) -> str:
        """For a person; secrets are named, not shown."""
        ...

    def meaning(self, step: PlanStep) -> str:
        """What the names of the step stand for here; a plan's digest covers it."""
        ...


class NamedTargets(NamedTuple):
    """The targets of one action, and the argument of its steps that names one."""

    argument: str
    targets: Mapping[str, NamedTarget]


class RehearsalRequest(FrozenModel):
    """A playbook that is tried in dry run on a component, with these values beside the facts."""

    playbook: str
    component: str
    values: dict[str, str] = Field(default_factory=dict)


class RunnersFile(FrozenModel):
    """The file, read."""

    vault: VaultServer | None = None
    http: dict[ResourceName, HttpBase] = Field(default_factory=dict)
    command: dict[Binary, Path] = Field(default_factory=dict)
    command_dry_run: dict[Binary, DryRunOption] = Field(default_factory=dict)
    settings_files: SettingsFolder | None = None
    traffic: dict[ResourceName, ProxyTarget] = Field(default_factory=dict)
    database: dict[ResourceName, DatabaseTarget] = Field(default_factory=dict)
    cache: dict[ResourceName, RedisTarget] = Field(default_factory=dict)
    job: dict[ResourceName, JobTarget] = Field(default_factory=dict)
    switch: dict[ResourceName, SwitchTarget] = Field(default_factory=dict)
    kubernetes: KubernetesTarget | None = None
    rehearse: tuple[RehearsalRequest, ...] = Field(default=(), max_length=200)
    wait: bool = True
    check: bool = True
    manual: bool = True

    @property
    def named(self) -> Mapping[StepAction, NamedTargets]:
        """The actions whose steps name a target of the file."""
        return {
            "traffic": NamedTargets("proxy", self.traffic),
            "database": NamedTargets("database", self.database),
            "cache": NamedTargets("cache", self.cache),
            "job": NamedTargets("job", self.job),
            "switch": NamedTargets("switch", self.switch),
        }


ClusterConnector = Callable[[KubernetesTarget], Cluster]
RecordConnector = Callable[[DnsRecord, str], Switchable]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the runners need besides the file; `clock` is of processes, `seen` of the telemetry."""

    clock: Clock
    seen: Clock
    metrics: MetricSource
    confirm: ConfirmationPrompt
    connect: ClusterConnector
    record: RecordConnector
    environment: Mapping[str, str]


def read(path: Path) -> RunnersFile:
    """The file, or `RunnersFileError` with the key that is wrong; a value is never repeated.

    It and the programs it names are refused where others may write them: they would decide what an
    approval runs.
    """
    declared = strict_toml.read(path, RunnersFile, RunnersFileError)
    named = [("", path), *((f"command.{k}", p) for k, p in declared.command.items())]
    named += [(f"job.{k}", Path(j.system)) for k, j in declared.job.items() if "/" in j.system]
    for key, one in named:
        for place in (one, one.parent):
            if place.exists() and _open_to_others(place.stat()):
                problem = f"{str(place)!r} can be written by others; run: chmod go-w {place}"
                raise RunnersFileError(path, key, problem)
    return declared


def _open_to_others(found: os.stat_result) -> bool:
    """Whether somebody else may write: anybody, or a group that is not the user's own.

    In a folder with the sticky bit nobody replaces another one's file. Source: chmod(1).
    """
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    group = bool(found.st_mode & stat.S_IWGRP) and found.st_gid != os.getgid()
    return group or bool(found.st_mode & stat.S_IWOTH)


def runners(declared: RunnersFile, path: Path, around: Surroundings) -> dict[StepAction, Runner]:
    """A runner per action that the file turns on; what it cannot mean is said before the start."""
    clock = around.clock
    made: dict[StepAction, Runner] = {}
    caller = _caller(declared, path, SecretReader(path, around.environment, declared.vault))
    if declared.http:
        made["http"] = HttpRunner(caller, clock)
    if declared.command:
        try:
            dry_run = declared.command_dry_run
            made["command"] = CommandRunner(declared.command, clock, dry_run=dry_run)
        except ValueError as error:
            raise RunnersFileError(path, "command", str(error)) from error
    if declared.settings_files is not None:
        folder = declared.settings_files.folder
        if not folder.is_dir():
            raise RunnersFileError(path, "settings_files.folder", f"{str(folder)!r} is no folder")
        made["feature_flag"] = made["config"] = SettingsFileRunner(folder, clock)
    if declared.kubernetes is not None:
        target = declared.kubernetes
        cluster = around.connect(target)
        made["kubernetes"] = KubernetesRunner(cluster, clock, dry_run=target.dry_run)
    made |= _named_runners(declared, path, around, caller)
    if declared.wait:
        made["wait"] = WaitRunner(clock)
    if declared.check:
        made["check"] = CheckRunner(around.metrics, around.seen)
    if declared.manual:
        made["manual"] = ManualRunner(around.confirm, clock)
    return made


def _named_runners(
    declared: RunnersFile, path: Path, around: Surroundings, caller: HttpCaller
) -> dict[StepAction, Runner]:
    """The runners of targets that steps name; nothing is connected before a step needs it."""
    clock = around.clock
    reader = SecretReader(path, around.environment, declared.vault)
    databases = with_passwords(declared.database, "database", reader)
    caches = with_passwords(declared.cache, "cache", reader)
    switches = {
        name: (one, _switchable(declared, path, name, one, around, caller))
        for name, one in with_passwords(declared.switch, "switch", reader).items()
    }
    made: dict[StepAction, Runner] = {
        "traffic": TrafficRunner(declared.traffic, clock),
        "database": DatabaseRunner(databases, clock),
        "cache": CacheRunner(caches, clock),
        "job": JobRunner(declared.job, caller, clock),
        "switch": SwitchRunner(switches, clock),
    }
    return {action: made[action] for action, among in declared.named.items() if among.targets}


def _switchable(
    declared: RunnersFile,
    path: Path,
    name: str,
    one: SwitchTarget,
    around: Surroundings,
    caller: HttpCaller,
) -> Switchable:
    """What it is, with its states held against each other: a wrong one is said before the start."""
    try:
        if one.dns is not None:
            thing = around.record(one.dns, one.password.get_secret_value() if one.password else "")
        elif one.api is not None:
            thing = ApiSwitch(one.api, declared.http.get(one.api.base), caller, declarations())
        else:
            assert one.kubernetes is not None
            thing = ObjectSwitch(one.kubernetes, _cluster(declared, around))
        for word, state in one.states.items():
            for other, held in one.states.items():
                if thing.holds(held, state) and word != other:
                    raise StepFailedError(f"what is {other} is {word} as well: tell them apart")
    except StepFailedError as error:
        raise RunnersFileError(path, f"switch.{name}", str(error)) from error
    return thing


def _cluster(declared: RunnersFile, around: Surroundings) -> Cluster:
    if declared.kubernetes is None:
        raise StepFailedError("needs [kubernetes]: the namespace its object is in")
    if declared.kubernetes.dry_run:
        raise StepFailedError("[kubernetes] has dry_run = true: nothing would be switched")
    return around.connect(declared.kubernetes)


def with_passwords(
    declared: Mapping[str, TargetT], kind: str, reader: SecretReader
) -> dict[str, TargetT]:
    """The targets with their passwords, which are read once."""
    found: dict[str, TargetT] = {}
    for name, one in declared.items():
        key = f"{kind}.{name}"
        if one.password is not None:
            problem = "name a variable in password_env instead, or password_file, password_vault"
            raise RunnersFileError(reader.file, f"{key}.password", problem)
        word = reader.read(key, "password", one.password_env, one.password_file, one.password_vault)
        found[name] = one.model_copy(update={"password": SecretStr(word)}) if word else one
    return found


def _caller(declared: RunnersFile, path: Path, reader: SecretReader) -> HttpCaller:
    """What calls the declared bases; a job's has to carry its token as the system wants it."""
    for name, job in declared.job.items():
        base, wanted = declared.http.get(job.base), job.declared.token_as
        if base is None:
            raise RunnersFileError(path, f"job.{name}.base", f"there is no [http.{job.base}]")
        if base.token_as.lower() != wanted.lower():
            problem = f'{job.system} wants token_as = "{wanted}"'
            raise RunnersFileError(path, f"http.{job.base}.token_as", problem)
    return HttpCaller({name: reader.base(name, one) for name, one in declared.http.items()})


def lacking(declared: RunnersFile, playbook: Playbook) -> str:
    """Return why `playbook` and its roll-back cannot run unattended here; empty if they can."""
    for step in playbook.every_step:
        problem = _lacking(declared, step)
        if problem:
            return problem
    return ""


def _lacking(declared: RunnersFile, step: PlaybookStep) -> str:
    if step.action == "manual":
        return "a manual step is confirmed at a terminal: copilot playbook run"
    if step.action not in turned_on(declared):
        return f"runners_file turns no {step.action!r} steps on"
    base, argv = step.arguments.get("base"), step.arguments.get("argv")
    if step.action == "http" and _is_name(base) and base not in declared.http:
        return f"runners_file has no http base {base!r}"
    if (among := declared.named.get(step.action)) is not None:
        name = step.arguments.get(among.argument)
        if _is_name(name) and name not in among.targets:
            return f"runners_file has no [{step.action}.{name}]"
    program = argv[0] if isinstance(argv, list) and argv else None
    if step.action == "command" and _is_name(program) and program not in declared.command:
        return f"runners_file has no command {program!r}"
    return ""


def _is_name(value: JsonValue) -> bool:
    """A value that stands in the playbook itself; a hole is filled and refused later."""
    return isinstance(value, str) and "${" not in value


def turned_on(declared: RunnersFile) -> frozenset[StepAction]:
    """Return the actions that run for real."""
    files = declared.settings_files is not None
    found: dict[StepAction, bool] = {
        "http": bool(declared.http),
        "command": bool(declared.command),
        "feature_flag": files,
        "config": files,
        "kubernetes": declared.kubernetes is not None,
        "wait": declared.wait,
        "check": declared.check,
        "manual": declared.manual,
    }
    found |= {action: bool(among.targets) for action, among in declared.named.items()}
    return frozenset(action for action, on in found.items() if on)


def described(declared: RunnersFile) -> Iterator[tuple[str, str]]:
    """Action and what it acts on, line by line, for a person; secrets are named, not shown."""
    for name, base in declared.http.items():
        yield "http", f"{name}: {base.told}"
    for name, program in declared.command.items():
        yield "command", f"{name}: {program}"
    if declared.settings_files is not None:
        yield "config", f"flags and values of {declared.settings_files.folder}/<service>.json"
    for action, among in declared.named.items():
        for name, one in among.targets.items():
            yield action, f"{name}: {one.told}"
    if declared.kubernetes is not None:
        target = declared.kubernetes
        context = f", context {target.context}" if target.context else ""
        dry = "; the server's dry run, nothing is changed" if target.dry_run else ""
        yield "kubernetes", f"namespace {target.namespace}{context}{dry}"
    for name, said in (("wait", "on"), ("check", "on"), ("manual", "by copilot playbook run")):
        if getattr(declared, name):
            yield name, said


def meaning(declared: RunnersFile | None, step: PlanStep) -> str:
    """What the names in a step stand for here; empty where it has none, or a wrong one."""
    if declared is None:
        return ""
    if step.action == "command":
        argv = step.arguments.get("argv")
        words = argv if isinstance(argv, list) else []
        path = declared.command.get(str(words[0])) if words else None
        if path is None:
            return ""
        return "; ".join(f"{one} sha256:{_hash(one)}" for one in (path, *_files(words[1:])))
    if step.action == "http":
        base = declared.http.get(str(step.arguments.get("base")))
        return base.url if base else ""
    if step.action in ("config", "feature_flag") and declared.settings_files is not None:
        return str(declared.settings_files.folder)
    if (among := declared.named.get(step.action)) is not None:
        named = among.targets.get(str(step.arguments.get(among.argument)))
        if isinstance(named, JobTarget | SwitchTarget) and named.base:
            base = declared.http.get(named.base)
            return f"{named.meaning(step)} at {base.url if base else named.base}"
        if isinstance(named, SwitchTarget) and named.kubernetes is not None:
            return f"{named.meaning(step)}; {_place(declared)}"
        return named.meaning(step) if named is not None else ""
    return _place(declared) if step.action == "kubernetes" else ""


def _place(declared: RunnersFile) -> str:
    target = declared.kubernetes
    if target is None:
        return ""
    return f"namespace {target.namespace}, context {target.context or 'current'}"


def _files(words: Sequence[JsonValue]) -> Iterator[Path]:
    """The files that arguments name: as they stand, after `=`, after `@`; a program runs in `/`."""
    for word in words:
        for part in re.split(r"[=@]", str(word)):
            place = Path("/", part)
            try:
                if part and place.is_file():
                    yield place
            except OSError:  # too long for a name, or not ours to look at
                continue


def _hash(program: Path) -> str:
    try:
        with program.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
