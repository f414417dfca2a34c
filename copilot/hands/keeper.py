"""Runs one program and ends with whoever started it: `python keeper.py PROGRAM ARGUMENT...`.

Standard input is a pipe whose other end our process holds: when that process is gone, in whatever
way, the pipe ends and the keeper kills its whole process group, the program and what it started.
(`PR_SET_PDEATHSIG` reaches the child alone, and depends on the thread that started it.) It is run
as a file of its own, without any of our modules; the program starts in the same group.
"""

import os
import select
import signal
import sys

LOOK_EVERY_S = 0.05


def main(argv: list[str]) -> int:
    """Return the program's exit code; one that a signal ended is 128 + the signal, as in a shell.

    127: it could not be started; the reason is on standard output.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        program = os.posix_spawn(
            argv[0], argv, dict(os.environ), file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0)]
        )
    except OSError as error:
        sys.stdout.write(f"did not start: {error}")
        return 127
    while True:
        if select.select([0], [], [], LOOK_EVERY_S)[0]:
            os.killpg(0, signal.SIGKILL)
        ended, status = os.waitpid(program, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
