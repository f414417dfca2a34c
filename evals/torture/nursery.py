"""Forks `copilot serve` from a process that has imported everything: up in a second, not twenty.

It is run as `python -m evals.torture.nursery`, reads an order a line on standard input and answers
a line: `{"serve": {VARIABLE: value}, "log": FILE, "clock": FILE}` with the process id,
`{"ended": PID}` with the exit code (negative: the signal) or null while it runs.
"""

import json
import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from copilot.settings import load
from copilot.surfaces.commands.serve import serve
from copilot.types.errors import OperatorError


def main() -> None:
    """Take orders until there are no more; what is still running then is killed."""
    alive: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "serve" in order:
            pid = os.fork()
            if pid == 0:
                _serve(order)
            alive.add(pid)
            answer: int | None = pid
        else:
            answer = _ended(order["ended"])
            if answer is not None:
                alive.discard(order["ended"])
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _serve(order: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        _apart(Path(order["log"]))
        os.environ.update(order["serve"])
        _on_a_clock_of(Path(order["clock"]))
        code = serve(load())
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _apart(log: Path) -> None:
    """Standard input of nobody's, output into the log."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)


def _on_a_clock_of(file: Path) -> None:
    """Wall time plus the seconds in a file, as if somebody set the host's clock; not monotonic."""
    with file.open("rb") as opened:
        ahead = mmap.mmap(opened.fileno(), 8, prot=mmap.PROT_READ)
    real = time.time
    time.time = lambda: real() + struct.unpack("d", ahead)[0]


if __name__ == "__main__":
    main()
