"""The `incidents` suite on the recordings of the lab that ship beside it; needs no data."""

from rich.progress import Progress

from evals.detection.replay import by_watch, with_history
from evals.localization.cases import RECORDINGS, read
from evals.localization.suite import score_set
from evals.report import Options, Result


def run(options: Options, progress: Progress) -> Result:
    """Locate the cause of every shipped recording and score it."""
    cases = read(RECORDINGS, options.limit)
    return score_set(options, cases, progress, "demo", {"shipped": with_history(cases, by_watch())})
