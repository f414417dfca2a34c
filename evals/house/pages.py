"""Two pages of the docs that follow from the code: the house in floors, and an alert's way."""

from collections.abc import Sequence
from itertools import groupby

from evals.house.measures import House, drawing
from evals.house.way import Passage

STAGES = (
    ("copilot/surfaces/", "1 · It arrives"),
    ("copilot/alerts/admission.py", "2 · It is admitted and grouped"),
    ("copilot/case/nodes/triage.py", "3 · Its incident is worked on: triage and gather"),
    ("copilot/case/nodes/locate.py", "4 · The cause is ranked and the brief is published"),
    ("copilot/case/nodes/diagnose.py", "5 · What is remembered and proposed"),
    ("copilot/case/nodes/approve.py", "6 · A person approves; it is done, verified and reported"),
)
"""A stage begins with the first file that starts so."""


def house_page(house: House) -> str:
    """The floors of `copilot`, drawn from its imports."""
    return "\n".join(
        [
            "# The house",
            "",
            "Written by `make docs` from the imports. An entry of `copilot/` imports only from",
            "floors below its own; an arrow goes to the next floor. `python -m evals house` prints",
            "sizes, importers, names and literals; `tests/test_house.py` lets none get worse.",
            "",
            "```mermaid",
            drawing(house),
            "```",
            "",
            "[The way of one alert](way-of-one-alert.md) names the files in the order in which an",
            "alert meets them.",
            "",
        ]
    )


def way_page(passed: Sequence[Passage]) -> str:
    """Every file on the way, in the order in which it is first entered."""
    parts = [
        "# The way of one alert",
        "",
        "Written by `make docs` from a traced run: an alert of the shipped recording is posted to",
        "the service, its incident located, approved and recovered. A test holds the list. Files",
        "in **bold** are entered from another room; the others are inside one.",
        "",
    ]
    for title, files in groupby(_staged(passed), key=lambda pair: pair[0]):
        parts += [f"## {title}", "", "| file | first called | by |", "|---|---|---|"]
        parts += [_row(one) for _, one in files]
        parts.append("")
    return "\n".join(parts)


def _staged(passed: Sequence[Passage]) -> list[tuple[str, Passage]]:
    staged, stage = [], 0
    for one in passed:
        while stage + 1 < len(STAGES) and one.path.startswith(STAGES[stage + 1][0]):
            stage += 1
        staged.append((STAGES[stage][1], one))
    return staged


def _row(one: Passage) -> str:
    name = f"**{one.path}**" if one.entered else one.path
    return f"| {name} | `{one.function}` | {one.caller or 'the server'} |"
