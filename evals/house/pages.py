"""Two pages of the docs that follow from the code: the house in floors, and an alert's way."""

from collections.abc import Sequence
from itertools import groupby

from evals.house.measures import House, drawing, summary
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
    """The floors of `copilot`, and the figures that `tests/test_house.py` holds."""
    figures = [f"| {name} | {value:,.0f} |" for name, value in summary(house).items()]
    return "\n".join(
        [
            "# The house",
            "",
            "Written by `make docs`; `python -m evals house` prints the same figures, and",
            "`tests/test_house.py` lets none of them get worse. An entry of `copilot/` imports only",
            "from floors below its own.",
            "",
            "```mermaid",
            drawing(house),
            "```",
            "",
            "| | |",
            "|---|---|",
            *figures,
            "",
            "- **modules.one_importer**: imported by exactly one other module.",
            "- **homonyms**, **participles**: public class names of `tools` and `copilot` that two",
            "  modules define, or that are a bare participle.",
            "- **literals**: numbers in `tools` that are not counts, halves or units of time, stand",
            "  in no documented `Field`, and have no source beside them.",
            "",
        ]
    )


def way_page(passed: Sequence[Passage]) -> str:
    """Every file on the way, in the order in which it is first entered."""
    total = sum(one.lines for one in passed)
    between = [one for one in passed if one.entered]
    parts = [
        "# The way of one alert",
        "",
        "Written by `make docs` from a traced run: an alert of the shipped recording is posted to",
        "the service, its incident located, approved and recovered. A test holds the list.",
        "",
        f"{len(passed)} files, {total:,} lines; {len(between)} of them ({sum(o.lines for o in between):,}",
        "lines, in **bold**) are entered from another room, the others are inside one.",
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
