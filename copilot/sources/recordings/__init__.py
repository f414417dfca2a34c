"""The incidents that ship: recorded by `python -m evals lab run KIND --record` up to recovery."""

from importlib.resources import files
from pathlib import Path


def recordings() -> Path:
    """The folder inside the package: `incidents/`, `history/` and `mends/`."""
    return Path(str(files("copilot.sources.recordings")))
