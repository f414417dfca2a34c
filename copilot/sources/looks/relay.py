"""Runs a program and hands on what it writes, up to so many bytes; a process of its own.

`python -I relay.py BYTES PROGRAM [ARGUMENT …]`. Exit code 3: it wrote more. Its reader keeps a line
in memory until it ends, and a hostile server's line never does.
"""

import os
import subprocess
import sys

BLOCK = 65_536


def relayed(most: int, command: list[str]) -> int:
    """Run it; returns its exit code, or 3 where it was ended for writing too much."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        out = child.stdout.fileno() if child.stdout else -1
        while block := os.read(out, BLOCK):
            most -= len(block)
            if most < 0:
                child.kill()
                return 3
            while block:
                block = block[os.write(1, block) :]
        return child.wait()


if __name__ == "__main__":
    sys.exit(relayed(int(sys.argv[1]), sys.argv[2:]))
