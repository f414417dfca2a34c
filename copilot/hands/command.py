"""Run an allow-listed program: an argument vector, no shell, and nothing of our environment."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from copilot.hands import keeper
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.playbook_executor.vocabulary import CommandArguments
from tools.types import PlanStep, StepResult

MAX_OUTPUT = 65_536
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
KEY = "COPILOT_STEP_KEY"
"""Variable with the step's idempotency key: what a program that was asked before knows it by."""

_LOOK_EVERY_S = 0.05
_KEPT = (sys.executable, "-I", "-S", keeper.__file__)


class CommandRunner:
    """Runs programs by the names an operator gave them; `binaries` maps each to its path.

    The program gets a clean environment with the step's key (`COPILOT_STEP_KEY`), an empty home
    that is removed afterwards, no input, its own session and the step's timeout; what it starts is
    killed with it, and it is killed with us. Output beyond 64 KiB is read and dropped. `dry_run`
    has the option with which a program changes nothing, as `--check` of ansible-playbook.
    """

    def __init__(
        self,
        binaries: Mapping[str, Path],
        clock: Clock,
        environment: Mapping[str, str] = CLEAN,
        dry_run: Mapping[str, str] | None = None,
    ) -> None:
        for name, path in binaries.items():
            if not path.is_absolute() or not path.is_file() or not os.access(path, os.X_OK):
                raise ValueError(f"command {name!r}: {str(path)!r} is not an absolute executable")
        self._binaries = dict(binaries)
        self._clock = clock
        self._environment = dict(environment)
        self._dry_run = dict(dry_run or {})

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Run the program to its end; ok if it exits with 0 in time."""
        return reported(
            self._clock, key, lambda: self._execute(of_type(step, CommandArguments), step, key)
        )

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Whether the program can be run; it is, with the option by which it changes nothing."""
        command = of_type(step, CommandArguments)
        path = self._path(command)
        runs = path.is_file() and os.access(path, os.X_OK)
        if runs and (option := self._dry_run.get(command.binary)):
            return Rehearsal(self._execute(command, step, "rehearsal", (option,)))
        return Rehearsal(str(path), "" if runs else f"{path} is no program that can be run")

    def touches(self, step: PlanStep) -> bool:
        """The program is run."""
        return True

    def _path(self, command: CommandArguments) -> Path:
        path = self._binaries.get(command.binary)
        if path is None:
            raise StepFailedError(f"command {command.binary!r} is not on the allow-list")
        return path

    def _execute(
        self, command: CommandArguments, step: PlanStep, key: str, options: Sequence[str] = ()
    ) -> str:
        with TemporaryDirectory(prefix="copilot-home-", ignore_cleanup_errors=True) as home:
            return self._run_in(home, command, step, key, options)

    def _run_in(
        self,
        home: str,
        command: CommandArguments,
        step: PlanStep,
        key: str,
        options: Sequence[str],
    ) -> str:
        path = self._path(command)
        try:
            process = subprocess.Popen(
                [*_KEPT, str(path), *options, *command.argv[1:]],
                stdin=subprocess.PIPE,  # never written to: its end is ours
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self._environment, "HOME": home, KEY: key},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailedError(f"command {command.binary!r} did not start: {error}") from error
        with process:
            output, in_time = _watched(process, time.monotonic() + step.timeout_s)
        said = output.decode("utf-8", errors="replace")
        if not in_time:
            problem = f"command {command.binary!r} was killed after {step.timeout_s:g} s"
            raise StepFailedError(problem, said)
        if process.returncode != 0:
            problem = f"command {command.binary!r} exited with {process.returncode}"
            raise StepFailedError(problem, said)
        return said


def _watched(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """Read until the program ends or its time is up, then kill what is left of its group."""
    assert process.stdout is not None
    kept = bytearray()
    in_time = open_ended = True
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not (ended := _has_ended(process.pid)) or open_ended:
            if time.monotonic() >= deadline:
                in_time = ended
                break
            if not open_ended:
                time.sleep(_LOOK_EVERY_S)
            elif selector.select(_LOOK_EVERY_S):
                chunk = os.read(process.stdout.fileno(), 65_536)
                kept += chunk[: MAX_OUTPUT - len(kept)]
                open_ended = bool(chunk)
            elif ended:
                break  # only what the program left behind still holds the pipe
    # The program itself is not reaped yet, so its group number cannot belong to anybody else.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return bytes(kept), in_time


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
