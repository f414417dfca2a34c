"""`copilot graph`: the state machine as the code draws it."""

from rich.console import Console

from copilot.case.graph import drawing
from copilot.settings import Settings


def graph(_: Settings) -> int:
    """Print the drawing as Mermaid."""
    Console(markup=False, highlight=False).out(drawing())
    return 0
