"""The `incidents` suite on the bundles that ship with the project; needs no data."""

from rich.progress import Progress

from copilot.simulator import shipped_bundles
from evals.localization.cases import read
from evals.localization.detection import by_watch, with_history
from evals.report import Options, Result
from evals.suites.incidents import score_set


def run(options: Options, progress: Progress) -> Result:
    """Locate the cause of every shipped bundle and score it."""
    cases = read(shipped_bundles(), options.limit)
    return score_set(options, cases, progress, "demo", {"shipped": with_history(cases, by_watch())})
