"""Processes: start them on a leash, end them, and know them again by pid and start time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_GRACE_S = 5.0


def spawn(
    program: Sequence[str],
    *,
    output: Path | None = None,
    pipe: bool = False,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that dies with this process; must be called from the main thread.

    Its standard error, and without `pipe` its standard output, go to the file or nowhere.
    """
    command = [sys.executable, "-m", "evals.lab.leash", str(os.getpid()), *program]
    with _opened(output) as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else file,
            stderr=file,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
        )


def _opened(output: Path | None) -> IO[bytes]:
    if output is None:
        return Path(os.devnull).open("ab")
    output.parent.mkdir(parents=True, exist_ok=True)
    return output.open("ab")


def end(process: subprocess.Popen[bytes], grace_s: float = _GRACE_S) -> None:
    """Ask it to end, wait, and insist."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def born(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where there is no such process.

    Together with the pid it names one process for good: pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


def end_other(pid: int, started: int, grace_s: float = 15.0) -> bool:
    """End a process of another parent if it still is the one that was meant; True if it was."""
    if born(pid) != started:
        return False
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + grace_s
    while born(pid) == started and time.monotonic() < until:
        time.sleep(0.1)
    if born(pid) == started:
        os.kill(pid, signal.SIGKILL)
    return True
