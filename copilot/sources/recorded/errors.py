"""What can be wrong with a bundle, said to the person who made or fetched it."""

from pathlib import Path

from copilot.ports import SourceError


class BundleError(SourceError):
    """A bundle's file is missing or malformed: which file, what was wrong, what to do."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        super().__init__(str(path), f"{problem}; {advice}", recoverable=False)
        self.path = path
        self.advice = advice
