"""Makes the fixtures of upgrades: for each schema there was, a database that its own program wrote.

    python -m tests.upgrades.make

Each program is taken from the history and runs its `copilot demo`: one incident recovers, one
waits for a yes, as far as it ships them. A new schema: add a row of the last commit before it.
"""

import io
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent

# Of each fixture the name, the last commit whose program wrote this schema, the shipped incident
# that was answered with yes, and the one that was not answered.
PROGRAMS = (
    ("schema-1-first-stage", "c80fb9b", "sim-4be1c7", "sim-d7316f"),
    ("schema-1-second-stage", "973e232", "lab-789e1d", ""),
    ("schema-1-last", "db7c990", "", "lab-789e1d"),
    ("schema-2", "46e5783", "lab-789e1d", ""),
    ("schema-3", "b77c970", "", "lab-789e1d"),
    ("schema-4", "29e6271", "lab-789e1d", ""),
    ("schema-5", "f445bb4", "lab-789e1d", ""),
)

# Where the demo works in a folder that it throws away, the folder stays.
DRIVER = """
import sys, tempfile
from contextlib import nullcontext
kept = sys.argv[1]
tempfile.TemporaryDirectory = lambda *a, **k: nullcontext(kept)
sys.argv = ["copilot", "demo", *sys.argv[2:]]
from copilot.__main__ import main
main()
"""


def checkout(commit: str, to: Path) -> None:
    """Lay the files of a commit into a folder."""
    packed = subprocess.run(
        ["git", "archive", commit, "copilot", "tools", "prompts", "knowledge_base"],
        cwd=HERE.parent.parent,
        check=True,
        capture_output=True,
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        files.extractall(to, filter="data")


def script(commit: str, recovered: str, waiting: str) -> str:
    """What the program of a commit wrote of two incidents, as SQL."""
    with tempfile.TemporaryDirectory() as folder:
        program, data = Path(folder, "program"), Path(folder, "data")
        checkout(commit, program)
        data.mkdir()
        for incident, option, said in ((recovered, ["--yes"], ""), (waiting, [], "n\n")):
            if not incident:
                continue
            subprocess.run(
                [sys.executable, "-c", DRIVER, str(data), incident, *option],
                cwd=program,
                env=os.environ
                | {
                    "PYTHONPATH": str(program),
                    "COPILOT_MODEL_USE": "off",
                    "COPILOT_DATA_DIR": str(data),
                },
                input=said,
                text=True,
                stdout=subprocess.DEVNULL,
                check=not said,  # who does not approve leaves with 1
            )
        written = max(data.rglob("copilot.sqlite"), key=lambda file: file.stat().st_size)
        with closing(sqlite3.connect(written)) as database:
            return "\n".join(database.iterdump()) + "\n"


def main() -> None:
    """Write the fixtures that are missing."""
    for name, *given in PROGRAMS:
        to = HERE / f"{name}.sql"
        if not to.exists():
            to.write_text(script(*given), encoding="utf-8")


if __name__ == "__main__":
    main()
